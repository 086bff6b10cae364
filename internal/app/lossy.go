package app

import (
	"bytes"
	"io"
	"sync"
	"time"
)

const (
	// lossyLines is how many lines wait for a slow destination.
	lossyLines = 4096
	// lossyGrace is how long a destination may take to the end.
	lossyGrace = time.Second
)

// lossy is an io.Writer that keeps nobody waiting: a goroutine writes the lines,
// and what finds the queue full is lost and counted. A session that logs a
// refusal must not stand still because nobody reads the log, or a disk is slow.
type lossy struct {
	dst  io.Writer
	lost func() // called for each line that does not arrive
	done chan struct{}

	mu     sync.Mutex
	queue  chan []byte
	closed bool
}

func newLossy(dst io.Writer, lost func()) *lossy {
	l := &lossy{dst: dst, lost: lost, queue: make(chan []byte, lossyLines), done: make(chan struct{})}
	go l.run()
	return l
}

func (l *lossy) run() {
	defer close(l.done)
	for line := range l.queue {
		if _, err := l.dst.Write(line); err != nil {
			l.lost()
		}
	}
}

// Write takes one line. It never fails.
func (l *lossy) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return len(line), nil
	}
	select {
	case l.queue <- bytes.Clone(line):
	default:
		l.lost()
	}
	return len(line), nil
}

// Close takes no more lines, and waits for those that are queued, for
// lossyGrace at most.
func (l *lossy) Close() {
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		close(l.queue)
	}
	l.mu.Unlock()
	select {
	case <-l.done:
	case <-time.After(lossyGrace):
	}
}
