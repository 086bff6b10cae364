package ratelimit

import (
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func at(d time.Duration) time.Time { return start.Add(d) }

func TestTake(t *testing.T) {
	b := NewBucket(Rate{PerSecond: 10, Burst: 3})
	tests := []struct {
		after time.Duration
		n     int
		want  bool
	}{
		{0, 4, false}, // all or nothing: nothing
		{0, 2, true},
		{0, 2, false},
		{0, 1, true},
		{0, 1, false},
		{0, 0, true},
		{99 * time.Millisecond, 1, false},
		{100 * time.Millisecond, 1, true},
		{250 * time.Millisecond, 2, false},
		{300 * time.Millisecond, 2, true},
		{time.Hour, 4, false}, // never more than the burst
		{time.Hour, 3, true},
		{time.Hour, 1, false},
	}
	for i, test := range tests {
		if got := b.Take(at(test.after), test.n); got != test.want {
			t.Errorf("%d: Take(%v, %d) = %v", i, test.after, test.n, got)
		}
	}
}

// TestPut gives back what was taken for nothing, and no more than a burst.
func TestPut(t *testing.T) {
	b := NewBucket(Rate{PerSecond: 1, Burst: 3})
	b.Take(start, 3)
	b.Put(2)
	if !b.Take(start, 2) || b.Take(start, 1) {
		t.Error("not what was given back is there")
	}
	b.Put(9)
	if !b.Take(start, 3) || b.Take(start, 1) {
		t.Error("not a burst is there")
	}
	NewBucket(Rate{}).Put(1)
}

func TestDelay(t *testing.T) {
	const kib = 1 << 10
	b := NewBucket(Rate{PerSecond: 64 * kib, Burst: 64 * kib})
	const never = -1
	tests := []struct {
		after time.Duration
		n     int
		want  time.Duration
	}{
		{0, 32 * kib, 0},
		{0, 32 * kib, 0},
		{0, 32 * kib, 500 * time.Millisecond},
		{500 * time.Millisecond, 0, 0}, // paid
		{500 * time.Millisecond, 256 * kib, 4 * time.Second},
		{500 * time.Millisecond, 64 * kib, 5 * time.Second},  // behind the one before
		{500 * time.Millisecond, 64*kib + 1, never},          // more than the most
		{1500 * time.Millisecond, 64 * kib, 5 * time.Second}, // that took nothing
		{time.Hour, 256 * kib, 3 * time.Second},              // a full bucket helps by its burst
	}
	for i, test := range tests {
		got, ok := b.Delay(at(test.after), test.n, 5*time.Second)
		if ok != (test.want != never) || ok && got != test.want {
			t.Errorf("%d: Delay(%v, %d) = %v, %v, want %v", i, test.after, test.n, got, ok, test.want)
		}
	}
	if b.Take(at(time.Hour), 1) {
		t.Error("Take took from a debt")
	}
}

func TestUnlimited(t *testing.T) {
	b := NewBucket(Rate{})
	for range 3 {
		if !b.Take(start, math.MaxInt) {
			t.Fatal("the zero Rate limits")
		}
		if d, ok := b.Delay(start, math.MaxInt, 0); d != 0 || !ok {
			t.Fatal("the zero Rate delays")
		}
	}
	for _, r := range []Rate{{PerSecond: 1}, {Burst: 1}, {1, 1}} {
		if r.Unlimited() {
			t.Errorf("%+v is no limit", r)
		}
	}
}

func TestOddRates(t *testing.T) {
	once := NewBucket(Rate{Burst: 1})
	if !once.Take(start, 1) || once.Take(at(time.Hour), 1) {
		t.Error("a burst without rate is not let through once")
	}
	if got, ok := once.Delay(start, 1, math.MaxInt64); ok {
		t.Errorf("what is never earned is there in %v", got)
	}
	paced := NewBucket(Rate{PerSecond: 2})
	if paced.Take(start, 1) {
		t.Error("took one from a bucket that holds none")
	}
	if got, ok := paced.Delay(start, 1, math.MaxInt64); ok {
		t.Errorf("a rate without burst delays by %v", got)
	}
}

func TestClockSetBack(t *testing.T) {
	b := NewBucket(Rate{PerSecond: 1, Burst: 10})
	b.Take(at(time.Hour), 10)
	if b.Take(start, 1) {
		t.Error("the clock was set back by an hour: that earned a token")
	}
	if !b.Take(at(time.Second), 1) {
		t.Error("a second later the client still stands")
	}
	if b.Take(at(time.Second), 1) {
		t.Error("a second earned two tokens")
	}
}

// TestLateCaller has two callers who read the clock at different times come in
// turns: the second's time must not be earned again and again.
func TestLateCaller(t *testing.T) {
	b := NewBucket(Rate{PerSecond: 1, Burst: 10})
	b.Take(at(time.Second), 10)
	for range 100 {
		if b.Take(start, 1) || b.Take(at(time.Second), 1) {
			t.Fatal("a token from nowhere")
		}
	}
	if !b.Take(at(2*time.Second), 1) {
		t.Error("the late caller cost a token")
	}
}

// TestNeverMore lets callers with clocks that differ by less than clockStep
// take as much as they can.
func TestNeverMore(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		rate := Rate{PerSecond: math.Exp(random.Float64()*16 - 4), Burst: 1 + random.IntN(1000)}
		b := NewBucket(rate)
		var now, latest time.Duration
		taken := 0
		for range 500 {
			now += time.Duration(random.ExpFloat64() / rate.PerSecond * float64(rate.Burst) * float64(time.Second) / 10)
			read := max(0, now-time.Duration(random.Int64N(int64(clockStep))))
			latest = max(latest, read)
			for n := 1 + random.IntN(rate.Burst); b.Take(at(read), n); n = 1 + n/2 {
				taken += n
			}
			if allowed := rate.PerSecond*latest.Seconds() + float64(rate.Burst); float64(taken) > allowed+1e-6 {
				t.Fatalf("%+v: took %d in %v, %.3f are allowed", rate, taken, latest, allowed)
			}
		}
	}
}

