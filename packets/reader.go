package packets

import (
	"io"
	"sync"
)

// buffers are those of the Readers that hold no more than usual.
var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

const (
	// bufferSize is how much is usually buffered at once, in bytes.
	bufferSize = 64 << 10
	// maxKept is how much of a packet that has begun is kept without a buffer, in
	// bytes.
	maxKept = 1 << 10
	// maxBuffer is how much is buffered of a PUBLISH before it is streamed.
	maxBuffer = 16 << 10
	// MaxWhole bounds what has to be in memory at once, in bytes: every packet
	// but PUBLISH, a PUBLISH up to its payload, and one that is gathered.
	MaxWhole = 1 << 20
)

// Reader frames the packets that one end of a connection sends. It does no
// reading of its own: Next looks at what is buffered, Fill reads once.
//
// A returned packet is valid until the next call of Next, the bytes that it
// refers to until the next Compact. A Reader is used by one goroutine.
type Reader struct {
	Version Version // protocol version; a Client's CONNECT sets it
	Max     int     // largest packet in bytes; zero: no limit but MQTT's own

	// Lax are the checks that a packet may fail and be returned nevertheless,
	// with Broken saying so. It goes on as it is: whoever reads it next has to
	// cope with it. Tolerated are
	//
	//   - C2: a Remaining Length in more bytes than needed;
	//   - C3: reserved flags, and DUP with QoS 0;
	//   - C4: bytes behind the last field;
	//   - C5: the reserved Connect Flag, Will QoS and Will Retain without a
	//     Will, and a password without user name;
	//   - C6: ill-formed UTF-8 and U+0000;
	//   - C9: reserved Subscription Options, and No Local on a share;
	//   - C10: a known property that appears twice, on the wrong packet or with
	//     a value outside its range, another packet's Reason Code, and
	//     Authentication Data without a method. Lookup finds the first of two.
	//
	// All else is refused whatever Lax says. Some of it leaves no way to tell
	// where a field or the packet ends: five bytes of length, truncation, QoS 3,
	// unknown properties, another protocol's name or level. Some has two
	// readings of what the rules judge: wildcards and U+0000 in Topic Names,
	// Will Topics and Response Topics, invalid Topic Filters, Topic Alias 0, two
	// Topic Aliases or Response Topics, QoS or Retain Handling 3, and lengths
	// in properties that are longer than needed. The rest has no use that a
	// device could mean: a size above Max, Packet Identifier 0, a second
	// CONNECT, an empty list, a packet type from the wrong end.
	Lax Checks

	from Role
	buf  []byte
	r, w int   // buf[r:w] is unread
	mark int   // buf[mark:r] is the Run
	rest int   // payload bytes of a streamed PUBLISH that Chunk has still to pass
	all  int   // bytes of the PUBLISH that is gathered; zero: none is
	want int   // bytes that the packet at r needs in the buffer, as far as known
	full bool  // the last Fill filled the buffer
	err  error // came with the bytes of the last Fill
	pkt  Packet
}

var errTooLarge = &Error{Code: PacketTooLarge, Check: CheckLength, Spec: "MQTT-3.2.2-15", Msg: "packet is larger than allowed"}

// NewReader returns a Reader of what the end from sends.
func NewReader(from Role) *Reader { return &Reader{from: from} }

// Next returns the next packet. ErrShort asks for a Fill; an *Error says what
// is wrong with the packet, and the Reader is of no use any more. If the
// packet has a Rest, Chunk must have passed it before Next is called again, or
// Gather.
func (r *Reader) Next() (*Packet, error) { return r.next(max(maxBuffer, r.all)) }

// Gather takes back the PUBLISH that Next has just returned, which has a Rest
// and a Size of at most MaxWhole: Next returns it again when all of it is there.
// Until then the buffer grows as its bytes arrive.
func (r *Reader) Gather() {
	r.r -= len(r.pkt.Raw)
	r.all, r.rest = r.pkt.Size(), 0
}

// next returns the next packet: a PUBLISH of more than whole bytes as soon as
// all in front of its payload is there, everything else whole.
func (r *Reader) next(whole int) (*Packet, error) {
	b := r.buf[r.r:r.w]
	h, err := parseHeader(b, r.from, r.Version)
	var broken Checks
	if err != nil {
		if h, broken, err = h.lax(b, err, r.Lax); err != nil {
			return nil, err
		}
	}
	size := h.size + h.length
	need := size
	if h.typ == PUBLISH && size > whole {
		need = min(h.head(b, r.Version), size)
	}
	switch {
	case r.Max > 0 && size > r.Max, need > MaxWhole:
		r.glimpse(h, b)
		return nil, errTooLarge
	case len(b) < need:
		r.want = need
		return nil, ErrShort
	}
	here := min(len(b), size)
	b = b[:here:here]
	p := &r.pkt
	*p = Packet{} // filled field by field: in one go the compiler makes a copy
	p.Type, p.Flags, p.Version = h.typ, h.flags, r.Version
	p.Raw, p.Rest = b, size-here
	p.lax, p.Broken = r.Lax, broken
	err = p.parse(body(b[h.size:]), r.from)
	if h.typ == CONNECT {
		r.Version = p.Version // also if it is refused: the refusal is in its version
	}
	if err != nil {
		return nil, err
	}
	r.r += here
	r.rest, r.all = p.Rest, 0
	return p, nil
}

