package proxy

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"github.com/mqttward/mqttward/packets"
)

// frames is the server's end of a WebSocket: what is read of it is the payload of
// its binary frames, and what is written goes into some. Packets have nothing to do
// with the frames that they come in [MQTT-6.0.0-2].
//
// It has no buffer. A Read reads once, and takes the frames out of the bytes where they
// lie; nothing is made of the length that a frame says it has. One that brings
// no payload returns 0 and no error, so that the caller can wait where it holds nothing.
type frames struct {
	net.Conn // TLS, or the wire

	state ws.State         // whether a message has begun
	rest  int64            // bytes of the frame that has begun that are still to come
	mask  [4]byte          // of that frame
	at    int              // where in the mask its next byte is
	open  [maxControl]byte // open[:n] has come of a header, or of a control frame
	n     int
	full  bool      // the last Read read all that it had room for
	idle  time.Time // until when the frames that have carried nothing count
	head  bytes.Reader
	size  [ws.MaxHeaderSize]byte // where a header is read to
	ended ws.StatusCode          // what the client is told in the end; zero: nothing is wrong

	writing sync.Mutex // held while a frame is written
	broken  error      // of the first that could not be
	pong    pong
}

const (
	// maxControl is the length of the longest control frame.
	maxControl = ws.MaxHeaderSize + ws.MaxControlFramePayloadSize

	// maxFrame bounds what a frame says is its length, in bytes. Nothing is allocated
	// for it, and clients put several packets, of up to 256 MiB each, into one.
	maxFrame = 1 << 30

	// idleCost and idleBurst bound the frames that carry nothing: pings, pongs and
	// empty ones. No limit of packets sees these. Ten come in a second, or a hundred
	// once: clients that ping do so every few seconds.
	idleCost  = 100 * time.Millisecond
	idleBurst = 100 * idleCost
)

func newFrames(below net.Conn) *frames {
	return &frames{Conn: below, state: ws.StateServerSide}
}

// begun reports whether a header or a control frame has begun that is not complete.
func (f *frames) begun() bool { return f != nil && f.n > 0 }

// filled reports whether there may be more of which no raw socket knows: in TLS.
func (f *frames) filled() bool { return f != nil && f.full }

// settled reports whether it is known already what the client is told in the end.
func (f *frames) settled() bool { return f != nil && f.ended != 0 }

// Read reads once from below, and returns the payload of that.
func (f *frames) Read(b []byte) (int, error) {
	if f.rest == 0 && len(b) <= maxControl {
		// At the end of a large packet there may be room for a byte, and a header comes
		// first, which goes nowhere else.
		b = f.open[:f.n+1]
	}
	n, err := f.Conn.Read(b[f.n:])
	f.full = n == len(b)-f.n
	if n == 0 {
		return 0, err
	}
	n += copy(b, f.open[:f.n])
	f.n = 0
	n, failed := f.unwrap(b[:n])
	if failed == nil {
		failed = f.answerPing()
	}
	if failed == nil {
		failed = err
	}
	return n, failed
}

// unwrap moves the payload that is in b to its front.
func (f *frames) unwrap(b []byte) (n int, err error) {
	for in := b; len(in) > 0; {
		if f.rest > 0 {
			here := int(min(f.rest, int64(len(in))))
			ws.Cipher(in[:here], f.mask, f.at)
			n += copy(b[n:], in[:here])
			f.rest -= int64(here)
			f.at = (f.at + here) % len(f.mask)
			in = in[here:]
			continue
		}
		h, size, err := f.header(in)
		end := size
		if h.OpCode.IsControl() {
			end += int(h.Length)
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), err == nil && end > len(in):
			f.n = copy(f.open[:], in)
			return n, nil
		case err != nil:
			return n, err
		}
		if err := f.take(h, in[size:end]); err != nil {
			return n, err
		}
		in = in[end:]
	}
	return n, nil
}

// header reads the header at the front of in, and how long it is.
func (f *frames) header(in []byte) (h ws.Header, size int, err error) {
	f.head.Reset(in)
	h, err = ws.ReadHeaderBuffer(&f.head, f.size[:])
	size = len(in) - f.head.Len()
	f.head.Reset(nil) // the buffer is not ours
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return ws.Header{}, 0, err
	case err == nil:
		err = ws.CheckHeader(h, f.state)
	}
	switch {
	case err != nil:
		err = f.violation(ws.StatusProtocolError, "", err.Error())
	case size != ws.HeaderSize(h): // RFC 6455 section 5.2
		err = f.violation(ws.StatusProtocolError, "", "length in more bytes than needed")
	case h.OpCode == ws.OpText:
		err = f.violation(ws.StatusUnsupportedData, "MQTT-6.0.0-1", "text frame")
	case h.Length > maxFrame:
		err = f.violation(ws.StatusMessageTooBig, "", "frame is larger than any that makes sense")
	}
	return h, size, err
}

// take takes a control frame with its payload, or what is in front of that of a data
// frame.
func (f *frames) take(h ws.Header, payload []byte) error {
	if h.OpCode.IsControl() || h.Length == 0 {
		if err := f.countIdle(); err != nil {
			return err
		}
	}
	switch h.OpCode {
	case ws.OpPing:
		ws.Cipher(payload, h.Mask, 0)
		f.pong.owe(payload)
	case ws.OpPong:
	case ws.OpClose:
		ws.Cipher(payload, h.Mask, 0)
		return f.takeClose(payload)
	default:
		f.rest, f.mask, f.at = h.Length, h.Mask, 0
		f.state = f.state.Set(ws.StateFragmented)
		if h.Fin {
			f.state = f.state.Clear(ws.StateFragmented)
		}
	}
	return nil
}

// takeClose ends the stream. The client is answered what it has said, in the end of the
// session.
func (f *frames) takeClose(payload []byte) error {
	f.ended = ws.StatusNormalClosure
	if len(payload) == 0 {
		return io.EOF
	}
	code, reason := ws.ParseCloseFrameData(payload)
	if err := ws.CheckCloseFrameData(code, reason); err != nil { // a single byte is no code
		return f.violation(ws.StatusProtocolError, "", err.Error())
	}
	f.ended = code
	return io.EOF
}

func (f *frames) countIdle() error {
	now := time.Now()
	if f.idle.Before(now) {
		f.idle = now
	}
	if f.idle = f.idle.Add(idleCost); f.idle.Sub(now) > idleBurst {
		f.ended = ws.StatusPolicyViolation
		return &packets.Error{Code: packets.MessageRateTooHigh, Msg: "too many frames that carry nothing"}
	}
	return nil
}

// violation is the error for what the client got wrong, and notes the status for it.
func (f *frames) violation(status ws.StatusCode, spec, msg string) error {
	f.ended = status
	return &packets.Error{Code: packets.ProtocolError, Spec: spec, Msg: "WebSocket: " + msg}
}
