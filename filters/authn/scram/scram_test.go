package scram

import (
	"encoding/base64"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/xdg-go/scram"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/authn"
	"github.com/mqttward/mqttward/packets"
)

const (
	mechanism256 = "SCRAM-SHA-256"
	mechanism512 = "SCRAM-SHA-512"
)

var hashes = map[string]scram.HashGeneratorFcn{mechanism256: scram.SHA256, mechanism512: scram.SHA512}

// keysOf are the keys of one password.
func keysOf(mechanism, password, salt string, iterations int) scram.StoredCredentials {
	client, err := hashes[mechanism].NewClient("", password, "")
	if err != nil {
		panic(err)
	}
	keys, err := client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: salt, Iters: iterations})
	if err != nil {
		panic(err)
	}
	return keys
}

// method has alice, with the password pencil, for SHA-256, and bob, with the
// password eraser, for SHA-512.
func method() *Authenticator {
	return New("users",
		Keys{"alice": keysOf(mechanism256, "pencil", "0123456789abcdef", 4096), "+x": keysOf(mechanism256, "pencil", "0123456789abcdef", 4096)},
		Keys{"bob": keysOf(mechanism512, "eraser", "0123456789abcdef", 4096)})
}

func begin(t testing.TB, a *Authenticator, mechanism string) *dialogue {
	t.Helper()
	d, err := a.Begin(filters.Credentials{AuthMethod: mechanism})
	if err != nil {
		t.Fatal(err)
	}
	return d.(*dialogue)
}

// next expects an answer that is not the last.
func next(t testing.TB, d authn.Dialogue, message string) string {
	t.Helper()
	answer, id, err := d.Next(t.Context(), filters.Secret(message))
	if err != nil || id != nil {
		t.Fatalf("%q: %v, %v; want an answer", message, id, err)
	}
	return string(answer)
}

// refuse expects a refusal.
func refuse(t testing.TB, d authn.Dialogue, message string, code packets.ReasonCode) {
	t.Helper()
	answer, id, err := d.Next(t.Context(), filters.Secret(message))
	e, ok := errors.AsType[*packets.Error](err)
	if !ok || e.Code != code || answer != nil || id != nil {
		t.Errorf("%.80q: %q, %v, %v; want a refusal with %#x", message, answer, id, err, code)
	}
	if ok && len(message) > 8 && strings.Contains(e.Msg, message[:8]) {
		t.Errorf("the error repeats the message: %v", e)
	}
}

// client is the library's.
func client(t testing.TB, mechanism, username, password, authzID string) *scram.ClientConversation {
	t.Helper()
	c, err := hashes[mechanism].NewClient(username, password, authzID)
	if err != nil {
		t.Fatal(err)
	}
	return c.NewConversation()
}

func step(t testing.TB, c *scram.ClientConversation, challenge string) string {
	t.Helper()
	message, err := c.Step(challenge)
	if err != nil {
		t.Fatal(err)
	}
	return message
}

// TestRFC7677 is the example of section 3.
func TestRFC7677(t *testing.T) {
	salt, err := base64.StdEncoding.DecodeString("W22ZaJ0SNY7soEsUEjb6gQ==")
	if err != nil {
		t.Fatal(err)
	}
	a := New("users", Keys{"user": keysOf(mechanism256, "pencil", string(salt), 4096)}, nil)
	d := begin(t, a, mechanism256)
	server, err := scram.SHA256.NewServer(d.lookup)
	if err != nil {
		t.Fatal(err)
	}
	d.conversation = server.WithNonceGenerator(func() string { return "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0" }).NewConversation()

	if got, want := next(t, d, "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"),
		"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"; got != want {
		t.Errorf("server-first %q, want %q", got, want)
	}
	answer, id, err := d.Next(t.Context(),
		filters.Secret("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="))
	if want := (&filters.Identity{Username: "user", Method: "users"}); err != nil || !reflect.DeepEqual(id, want) {
		t.Errorf("%+v, %v; want %+v", id, err, want)
	}
	if want := "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="; string(answer) != want {
		t.Errorf("server-final %q, want %q", answer, want)
	}
}

