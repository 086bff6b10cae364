package ratelimit

import (
	"net/netip"
	"strconv"
	"testing"
	"time"
)

const (
	home, away = "192.0.2.1", "198.51.100.1"
)

// rules are those of the tests of visits: three of anything are allowed.
var rules = map[Offence]BanRule{
	AuthFailure: {3, time.Minute, 5 * time.Minute}, ProtocolError: {3, time.Minute, 5 * time.Minute},
	Flapping: {3, time.Minute, 5 * time.Minute}, UserFlapping: {6, time.Minute, 5 * time.Minute},
	Takeover: {3, time.Minute, 5 * time.Minute},
}

// world is a gate at a moment.
type world struct {
	*testing.T
	gate   *Gate
	now    time.Time
	memory float64
}

func newWorld(t *testing.T, limits Limits) *world {
	w := &world{T: t, now: start}
	bans := NewBans()
	bans.SetRules(rules, Exempt{})
	w.gate = NewGate(limits, bans, func() float64 { return w.memory })
	return w
}

// visit comes from addr, which has to be let in.
func (w *world) visit(addr string) *Visit {
	w.Helper()
	a, _ := netip.ParseAddr(addr) // "" is a Unix socket's
	v, refusal := w.gate.Admit(w.now, a)
	if refusal != "" {
		w.Fatalf("%s is refused: %s", addr, refusal)
	}
	return v
}

// login comes from addr and proves to be user, and returns why that is of no use.
func (w *world) login(addr, user, clientID string) (*Visit, Refusal) {
	w.Helper()
	v := w.visit(addr)
	if refusal := v.Claim(w.now, user, ""); refusal != "" {
		v.Leave(w.now, "")
		return nil, refusal
	}
	refusal := v.Enter(w.now, Entry{Identity: user, ClientID: clientID})
	if refusal != "" {
		v.Leave(w.now, "")
	}
	return v, refusal
}

// stay logs in and stays.
func (w *world) stay(addr, user, clientID string) *Visit {
	w.Helper()
	v, refusal := w.login(addr, user, clientID)
	if refusal != "" {
		w.Fatalf("%s at %s is refused: %s", user, addr, refusal)
	}
	return v
}

// guess comes from addr, claims to be user and is not. It returns what it was refused
// for before that was known.
func (w *world) guess(addr, user string) Refusal {
	w.Helper()
	a, _ := netip.ParseAddr(addr)
	v, refusal := w.gate.Admit(w.now, a)
	if refusal != "" {
		return refusal
	}
	if refusal = v.Claim(w.now, user, ""); refusal != "" {
		v.Leave(w.now, "")
		return refusal
	}
	v.Leave(w.now, AuthFailure)
	return ""
}

// TestStrangersLeaveRoom: whatever strangers do, those who are known find an eighth
// of the connections, and of their rate.
func TestStrangersLeaveRoom(t *testing.T) {
	w := newWorld(t, Limits{Total: 40, Rate: Rate{PerSecond: 10, Burst: 20}})
	w.stay(home, "alice", "a").Leave(w.now, "")
	admitted, refusals := 0, map[Refusal]int{}
	for i := range 1000 {
		w.now = w.now.Add(10 * time.Millisecond)
		if _, refusal := w.gate.Admit(w.now, netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)})); refusal == "" {
			admitted++
		} else {
			refusals[refusal]++
		}
	}
	if admitted != 35 || refusals[Reserved] == 0 || refusals[ConnectRate] == 0 {
		t.Errorf("%d strangers are in, want 35; refused %v", admitted, refusals)
	}
	for i := range 5 {
		if v := w.visit(home); !v.known() || v.Claim(w.now, "alice", "") != "" {
			t.Fatalf("connection %d of the known", i+1)
		}
	}
}

