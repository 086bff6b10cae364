package ratelimit

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"
)

func TestOffendAtItsBound(t *testing.T) {
	eve := user("eve")
	for _, tt := range []struct {
		name  string
		times []time.Duration // of offences; the last one only may ban
		want  bool
	}{
		{"as many as are allowed", []time.Duration{0, 1}, false},
		{"one more", []time.Duration{0, 1, 2}, true},
		{"one more at the end of the window", []time.Duration{0, 0, time.Minute - 1}, true},
		{"one more after it", []time.Duration{0, 0, time.Minute}, false},
		{"within a window that does not begin with the first", []time.Duration{0, 50 * time.Second, 70 * time.Second, 100 * time.Second}, true},
		{"a few for ever", []time.Duration{0, 30 * time.Second, 60 * time.Second, 90 * time.Second, 120 * time.Second}, false},
		{"the clock is set back", []time.Duration{time.Hour, time.Hour, 0}, false},
		{"the clock is read late", []time.Duration{time.Second, time.Second, 0}, true},
	} {
		b := newBans(Exempt{})
		for i, d := range tt.times {
			ban, ok := b.Offend(at(d), eve, AuthFailure)
			if want := tt.want && i == len(tt.times)-1; ok != want {
				t.Errorf("%s: offence %d: %v", tt.name, i, ok)
			}
			want := Ban{Subject: eve, Reason: "auth_failures", Since: at(d), Until: at(d + 5*time.Minute), Times: 1}
			if ok && ban != want {
				t.Errorf("%s: %+v, want %+v", tt.name, ban, want)
			}
			if found, ok := b.Find(at(d), eve); ok != tt.want && i == len(tt.times)-1 || ok && found != want {
				t.Errorf("%s: found %+v, %v", tt.name, found, ok)
			}
		}
	}
}

func TestOffencesAreApart(t *testing.T) {
	b := NewBans()
	b.SetRules(map[Offence]BanRule{
		AuthFailure: {Max: 1, Window: time.Minute, Ban: time.Minute}, Flapping: {Max: 1, Window: time.Minute, Ban: time.Minute},
		Takeover: {Window: time.Minute, Ban: time.Minute},
	}, Exempt{})
	for _, s := range []Subject{user("a"), user("b"), {Client, "a"}, network("10.0.0.1/32")} {
		for _, o := range []Offence{AuthFailure, Flapping, ProtocolError, ProtocolError, Takeover, Takeover} {
			if ban, ok := b.Offend(start, s, o); ok {
				t.Errorf("%v %s: %+v", s, o, ban)
			}
		}
	}
	before := b.Version()
	if _, ok := b.Offend(start, network("10.0.0.1"), Flapping); !ok || b.Version() == before {
		t.Error("one more is no ban, or not one that is worth saving")
	}
	for _, s := range []Subject{user(""), network("invalid Prefix"), {"other", "x"}, {}} {
		for range 3 {
			if ban, ok := b.Offend(start, s, AuthFailure); ok {
				t.Errorf("%v: %+v", s, ban)
			}
		}
	}
}

// TestBackOff has a subject offend again as soon as it can, and then wait.
func TestBackOff(t *testing.T) {
	b := newBans(Exempt{})
	eve := user("eve")
	now := start
	minutes := []int{5, 10, 20, 40, 80, 160, 320, 640, 1280, 1440, 1440}
	for i, m := range minutes {
		ban := banned(t, b, now, eve)
		if ban.Times != i+1 || ban.Until.Sub(now) != time.Duration(m)*time.Minute {
			t.Errorf("ban %d is number %d and lasts %v", i, ban.Times, ban.Until.Sub(now))
		}
		for range 10 {
			if again, ok := b.Offend(ban.Until.Add(-1), eve, AuthFailure); ok {
				t.Errorf("banned while banned: %+v", again)
			}
		}
		if found, _ := b.Find(ban.Until.Add(-1), eve); found != ban {
			t.Errorf("offences while banned have made %+v of %+v", found, ban)
		}
		now = ban.Until
	}
	if again := banned(t, b, now.Add(48*time.Hour-1), eve); again.Times != len(minutes)+1 {
		t.Errorf("number %d within twice the time", again.Times)
	}
	now = now.Add(72*time.Hour - 1)
	if again := banned(t, b, now.Add(48*time.Hour), eve); again.Times != 1 {
		t.Errorf("number %d after twice the time", again.Times)
	}
}

