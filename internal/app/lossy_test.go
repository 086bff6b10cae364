package app

import (
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// stuck is a destination that is not read.
type stuck struct{ gone chan struct{} }

func (s stuck) Write([]byte) (int, error) {
	<-s.gone
	return 0, io.ErrClosedPipe
}

func TestLossyKeepsNobodyWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lost atomic.Int32
		dst := stuck{make(chan struct{})}
		l := newLossy(dst, func() { lost.Add(1) })
		_, _ = l.Write([]byte("taken by the goroutine"))
		synctest.Wait()
		for range lossyLines + 5 {
			_, _ = l.Write([]byte("line"))
		}
		if n := lost.Load(); n != 5 {
			t.Errorf("%d lines are counted as lost, want 5", n)
		}
		start := time.Now()
		l.Close()
		if took := time.Since(start); took != lossyGrace {
			t.Errorf("Close took %v", took)
		}
		_, _ = l.Write([]byte("after the end"))
		close(dst.gone)
		synctest.Wait()
		if n := lost.Load(); n != lossyLines+6 {
			t.Errorf("%d lines are counted as lost, want all", n)
		}
	})
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestLossyCountsFailures(t *testing.T) {
	var lost atomic.Int32
	l := newLossy(full{}, func() { lost.Add(1) })
	_, _ = l.Write([]byte("line"))
	l.Close()
	if lost.Load() != 1 {
		t.Error("a line that a full disk did not take is not counted")
	}
}

func TestLossyWritesInOrder(t *testing.T) {
	var out strings.Builder
	l := newLossy(&out, func() { t.Error("lost") })
	line := []byte("a\n")
	_, _ = l.Write(line)
	line[0] = 'b' // the caller's buffer is its own
	_, _ = l.Write(line)
	l.Close()
	if out.String() != "a\nb\n" {
		t.Errorf("wrote %q", &out)
	}
}
