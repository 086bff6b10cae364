package proxy

import (
	"bytes"
	"testing"
)

// TestLeave: what waits for the end of a streamed PUBLISH is bounded, comes behind
// it, and never in the middle of one that was cut.
func TestLeave(t *testing.T) {
	var out bytes.Buffer
	s := &sink{out: &out}
	reply := bytes.Repeat([]byte("r"), maxReplies/2)
	if s.leave(reply) {
		t.Error("nothing is streamed, so nothing has to wait")
	}
	s.begin()
	_ = s.writeLocked([]byte("head"))
	for range 2 {
		if !s.leave(reply) {
			t.Error("there is room for two")
		}
	}
	if s.leave([]byte("r")) {
		t.Error("and for nothing more")
	}
	_ = s.writeLocked([]byte("tail"))
	s.end(true)
	if want := "headtail" + string(reply) + string(reply); out.String() != want {
		t.Errorf("%d bytes are written, want %d in their order", out.Len(), len(want))
	}
	out.Reset()
	s.begin()
	_ = s.writeLocked([]byte("head"))
	if !s.leave([]byte("r")) {
		t.Error("there is room again")
	}
	s.end(false)
	if err := s.write([]byte("x")); err == nil || out.String() != "head" {
		t.Errorf("after half a packet come %q, %v", out.String(), err)
	}
}
