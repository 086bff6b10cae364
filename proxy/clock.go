package proxy

import "time"

// readClock keeps the read deadline of a pump: that of the packet which has
// begun, or of the silence between packets. The deadline of a packet is set
// once; its bytes do not move it.
type readClock struct {
	perPacket time.Duration // for one whole packet; zero: no limit
	idle      time.Duration // longest silence between packets; zero: no limit
	packet    int           // number of the packet that is awaited

	since    time.Time     // of the silence
	rests    bool          // its deadline is no end, but that of restAfter
	writing  time.Duration // what writes have taken since the deadline was set
	begun    int           // number+1 of the packet that the deadline is for; zero: it is for silence
	deadline time.Time
}

// restAfter is how long a pump with nothing to do stays where it is.
const restAfter = 2 * time.Second

// restart gives the packet that has begun its whole time again.
func (r *readClock) restart() { r.begun, r.writing = 0, 0 }

// arm sets the deadline of the next read of socket. partial says whether some
// of the packet is there.
func (r *readClock) arm(c *conn, socket *wire, now time.Time, partial bool) error {
	limit, begun := r.idle, 0
	if partial {
		limit, begun = r.perPacket, r.packet+1
	}
	if begun != 0 && begun == r.begun {
		return nil
	}
	r.begun, r.writing = begun, 0
	r.since, r.rests = now, !partial && (limit == 0 || limit > restAfter)
	if r.rests {
		limit = restAfter
	}
	if limit == 0 {
		if r.deadline.IsZero() {
			return nil
		}
		r.deadline = time.Time{}
	} else {
		// Setting a deadline costs more than judging a packet, so one may be off by
		// the slack: too early for a packet, too late for silence.
		slack := min(limit/4, time.Second)
		latest := now.Add(limit)
		if !partial {
			latest = latest.Add(slack)
		}
		if early := latest.Sub(r.deadline); early >= 0 && early <= slack {
			return nil
		}
		r.deadline = latest
	}
	return r.put(c, socket)
}

// late reports whether the deadline that has passed was that of what is awaited now.
// It is set when nothing is at hand, so it can pass while bytes keep coming; now is
// when the last have come, partial whether a packet has begun.
func (r *readClock) late(now time.Time, partial bool) bool {
	if r.begun != 0 {
		return partial && r.begun == r.packet+1
	}
	return !partial && !now.After(r.since)
}

// again sets a deadline in the place of one that has passed and was not late.
func (r *readClock) again(c *conn, socket *wire, now time.Time, partial bool) error {
	r.deadline = time.Unix(1, 0) // which no deadline is near to, nor none
	return r.arm(c, socket, now, partial)
}

// rest sets the deadline of the silence that has lasted for restAfter.
func (r *readClock) rest(c *conn, socket *wire) error {
	r.rests, r.deadline = false, time.Time{}
	if r.idle > 0 {
		r.deadline = r.since.Add(r.idle)
	}
	return r.put(c, socket)
}

func (r *readClock) put(c *conn, socket *wire) error {
	if err := socket.SetReadDeadline(r.deadline); err != nil {
		return err
	}
	return c.checkStopped()
}