// TestCrowdsLeaveRoom: strangers of another network find room, in the rate and in the
// number, that a crowd from one network does not.
func TestCrowdsLeaveRoom(t *testing.T) {
	for limits, refused := range map[Limits]Refusal{
		{Rate: Rate{PerSecond: 1e-6, Burst: 80}}: ConnectRate,
		{Total: 80}:                              Reserved,
	} {
		w := newWorld(t, limits)
		admitted, why := 0, Refusal("")
		for i := range 100 {
			_, refusal := w.gate.Admit(w.now, netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}))
			if refusal == "" {
				admitted++
			}
			why = refusal
		}
		if admitted != 60 || why != refused {
			t.Errorf("%+v: %d of 80 are for a crowd; then %q", limits, admitted, why)
		}
		for i := range 10 {
			if v := w.visit("198.51.100." + strconv.Itoa(i)); v.Rank() != Stranger {
				t.Errorf("stranger %d has rank %d", i, v.Rank())
			}
		}
		if _, refusal := w.gate.Admit(w.now, netip.MustParseAddr("198.51.100.99")); refusal != refused {
			t.Errorf("%+v: the eleventh stranger: %q", limits, refusal)
		}
	}
}

// TestStrangersAreStrangersUntilTheyLogIn, and then free their places as such.
func TestStrangersAreStrangersUntilTheyLogIn(t *testing.T) {
	w := newWorld(t, Limits{Total: 4, PerNetwork: 3})
	for i := range 3 {
		if w.stay("192.0.2."+strconv.Itoa(i), "u", "c"+strconv.Itoa(i)); w.gate.strangers != 0 {
			t.Fatal("who has logged in counts as a stranger")
		}
	}
	w.visit("192.0.2.9")
	if _, refusal := w.gate.Admit(w.now, netip.MustParseAddr("192.0.2.10")); refusal != MaxConnections {
		t.Errorf("the fifth of four: %q", refusal)
	}
}

// TestKnownIsForgotten after a week.
func TestKnownIsForgotten(t *testing.T) {
	w := newWorld(t, Limits{})
	w.stay(home, "alice", "a")
	for after, want := range map[time.Duration]bool{0: true, knownFor - 1: true, knownFor: false} {
		w.now = start.Add(after)
		v := w.visit(home)
		if v.known() != want {
			t.Errorf("%v after: known %v", after, v.known())
		}
		if v.Claim(w.now, "alice", ""); v.known() != want {
			t.Errorf("%v after, as alice: known %v", after, v.known())
		}
	}
	w.now = start
	v := w.visit(home)
	if v.Claim(w.now, "bob", "") != "" || v.known() {
		t.Error("bob is known where alice is")
	}
	if v = w.visit(away); v.Claim(w.now, "alice", "") != "" || v.known() {
		t.Error("alice is known where she has never been")
	}
	if v.Claim(w.now, "alice", "a fingerprint"); !v.known() {
		t.Error("who has a certificate is not known")
	}
}

// TestWhoStaysIsKnown: a session may last longer than anything is remembered, and its
// client is known when it has to come again.
func TestWhoStaysIsKnown(t *testing.T) {
	w := newWorld(t, Limits{})
	v := w.stay(home, "alice", "a")
	w.now = w.now.Add(3 * knownFor)
	v.Leave(w.now, "")
	if v = w.visit(home); !v.known() {
		t.Error("the address is a stranger's")
	}
	if v.Claim(w.now, "alice", ""); !v.known() {
		t.Error("alice is a stranger at home")
	}
}

