package proxy

import (
	"time"

	"github.com/mqttward/mqttward/packets"
)

// report counts the packets since the last time.
func (p *pump) report() {
	if p.traffic.packets == 0 {
		return
	}
	p.conn.listener.server.observer.Traffic(p.ends.direction, p.traffic.packets, p.traffic.bytes)
	if p.ends.sender == packets.Client {
		p.conn.reportPublishes()
	}
	p.traffic.packets, p.traffic.bytes = 0, 0
}

// flush writes the replies and the run.
func (p *pump) flush() error {
	p.report()
	if err := p.sendReplies(); err != nil {
		return err
	}
	run := p.reader.Run()
	p.reader.Mark(0)
	if err := p.write(run); err != nil {
		return err
	}
	return p.settle()
}

// settle sends the broker what was waiting for the run to be written.
func (p *pump) settle() error {
	if p.ends.sender != packets.Client || p.held {
		return nil
	}
	return p.write(p.conn.sess.Settle(p.now))
}

// maxReplyBuffer bounds what is kept for the replies to come, in bytes.
const maxReplyBuffer = 1 << 10

// sendReplies sends what is due to the sender. It comes before everything that goes
// on: an acknowledgement of ours must not be overtaken by the one for a later
// PUBLISH [MQTT-4.6.0-2].
func (p *pump) sendReplies() error {
	if len(p.replies) == 0 {
		return nil
	}
	b := p.replies
	p.replies = p.replies[:0]
	if cap(b) > maxReplyBuffer {
		p.replies = nil
	}
	if err := p.back.reply(b); err != nil {
		return p.writeEnding(err, p.ends.senderGone)
	}
	p.wrote()
	return nil
}

func (p *pump) write(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	var err error
	if p.held {
		err = p.to.writeLocked(b)
	} else {
		err = p.to.write(b)
	}
	if err != nil {
		return p.writeEnding(err, p.ends.otherGone)
	}
	p.wrote()
	return nil
}

// slowWrites is how much of a packet's time writes may take. What is more was
// not the sender's fault.
const slowWrites = time.Second

// wrote notes the time after a write.
func (p *pump) wrote() {
	began := p.now
	p.now = time.Now()
	took := p.now.Sub(began)
	if p.clock.writing += took; p.clock.writing > slowWrites {
		p.clock.restart()
	}
	if took > slowWrites && p.ends.sender == packets.Client {
		p.conn.pubrels.excuse(took)
	}
}
