package proxy

import (
	"testing"
	"time"
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
