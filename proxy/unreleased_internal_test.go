package proxy

import (
	"testing"
	"time"
)

// TestExpectPubrel: while the clock runs, one more QoS 2 message costs it nothing.
func TestExpectPubrel(t *testing.T) {
	c := &conn{policy: &Policy{Limits: Limits{FlowTimeout: time.Hour}}}
	defer c.pubrels.stop()
	c.pubrels.expect(c)
	if n := testing.AllocsPerRun(100, func() { c.pubrels.expect(c) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}
