package main

import (
	"fmt"
	"time"

	"github.com/mqttward/mqttward/packets"
)

const (
	// maxMessages bounds what one client sends at a time.
	maxMessages = 20_000_000

	smallPayload = 64 // bytes
)

// job is one run of a scenario.
type job struct {
	start, until time.Time
	messages     int // of each client; zero: until the time is over
	clients      int
	fan          *fan          // of a fan-out
	failed       chan struct{} // closed when a client has failed
}

// more tells a client that has sent n messages whether to send another. The
// first is always sent.
func (j *job) more(n int) bool {
	if j.messages > 0 {
		return n < j.messages
	}
	return n == 0 || n < maxMessages && time.Now().Before(j.until)
}

// windowed publishes with QoS 1 and keeps window messages on their way, each
// written by itself, as devices do.
func windowed(window int) load {
	return func(j *job, c *client) (acked int, err error) {
		sentAt := make([]time.Time, window) // a ring: acknowledgements come in order
		for sent := 0; ; acked++ {
			for sent-acked < window && j.more(sent) {
				sentAt[sent%window] = time.Now()
				c.Out = c.publish(c.Out, 1, uint16(sent%0xffff)+1, smallPayload)
				if err := c.Flush(); err != nil {
					return acked, err
				}
				sent++
			}
			if acked == sent {
				return acked, nil
			}
			if err := c.Expect(packets.PUBACK); err != nil {
				return acked, err
			}
			c.took.add(time.Since(sentAt[acked%window]))
		}
	}
}

// oneWay publishes with QoS 0, batch messages per write. The answer to a last
// PINGREQ says that all have gone through.
func oneWay(batch int) load {
	return func(j *job, c *client) (sent int, err error) {
		var run []byte
		for range batch {
			run = c.publish(run, 0, 0, smallPayload)
		}
		for ; j.more(sent); sent += batch {
			if _, err := c.Write(run); err != nil {
				return sent, err
			}
		}
		c.Out = append(c.Out, byte(packets.PINGREQ)<<4, 0)
		return sent, c.Expect(packets.PINGRESP)
	}
}

// trespass has a client publish what no rule allows.
func trespass(c *client) error {
	c.topic = []byte(deniedTopic)
	return nil
}

// undelivered is the error of what reached the sink and was to be denied.
func undelivered(n int64) error {
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%d messages that no rule allows have reached the broker", n)
}
