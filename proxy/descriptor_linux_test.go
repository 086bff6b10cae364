package proxy

import (
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/proxy/backend"
)

// TestWriteTime: a write that has to wait gets its time again when it has moved
// enough meanwhile, and not when it has not.
func TestWriteTime(t *testing.T) {
	w, _ := socketPair(t)
	w.timeout = time.Hour
	try := func() {
		t.Helper()
		w.deadline = time.Time{}
		if err := w.file.raw.Control(func(fd uintptr) {
			if w.tryWrite(fd) {
				t.Errorf("it has not to wait: %v", w.file.written)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	w.file.from = make([]byte, 64<<20)
	if try(); w.deadline.IsZero() {
		t.Error("what fills the socket has no more time than nothing")
	}
	w.file.moved = writePiece - 1
	if try(); !w.deadline.IsZero() {
		t.Error("what does not move has its time again")
	}
}

// TestBusyLetsOthersGo: who always finds something to read does not keep the only
// processor.
func TestBusyLetsOthersGo(t *testing.T) {
	w, far := socketPair(t)
	if _, err := far.Write(make([]byte, busy)); err != nil {
		t.Fatal(err)
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var gone atomic.Bool
	go gone.Store(true)
	for range busy {
		if _, err := w.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	if !gone.Load() {
		t.Errorf("%d reads in a row let nobody else go", busy)
	}
}

// TestUnsent: for a peer that does not read, the kernel buffers little of ours.
func TestUnsent(t *testing.T) {
	w, far := socketPair(t)
	if err := far.SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	w.timeout = time.Hour
	w.file.from = make([]byte, 64<<20)
	if err := w.file.raw.Control(func(fd uintptr) {
		if w.tryWrite(fd) {
			t.Errorf("it has not to wait: %v", w.file.written)
		}
		n, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
		// The last of the kernel's pieces, up to 64 KiB, may go over the bound, and some
		// more may have been sent and not acknowledged.
		if most := maxUnsent + 256<<10; err != nil || n > most {
			t.Errorf("the kernel holds %d bytes (%v), want at most %d", n, err, most)
		}
	}); err != nil {
		t.Fatal(err)
	}
}

// TestUnread: what the kernel takes from a peer does not grow with how fast it is
// read, or it would stay that much once nobody reads.
func TestUnread(t *testing.T) {
	w, far := socketPair(t)
	const all = 256 << 20
	go func() { _, _ = far.Write(make([]byte, all)) }()
	b := make([]byte, 64<<10)
	for read := 0; read < all; {
		n, err := w.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		read += n
	}
	if err := w.file.raw.Control(func(fd uintptr) {
		if n, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF); err != nil || n > 2*maxUnread {
			t.Errorf("the kernel takes %d bytes (%v), want at most %d", n, err, 2*maxUnread)
		}
	}); err != nil {
		t.Fatal(err)
	}
}

// awaitLeft waits for the FIN of a peer that has closed.
func awaitLeft(t *testing.T, w *wire) {
	t.Helper()
	if err := w.file.raw.Control(func(fd uintptr) {
		_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}, 10_000)
	}); err != nil {
		t.Fatal(err)
	}
}

// TestLeft: a peer that has closed is known to have, whatever it has sent before, and
// one that says nothing is not.
func TestLeft(t *testing.T) {
	for _, sent := range []int{0, 100} {
		w, far := socketPair(t)
		if _, err := far.Write(make([]byte, sent)); err != nil {
			t.Fatal(err)
		}
		if w.left() {
			t.Error("who is there has left")
		}
		if err := far.Close(); err != nil {
			t.Fatal(err)
		}
		if awaitLeft(t, w); !w.left() {
			t.Errorf("who has sent %d bytes and closed is still there", sent)
		}
	}
}

// ranked is a visit with a rank, and nothing more.
type ranked struct{ Visit }

func (ranked) Rank() int { return 0 }

// TestNobodyWorksForWhoHasLeft: neither who compares passwords nor the broker.
func TestNobodyWorksForWhoHasLeft(t *testing.T) {
	w, far := socketPair(t)
	c := &conn{wire: w, policy: &Policy{}, visit: ranked{}, life: t.Context()}
	pool := backend.New(backend.Options{}, nil)
	if left := c.credentials().Left; left() || !errors.Is(c.dial(pool, nil), backend.ErrDown) {
		t.Error("who is there has left")
	}
	if err := far.Close(); err != nil {
		t.Fatal(err)
	}
	awaitLeft(t, w)
	busy := c.notAuthenticated("", &packets.Error{Code: packets.ServerBusy})
	if err := asEnding(c.dial(pool, nil), EndBackend, 0); !c.credentials().Left() || err.end != EndEarly || busy.end != EndEarly {
		t.Errorf("who has left ends as %v and %v", err, busy)
	}
}