// TestLockedName: guesses from anywhere lock a name, but not where its owner is.
func TestLockedName(t *testing.T) {
	w := newWorld(t, Limits{})
	w.stay(home, "alice", "a")
	for i := range 4 {
		if refusal := w.guess("203.0.113."+strconv.Itoa(i), "alice"); refusal != "" {
			t.Fatalf("guess %d: %s", i+1, refusal)
		}
	}
	if refusal := w.guess("203.0.113.9", "alice"); refusal != Banned {
		t.Errorf("a guess at a locked name: %q", refusal)
	}
	if _, refusal := w.login(away, "alice", "b"); refusal != Banned {
		t.Errorf("alice from where she has never been: %q", refusal)
	}
	if _, refusal := w.login(home, "alice", "b"); refusal != "" {
		t.Errorf("alice at home: %q", refusal)
	}
	if _, refusal := w.login(away, "bob", "c"); refusal != "" {
		t.Errorf("bob: %q", refusal)
	}
	v := w.visit(away)
	if refusal := v.Claim(w.now, "alice", "a fingerprint"); refusal != "" {
		t.Errorf("alice with her certificate: %q", refusal)
	}
	if refusal := v.Enter(w.now, Entry{Identity: "alice", ClientID: "d"}); refusal != "" {
		t.Errorf("alice, by her certificate: %q", refusal)
	}
	w.now = w.now.Add(5 * time.Minute)
	if _, refusal := w.login("198.51.100.2", "alice", "e"); refusal != "" {
		t.Errorf("when the ban is over: %q", refusal)
	}
}

// TestBannedPrefix: who guesses is banned with the prefix, and before anything is
// spent. Where somebody has logged in, that one goes on.
func TestBannedPrefix(t *testing.T) {
	w := newWorld(t, Limits{})
	w.stay(home, "alice", "a")
	for _, addr := range []string{home, away} {
		for i := range 4 {
			if refusal := w.guess(addr, "user"+strconv.Itoa(i)); refusal != "" {
				t.Fatalf("%s: guess %d: %s", addr, i+1, refusal)
			}
		}
	}
	if _, refusal := w.gate.Admit(w.now, netip.MustParseAddr(away)); refusal != Banned {
		t.Errorf("a prefix that guesses: %q", refusal)
	}
	if refusal := w.guess(home, "user9"); refusal != Banned {
		t.Errorf("another guess where alice is: %q", refusal)
	}
	if _, refusal := w.login(home, "alice", "b"); refusal != "" {
		t.Errorf("alice beside who guesses: %q", refusal)
	}
	// The automatic ban of the address, which makes an exception, hides it from none.
	if err := w.gate.bans.Put(w.now, Ban{Subject: Subject{Network, "192.0.2.0/24"}}); err != nil {
		t.Fatal(err)
	}
	if _, refusal := w.gate.Admit(w.now, netip.MustParseAddr(home)); refusal != Banned {
		t.Errorf("what an operator has banned: %q", refusal)
	}
}

// TestGuessesAtHome: who shares a prefix with the user has as many guesses as lock a
// name elsewhere, and logins that succeed cost none.
func TestGuessesAtHome(t *testing.T) {
	w := newWorld(t, Limits{Guesses: Rate{PerSecond: 3.0 / 60, Burst: 3}})
	for range 10 {
		w.stay(home, "alice", "a").Leave(w.now, "")
		w.now = w.now.Add(time.Minute) // this is no flapping
	}
	for i := range 3 {
		if refusal := w.guess(home, "alice"); refusal != "" {
			t.Fatalf("guess %d: %s", i+1, refusal)
		}
	}
	if _, refusal := w.login(home, "alice", "a"); refusal != Banned {
		t.Errorf("after three guesses: %q", refusal)
	}
	w.now = w.now.Add(20 * time.Second)
	if _, refusal := w.login(home, "alice", "a"); refusal != "" {
		t.Errorf("when a guess is to be had again: %q", refusal)
	}
}

// TestGuessesWithCertificate: who has any certificate is past locked names, and has as
// many guesses at each of them.
func TestGuessesWithCertificate(t *testing.T) {
	w := newWorld(t, Limits{Guesses: Rate{PerSecond: 3.0 / 60, Burst: 3}})
	claim := func(user, certificate string) (*Visit, Refusal) {
		v := w.visit(away)
		refusal := v.Claim(w.now, user, certificate)
		return v, refusal
	}
	for i := range 4 {
		v, refusal := claim("alice", "mallory's")
		if want := map[bool]Refusal{true: Banned}[i == 3]; refusal != want {
			t.Errorf("guess %d: %q", i+1, refusal)
		}
		if refusal == "" {
			v.Leave(w.now, AuthFailure)
		}
	}
	for user, certificate := range map[string]string{"alice": "alice's", "mallory": "mallory's"} {
		if _, refusal := claim(user, certificate); refusal != "" {
			t.Errorf("%s with %s certificate: %q", user, certificate, refusal)
		}
	}
}

