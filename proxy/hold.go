package proxy

import (
	"time"

	"github.com/mqttward/mqttward/packets"
)

// stay writes the run in front of pkt and leaves pkt where it is: nothing is read
// until it has gone on.
func (p *pump) stay(pkt *packets.Packet) error {
	p.report() // a burst that is delayed can take minutes
	if err := p.sendReplies(); err != nil {
		return err
	}
	run := p.reader.Run()
	run = run[:len(run)-len(pkt.Raw)]
	p.reader.Mark(len(pkt.Raw))
	if err := p.write(run); err != nil {
		return err
	}
	return p.settle()
}

// hold keeps pkt until the other side has answered something.
func (p *pump) hold(pkt *packets.Packet) error {
	if err := p.stay(pkt); err != nil {
		return err
	}
	if p.changed == nil {
		p.changed = p.conn.sess.Changed() // what has changed before is not told of
		return nil
	}
	var late <-chan time.Time // never, without a limit
	if limit := p.clock.perPacket; limit > 0 {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		late = timer.C
	}
	p.conn.pubrels.pause()
	defer p.conn.pubrels.resume()
	select {
	case <-p.changed:
		p.now = time.Now()
		p.clock.restart() // the time was not the sender's
		return nil
	case <-late:
		p.reader.Mark(0)
		return &ending{end: EndPolicy, code: packets.ReceiveMaximumExceeded, rule: "packets in flight that nobody answers"}
	case <-p.conn.life.Done():
		p.reader.Mark(0)
		return errStopped
	}
}

// wait holds pkt, and with it all that comes behind it, for d: nothing is
// read meanwhile, which the sender feels as back-pressure. What is in front of
// pkt goes on.
func (p *pump) wait(pkt *packets.Packet, d time.Duration) error {
	if err := p.stay(pkt); err != nil {
		return err
	}
	if p.forsaken() {
		p.reader.Mark(0)
		return &ending{end: p.ends.senderGone, rule: "over a rate, and gone"}
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	if p.ends.sender == packets.Client {
		p.conn.pubrels.pause()
		defer p.conn.pubrels.resume()
	}
	select {
	case <-timer.C:
		p.now = time.Now()
		p.clock.restart() // the time was ours
		return nil
	case <-p.conn.life.Done():
		p.reader.Mark(0) // pkt stays here: its verdict has not been carried out
		return errStopped
	}
}

// forsaken reports whether the sender is gone for longer than a packet may take. What
// it has sent before it left goes on at its rate for so long: buffers hold enough of
// small packets to keep a connection for a quarter of an hour.
func (p *pump) forsaken() bool {
	limit := p.clock.perPacket
	switch {
	case limit == 0 || !p.socket.left():
	case p.gone.IsZero():
		p.gone = time.Now()
	default:
		return time.Since(p.gone) > limit
	}
	return false
}
