package ratelimit

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func user(name string) Subject    { return Subject{User, name} }
func network(cidr string) Subject { return Subject{Network, cidr} }

// guessing bans for the third login that fails within a minute, for five.
var guessing = map[Offence]BanRule{AuthFailure: {Max: 2, Window: time.Minute, Ban: 5 * time.Minute}}

func newBans(e Exempt) *Bans {
	b := NewBans()
	b.SetRules(guessing, e)
	return b
}

// banned offends until there is a ban.
func banned(t *testing.T, b *Bans, now time.Time, s Subject) Ban {
	t.Helper()
	for range guessing[AuthFailure].Max + 1 {
		if ban, ok := b.Offend(now, s, AuthFailure); ok {
			return ban
		}
	}
	t.Fatalf("%v was not banned at %v", s, now)
	return Ban{}
}

func put(t *testing.T, b *Bans, ban Ban) {
	t.Helper()
	if err := b.Put(start, ban); err != nil {
		t.Fatal(err)
	}
}

func TestFind(t *testing.T) {
	b := newBans(Exempt{})
	put(t, b, Ban{Subject: user("eve"), Reason: "asked for", Until: at(time.Hour)})
	put(t, b, Ban{Subject: Subject{Client, "bot"}})
	for _, tt := range []struct {
		s     Subject
		after time.Duration
		want  bool
	}{
		{user("eve"), 0, true},
		{user("eve"), time.Hour - 1, true},
		{user("eve"), time.Hour, false},
		{user("bot"), 0, false},
		{user("Eve"), 0, false},
		{Subject{Client, "bot"}, 10_000 * time.Hour, true},
		{Subject{Client, "eve"}, 0, false},
	} {
		ban, ok := b.Find(at(tt.after), tt.s)
		if ok != tt.want || ok && (ban.Subject != tt.s || !ban.Manual || ban.Since != start) {
			t.Errorf("Find(%v, %v) = %+v, %v", tt.after, tt.s, ban, ok)
		}
	}
}

func TestFindAddr(t *testing.T) {
	b := newBans(Exempt{Networks: networks("10.1.2.3/32")})
	for _, n := range []string{"10.0.0.0/8", "192.0.2.7", "2001:db8::/64", "::ffff:198.51.100.0/120", "fe80::/64"} {
		put(t, b, Ban{Subject: network(n)})
	}
	for addr, want := range map[string]bool{
		"10.9.9.9": true, "11.0.0.0": false, "::ffff:10.9.9.9": true, "10.1.2.3": false, "10.1.2.4": true,
		"192.0.2.7": true, "192.0.2.8": false, "198.51.100.255": true, "198.51.101.0": false,
		"2001:db8::1": true, "2001:db8:0:1::1": false, "fe80::1%eth0": true, "": false,
	} {
		parsed, _ := netip.ParseAddr(addr)
		if _, ok := b.FindAddr(start, parsed); ok != want {
			t.Errorf("FindAddr(%s) = %v", addr, ok)
		}
	}
}

// TestWiderNetwork has the longest prefix end first.
func TestWiderNetwork(t *testing.T) {
	b := newBans(Exempt{})
	put(t, b, Ban{Subject: network("192.0.2.1/32"), Until: at(time.Minute)})
	put(t, b, Ban{Subject: network("192.0.2.0/24"), Until: at(2 * time.Minute)})
	put(t, b, Ban{Subject: network("192.0.0.0/16"), Until: at(3 * time.Minute)})
	for _, sweep := range []bool{false, true} {
		for minute, want := range []string{"192.0.2.1/32", "192.0.2.0/24", "192.0.0.0/16", ""} {
			now := at(time.Duration(minute) * time.Minute)
			if sweep {
				b.Sweep(now)
			}
			if ban, ok := b.FindAddr(now, netip.MustParseAddr("192.0.2.1")); ban.Value != want || ok != (want != "") {
				t.Errorf("after %d minutes, %q bans", minute, ban.Value)
			}
		}
	}
}

