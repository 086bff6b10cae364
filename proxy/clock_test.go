package proxy

import (
	"bytes"
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqttward/mqttward/internal/memnet"
)

// watched is a socket that counts how often deadlines are set, and knows them.
type watched struct {
	net.Conn
	reads, writes int
	read, written time.Time
}

func (w *watched) SetReadDeadline(t time.Time) error {
	w.reads++
	w.read = t
	return w.Conn.SetReadDeadline(t)
}

func (w *watched) SetWriteDeadline(t time.Time) error {
	w.writes++
	w.written = t
	return w.Conn.SetWriteDeadline(t)
}

// rushed is a socket whose wire is told to hurry while it sets a deadline.
type rushed struct {
	watched
	wire *wire
}

func (r *rushed) SetWriteDeadline(t time.Time) error {
	r.wire.hurry()
	return r.watched.SetWriteDeadline(t)
}

// TestHurryMeanwhile has both deadlines set at once: the nearer one holds.
func TestHurryMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := newWatched()
		r := &rushed{watched: *w}
		r.wire = &wire{Conn: r, timeout: time.Hour}
		if _, err := r.wire.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if left := time.Until(r.written); left != lingerTime {
			t.Errorf("the write has %v, want %v", left, lingerTime)
		}
	})
}

func newWatched() (w *watched, peer *memnet.Conn) {
	addr := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}
	near, far := memnet.Pipe(addr, addr)
	return &watched{Conn: near}, far
}

// TestReadClock runs the deadline of reads through a busy minute: it is seldom
// set, never early for silence, never late for a packet.
func TestReadClock(t *testing.T) {
	const perPacket, idle = 30 * time.Second, 90 * time.Second
	synctest.Test(t, func(t *testing.T) {
		tests := []struct {
			name        string
			partial     bool
			least, most time.Duration // of the deadline, from now
			sets        int
		}{
			{"whole packets", false, restAfter, restAfter + restAfter/4, 121},
			{"each read ends in a packet", true, perPacket - time.Second, perPacket, 61},
		}
		for _, tt := range tests {
			w, _ := newWatched()
			socket := &wire{Conn: w}
			c := &conn{}
			c.life, c.endLife = context.WithCancel(t.Context())
			clock := readClock{perPacket: perPacket, idle: idle}
			for range 6000 {
				if err := clock.arm(c, socket, time.Now(), tt.partial); err != nil {
					t.Fatal(err)
				}
				if left := time.Until(w.read); left < tt.least || left > tt.most {
					t.Fatalf("%s: the deadline is in %v, want %v to %v", tt.name, left, tt.least, tt.most)
				}
				clock.packet++
				time.Sleep(10 * time.Millisecond)
			}
			if clock.rests == tt.partial {
				t.Errorf("%s: the deadline is that of rest: %v", tt.name, clock.rests)
			}
			since := time.Now().Add(-10 * time.Millisecond)
			if w.reads > tt.sets {
				t.Errorf("%s: set %d times in a minute, want at most %d", tt.name, w.reads, tt.sets)
			}
			if !tt.partial {
				if err := clock.rest(c, socket); err != nil || clock.rests || !w.read.Equal(since.Add(idle)) && w.read.Sub(since.Add(idle)).Abs() > restAfter/4 {
					t.Errorf("the deadline of a rest is in %v, %v, want about %v", time.Until(w.read), err, idle)
				}
			}
			c.endLife()
			if err := clock.rest(c, socket); err != c.ending.Load() {
				t.Errorf("a rest after the end: %v", err)
			}
		}
	})
}

// TestWriteDeadline shows that a write has at least three quarters of its time,
// also after a long silence, and that the deadline is seldom set.
func TestWriteDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const timeout = 40 * time.Second
		w, peer := newWatched()
		socket := &wire{Conn: w, timeout: timeout}
		write := func() {
			t.Helper()
			if _, err := socket.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			if left := time.Until(w.written); left < timeout*3/4 || left > timeout {
				t.Fatalf("a write has %v", left)
			}
			peer.Read(make([]byte, 1))
		}
		for range 1000 {
			write()
			time.Sleep(100 * time.Millisecond)
		}
		if w.writes > 11 {
			t.Errorf("set %d times in 100 s, want at most every 10 s", w.writes)
		}
		time.Sleep(time.Hour)
		write()

		socket.hurry()
		socket.hurry()
		time.Sleep(lingerTime / 2)
		if _, err := socket.Write([]byte("x")); err != nil {
			t.Error(err)
		}
		if left := time.Until(w.written); left != lingerTime/2 {
			t.Errorf("a write in a hurry has %v, want what is left of %v", left, lingerTime)
		}
		time.Sleep(lingerTime / 2)
		if _, err := socket.Write(bytes.Repeat([]byte("x"), 10)); !isTimeout(err) {
			t.Errorf("a write after it: %v, want a timeout", err)
		}
	})
}

// TestLate: a deadline is late only for what it was set for.
func TestLate(t *testing.T) {
	at := time.Unix(1000, 0)
	for _, tt := range []struct {
		name    string
		clock   readClock
		now     time.Time
		partial bool
		want    bool
	}{
		{"silence since", readClock{since: at}, at, false, true},
		{"a packet has come", readClock{since: at}, at.Add(1), false, false},
		{"one has begun", readClock{since: at}, at, true, false},
		{"the packet is not whole", readClock{begun: 4, packet: 3}, at, true, true},
		{"it is, and another has begun", readClock{begun: 4, packet: 4}, at, true, false},
		{"it is", readClock{begun: 4, packet: 4}, at, false, false},
		{"it had its time given back", readClock{begun: 0, packet: 3, since: at}, at, true, false},
	} {
		if got := tt.clock.late(tt.now, tt.partial); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		for _, limit := range []time.Duration{0, time.Minute} { // without a limit the deadline that has passed is taken away
			w, _ := newWatched()
			socket := &wire{Conn: w}
			c := &conn{}
			c.life, c.endLife = context.WithCancel(t.Context())
			clock := readClock{perPacket: limit}
			if err := clock.again(c, socket, time.Now(), true); err != nil {
				t.Fatal(err)
			}
			if w.reads != 1 || w.read.IsZero() != (limit == 0) || limit > 0 && time.Until(w.read) != limit {
				t.Errorf("the deadline was set %d times, to %v", w.reads, w.read)
			}
			c.endLife()
		}
	})
}
