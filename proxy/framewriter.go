package proxy

import (
	"bytes"
	"sync"

	"github.com/gobwas/ws"
)

// maxPiece is how much payload a frame of ours has, in bytes: with its header it is
// a TLS record.
const maxPiece = 16<<10 - 4

// piece is a frame that is being written: header and payload leave in one write.
type piece struct {
	bytes.Buffer
	header [ws.MaxHeaderSize]byte
}

// pieces are those that nobody writes at the moment.
var pieces = sync.Pool{New: func() any {
	p := new(piece)
	p.Grow(ws.MaxHeaderSize + maxPiece)
	return p
}}

// Write writes b in binary frames [MQTT-6.0.0-4].
func (f *frames) Write(b []byte) (n int, err error) {
	for err == nil && n < len(b) {
		part := b[n:min(n+maxPiece, len(b))]
		if err = f.put(ws.OpBinary, part); err == nil {
			n += len(part)
		}
	}
	return n, err
}

// put writes a frame, and then the pong that had to wait for it.
func (f *frames) put(op ws.OpCode, payload []byte) error {
	f.writing.Lock()
	err := f.putLocked(op, payload)
	f.writing.Unlock()
	if err != nil {
		return err
	}
	return f.sendPong()
}

// putLocked writes nothing any more after an error: the client would take it for the rest
// of the frame that has not become whole.
func (f *frames) putLocked(op ws.OpCode, payload []byte) error {
	if f.broken != nil {
		return f.broken
	}
	p := pieces.Get().(*piece) //nolint:errcheck,forcetypeassert // the pool holds nothing else
	defer pieces.Put(p)
	p.Reset()
	if err := ws.WriteHeaderBuffer(p, ws.Header{Fin: true, OpCode: op, Length: int64(len(payload))}, p.header[:]); err != nil {
		return err
	}
	p.Write(payload)
	_, f.broken = f.Conn.Write(p.Bytes())
	return f.broken
}

// pong is the answer to the last ping, the only one that has to be answered (RFC 6455
// section 5.5.3).
type pong struct {
	mu      sync.Mutex
	due     bool
	payload []byte
}

func (p *pong) owe(payload []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.due, p.payload = true, append(p.payload[:0], payload...)
}

func (p *pong) owed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.due
}

// take copies the payload to b, which has room for any.
func (p *pong) take(b []byte) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.due = false
	return append(b, p.payload...)
}

// sendPong sends the pong that is due. While somebody writes a frame, that is left to
// them: a reader that waited for a client which does not read would stop both
// directions.
func (f *frames) sendPong() error {
	for f.pong.owed() {
		if !f.writing.TryLock() {
			return nil // who writes looks again afterwards
		}
		var b [ws.MaxControlFramePayloadSize]byte
		err := f.putLocked(ws.OpPong, f.pong.take(b[:0]))
		f.writing.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

// answerPing answers a ping that was read.
func (f *frames) answerPing() error {
	err := f.sendPong()
	if isTimeout(err) {
		return &ending{end: EndWriteTime, err: err}
	}
	return err
}

// part notes what the client is told of e, unless it has said or done something that
// settles that.
func (f *frames) part(e *ending) {
	if f != nil && !f.settled() {
		f.ended = closeStatus(e.end)
	}
}

// closeStatus is an end in the words of RFC 6455 section 7.4.1.
func closeStatus(end End) ws.StatusCode {
	switch end {
	case EndDisconnect, EndClientClosed:
		return ws.StatusNormalClosure
	case EndShutdown, EndDrained, EndBrokerClosed, EndBackend, EndNoRoute, EndNoSeat, EndBusy, EndAuthDown:
		return ws.StatusGoingAway
	case EndPanic, EndBrokerError:
		return ws.StatusInternalServerError
	default:
		return ws.StatusPolicyViolation
	}
}

// CloseWrite says that nothing more comes, and why.
func (f *frames) CloseWrite() error {
	status := f.ended
	if status == 0 {
		status = ws.StatusNormalClosure
	}
	err := f.put(ws.OpClose, ws.NewCloseFrameBody(status, ""))
	closeWrite(f.Conn)
	return err
}
