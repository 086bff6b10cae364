package ratelimit

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	bob    = Subject{User, "bob"}
	office = Subject{Network, "192.0.2.1/32"}
)

// guessing returns bans with a rule for AuthFailure: more than 3 a minute are a ban of
// 5 minutes.
func guessing(e Exempt) *Bans {
	b := NewBans()
	b.SetRules(map[Offence]BanRule{AuthFailure: {3, time.Minute, 5 * time.Minute}}, e)
	return b
}

// offend has s offend until that leads to a ban, and returns it.
func offend(t *testing.T, b *Bans, now time.Time, s Subject) Ban {
	t.Helper()
	for range 4 {
		if ban, banned := b.Offend(now, s, AuthFailure); banned {
			return ban
		}
	}
	t.Fatalf("4 offences are no ban of %v", s)
	panic("not reached")
}

func TestOffend(t *testing.T) {
	b := guessing(Exempt{})
	for i := range 3 {
		if _, banned := b.Offend(start, bob, AuthFailure); banned {
			t.Fatalf("banned after %d", i+1)
		}
	}
	if _, ok := b.Find(start, bob); ok {
		t.Error("banned at the bound")
	}
	version := b.Version()
	ban, banned := b.Offend(start, bob, AuthFailure)
	want := Ban{Subject: bob, Reason: "auth_failures", Since: start, Until: start.Add(5 * time.Minute), Times: 1}
	if !banned || ban != want || b.Version() == version {
		t.Errorf("%v %+v, want %+v", banned, ban, want)
	}
	for _, test := range []struct {
		after time.Duration
		s     Subject
		want  bool
	}{
		{0, bob, true},
		{5*time.Minute - 1, bob, true},
		{5 * time.Minute, bob, false},
		{0, Subject{User, "alice"}, false},
		{0, Subject{Client, "bob"}, false},
	} {
		if _, got := b.Find(start.Add(test.after), test.s); got != test.want {
			t.Errorf("%v, %v after: %v", test.s, test.after, got)
		}
	}
	if _, banned := b.Offend(start, bob, Flapping); banned {
		t.Error("an offence without a rule is a ban")
	}
}

// TestOffencesAge: three a minute, spread evenly, are never too many.
func TestOffencesAge(t *testing.T) {
	b := guessing(Exempt{})
	for i := range 100 {
		if _, banned := b.Offend(start.Add(time.Duration(i)*20*time.Second), bob, AuthFailure); banned {
			t.Fatalf("banned after %d", i+1)
		}
	}
}

// TestBackOff: each ban is twice the one before, up to a day, and what is done during
// a ban does not count.
func TestBackOff(t *testing.T) {
	b, now := guessing(Exempt{}), start
	for i, want := range []time.Duration{5, 10, 20, 40, 80, 160, 320, 640, 1280, 1440, 1440, 1440} {
		ban := offend(t, b, now, bob)
		if got := ban.Until.Sub(now); got != want*time.Minute || ban.Times != i+1 {
			t.Fatalf("ban %d, for the %dth time, lasts %v, want %v minutes", i, ban.Times, got, want)
		}
		for range 10 {
			if _, banned := b.Offend(now, bob, AuthFailure); banned {
				t.Fatal("banned anew during a ban")
			}
		}
		now = ban.Until
	}
	now = now.Add(48 * time.Hour)
	if ban := offend(t, b, now, bob); ban.Times != 1 {
		t.Errorf("two days after a ban of one, the next is the %dth in a row", ban.Times)
	}
	if ban := offend(t, b, now, Subject{User, "alice"}); ban.Times != 1 {
		t.Errorf("alice is banned for the %dth time", ban.Times)
	}
}

func TestLongRule(t *testing.T) {
	for times, want := range map[int]time.Duration{1: 72 * time.Hour, 2: 72 * time.Hour, 100: 72 * time.Hour} {
		if got := (BanRule{1, time.Minute, 72 * time.Hour}).length(times); got != want {
			t.Errorf("the %dth: %v", times, got)
		}
	}
}

