package main

import (
	"sync/atomic"
	"time"

	"github.com/mqttward/mqttward/packets"
)

// fanWindow is how many messages of a fan-out are on their way.
const fanWindow = 8

// fan is what the clients of a fan-out know of each other. Message n has the
// place n % fanWindow: each of the audience gets the messages in order.
type fan struct {
	sent [fanWindow]atomic.Int64 // when, in nanoseconds since the job's start
	seen [fanWindow]atomic.Int64 // by how many of the audience
	free chan struct{}           // a place for each that may be sent
	last atomic.Int64            // how many messages there are; zero: more
}

func newFan() *fan {
	f := &fan{free: make(chan struct{}, fanWindow)}
	for range fanWindow {
		f.free <- struct{}{}
	}
	return f
}

// fanOut publishes with QoS 0 if c is the first client, and returns how many
// messages it was delivered if not.
func fanOut(j *job, c *client) (n int, err error) {
	if c.number == 0 {
		return 0, j.fan.publish(j, c)
	}
	for last := int64(0); last == 0 || int64(n) < last; last = j.fan.last.Load() {
		if err := c.Expect(packets.PUBLISH); err != nil {
			return n, err
		}
		place := n % fanWindow
		n++
		c.took.add(time.Since(j.start) - time.Duration(j.fan.sent[place].Load()))
		if j.fan.seen[place].Add(1) == int64(j.clients-1) {
			j.fan.seen[place].Store(0)
			j.fan.free <- struct{}{}
		}
	}
	return n, nil
}

func (f *fan) publish(j *job, c *client) error {
	for n := 0; f.last.Load() == 0; n++ {
		select {
		case <-f.free:
		case <-j.failed:
			return nil
		}
		if !j.more(n + 1) {
			f.last.Store(int64(n + 1)) // before the audience can have it
		}
		f.sent[n%fanWindow].Store(int64(time.Since(j.start)))
		c.Out = c.publish(c.Out, 0, 0, smallPayload)
		if err := c.Flush(); err != nil {
			return err
		}
	}
	return nil
}
