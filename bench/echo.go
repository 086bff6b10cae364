package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/mqttward/mqttward/packets"
)

const (
	// interval is the time between two messages of a client that is paced.
	interval = time.Second / 20

	largePayload = 256 << 10
	largeWindow  = 2
)

// paced publishes with QoS 0 at fixed times, whatever becomes of the messages,
// and waits for each to come back. What a message took counts from the time at
// which it was to be sent: the wait of those behind a slow one counts, too. The
// clients are spread over the interval.
func paced(j *job, c *client) (n int, err error) {
	first := j.start.Add(interval * time.Duration(c.number) / time.Duration(j.clients))
	at := func(k int) time.Time { return first.Add(time.Duration(k) * interval) }
	all := max(1, int(j.until.Sub(j.start)/interval))
	written := make(chan error)
	go func() {
		packet := c.publish(nil, 0, 0, smallPayload)
		var err error
		for k := 0; k < all && err == nil; k++ {
			time.Sleep(time.Until(at(k)))
			_, err = c.Write(packet)
		}
		written <- err
	}()
	for ; n < all && err == nil; n++ {
		if err = c.Expect(packets.PUBLISH); err == nil {
			c.took.add(time.Since(at(n)))
		}
	}
	return n, errors.Join(err, <-written)
}

// large publishes with QoS 1, and waits for each message to be acknowledged
// and to come back. It reads and writes at once, or both ends would wait for
// the other to read.
func large(j *job, c *client) (n int, err error) {
	sent := make(chan time.Time, largeWindow-1) // and the one that is waited for
	written := make(chan error, 1)
	go func() {
		defer close(sent)
		var packet []byte
		for k := 0; j.more(k); k++ {
			packet = c.publish(packet[:0], 1, uint16(k%0xffff)+1, largePayload)
			select {
			case sent <- time.Now():
			case <-j.failed:
				written <- nil
				return
			}
			if _, err := c.Write(packet); err != nil {
				written <- err
				return
			}
		}
		written <- nil
	}()
	var acked, returned int
	for at := range sent {
		for acked <= n || returned <= n {
			p, err := c.Next()
			switch {
			case err != nil:
				return n, err
			case p.Type == packets.PUBACK:
				acked++
			case p.Type == packets.PUBLISH:
				returned++
			default:
				return n, fmt.Errorf("%v came instead of PUBACK or PUBLISH", p.Type)
			}
		}
		c.took.add(time.Since(at))
		n++
	}
	return n, <-written
}