func TestFindAllocatesNothing(t *testing.T) {
	b := newBans(Exempt{Networks: networks("10.1.2.3/32")})
	put(t, b, Ban{Subject: network("10.0.0.0/8")})
	put(t, b, Ban{Subject: user("eve")})
	addrs := []netip.Addr{netip.MustParseAddr("10.1.1.1"), netip.MustParseAddr("fe80::1"), netip.MustParseAddr("::ffff:10.1.2.3")}
	if n := testing.AllocsPerRun(100, func() {
		for _, addr := range addrs {
			b.FindAddr(start, addr)
		}
		b.Find(start, user("eve"))
		b.Find(start, user("alice"))
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestPutRefuses(t *testing.T) {
	b := newBans(Exempt{Networks: networks("10.0.0.0/8", "2001:db8::/32"), Users: []string{"admin"}, ClientIDs: []string{"plc"}})
	for _, tt := range []struct {
		ban  Ban
		want string
	}{
		{Ban{Subject: user("admin")}, "exempt"},
		{Ban{Subject: Subject{Client, "plc"}}, "exempt"},
		{Ban{Subject: Subject{Client, "admin"}}, ""},
		{Ban{Subject: network("10.2.0.0/16")}, "exempt"},
		{Ban{Subject: network("::ffff:10.2.0.1")}, "exempt"},
		{Ban{Subject: network("2001:db8:1::/48")}, "exempt"},
		{Ban{Subject: network("0.0.0.0/0")}, ""}, // those who are exempt stay so
		{Ban{Subject: network("192.0.2.1/24")}, "192.0.2.0/24 is meant"},
		{Ban{Subject: network("example.org")}, "must be written as"},
		{Ban{Subject: network("")}, "must be written as"},
		{Ban{Subject: user("")}, "user is empty"},
		{Ban{Subject: Subject{Client, ""}}, "client_id is empty"},
		{Ban{Subject: Subject{"tenant", "acme"}}, "kind must be"},
		{Ban{Subject: user("eve"), Until: start}, "over already"},
		{Ban{Subject: user("eve"), Until: at(1)}, ""},
	} {
		before := b.Version()
		err := b.Put(start, tt.ban)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v: %v, want %q", tt.ban, err, tt.want)
		}
		if (b.Version() == before) != (err != nil) {
			t.Errorf("%v: the version went from %d to %d", tt.ban, before, b.Version())
		}
	}
}

func TestPutReplaces(t *testing.T) {
	b := newBans(Exempt{})
	banned(t, b, start, user("eve"))
	put(t, b, Ban{Subject: user("eve"), Reason: "first"})
	put(t, b, Ban{Subject: user("eve"), Reason: "second", Until: at(time.Hour)})
	if list := b.List(start); len(list) != 1 || list[0].Reason != "second" || list[0].Times != 0 {
		t.Errorf("%+v", list)
	}
	b.Sweep(at(6 * time.Minute))
	if _, ok := b.Find(at(6*time.Minute), user("eve")); !ok {
		t.Error("the end of the ban that was replaced has ended the other")
	}
	b.Sweep(at(time.Hour))
	if again := banned(t, b, at(time.Hour), user("eve")); again.Times != 1 {
		t.Errorf("an automatic ban is number %d after a manual one", again.Times)
	}
}

func TestLift(t *testing.T) {
	b := newBans(Exempt{})
	banned(t, b, start, user("eve"))
	put(t, b, Ban{Subject: network("192.0.2.1")})
	before := b.Version()
	for _, tt := range []struct {
		s    Subject
		want bool
	}{
		{user("alice"), false},
		{Subject{Client, "eve"}, false},
		{user("eve"), true},
		{user("eve"), false},
		{network("192.0.2.1/32"), true},
		{network("192.0.2.1"), false},
		{network("x"), false},
	} {
		if got := b.Lift(tt.s); got != tt.want {
			t.Errorf("Lift(%v) = %v", tt.s, got)
		}
	}
	if b.Version() != before+2 || len(b.List(start)) != 0 {
		t.Errorf("version %d, then %d; left %v", before, b.Version(), b.List(start))
	}
	if _, ok := b.FindAddr(start, netip.MustParseAddr("192.0.2.1")); ok {
		t.Error("a lifted network is still banned")
	}
	if again := banned(t, b, start, user("eve")); again.Times != 1 {
		t.Errorf("the next ban is number %d", again.Times)
	}
	b.Sweep(at(5 * time.Minute)) // over and remembered
	if b.Lift(user("eve")) {
		t.Error("a ban that is over was lifted")
	}
	b.Offend(at(5*time.Minute), user("eve"), AuthFailure)
	b.Offend(at(5*time.Minute), user("eve"), AuthFailure)
	b.Lift(user("eve"))
	if _, ok := b.Offend(at(5*time.Minute), user("eve"), AuthFailure); ok {
		t.Error("offences outlive Lift")
	}
}

func TestList(t *testing.T) {
	b := newBans(Exempt{})
	zone := time.FixedZone("", 3600)
	for _, s := range []Subject{user("b"), network("9.9.9.9"), user("a"), {Client, "z"}, network("10.0.0.0/8")} {
		if err := b.Put(start.In(zone), Ban{Subject: s, Until: at(time.Minute).In(zone)}); err != nil {
			t.Fatal(err)
		}
	}
	put(t, b, Ban{Subject: user("c")})
	var got []string
	for _, ban := range b.List(start) {
		got = append(got, ban.Value)
		if ban.Since.Location() != time.UTC || ban.Until.Location() != time.UTC {
			t.Errorf("%+v is not in UTC", ban)
		}
	}
	if want := "z 10.0.0.0/8 9.9.9.9/32 a b c"; strings.Join(got, " ") != want {
		t.Errorf("%v, want %s", got, want)
	}
	if list := b.List(at(time.Minute)); len(list) != 1 || list[0].Value != "c" {
		t.Errorf("after their end: %v", list)
	}
}

func TestTally(t *testing.T) {
	b := newBans(Exempt{})
	put(t, b, Ban{Subject: network("10.0.0.0/8"), Until: at(time.Minute)})
	put(t, b, Ban{Subject: user("a")})
	banned(t, b, start, user("b"))
	if got, want := fmt.Sprint(b.Tally()), "{map[network:1 user:2] map[auth_failures:1 manual:2]}"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	b.Sweep(at(time.Minute))
	if got, want := fmt.Sprint(b.Tally()), "{map[user:2] map[auth_failures:1 manual:2]}"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestLongValues: no name is too long to be banned, and none takes more memory.
func TestLongValues(t *testing.T) {
	b := newBans(Exempt{Users: []string{strings.Repeat("y", 1000)}})
	for _, name := range []string{strings.Repeat("x", 1000), strings.Repeat("ä", 200), "\xff\xfe", "a\x00b"} {
		ban := banned(t, b, start, user(name))
		if len(ban.Value) > maxValue || strings.ContainsRune(ban.Value, '\uFFFD') {
			t.Errorf("%q is banned as %q", name, ban.Value)
		}
		if _, ok := b.Find(start, user(name)); !ok {
			t.Errorf("%q is not found", name)
		}
		if _, ok := b.Find(start, user(ban.Value)); !ok {
			t.Errorf("%q is not found as it is listed", name)
		}
		if _, ok := b.Find(start, user(name+"x")); ok {
			t.Errorf("another name is found for %q", name)
		}
		if !b.Lift(user(ban.Value)) {
			t.Errorf("%q cannot be lifted as it is listed", name)
		}
	}
	if err := b.Put(start, Ban{Subject: user(strings.Repeat("y", 1000))}); !errors.Is(err, ErrExempt) {
		t.Errorf("a long name is not exempt: %v", err)
	}
}

func TestTooManyManual(t *testing.T) {
	b := newBans(Exempt{})
	for i := range maxManual {
		put(t, b, Ban{Subject: user(strconv.Itoa(i)), Until: at(time.Hour)})
	}
	if err := b.Put(start, Ban{Subject: user("x")}); !errors.Is(err, ErrTooMany) {
		t.Errorf("one too many: %v", err)
	}
	put(t, b, Ban{Subject: user("7")}) // replaces
	list := b.List(start)
	banned(t, b, start, user("x")) // automatic bans have room of their own
	if err := b.Put(start, Ban{Subject: user("x")}); !errors.Is(err, ErrTooMany) {
		t.Errorf("in the place of an automatic one: %v", err)
	}
	if err := b.Put(at(time.Hour), Ban{Subject: user("x"), Until: at(2 * time.Hour)}); err != nil {
		t.Errorf("after others have ended: %v", err)
	}

	restored := newBans(Exempt{})
	restored.Restore(start, append(list, Ban{Subject: user("y"), Manual: true}))
	if n := len(restored.List(start)); n != maxManual {
		t.Errorf("%d were restored", n)
	}
}

func TestConcurrently(t *testing.T) {
	b := newBans(Exempt{})
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := range 2000 {
				now, s := at(time.Duration(i)*time.Second), user(strconv.Itoa(i%7))
				switch (worker + i) % 6 {
				case 0:
					b.Offend(now, s, AuthFailure)
				case 1:
					b.Find(now, s)
				case 2:
					b.FindAddr(now, netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}))
				case 3:
					_ = b.Put(now, Ban{Subject: network("10.0.0." + strconv.Itoa(i%256)), Until: now.Add(time.Minute)})
				case 4:
					b.Lift(s)
					b.List(now)
				case 5:
					b.Sweep(now)
					b.SetRules(guessing, Exempt{})
				}
			}
		})
	}
	wg.Wait()
	b.Sweep(at(1000 * time.Hour))
	checkEmpty(t, b)
}

// checkEmpty finds what is left in tables when all is over.
func checkEmpty(t *testing.T, b *Bans) {
	t.Helper()
	if n := len(b.inForce) + len(b.remembered) + b.networks.Size() + b.manual + len(b.ending[0]) + len(b.ending[1]) + len(b.forgetting) + int(b.entries.Load()); n != 0 {
		t.Errorf("bans are left: %+v", b)
	}
	if len(b.counts) != 0 || b.stamps != 0 {
		t.Errorf("%d counts with %d offences are left", len(b.counts), b.stamps)
	}
}