func TestFindAddr(t *testing.T) {
	b := guessing(Exempt{Networks: networks("10.1.0.0/16")})
	for _, value := range []string{"10.0.0.0/8", "2001:db8::/32"} {
		if err := b.Put(start, Ban{Subject: Subject{Network, value}}); err != nil {
			t.Fatal(err)
		}
	}
	offend(t, b, start, office)
	offend(t, b, start, Subject{Network, "10.2.0.1/32"})
	for addr, want := range map[string]string{
		"192.0.2.1": "192.0.2.1/32", "::ffff:192.0.2.1": "192.0.2.1/32", "192.0.2.2": "",
		"10.9.9.9": "10.0.0.0/8", "10.1.2.3": "", "10.2.0.1": "10.0.0.0/8",
		"2001:db8:ffff::1": "2001:db8::/32", "2001:db8::1%eth0": "2001:db8::/32", "2001:db9::1": "",
	} {
		if ban, ok := b.FindAddr(start, netip.MustParseAddr(addr)); ban.Value != want || ok != (want != "") {
			t.Errorf("%s is banned with %q, want %q", addr, ban.Value, want)
		}
	}
	if _, ok := b.FindAddr(start, netip.Addr{}); ok {
		t.Error("a Unix socket is banned")
	}
	b.Lift(Subject{Network, "10.0.0.0/8"})
	for addr, want := range map[string]bool{"10.9.9.9": false, "10.2.0.1": true} {
		if _, ok := b.FindAddr(start, netip.MustParseAddr(addr)); ok != want {
			t.Errorf("%s is banned after the network was lifted: %v", addr, ok)
		}
	}
	if _, ok := b.FindAddr(start.Add(time.Hour), netip.MustParseAddr("192.0.2.1")); ok {
		t.Error("a network is banned after the end of its ban")
	}
}

func TestPutBan(t *testing.T) {
	b := guessing(Exempt{Users: []string{"monitor"}, ClientIDs: []string{"probe"}, Networks: networks("10.0.0.0/8")})
	for _, test := range []struct {
		ban  Ban
		want string // of the error
	}{
		{Ban{Subject: bob, Reason: "stolen"}, ""},
		{Ban{Subject: bob, Until: start.Add(time.Hour)}, ""},
		{Ban{Subject: Subject{Client, "c"}}, ""},
		{Ban{Subject: Subject{Network, "192.0.2.0/24"}}, ""},
		{Ban{Subject: Subject{Network, "192.0.2.1/24"}}, `"192.0.2.1/24" is no network such as 192.0.2.0/24`},
		{Ban{Subject: Subject{Network, "192.0.2.1"}}, `"192.0.2.1" is no network such as 192.0.2.0/24`},
		{Ban{Subject: Subject{User, ""}}, "an empty name is nobody's"},
		{Ban{Subject: Subject{"topic", "t"}}, `nobody can be banned by "topic"`},
		{Ban{Subject: bob, Until: start}, "the ban would be over already"},
		{Ban{Subject: Subject{User, "monitor"}}, `user "monitor" is exempt by the configuration`},
		{Ban{Subject: Subject{Client, "probe"}}, `client_id "probe" is exempt by the configuration`},
		{Ban{Subject: Subject{Network, "10.1.0.0/16"}}, `network "10.1.0.0/16" is exempt by the configuration`},
	} {
		got := ""
		if err := b.Put(start, test.ban); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%v: %q, want %q", test.ban.Subject, got, test.want)
		}
	}
	want := []Ban{
		{Subject: Subject{Client, "c"}, Since: start, Manual: true},
		{Subject: Subject{Network, "192.0.2.0/24"}, Since: start, Manual: true},
		{Subject: bob, Since: start, Until: start.Add(time.Hour), Manual: true},
	}
	if got := b.List(start); !slices.Equal(got, want) {
		t.Errorf("list\n%+v, want\n%+v", got, want)
	}
	if got := b.List(start.Add(time.Hour)); !slices.Equal(got, want[:2]) {
		t.Errorf("an hour later\n%+v, want\n%+v", got, want[:2])
	}
	if b.Lift(bob) || !b.Lift(Subject{Client, "c"}) || b.Lift(Subject{Client, "c"}) {
		t.Error("Lift does not tell whether there was a ban")
	}
}

// TestLift: who is let in again begins anew.
func TestLift(t *testing.T) {
	b := guessing(Exempt{})
	until := offend(t, b, start, bob).Until
	if again := offend(t, b, until, bob); again.Times != 2 || !b.Lift(bob) {
		t.Fatalf("the %dth ban was not there to lift", again.Times)
	}
	if _, ok := b.Find(until, bob); ok {
		t.Error("lifted and in force")
	}
	if again := offend(t, b, until.Add(time.Hour), bob); again.Times != 1 {
		t.Errorf("the next is the %dth in a row", again.Times)
	}
}

func TestSetRules(t *testing.T) {
	rules := map[Offence]BanRule{AuthFailure: {3, time.Minute, 5 * time.Minute}}
	b := guessing(Exempt{})
	offend(t, b, start, bob)
	offend(t, b, start, office)
	_ = b.Put(start, Ban{Subject: Subject{Client, "c"}})
	carol := Subject{User, "carol"}
	for range 3 {
		b.Offend(start, carol, AuthFailure)
	}
	b.SetRules(rules, Exempt{Users: []string{"bob"}, ClientIDs: []string{"c"}})
	if got := b.List(start); len(got) != 1 || got[0].Subject != office {
		t.Errorf("bans of the exempt stay: %+v", got)
	}
	if _, banned := b.Offend(start, carol, AuthFailure); !banned {
		t.Error("a rule that did not change forgot what it had counted")
	}
	for range 10 {
		if _, banned := b.Offend(start, bob, AuthFailure); banned {
			t.Fatal("who is exempt is banned")
		}
	}
	b.SetRules(nil, Exempt{})
	for range 10 {
		if _, banned := b.Offend(start, bob, AuthFailure); banned {
			t.Fatal("banned without a rule")
		}
	}
}