// TestConversations are with the library's client, which checks the server's
// proof.
func TestConversations(t *testing.T) {
	a := method()
	for _, tt := range []struct {
		name, mechanism, username, password, authzID string
		want                                         string             // user name
		code                                         packets.ReasonCode // of the refusal of the proof
	}{
		{"SHA-256", mechanism256, "alice", "pencil", "", "alice", 0},
		{"SHA-512", mechanism512, "bob", "eraser", "", "bob", 0},
		{"prepared password", mechanism256, "alice", "pen\u00adcil", "", "alice", 0},
		{"prepared name", mechanism256, "\u00aalice", "pencil", "", "alice", 0},
		{"as oneself", mechanism512, "bob", "eraser", "bob", "bob", 0},
		{"wrong password", mechanism256, "alice", "eraser", "", "", packets.BadUserNameOrPassword},
		{"empty password", mechanism256, "alice", "", "", "", packets.BadUserNameOrPassword},
		{"unknown user", mechanism256, "eve", "pencil", "", "", packets.BadUserNameOrPassword},
		{"unknown user with a comma", mechanism256, "e,v=e", "pencil", "", "", packets.BadUserNameOrPassword},
		{"user of the other mechanism", mechanism512, "alice", "pencil", "", "", packets.BadUserNameOrPassword},
		{"name in another case", mechanism256, "Alice", "pencil", "", "", packets.BadUserNameOrPassword},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, d := client(t, tt.mechanism, tt.username, tt.password, tt.authzID), begin(t, a, tt.mechanism)
			final := step(t, c, next(t, d, step(t, c, "")))
			if tt.code != 0 {
				refuse(t, d, final, tt.code)
				return
			}
			answer, id, err := d.Next(t.Context(), filters.Secret(final))
			if want := (&filters.Identity{Username: tt.want, Method: "users"}); err != nil || !reflect.DeepEqual(id, want) {
				t.Fatalf("%+v, %v; want %+v", id, err, want)
			}
			if step(t, c, string(answer)); !c.Valid() {
				t.Error("the client does not believe the server")
			}
			refuse(t, d, final, packets.NotAuthorized)
		})
	}
}

// TestBindingThatIsNotOffered: the client would have bound the channel.
func TestBindingThatIsNotOffered(t *testing.T) {
	c, err := scram.SHA256.NewClient("alice", "pencil", "")
	if err != nil {
		t.Fatal(err)
	}
	able, d := c.NewConversationAdvertisingChannelBinding(), begin(t, method(), mechanism256)
	first := step(t, able, "")
	if !strings.HasPrefix(first, "y,,") {
		t.Fatalf("client-first %q", first)
	}
	if _, id, err := d.Next(t.Context(), filters.Secret(step(t, able, next(t, d, first)))); err != nil || id == nil {
		t.Errorf("%v, %v; want alice", id, err)
	}
}

func TestFirstMessages(t *testing.T) {
	a := method()
	for _, message := range []string{
		"", ",", ",,,", "n", "n,,", "n,,n=alice", "n,,r=nonce,n=alice", "n,n=alice,r=nonce",
		"x,,n=alice,r=nonce", "p=tls-unique,,n=alice,r=nonce", "p=tls-exporter,,n=alice,r=nonce", "p=x,,n=alice,r=nonce",
		"n,,m=x,n=alice,r=nonce", "n,,n=alice,r=nonce,m=x", "n,,n=alice,m=x,r=nonce",
		"n,a=bob,n=alice,r=nonce", "n,alice,n=alice,r=nonce", "n,a=al=ice,n=alice,r=nonce",
		"n,,n=,r=nonce", "n,,n=\u00ad,r=nonce", "n,,n=al=ice,r=nonce", "n,,n=al=2cice,r=nonce", "n,,n=alice=,r=nonce",
		"n,,n=al\x00ice,r=nonce", "n,,n=al\xffice,r=nonce", "n,,n=al\u200eice,r=nonce", "n,,n=\u0627a,r=nonce",
		"n,,n=+x,r=nonce", "n,,n=#,r=nonce", "n,,n=a\u007f,r=nonce",
		"n,,n=alice,r=" + strings.Repeat("x", maxMessage-12),
		"c=biws,r=nonce,p=AAAA", "{}", "\x00\x01\x02",
	} {
		d := begin(t, a, mechanism256)
		refuse(t, d, message, packets.NotAuthorized)
		refuse(t, d, "n,,n=alice,r=nonce", packets.NotAuthorized) // no second try
	}
	if got := next(t, begin(t, a, mechanism256), "n,,n=alice,r="+strings.Repeat("x", maxMessage-13)); len(got) < maxMessage-13 {
		t.Errorf("the largest message gets %q", got)
	}
}

