package proxy

import (
	"errors"
	"sync"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

// unreleased ends the session of a client that leaves QoS 2 PUBLISHes without
// PUBREL: the broker keeps them, or we their Packet Identifiers. It looks now and
// then, as long as there are any.
type unreleased struct {
	mu    sync.Mutex
	timer *time.Timer // nil: there are none
	over  bool
	ours  time.Duration // for which the client was not read: its PUBREL may have come
	since time.Time     // it is not read now; zero: it is
}

// looks is how often it looks in the time that a PUBLISH has: it may be late by one
// look.
const looks = 4

// expect is called when the client has been sent, or will be, a PUBREC.
func (u *unreleased) expect(c *conn) {
	limit := c.policy.Limits.FlowTimeout
	u.mu.Lock()
	defer u.mu.Unlock()
	if limit == 0 || u.over || u.timer != nil {
		return
	}
	u.timer = time.AfterFunc(limit/looks, func() { u.look(c) })
}

func (u *unreleased) look(c *conn) {
	u.mu.Lock()
	u.timer = nil
	now := time.Now()
	if !u.since.IsZero() {
		now = u.since
	}
	now = now.Add(-u.ours)
	u.mu.Unlock()
	waiting, overdue := c.sess.Unreleased(now, c.policy.Limits.FlowTimeout)
	switch {
	case overdue:
		c.stop(&ending{end: EndPolicy, code: packets.QuotaExceeded, rule: "limits.flow_timeout", err: errors.New("a QoS 2 PUBLISH without PUBREL")})
	case waiting:
		u.expect(c)
	}
}

// pause stops the clock while the client is not read, and resume starts it again.
func (u *unreleased) pause() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.since = time.Now()
}

func (u *unreleased) resume() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.ours += time.Since(u.since)
	u.since = time.Time{}
}

// excuse takes out a time for which the client was not read.
func (u *unreleased) excuse(d time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.ours += d
}

func (u *unreleased) stop() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.over = true
	if u.timer != nil {
		u.timer.Stop()
	}
}

// awaitsPubrel reports whether v makes the client owe a PUBREL for pkt, its PUBLISH.
func awaitsPubrel(pkt *packets.Packet, v filters.Verdict) bool {
	return v.Action == filters.Reply && pkt.QoS() == 2
}