// TestManyDevicesOfOneUser log in at once where they always do, and while the source
// of identities does not answer: none of that is a guess.
func TestManyDevicesOfOneUser(t *testing.T) {
	w := newWorld(t, Limits{Guesses: Rate{PerSecond: 3.0 / 60, Burst: 3}})
	w.stay(home, "alice", "a")
	var visits []*Visit
	for i := range maxClaims {
		v := w.visit(home)
		if refusal := v.Claim(w.now, "alice", ""); refusal != "" {
			t.Fatalf("device %d: %q", i+1, refusal)
		}
		visits = append(visits, v)
	}
	for _, v := range visits {
		v.Leave(w.now, "")
	}
	w.stay(home, "alice", "b")
}

// TestWhoPays for an offence.
func TestWhoPays(t *testing.T) {
	for _, test := range []struct {
		name    string
		offend  func(w *world)
		subject []Subject
	}{
		{"a stranger", func(w *world) { w.visit(away).Leave(w.now, ProtocolError) }, []Subject{{Network, away + "/32"}}},
		{"a Unix socket", func(w *world) { w.visit("").Leave(w.now, ProtocolError) }, nil},
		{"a guess", func(w *world) { w.guess(away, "alice") }, []Subject{{Network, away + "/32"}, {User, "alice"}}},
		{"without a name", func(w *world) { w.guess(away, "") }, []Subject{{Network, away + "/32"}}},
		{"through a Unix socket", func(w *world) { w.guess("", "alice") }, []Subject{{User, "alice"}}},
		{"a client", func(w *world) { w.stay(home, "alice", "a").Leave(w.now, ProtocolError) }, []Subject{{Client, "a"}}},
		{"nobody", func(w *world) { w.stay(home, "alice", "a"+strconv.Itoa(w.gate.Open())).Leave(w.now, "") }, nil},
	} {
		w := newWorld(t, Limits{})
		w.gate.bans.SetRules(map[Offence]BanRule{ProtocolError: rules[ProtocolError], AuthFailure: rules[AuthFailure]}, Exempt{})
		for range 4 {
			test.offend(w)
		}
		list := w.gate.bans.List(w.now)
		if len(list) != len(test.subject) {
			t.Errorf("%s: banned %+v", test.name, list)
			continue
		}
		for i, want := range test.subject {
			if list[i].Subject != want {
				t.Errorf("%s: banned %+v, want %+v", test.name, list[i].Subject, want)
			}
		}
	}
}

func TestPerIdentity(t *testing.T) {
	w := newWorld(t, Limits{PerIdentity: 2})
	first := w.stay(home, "alice", "a")
	w.stay(away, "alice", "b")
	if _, refusal := w.login(home, "alice", "c"); refusal != MaxConnectionsPerIdentity {
		t.Errorf("the third of two: %q", refusal)
	}
	w.stay(home, "bob", "c")
	v := w.visit(home)
	v.Claim(w.now, "alice", "")
	if refusal := v.Enter(w.now, Entry{Identity: "alice", ClientID: "a", Taken: true}); refusal != "" {
		t.Errorf("who takes the place of a connection of its own: %q", refusal)
	}
	first.Leave(w.now, "")
	v.Leave(w.now, "")
	w.stay(home, "alice", "c")
	for i := range 5 {
		w.stay(home, "", "nobody"+strconv.Itoa(i))
	}
}

