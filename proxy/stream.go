package proxy

import "github.com/mqttward/mqttward/packets"

// stream sends on a PUBLISH whose payload is not all here: what is in the run,
// or head in its place, then the payload in chunks. The sink is ours until the
// last byte, so that nothing gets in between.
func (p *pump) stream(head []byte) error {
	complete := false
	// Not while the sink is held: the other pump may hold the sender's and wait
	// for this one.
	if err := p.sendReplies(); err != nil {
		return err
	}
	p.to.begin()
	p.held = true
	defer func() { // for whatever reason, a panic too
		p.held = false
		p.to.end(complete)
	}()
	if err := p.write(head); err != nil {
		return err
	}
	for {
		more := p.reader.Chunk()
		err := p.flush()
		complete = err == nil && more == nil
		if complete {
			p.clock.restart() // for the packet behind it
		}
		if err != nil || complete {
			return err
		}
		if err := p.fill(); err != nil {
			return err
		}
	}
}

// discard reads the rest of a PUBLISH that goes nowhere.
func (p *pump) discard(pkt *packets.Packet) error {
	for pkt.Rest > 0 {
		more := p.reader.Chunk()
		p.reader.Mark(0)
		if more == nil {
			p.clock.restart() // for the packet behind it
			break
		}
		if err := p.fill(); err != nil {
			return err
		}
	}
	return nil
}