// TestFinalMessages takes a right client-final and breaks it.
func TestFinalMessages(t *testing.T) {
	a := method()
	for _, tt := range []struct {
		name string
		edit func(message string) string
		code packets.ReasonCode
	}{
		{"empty", func(string) string { return "" }, packets.NotAuthorized},
		{"client-first again", func(string) string { return "n,,n=alice,r=nonce" }, packets.NotAuthorized},
		{"no proof", func(m string) string { return m[:strings.LastIndex(m, ",")] }, packets.NotAuthorized},
		{"empty proof", func(m string) string { return m[:strings.LastIndex(m, ",")] + ",p=" }, packets.NotAuthorized},
		{"short proof", func(m string) string { return m[:strings.LastIndex(m, ",")] + ",p=AAAA" }, packets.NotAuthorized},
		{"proof that is no base64", func(m string) string { return m[:len(m)-1] }, packets.NotAuthorized},
		{"another proof", func(m string) string {
			return m[:strings.LastIndex(m, ",")] + ",p=" + base64.StdEncoding.EncodeToString(make([]byte, 32))
		}, packets.BadUserNameOrPassword},
		{"another channel binding", func(m string) string { return strings.Replace(m, "c=biws", "c=eSws", 1) }, packets.NotAuthorized},
		{"no channel binding", func(m string) string { return strings.Replace(m, "c=biws", "c=", 1) }, packets.NotAuthorized},
		{"another nonce", func(m string) string { return strings.Replace(m, ",r=", ",r=x", 1) }, packets.NotAuthorized},
		{"its own nonce only", func(m string) string { return m[:15] + m[strings.LastIndex(m, ","):] }, packets.NotAuthorized},
		{"mandatory extension", func(m string) string { return strings.Replace(m, ",p=", ",m=x,p=", 1) }, packets.NotAuthorized},
		{"extension that is not proven", func(m string) string { return strings.Replace(m, ",p=", ",x=y,p=", 1) }, packets.BadUserNameOrPassword},
		{"too large", func(m string) string {
			return strings.Replace(m, ",p=", ",x="+strings.Repeat("y", maxMessage)+",p=", 1)
		}, packets.NotAuthorized},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, d := client(t, mechanism256, "alice", "pencil", ""), begin(t, a, mechanism256)
			final := step(t, c, next(t, d, step(t, c, "")))
			refuse(t, d, tt.edit(final), tt.code)
			refuse(t, d, final, packets.NotAuthorized) // no second try
		})
	}
}

// TestReplay: what was right once is not in another conversation, even of the
// client's own nonce.
func TestReplay(t *testing.T) {
	a := method()
	c, d := client(t, mechanism256, "alice", "pencil", ""), begin(t, a, mechanism256)
	first := step(t, c, "")
	final := step(t, c, next(t, d, first))
	if _, id, err := d.Next(t.Context(), filters.Secret(final)); err != nil || id == nil {
		t.Fatalf("%v, %v; want alice", id, err)
	}
	again := begin(t, a, mechanism256)
	next(t, again, first)
	refuse(t, again, final, packets.NotAuthorized)
}

// TestUnknownUsers: what is asked twice, also of a method that was made anew,
// has one answer, and nothing in it tells whether there is such a user.
func TestUnknownUsers(t *testing.T) {
	keys := Keys{
		"a": keysOf(mechanism256, "x", strings.Repeat("s", 24), 5000),
		"b": keysOf(mechanism256, "x", strings.Repeat("t", 24), 5000),
		"c": keysOf(mechanism256, "x", strings.Repeat("u", 64), 4096),
	}
	ask := func(mechanism, username string) (salt string) {
		var nonce string
		var iterations int
		answer := next(t, begin(t, New("users", keys, nil), mechanism), "n,,n="+username+",r=nonce")
		if _, err := fmt.Sscanf(strings.ReplaceAll(answer, ",", " "), "r=%s s=%s i=%d", &nonce, &salt, &iterations); err != nil {
			t.Fatalf("%q: %v", answer, err)
		}
		bytes, err := base64.StdEncoding.DecodeString(salt)
		want := map[string]cost{mechanism256: {5000, 24}, mechanism512: {10_000, 16}}[mechanism]
		if got := (cost{iterations, len(bytes)}); err != nil || got != want || len(nonce) != len("nonce")+32 {
			t.Errorf("%s: %+v of a nonce of %d bytes, want %+v", username, got, len(nonce), want)
		}
		return salt
	}
	eve := ask(mechanism256, "eve")
	if ask(mechanism256, "eve") != eve || ask(mechanism256, "\u00adeve") != eve {
		t.Error("the salt of a name changes")
	}
	if ask(mechanism256, "mallory") == eve || ask(mechanism256, "a") == eve || strings.HasPrefix(eve, ask(mechanism512, "eve")[:20]) {
		t.Error("two names, or the mechanisms of one, share a salt")
	}
}

