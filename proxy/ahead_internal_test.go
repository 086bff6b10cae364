package proxy

import (
	"bytes"
	"testing"
	"time"
)

// TestBeginHoldsNoBuffer: who sends less than the header of a record costs no buffer,
// and what has come of it is not lost.
func TestBeginHoldsNoBuffer(t *testing.T) {
	w, far := socketPair(t)
	if w.file.raw == nil {
		t.Skip("here a read that waits has a buffer")
	}
	w.records = true
	record, got := []byte{23, 3, 3, 0, 2, 'a', 'b'}, []byte(nil)
	for i := range recordHeader - 1 {
		if _, err := far.Write(record[i : i+1]); err != nil {
			t.Fatal(err)
		}
		w.beforeWait = func() error { // when it has come
			if w.ahead.w-w.ahead.r <= i {
				return nil
			}
			return w.SetReadDeadline(time.Unix(1, 0))
		}
		if _, err := w.Read(make([]byte, 10)); !isTimeout(err) {
			t.Fatalf("after %d bytes: %v, want a timeout", i+1, err)
		}
		if w.ahead.buf != nil || !w.ahead.begun() {
			t.Errorf("after %d bytes: has a buffer: %v, has begun: %v", i+1, w.ahead.buf != nil, w.ahead.begun())
		}
		if err := w.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	w.beforeWait = nil
	if _, err := far.Write(record[recordHeader-1:]); err != nil {
		t.Fatal(err)
	}
	for len(got) < len(record) {
		b := make([]byte, 10)
		n, err := w.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, b[:n]...)
	}
	if !bytes.Equal(got, record) || w.ahead.begun() {
		t.Errorf("% x came, has begun: %v", got, w.ahead.begun())
	}
}