// glimpse looks for the version of a CONNECT that is too large, so that its
// refusal can be told.
func (r *Reader) glimpse(h header, b []byte) {
	if h.typ != CONNECT {
		return
	}
	front, c := body(b[h.size:]), Connect{}
	if v, err := parseProtocol(&front, &c); err == nil {
		r.Version = v
	}
}

// Chunk moves past the buffered bytes of the payload of a PUBLISH that had a
// Rest, so that they belong to the Run. ErrShort says that more of the payload
// is to come, after a Fill.
func (r *Reader) Chunk() error {
	n := min(r.rest, r.w-r.r)
	r.r += n
	r.rest -= n
	if r.rest > 0 {
		return ErrShort
	}
	return nil
}

// Run returns the bytes of all packets and chunks of the current Run: those
// since the last Mark. They lie side by side, so that a run of packets is
// written without copying.
func (r *Reader) Run() []byte { return r.buf[r.mark:r.r] }

// Mark begins a new Run, which holds the last keep bytes of what Next and Chunk
// have returned.
func (r *Reader) Mark(keep int) { r.mark = r.r - keep }

// Partial reports whether a packet has begun that is not complete.
func (r *Reader) Partial() bool { return r.r < r.w || r.rest > 0 }

// Room reports whether Fill has enough space left; if not, Compact first.
func (r *Reader) Room() bool { return len(r.buf)-r.w > len(r.buf)/4 }

// Compact makes room for a Fill. What Next and Run returned is no longer
// valid, and a new Run begins.
func (r *Reader) Compact() {
	unread := r.buf[r.r:r.w]
	buf := r.buf
	if size := r.size(len(unread)); size != len(buf) {
		buf = newBuffer(size)
	} else if r.r == 0 { // or a packet that drips in would be copied onto itself each time
		return
	}
	r.w = copy(buf, unread)
	if len(buf) != len(r.buf) {
		giveBuffer(r.buf)
	}
	r.buf, r.r, r.mark = buf, 0, 0
}

// size chooses a buffer size for n unread bytes. It grows with bytes that have
// arrived, never with a length that a peer has merely announced.
func (r *Reader) size(n int) int {
	switch size := len(r.buf); {
	case size < bufferSize:
		return bufferSize
	case n > size/2 && size < r.want: // one packet holds most of the buffer
		return min(2*size, max(r.want, bufferSize))
	case size > bufferSize && n < bufferSize/2:
		return bufferSize
	default:
		return size
	}
}

// Dry reports whether the last Fill brought all that its source had by then. Of a
// source that keeps what there was no room for, that is known if there was some.
func (r *Reader) Dry(keeps bool) bool { return r.err == nil && !(keeps && r.full) }

// Release gives the buffer back for the time that nothing comes. What Next and
// Run returned is no longer valid, and a new Run begins.
func (r *Reader) Release() {
	unread := r.buf[r.r:r.w]
	if len(unread) > maxKept {
		return
	}
	buf := r.buf
	r.buf, r.r, r.w, r.mark = append([]byte(nil), unread...), 0, len(unread), 0
	giveBuffer(buf)
}

// Discard gives the buffer back with what is in it. The Reader is of no use any
// more.
func (r *Reader) Discard() {
	giveBuffer(r.buf)
	*r = Reader{}
}

func newBuffer(size int) []byte {
	if size == bufferSize {
		return buffers.Get().(*[bufferSize]byte)[:] //nolint:errcheck,forcetypeassert // it holds nothing else
	}
	return make([]byte, size)
}

func giveBuffer(b []byte) {
	if len(b) == bufferSize {
		buffers.Put((*[bufferSize]byte)(b))
	}
}

// Fill reads once from src into the free part of the buffer. An error that
// came with bytes is returned by the Fill after.
func (r *Reader) Fill(src io.Reader) error {
	if err := r.err; err != nil {
		r.err = nil
		return err
	}
	free := r.buf[r.w:]
	n, err := src.Read(free)
	r.w += n
	r.full = n == len(free)
	if n == 0 {
		return err
	}
	r.err = err
	return nil
}

// Parse returns the view of b, which must be exactly one packet of version v
// (zero for a CONNECT) that the end from sends: whole, or a PUBLISH without
// some of its payload, which is its Rest. It tolerates nothing.
func Parse(b []byte, v Version, from Role) (*Packet, error) { return parse(b, v, from, 0) }

// Reparse returns the view of b, which takes p's place, as Parse does. It
// tolerates what was tolerated of p.
func (p *Packet) Reparse(b []byte, from Role) (*Packet, error) {
	v := p.Version
	if p.Type == CONNECT {
		v = 0
	}
	return parse(b, v, from, p.Broken)
}

func parse(b []byte, v Version, from Role, lax Checks) (*Packet, error) {
	r := Reader{from: from, Version: v, Lax: lax, buf: b, w: len(b)}
	p, err := r.next(0)
	switch {
	case err == ErrShort: //nolint:errorlint // next returns the bare value
		return nil, errTruncated
	case err == nil && r.r < r.w:
		return nil, errTrailing
	}
	return p, err
}