// TestFlapping: who connects too often is kept out for a while, a client by itself or
// all of a user.
func TestFlapping(t *testing.T) {
	w := newWorld(t, Limits{})
	for i := range 4 {
		_, refusal := w.login(home, "alice", "a")
		if want := map[bool]Refusal{true: Banned}[i == 3]; refusal != want {
			t.Errorf("connection %d: %q", i+1, refusal)
		}
	}
	if _, refusal := w.login(away, "alice", "a"); refusal != Banned {
		t.Errorf("the client from elsewhere: %q", refusal)
	}
	for i := range 4 { // with the three before
		_, refusal := w.login(home, "alice", "b"+strconv.Itoa(i))
		if want := map[bool]Refusal{true: Banned}[i == 3]; refusal != want {
			t.Errorf("client %d of the user: %q", i+1, refusal)
		}
	}
	if _, refusal := w.login(home, "bob", "c"); refusal != "" {
		t.Errorf("another user: %q", refusal)
	}
	w.now = w.now.Add(5 * time.Minute)
	w.stay(home, "alice", "a")
}

// TestUnserved: while there is no broker, to try again is no offence, of the client nor of
// its user, and who has one counts as ever.
func TestUnserved(t *testing.T) {
	w := newWorld(t, Limits{})
	for range 20 {
		v := w.visit(home)
		v.Claim(w.now, "alice", "")
		if refusal := v.Enter(w.now, Entry{Identity: "alice", ClientID: "a", Taken: true}); refusal != "" {
			t.Fatalf("the client of a broker that is away: %q", refusal)
		}
		v.Unserved()
		v.Leave(w.now, "")
	}
	if w.gate.bans.stamps != 0 {
		t.Errorf("%d offences are kept", w.gate.bans.stamps)
	}
	for range 3 {
		w.stay(home, "alice", "a")
	}
	v, refusal := w.login(home, "alice", "a")
	if refusal != Banned {
		t.Errorf("the fourth time: %q", refusal)
	}
	v.Unserved() // it was refused, and did not count
}

// TestLasting: a restart lets in those whom a ban has let in before it.
func TestLasting(t *testing.T) {
	w := newWorld(t, Limits{})
	w.stay(home, "alice", "a")
	w.stay(home, "bob", "b")
	for _, addr := range []string{home, away} {
		for i := range 4 {
			w.guess(addr, "user"+strconv.Itoa(i))
		}
	}
	for i := range 4 {
		w.guess("203.0.113."+strconv.Itoa(i), "alice")
		w.login(home, "bob", "b")
	}
	if err := w.gate.bans.Put(w.now, Ban{Subject: Subject{User, "eve"}}); err != nil {
		t.Fatal(err)
	}
	restarted := newWorld(t, Limits{})
	restarted.gate.bans.Restore(w.now, w.gate.Lasting(w.now))
	restarted.stay(home, "alice", "a")
	if _, refusal := restarted.login(home, "bob", "b"); refusal != Banned {
		t.Errorf("a client that flaps: %q", refusal)
	}
	if _, refusal := restarted.gate.Admit(w.now, netip.MustParseAddr(away)); refusal != Banned {
		t.Errorf("where only guesses come from: %q", refusal)
	}
	if n := len(w.gate.bans.List(w.now)) - len(restarted.gate.bans.List(w.now)); n != 2 {
		t.Errorf("%d bans are gone, want those of the name and of the home", n)
	}
}