func TestLasts(t *testing.T) {
	const day = 24 * time.Hour
	for _, tt := range []struct {
		rule  BanRule
		times int
		want  time.Duration
	}{
		{BanRule{Ban: time.Minute}, 1, time.Minute},
		{BanRule{Ban: time.Minute}, 2, 2 * time.Minute},
		{BanRule{Ban: 6 * time.Hour}, 3, day},
		{BanRule{Ban: 13 * time.Hour}, 2, day},
		{BanRule{Ban: 1}, maxTimes, day},
		{BanRule{Ban: 48 * time.Hour}, 1, 48 * time.Hour},
		{BanRule{Ban: 48 * time.Hour}, 9, 48 * time.Hour},
		{BanRule{}, 1, day},
	} {
		if got := tt.rule.lasts(tt.times); got != tt.want {
			t.Errorf("%+v: the ban %d lasts %v, want %v", tt.rule, tt.times, got, tt.want)
		}
	}
}

// TestRememberedForTheWindow: a short ban is remembered while offences count.
func TestRememberedForTheWindow(t *testing.T) {
	for after, want := range map[time.Duration]int{time.Hour - 1: 2, time.Hour: 1} {
		b := NewBans()
		b.SetRules(map[Offence]BanRule{Flapping: {Max: 1, Window: time.Hour, Ban: time.Minute}}, Exempt{})
		offend := func(now time.Time) Ban {
			b.Offend(now, user("eve"), Flapping)
			ban, _ := b.Offend(now, user("eve"), Flapping)
			return ban
		}
		first := offend(start)
		if again := offend(first.Until.Add(after)); again.Times != want {
			t.Errorf("after %v the ban is number %d, want %d", after, again.Times, want)
		}
	}
}

func TestExempt(t *testing.T) {
	b := newBans(Exempt{})
	subjects := []Subject{user("admin"), {Client, "plc"}, network("10.1.2.3/32"), network("2001:db8:1:2::/64")}
	for _, s := range subjects {
		banned(t, b, start, s)
	}
	put(t, b, Ban{Subject: network("10.1.0.0/16")})
	banned(t, b, start, user("eve"))
	before := b.Version()
	b.SetRules(guessing, Exempt{Networks: networks("10.0.0.0/8", "2001:db8::/32"), Users: []string{"admin"}, ClientIDs: []string{"plc"}})
	if list := b.List(start); len(list) != 1 || list[0].Value != "eve" || b.Version() == before {
		t.Errorf("left: %+v", list)
	}
	for _, s := range subjects {
		for range 10 {
			if ban, ok := b.Offend(start, s, AuthFailure); ok {
				t.Errorf("banned: %+v", ban)
			}
		}
	}
	b.SetRules(nil, Exempt{})
	if _, ok := b.Find(start, user("eve")); !ok {
		t.Error("a ban has ended with its rule")
	}
}

