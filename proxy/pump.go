package proxy

import (
	"errors"
	"io"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

// pump moves the packets of one direction. Packets that go on as they came are
// written from the buffer that they were read into, a run of them at a time,
// as soon as nothing more is at hand.
type pump struct {
	conn   *conn
	judge  judging
	reader *packets.Reader
	source io.Reader // what reader is filled from
	socket *wire     // the socket below source
	to     *sink     // the other side
	back   *sink     // the sender's side
	clock  readClock
	ends   pumpEnds

	now     time.Time // when bytes were last read or written
	replies []byte    // for the sender
	held    bool      // to is ours: a PUBLISH is being streamed
	rests   bool      // nothing was to be done when loop returned
	gone    time.Time // since when the sender is known to have left; zero: it has not
	changed <-chan struct{}
	traffic struct{ packets, bytes int }
}

// judging is what a pump asks about each packet.
type judging interface {
	// passes reports whether pkt goes on as it is. If not, take says what becomes
	// of it.
	passes(now time.Time, pkt *packets.Packet) bool
	take(now time.Time, pkt *packets.Packet) (filters.Verdict, error)
}

// loop moves packets until one side ends, and returns how. Nil means that there has
// been nothing to do for a while: called again, it waits until there is.
func (p *pump) loop() *ending {
	var err error
	if p.rests {
		err = p.socket.await()
		p.rests = false
	}
	p.socket.beforeWait = p.beforeWait
	p.now = time.Now()
	if err == nil {
		err = p.move()
	}
	if p.clock.rests && isReadTimeout(err) && !p.partial() {
		if err = p.rest(); err == nil {
			return nil
		}
	}
	if errors.Is(err, errDisconnect) {
		p.conn.settle(p.ending(err)) // before the other side hears of it, and closes
	}
	if flushed := p.flush(); flushed != nil {
		err = flushed
	}
	return p.ending(err)
}

// rest makes ready for a wait that may be long.
func (p *pump) rest() error {
	if err := p.clock.rest(p.conn, p.socket); err != nil {
		return err
	}
	p.socket.beforeWait, p.rests = nil, true
	return nil
}

func (p *pump) move() error {
	for {
		pkt, err := p.reader.Next()
		switch {
		case err == nil:
			err = p.take(pkt)
		case err == packets.ErrShort: //nolint:errorlint // Next returns the bare value, and this runs once per packet
			err = p.fill()
		}
		if err != nil {
			return err
		}
	}
}

// take does with a packet what its verdict says.
func (p *pump) take(pkt *packets.Packet) error {
	if p.judge.passes(p.now, pkt) {
		p.count(pkt)
		return nil
	}
	v, err := p.judge.take(p.now, pkt)
	for err == nil && v.Action == filters.Hold {
		if err := p.hold(pkt); err != nil {
			return err
		}
		v, err = p.judge.take(p.now, pkt)
	}
	if pkt.Type == packets.AUTH {
		p.now = time.Now() // who it is asked about may have taken seconds to answer
	}
	if err == nil && v.Action == filters.Gather {
		p.reader.Gather() // Next returns it again, under the same deadline
		return nil
	}
	p.count(pkt)
	if err != nil {
		return errors.Join(err, p.takeOut(pkt))
	}
	if v.Broken != 0 {
		p.conn.noteChecks(pkt, v)
	}
	if v.Delay > 0 {
		if err := p.wait(pkt, v.Delay); err != nil {
			return err
		}
	}
	if v.Action == filters.Forward {
		return p.forward(pkt)
	}
	if err := p.takeOut(pkt); err != nil {
		return err
	}
	switch v.Action {
	case filters.Rewrite:
		return p.rewrite(pkt, v.Packet)
	case filters.Reply, filters.Drop:
		if err := p.discard(pkt); err != nil {
			return err
		}
		p.replies = append(p.replies, v.Packet...)
		return nil
	default:
		return &ending{end: EndPolicy, code: v.Reason, rule: v.Rule}
	}
}

func (p *pump) count(pkt *packets.Packet) {
	p.clock.packet++
	p.traffic.packets++
	p.traffic.bytes += pkt.Size()
}

// forward leaves pkt in the run, which goes out with the next flush.
func (p *pump) forward(pkt *packets.Packet) error {
	switch {
	case pkt.Rest > 0:
		return p.stream(nil)
	case pkt.Type == packets.DISCONNECT:
		return errDisconnect
	}
	return nil
}

// rewrite sends b in the place of pkt, parsed again: what goes on is what was
// checked.
func (p *pump) rewrite(pkt *packets.Packet, b []byte) error {
	rewritten, err := pkt.Reparse(b, p.ends.sender)
	if err == nil {
		err = p.sendReplies()
	}
	switch {
	case err != nil:
		return err
	case rewritten.Rest != pkt.Rest:
		return errRewrite
	case pkt.Rest > 0:
		return p.stream(b)
	}
	return p.write(b)
}

// errRewrite is a rewritten packet that has lost its payload.
var errRewrite = &packets.Error{Code: packets.ImplementationSpecificError, Msg: "a rewritten packet does not fit its payload"}

// takeOut writes the run in front of pkt and begins a new one behind it.
func (p *pump) takeOut(pkt *packets.Packet) error {
	run := p.reader.Run()
	run = run[:len(run)-len(pkt.Raw)]
	if len(run) == 0 {
		p.reader.Mark(0)
		return nil
	}
	if err := p.sendReplies(); err != nil { // first, see there
		return err
	}
	p.reader.Mark(0)
	return p.write(run)
}

// fill reads once.
func (p *pump) fill() error {
	if !p.reader.Room() {
		if err := p.flush(); err != nil {
			return err
		}
	}
	err := p.socket.feed(p.source)
	if isReadTimeout(err) && !p.clock.late(p.now, p.partial()) {
		p.now = time.Now()
		return p.clock.again(p.conn, p.socket, p.now, p.partial())
	}
	if err == nil {
		p.now = time.Now()
	}
	return err
}

// beforeWait is called when nothing more is at hand, below TLS neither. The
// deadline comes last, since a flush may take its time.
func (p *pump) beforeWait() error {
	if err := p.flush(); err != nil {
		return err
	}
	if p.socket.begun() {
		p.now = time.Now() // the reader has seen none of it
	}
	return p.clock.arm(p.conn, p.socket, p.now, p.partial())
}

// partial reports whether a packet has begun that is not complete, or a TLS record or a
// frame, which is the beginning of one: it has no longer than a packet has.
func (p *pump) partial() bool { return p.reader.Partial() || p.socket.begun() }