// TestNobodyBansOthers: a client identifier belongs to who has it at the time. That
// somebody offends under it keeps nobody else out who has it later.
func TestNobodyBansOthers(t *testing.T) {
	w := newWorld(t, Limits{})
	flaps := func(user string) (last Refusal) {
		for range 4 {
			v, refusal := w.login(home, user, "plc-1")
			if last = refusal; refusal == "" {
				v.Leave(w.now, ProtocolError)
			}
		}
		return last
	}
	if got := flaps("mallory"); got != Banned {
		t.Errorf("mallory as plc-1: %q", got)
	}
	w.stay(away, "alice", "plc-1")
	ban := Ban{Subject: Subject{Client, "plc-1"}, Reason: "flapping", Since: start, Until: start.Add(5 * time.Minute), Times: 1, User: "mallory"}
	if list := w.gate.bans.List(w.now); len(list) != 1 || list[0] != ban {
		t.Errorf("banned %+v", list)
	}
	restarted := newWorld(t, Limits{})
	restarted.gate.bans.Restore(w.now, w.gate.bans.List(w.now))
	restarted.stay(away, "alice", "plc-1")
	if _, refusal := restarted.login(away, "mallory", "plc-1"); refusal != Banned {
		t.Errorf("mallory as plc-1 after a restart: %q", refusal)
	}
	if !w.gate.bans.Lift(Subject{Client, "plc-1"}) {
		t.Error("what is listed cannot be lifted")
	}
	w.stay(home, "mallory", "plc-1")
	if got := flaps("alice"); got != Banned {
		t.Errorf("alice as plc-1: %q", got)
	}
	w.now = w.now.Add(6 * time.Minute)
	flaps("mallory")
	if list := w.gate.bans.List(w.now); len(list) != 1 || list[0].User != "mallory" || list[0].Times != 1 {
		t.Errorf("after alice's ban: %+v", list)
	}
	if err := w.gate.bans.Put(w.now, Ban{Subject: Subject{Client, "plc-1"}}); err != nil {
		t.Fatal(err)
	}
	if _, refusal := w.login(home, "alice", "plc-1"); refusal != Banned {
		t.Errorf("what an operator has banned: %q", refusal)
	}
}

// TestOthersIdentifier: to ask for a client identifier of somebody else counts against
// nobody who has it.
func TestOthersIdentifier(t *testing.T) {
	w := newWorld(t, Limits{})
	for range 10 {
		w.stay(home, "", "").Leave(w.now, ProtocolError)
	}
	if list := w.gate.bans.List(w.now); len(list) != 0 {
		t.Errorf("banned %+v", list)
	}
}

// TestPingPong: of two that take a client identifier from each other, the one that
// comes too often is refused and the other stays.
func TestPingPong(t *testing.T) {
	w := newWorld(t, Limits{})
	w.gate.bans.SetRules(map[Offence]BanRule{Takeover: rules[Takeover]}, Exempt{})
	for i := range 5 {
		v := w.visit(home)
		v.Claim(w.now, "alice", "")
		refusal := v.Enter(w.now, Entry{Identity: "alice", ClientID: "a", Taken: i > 0})
		if want := map[bool]Refusal{true: Banned}[i > 3]; refusal != want {
			t.Errorf("takeover %d: %q", i, refusal)
		}
	}
}

// TestLoginsInProgress: one user has only so many at once, so that others' do not wait
// for them all, and those of strangers are not in the way of the user.
func TestLoginsInProgress(t *testing.T) {
	w := newWorld(t, Limits{})
	w.stay(home, "alice", "a")
	var crowd []*Visit
	for i := range maxClaims {
		v := w.visit("203.0.113." + strconv.Itoa(i))
		if refusal := v.Claim(w.now, "alice", ""); refusal != "" {
			t.Fatalf("login %d: %q", i+1, refusal)
		}
		crowd = append(crowd, v)
	}
	if _, refusal := w.login(away, "alice", "b"); refusal != Busy {
		t.Errorf("one more: %q", refusal)
	}
	for range maxClaims + 1 {
		if v := w.visit(away); v.Claim(w.now, "", "") != "" {
			t.Error("nobody in particular has too many")
		}
	}
	w.stay(home, "alice", "b")
	w.stay(away, "bob", "c")
	crowd[0].Enter(w.now, Entry{Identity: "alice", ClientID: "d"})
	crowd[1].Leave(w.now, "")
	for i := range 3 {
		v := w.visit("203.0.113." + strconv.Itoa(100+i))
		if refusal := v.Claim(w.now, "alice", ""); (refusal == Busy) != (i == 2) {
			t.Errorf("login %d after two are over: %q", i+1, refusal)
		}
	}
}