func TestRestore(t *testing.T) {
	b := guessing(Exempt{Users: []string{"monitor"}})
	b.Restore(start, []Ban{
		{Subject: bob, Reason: "auth_failures", Until: start.Add(time.Minute), Times: 2},
		{Subject: office, Reason: "auth_failures", Until: start.Add(1000 * time.Hour), Times: 1}, // a clock that was set back
		{Subject: Subject{Client, "c"}, Manual: true},
		{Subject: Subject{Client, "over"}, Manual: true, Until: start},
		{Subject: Subject{User, "monitor"}, Reason: "auth_failures", Until: start.Add(time.Minute)},
		{Subject: Subject{Network, "no network"}, Manual: true},
		{Subject: Subject{User, "for ever"}, Reason: "auth_failures"},
	})
	got := map[string]time.Time{}
	for _, ban := range b.List(start) {
		got[ban.Value] = ban.Until
	}
	if len(got) != 4 || !got["bob"].Equal(start.Add(time.Minute)) || !got["c"].IsZero() ||
		!got[office.Value].Equal(start.Add(5*time.Minute)) || !got["for ever"].Equal(start.Add(5*time.Minute)) {
		t.Errorf("restored %v", got)
	}
	if _, ok := b.FindAddr(start, netip.MustParseAddr("192.0.2.1")); !ok {
		t.Error("a network that was restored is not banned")
	}
	if again := offend(t, b, start.Add(time.Minute), bob); again.Times != 3 {
		t.Errorf("the next is the %dth in a row", again.Times)
	}
}

// TestBansAreBounded, also by how long their values are.
func TestBansAreBounded(t *testing.T) {
	b := NewBans()
	b.SetRules(map[Offence]BanRule{AuthFailure: {1, time.Minute, time.Minute}}, Exempt{})
	long := Subject{User, strings.Repeat("x", 60_000)}
	for range 2 {
		b.Offend(start, long, AuthFailure)
	}
	if ban, ok := b.Find(start, long); !ok || len(ban.Value) > maxValue {
		t.Errorf("a value of %d bytes is kept", len(ban.Value))
	}
	if _, ok := b.Find(start, Subject{User, long.Value + "x"}); ok {
		t.Error("another name with the same beginning is banned")
	}
	_ = b.Put(start, Ban{Subject: Subject{Client, "manual"}, Until: start.Add(time.Second)})
	for i := range maxAutomatic + 100 {
		addr := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		s := Subject{Network, netip.PrefixFrom(addr, 32).String()}
		for range 2 {
			b.Offend(start.Add(time.Duration(i)), s, AuthFailure)
		}
	}
	if n := len(b.automatic); n != maxAutomatic || len(b.queue) != n || b.networks.Size() != n {
		t.Errorf("%d bans, %d in the queue, %d networks, want %d", n, len(b.queue), b.networks.Size(), maxAutomatic)
	}
	if _, ok := b.Find(start, Subject{Client, "manual"}); !ok {
		t.Error("a manual ban has made room")
	}
	for i := range maxManual {
		err := b.Put(start, Ban{Subject: Subject{User, fmt.Sprint(i)}})
		if (err != nil) != (i == maxManual-1) {
			t.Fatalf("manual ban %d: %v", i+2, err)
		}
	}
	if err := b.Put(start.Add(time.Second), Ban{Subject: bob}); err != nil {
		t.Errorf("when one is over: %v", err)
	}
}

// TestOffencesAtRandom compares with a count of all offences: no more than Max in a
// window are never a ban, and more than twice as many always are.
func TestOffencesAtRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	for range 200 {
		b, now := guessing(Exempt{}), start
		var times []time.Time
		for range 100 {
			now = now.Add(time.Duration(r.Int64N(int64(time.Minute))))
			times = append(times, now)
			within := 0
			for _, at := range times {
				if now.Sub(at) < time.Minute {
					within++
				}
			}
			_, banned := b.Offend(now, bob, AuthFailure)
			if banned && within <= 3 || !banned && within > 6 {
				t.Fatalf("%d offences within a minute: banned %v", within, banned)
			}
			if banned {
				break
			}
		}
	}
}

func TestNoBanNoAllocation(t *testing.T) {
	b := guessing(Exempt{Networks: networks("10.1.0.0/16")})
	offend(t, b, start, office)
	addr := netip.MustParseAddr("192.0.2.9")
	if n := testing.AllocsPerRun(100, func() {
		b.FindAddr(start, addr)
		b.Find(start, bob)
	}); n != 0 {
		t.Errorf("to find no ban allocates %v times", n)
	}
}