// TestNeverStarves sends no faster than the rate: nothing may be refused or
// delayed.
func TestNeverStarves(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		rate := Rate{PerSecond: math.Exp(random.Float64()*16 - 4), Burst: 1 + random.IntN(1000)}
		takes, delays := NewBucket(rate), NewBucket(rate)
		now := start
		for range 500 {
			n := 1 + random.IntN(rate.Burst)
			if !takes.Take(now, n) {
				t.Fatalf("%+v: refused %d", rate, n)
			}
			if d, ok := delays.Delay(now, n, 0); d != 0 || !ok {
				t.Fatalf("%+v: delayed %d by %v", rate, n, d)
			}
			pause := float64(n) / rate.PerSecond * float64(time.Second)
			now = now.Add(time.Duration(pause) + 2) // 2 ns: rounding
		}
	}
}

// TestDelayIsExact has a client wait as it is told: it gets the rate, and all
// of it.
func TestDelayIsExact(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for range 100 {
		rate := Rate{PerSecond: 1 + 1e6*random.Float64(), Burst: random.IntN(1 << 16)}
		b := NewBucket(rate)
		var now time.Duration
		charged := 0
		for range 200 {
			n := random.IntN(1 << 18)
			charged += n
			wait, _ := b.Delay(at(now), n, math.MaxInt64)
			now += wait
			due := (float64(charged) - float64(rate.Burst)) / rate.PerSecond
			if late := now.Seconds() - max(due, 0); late < -1e-6 || late > 1e-6 {
				t.Fatalf("%+v: %d are through %v s from when they are due", rate, charged, late)
			}
		}
	}
}

// TestWindow: a window begins with the first token that is taken, and is over a
// day later whatever was taken meanwhile.
func TestWindow(t *testing.T) {
	const day = 24 * time.Hour
	b := NewWindows[string](3, day, 10).Acquire(start, "a")
	tests := []struct {
		at   time.Duration
		n    int
		want bool
	}{
		{time.Hour, 4, false}, // that begins nothing
		{2 * time.Hour, 2, true},
		{day + time.Hour, 2, false},
		{day + time.Hour, 1, true},
		{day + 2*time.Hour - 1, 1, false},
		{day + 2*time.Hour, 3, true}, // the next window
		{day + 2*time.Hour, 1, false},
		{9 * day, 2, true},
		// The clock was set back: nothing is gained, and a window later all is well.
		{3 * day, 2, false},
		{3 * day, 1, true},
		{4*day - 1, 1, false},
		{4 * day, 3, true},
	}
	for i, test := range tests {
		if got := b.Take(at(test.at), test.n); got != test.want {
			t.Errorf("%d: Take(%v, %d) = %v", i, test.at, test.n, got)
		}
	}
	b.Put(3)
	if !b.Take(at(5*day-1), 1) || b.Take(at(5*day), 3) || !b.Take(at(6*day-1), 3) {
		t.Error("a window that was not used has not begun anew")
	}
}

// TestWindowsWithoutRoom: keys share windows, and none gains by moving out.
func TestWindowsWithoutRoom(t *testing.T) {
	k, taken := NewWindows[int](2, time.Hour, 1), 0
	for key := range 1000 {
		if b := k.Acquire(start, key); b.Take(start, 1) {
			taken++
		}
	}
	if want := 2*overflowBuckets + 1; taken != want {
		t.Errorf("%d were let through, want %d", taken, want)
	}
}

func TestBucketConcurrently(t *testing.T) {
	const burst = 1000
	b := NewBucket(Rate{PerSecond: 1, Burst: burst})
	var taken atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range burst {
				if b.Take(start, 1) {
					taken.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if taken.Load() != burst {
		t.Errorf("took %d of %d", taken.Load(), burst)
	}
}

func TestNoAllocations(t *testing.T) {
	b := NewBucket(Rate{PerSecond: 1e9, Burst: 1e9})
	k := NewKeyed[string](Rate{PerSecond: 1e9, Burst: 1e9}, 10)
	k.Allow(start, "known")
	calls := map[string]func(){
		"Take":            func() { b.Take(start, 1) },
		"Delay":           func() { b.Delay(start, 1, time.Hour) },
		"Allow":           func() { k.Allow(start, "known") },
		"Acquire/Release": func() { k.Acquire(start, "known").Release() },
	}
	for name, call := range calls {
		if n := testing.AllocsPerRun(100, call); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

func BenchmarkTake(b *testing.B) {
	bucket := NewBucket(Rate{PerSecond: 1e6, Burst: 100})
	now := start
	for b.Loop() {
		now = now.Add(time.Microsecond)
		bucket.Take(now, 1)
	}
}
