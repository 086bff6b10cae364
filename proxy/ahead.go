package proxy

import (
	"io"
	"sync"
)

// aheadSize is how much is read at once. Many small records come with one
// system call, where crypto/tls by itself would read little more than a record
// at a time. With half of it, 256 KiB there and back take an eighth more processor
// time.
const aheadSize = 64 << 10

// aheads are the buffers of wires.
var aheads = sync.Pool{New: func() any { return new([aheadSize]byte) }}

// ahead is what has been read of a socket and not been asked for yet. It has a
// buffer only while there is some.
type ahead struct {
	buf   *[aheadSize]byte
	r, w  int                    // buf[r:w] is left
	rest  int                    // bytes that are still to be asked for of the TLS record that has begun
	begin [recordHeader - 1]byte // without a buffer, begin[:w] is left: less than a header
}

// none reports whether nothing is left.
func (a *ahead) none() bool { return a.r == a.w }

// begun reports, when the socket has nothing more, whether a TLS record has begun that
// is not complete.
func (a *ahead) begun() bool { return a.rest > 0 || !a.none() }

// room returns where to read to.
func (a *ahead) room() []byte {
	if a.buf == nil {
		a.buf = aheads.Get().(*[aheadSize]byte) //nolint:errcheck,forcetypeassert // the pool holds nothing else
		copy(a.buf[:], a.begin[:a.w])
	}
	a.w = copy(a.buf[:], a.buf[a.r:a.w])
	a.r = 0
	return a.buf[a.w:]
}

// release gives the buffer back if hardly anything is left: who sends the first
// byte of a record, before anybody knows who that is, must not be given 64 KiB for it.
func (a *ahead) release() {
	if a.buf == nil || a.w-a.r > len(a.begin) {
		return
	}
	a.r, a.w = 0, copy(a.begin[:], a.buf[a.r:a.w])
	aheads.Put(a.buf)
	a.buf = nil
}

// read copies what is left to b.
func (a *ahead) read(b []byte) int {
	n := copy(b, a.buf[a.r:a.w])
	a.r += n
	return n
}

// discard gives the buffer back with what is left.
func (a *ahead) discard() {
	a.r, a.w = 0, 0
	a.release()
}

// feed fills the reader once from src, which is w or TLS over it. What the reader
// returned before is no longer valid.
func (w *wire) feed(src io.Reader) error {
	if w.reader.Dry(w.records) && !(w.records && w.frames.filled()) {
		if err := w.await(); err != nil {
			return err
		}
	}
	if !w.reader.Room() {
		w.reader.Compact()
	}
	return w.reader.Fill(src)
}

// await returns when something has been read ahead. Until then the reader has no
// buffer either.
func (w *wire) await() error {
	if !w.ahead.none() {
		return nil
	}
	w.awaiting = true
	err := w.fill()
	w.awaiting = false
	return err
}

// fill reads ahead once.
func (w *wire) fill() error {
	n, err := w.read(nil)
	w.ahead.w += n
	return err
}

// read reads the socket once, into b or, if it is nil, ahead. It calls waits
// before it has to wait.
func (w *wire) read(b []byte) (int, error) {
	if w.file.raw != nil {
		return w.readDescriptor(b)
	}
	if err := w.waits(); err != nil {
		return 0, err
	}
	if b == nil {
		b = w.ahead.room()
	}
	return w.Conn.Read(b)
}

// waits is called when nothing more is at hand.
func (w *wire) waits() error {
	if w.beforeWait != nil {
		if err := w.beforeWait(); err != nil {
			return err
		}
	}
	if w.awaiting {
		w.reader.Release()
	}
	return nil
}

func (w *wire) Read(b []byte) (int, error) {
	a := &w.ahead
	switch {
	case w.records:
		return w.readRecord(b)
	case a.none():
		return w.read(b)
	}
	return a.read(b), nil
}

// recordHeader is the length of the header of a TLS record (RFC 8446 section
// 5.1), whose last two bytes are the length of the rest.
const recordHeader = 5

// readRecord reads no further than to the end of a record, so that nothing
// waits in crypto/tls when nothing waits here.
func (w *wire) readRecord(b []byte) (int, error) {
	a := &w.ahead
	for a.w-a.r < recordHeader && (a.rest == 0 || a.none()) {
		if err := w.fill(); err != nil {
			return 0, err
		}
	}
	if a.rest == 0 {
		a.rest = recordHeader + int(a.buf[a.r+3])<<8 + int(a.buf[a.r+4])
	}
	n := a.read(b[:min(len(b), a.rest)])
	a.rest -= n
	return n, nil
}
