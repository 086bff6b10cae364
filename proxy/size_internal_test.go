package proxy

import (
	"reflect"
	"testing"
)

// TestSize: memory is given out in sizes, and one byte more than 1536 is 256 more for
// each of the idle connections, of which there are the most.
func TestSize(t *testing.T) {
	if size := reflect.TypeFor[conn]().Size(); size > 1536 {
		t.Errorf("a connection takes %d bytes", size)
	}
}