func TestCommonest(t *testing.T) {
	of := func(costs ...cost) Keys {
		keys := make(Keys)
		for i, c := range costs {
			factors := scram.KeyFactors{Salt: strings.Repeat("s", c.salt), Iters: c.iterations}
			keys[fmt.Sprint(i)] = scram.StoredCredentials{KeyFactors: factors}
		}
		return keys
	}
	for _, tt := range []struct {
		keys Keys
		want cost
	}{
		{nil, cost{10_000, 16}},
		{of(cost{50_000, 64}), cost{50_000, 64}},
		{of(cost{4096, 8}, cost{5000, 8}, cost{5000, 8}), cost{5000, 8}},
		{of(cost{5000, 8}, cost{4096, 16}, cost{4096, 8}), cost{4096, 8}},
		{of(cost{4096, 8}, cost{4096, 8}, cost{6000, 8}, cost{5000, 8}, cost{5000, 8}), cost{4096, 8}},
	} {
		for range 20 { // maps have no order
			if got := commonest(tt.keys); got != tt.want {
				t.Errorf("%v: %v, want %v", tt.keys, got, tt.want)
			}
		}
	}
}

func TestOthersAreNotMine(t *testing.T) {
	a := method()
	for _, name := range []string{"", "SCRAM-SHA-1", "scram-sha-256", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-256\x00", "OAUTH2-JWT"} {
		if d, err := a.Begin(filters.Credentials{AuthMethod: name}); d != nil || !errors.Is(err, authn.ErrNotMine) {
			t.Errorf("%q: %v, %v; want ErrNotMine", name, d, err)
		}
	}
	login := filters.Credentials{Username: "alice", HasUsername: true, Password: filters.Secret("pencil"), HasPassword: true}
	if id, err := a.Authenticate(t.Context(), login); id.Username != "" || !errors.Is(err, authn.ErrNotMine) {
		t.Errorf("a login with a password: %+v, %v; want ErrNotMine", id, err)
	}
}

func TestRecheck(t *testing.T) {
	a := method()
	for _, tt := range []struct {
		identity filters.Identity
		want     string // of the error
	}{
		{filters.Identity{Username: "alice", Method: "users"}, ""},
		{filters.Identity{Username: "bob", Method: "users"}, ""},
		{filters.Identity{Username: "eve", Method: "users"}, "the user has no keys for SCRAM any more"},
		{filters.Identity{Username: "alice", Method: "others"}, authn.ErrNotMine.Error()},
	} {
		err := a.Recheck(t.Context(), &filters.Session{Identity: tt.identity})
		if (err == nil) != (tt.want == "") || err != nil && err.Error() != tt.want {
			t.Errorf("%+v: %v, want %q", tt.identity, err, tt.want)
		}
	}
}

// FuzzNext: nobody gets in without the password, whatever the two messages, and
// nothing is answered after a refusal. The first "NONCE" of the second stands
// for what the server has answered.
func FuzzNext(f *testing.F) {
	f.Add([]byte("n,,n=alice,r=nonce"), []byte("c=biws,r=NONCE,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="))
	f.Add([]byte("y,a=eve,n=eve,r=nonce"), []byte("c=eSxhPWV2ZSw=,r=NONCE,x=y,p=AAAA"))
	f.Add([]byte("p=tls-exporter,,n=alice,r=nonce"), []byte(""))
	a := method()
	f.Fuzz(func(t *testing.T, first, final []byte) {
		d := begin(t, a, mechanism256)
		answer, id, err := d.Next(t.Context(), first)
		if id != nil || (err == nil) != strings.HasPrefix(string(answer), "r=") {
			t.Fatalf("first: %q, %v, %v", answer, id, err)
		}
		nonce, _, _ := strings.Cut(strings.TrimPrefix(string(answer), "r="), ",")
		for range 2 {
			answer, id, err := d.Next(t.Context(), filters.Secret(strings.Replace(string(final), "NONCE", nonce, 1)))
			if _, ok := errors.AsType[*packets.Error](err); answer != nil || id != nil || !ok {
				t.Fatalf("final: %q, %v, %v", answer, id, err)
			}
		}
	})
}

// BenchmarkDialogue is the proxy's part of a login.
func BenchmarkDialogue(b *testing.B) {
	a := method()
	for mechanism, login := range map[string][2]string{mechanism256: {"alice", "pencil"}, mechanism512: {"bob", "eraser"}} {
		b.Run(mechanism, func(b *testing.B) {
			peer, err := hashes[mechanism].NewClient(login[0], login[1], "")
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				// The client's work is about as much, once it has derived its keys.
				c, d := peer.NewConversation(), begin(b, a, mechanism)
				if _, id, err := d.Next(b.Context(), filters.Secret(step(b, c, next(b, d, step(b, c, ""))))); err != nil || id == nil {
					b.Fatal(err)
				}
			}
		})
	}
}