// TestExactly compares random offences with a simple account of the rule: no ban
// without more than Max within a window, and always one with them.
func TestExactly(t *testing.T) {
	for seed := range uint64(30) {
		random := rand.New(rand.NewPCG(seed, 1))
		rule := BanRule{Max: 1 + random.IntN(6), Window: time.Duration(1+random.IntN(20)) * time.Second, Ban: time.Duration(1+random.IntN(20)) * time.Second}
		b := NewBans()
		b.SetRules(map[Offence]BanRule{Flapping: rule}, Exempt{})
		offences, until := map[string][]time.Time{}, map[string]time.Time{}
		now, bans := start, 0
		for range 5000 {
			now = now.Add(time.Duration(random.Int64N(int64(rule.Window) / int64(2*rule.Max))))
			name := strconv.Itoa(random.IntN(4))
			ban, got := b.Offend(now, user(name), Flapping)
			if now.Before(until[name]) {
				if got {
					t.Fatalf("%+v: banned while banned", rule)
				}
				continue
			}
			recent := slices.DeleteFunc(append(offences[name], now), func(t time.Time) bool { return now.Sub(t) >= rule.Window })
			offences[name] = recent
			if want := len(recent) > rule.Max; got != want {
				t.Fatalf("%+v: banned %v after %d offences", rule, got, len(recent))
			}
			if got {
				offences[name], until[name] = nil, ban.Until
				bans++
			}
			if random.IntN(100) == 0 {
				b.Sweep(now)
			}
		}
		if bans == 0 {
			t.Fatalf("%+v: nobody was ever banned", rule)
		}
		b.Sweep(now.Add(1000 * time.Hour))
		checkEmpty(t, b)
	}
}

// TestFloodOfSubjects: many subjects that offend once or twice, which never bans
// them, do not hide the one that offends often, nor take more memory.
func TestFloodOfSubjects(t *testing.T) {
	b := NewBans()
	b.SetRules(map[Offence]BanRule{AuthFailure: {Max: 5, Window: time.Minute, Ban: time.Minute}}, Exempt{})
	for range 3 {
		b.Offend(start, network("192.0.2.1"), AuthFailure)
	}
	for i := range 2 * maxCounts {
		for range 2 {
			if ban, ok := b.Offend(start, user(strconv.Itoa(i)), AuthFailure); ok {
				t.Fatalf("banned: %+v", ban)
			}
		}
		if len(b.counts) > maxCounts {
			t.Fatalf("%d counts are kept", len(b.counts))
		}
	}
	b.Offend(start, network("192.0.2.1"), AuthFailure)
	b.Offend(start, network("192.0.2.1"), AuthFailure)
	if _, ok := b.Offend(start, network("192.0.2.1"), AuthFailure); !ok {
		t.Error("the flood of subjects has hidden one")
	}
	for range maxCounts/sweepLooks*4 + 64 {
		b.Sweep(at(3 * time.Minute))
	}
	if len(b.counts) > maxCounts/10 {
		t.Errorf("%d counts are left", len(b.counts))
	}
}

func TestBoundedOffences(t *testing.T) {
	b := NewBans()
	b.SetRules(map[Offence]BanRule{AuthFailure: {Max: 2 * maxStamps, Window: time.Hour, Ban: time.Hour}}, Exempt{})
	old := at(-2 * time.Hour)
	b.Offend(old, user("old"), AuthFailure)
	b.stamps += maxStamps - 1 // as if there were so many
	b.Offend(start, user("new"), AuthFailure)
	b.Offend(start, user("new"), AuthFailure)
	if len(b.counts) != 1 || b.stamps > maxStamps {
		t.Errorf("%d counts with %d offences", len(b.counts), b.stamps)
	}
}