// TestMemory is refused to strangers first, then to those who are known, and in the
// end to everybody before anything is spent.
func TestMemory(t *testing.T) {
	for _, test := range []struct {
		used            float64
		stranger, known Refusal
	}{
		{0.80, "", ""}, {0.81, Busy, ""}, {0.90, Busy, ""}, {0.91, Busy, Busy}, {0.95, Busy, Busy}, {0.96, NoMemory, NoMemory},
	} {
		w := newWorld(t, Limits{})
		w.stay(home, "alice", "a")
		w.memory = test.used
		for addr, want := range map[string]Refusal{home: test.known, away: test.stranger} {
			v, refusal := w.gate.Admit(w.now, netip.MustParseAddr(addr))
			if refusal == "" {
				refusal = v.Claim(w.now, "alice", "")
			}
			if refusal != want {
				t.Errorf("%v of the memory, %s: %q, want %q", test.used, addr, refusal, want)
			}
		}
	}
}

// TestNothingStays of visits that have ended, however far they came.
func TestNothingStays(t *testing.T) {
	w := newWorld(t, Limits{Guesses: Rate{PerSecond: 1, Burst: 3}})
	for i := range 50 {
		for _, addr := range []string{home, away, ""} {
			a, _ := netip.ParseAddr(addr)
			v, refusal := w.gate.Admit(w.now, a)
			if refusal != "" {
				continue
			}
			if i%4 > 0 && v.Claim(w.now, "alice", "") == "" && i%4 > 1 {
				v.Enter(w.now, Entry{Identity: "alice", ClientID: strconv.Itoa(i)})
			}
			v.Leave(w.now, []Offence{"", ProtocolError, AuthFailure}[i%3])
		}
	}
	g := w.gate
	if g.open+g.strangers+len(g.prefixes)+len(g.networks)+len(g.identities)+len(g.claims) != 0 {
		t.Errorf("%d claims, %d open, %d strangers, prefixes %v, networks %v, identities %v", len(g.claims), g.open, g.strangers, g.prefixes, g.networks, g.identities)
	}
}

// TestRecentIsBounded and forgets what was not noted for the longest time.
func TestRecentIsBounded(t *testing.T) {
	r := newRecent[int](3, time.Hour)
	for i := range 3 {
		r.note(start, i)
	}
	r.note(start, 0)
	r.note(start, 3)
	for key, want := range []bool{true, false, true, true} {
		if r.has(start, key) != want {
			t.Errorf("%d is remembered: %v", key, !want)
		}
	}
	if len(r.keys) != 3 || r.noted.Len() != 3 {
		t.Errorf("%d and %d are kept", len(r.keys), r.noted.Len())
	}
}

// TestReloadRefillsNothing: rates and guesses that did not change keep what was taken.
func TestReloadRefillsNothing(t *testing.T) {
	limits := Limits{PerNetworkRate: Rate{PerSecond: 1e-6, Burst: 2}, Guesses: Rate{PerSecond: 1e-6, Burst: 1}}
	w := newWorld(t, limits)
	w.stay(home, "alice", "a")
	w.guess(home, "alice")
	w.visit("192.0.9.9") // in the network of home
	w.gate.SetLimits(limits)
	if refusal := w.guess(home, "alice"); refusal != Banned {
		t.Errorf("a guess after a reload: %q", refusal)
	}
	if _, refusal := w.gate.Admit(w.now, netip.MustParseAddr("192.0.9.8")); refusal != ConnectRatePerNetwork {
		t.Errorf("a stranger after a reload: %q", refusal)
	}
}

// TestProvedUserIsBanned: a ban by hand is about who it is, whatever its CONNECT said.
func TestProvedUserIsBanned(t *testing.T) {
	w := newWorld(t, Limits{})
	w.stay(home, "alice", "a")
	if err := w.gate.bans.Put(w.now, Ban{Subject: Subject{User, "alice"}}); err != nil {
		t.Fatal(err)
	}
	if refusal := w.visit(home).Claim(w.now, "alice", ""); refusal != Banned {
		t.Errorf("alice, before anybody works for her: %q", refusal)
	}
	v := w.visit(home)
	if refusal := v.Claim(w.now, "", "a certificate"); refusal != "" {
		t.Fatalf("without a name: %q", refusal)
	}
	if refusal := v.Enter(w.now, Entry{Identity: "alice", ClientID: "a"}); refusal != Banned {
		t.Errorf("alice by her certificate: %q", refusal)
	}
}