// TestTooManyAutomatic: what is over goes first, then what ends next; never what
// was put by hand.
func TestTooManyAutomatic(t *testing.T) {
	b := NewBans()
	b.SetRules(map[Offence]BanRule{AuthFailure: {Max: 1, Window: time.Second, Ban: time.Hour}}, Exempt{})
	offend := func(now time.Time, i int) {
		b.Offend(now, user(strconv.Itoa(i)), AuthFailure)
		if _, ok := b.Offend(now, user(strconv.Itoa(i)), AuthFailure); !ok {
			t.Fatalf("%d was not banned", i)
		}
	}
	has := func(now time.Time, i int) bool {
		_, ok := b.Find(now, user(strconv.Itoa(i)))
		return ok
	}
	put(t, b, Ban{Subject: user("by hand"), Until: at(61 * time.Minute)})
	offend(start, 0)
	now := at(time.Hour) // 0 is over, and remembered
	for i := 1; i < maxAutomatic; i++ {
		offend(now.Add(time.Duration(i)), i)
	}
	now = now.Add(time.Second)
	if len(b.remembered) != 1 || len(b.inForce) != maxAutomatic {
		t.Fatalf("%d are remembered and %d in force", len(b.remembered), len(b.inForce))
	}
	offend(now, maxAutomatic)
	if len(b.remembered) != 0 || !has(now, 1) {
		t.Error("a ban that was over did not make room")
	}
	offend(now, maxAutomatic+1)
	if has(now, 1) || !has(now, 2) || !has(now, maxAutomatic+1) {
		t.Error("not the one that ends next made room")
	}
	if _, ok := b.Find(now, user("by hand")); !ok {
		t.Error("a manual ban made room")
	}
	if len(b.inForce) != maxAutomatic+1 {
		t.Errorf("%d are in force", len(b.inForce))
	}
}

func TestRestore(t *testing.T) {
	b := newBans(Exempt{})
	banned(t, b, start, user("eve"))
	second := banned(t, b, at(5*time.Minute), user("eve")) // until 15 minutes
	put(t, b, Ban{Subject: network("10.0.0.0/8"), Reason: "why", Until: at(time.Hour)})
	put(t, b, Ban{Subject: user("mallory")})
	saved := b.List(at(5 * time.Minute))

	for _, tt := range []struct {
		name  string
		after time.Duration
		left  map[string]time.Duration // from then on; 0: for ever
	}{
		{"soon", 6 * time.Minute, map[string]time.Duration{"eve": 9 * time.Minute, "10.0.0.0/8": 54 * time.Minute, "mallory": 0}},
		{"after one has ended", 15 * time.Minute, map[string]time.Duration{"10.0.0.0/8": 45 * time.Minute, "mallory": 0}},
		{"the clock was set back", -100 * time.Hour, map[string]time.Duration{"eve": 10 * time.Minute, "10.0.0.0/8": time.Hour, "mallory": 0}},
	} {
		now := at(tt.after)
		again := newBans(Exempt{})
		again.Restore(now, saved)
		list := again.List(now)
		if len(list) != len(tt.left) {
			t.Errorf("%s: %+v", tt.name, list)
		}
		for _, ban := range list {
			left := ban.Until.Sub(now)
			if ban.Until.IsZero() {
				left = 0
			}
			if want, ok := tt.left[ban.Value]; !ok || left != want || ban.Since.After(now) {
				t.Errorf("%s: %+v has %v left, want %v", tt.name, ban, left, want)
			}
		}
	}

	again := newBans(Exempt{Users: []string{"mallory"}})
	again.Restore(at(6*time.Minute), append(saved, Ban{Subject: user("")}, Ban{Subject: user("no end"), Reason: "auth_failures", Since: start}))
	if list := again.List(at(6 * time.Minute)); len(list) != 2 {
		t.Errorf("with one who is exempt, and two that make no sense: %+v", list)
	}
	if third := banned(t, again, second.Until, user("eve")); third.Times != 3 {
		t.Errorf("after the restart, number %d", third.Times)
	}
}

// TestRestoreLongest: a file cannot ban longer than the rules do.
func TestRestoreLongest(t *testing.T) {
	for reason, want := range map[string]time.Duration{"auth_failures": 10 * time.Minute, "gone": 24 * time.Hour} {
		b := newBans(Exempt{})
		b.Restore(start, []Ban{{Subject: user("eve"), Reason: reason, Since: at(-time.Hour), Until: at(1000 * time.Hour), Times: 2}})
		if list := b.List(start); len(list) != 1 || list[0].Until.Sub(start) != want {
			t.Errorf("%s: %+v", reason, list)
		}
	}
}
