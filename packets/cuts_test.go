package packets

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
)

// readAll reads src to its end or the first error as a session does, and gives
// each packet to take: one that comes in chunks when its payload is whole.
func readAll(r *Reader, src io.Reader, take func(p *Packet)) error {
	for {
		p, err := r.Next()
		if err == nil {
			err = readRest(r, src, p)
			if err == nil && take != nil {
				take(p)
			}
		}
		if errors.Is(err, ErrShort) {
			err = refill(r, src)
		}
		if err != nil {
			return err
		}
	}
}

func refill(r *Reader, src io.Reader) error {
	if !r.Room() {
		r.Compact()
	}
	return r.Fill(src)
}

// readRest replaces p, if it has a Rest, by a copy that has all its payload.
func readRest(r *Reader, src io.Reader, p *Packet) error {
	if p.Rest == 0 {
		return nil
	}
	b := bytes.Clone(p.Raw)
	r.Mark(0)
	for more := ErrShort; more != nil; {
		if err := refill(r, src); err != nil {
			return err
		}
		more = r.Chunk()
		b = append(b, r.Run()...)
		r.Mark(0)
	}
	whole, err := p.Reparse(b, r.from)
	if err == nil {
		*p = *whole
	}
	return err
}

// transcript prints all that reading src shows, to the end. The end of src
// inside a packet and between two are told apart.
func transcript(c connection, src io.Reader) string { return laxTranscript(c, src, 0) }

func laxTranscript(c connection, src io.Reader, lax Checks) string {
	var b strings.Builder
	r := NewReader(c.from)
	r.Version, r.Lax = c.v, lax
	err := readAll(r, src, func(p *Packet) { fmt.Fprintln(&b, show(p)) })
	fmt.Fprintf(&b, "%v", err)
	if err == io.EOF {
		fmt.Fprintf(&b, ", in a packet: %v", r.Partial())
	}
	return b.String()
}

// cutReader gives out the pieces of a stream one by one.
type cutReader [][]byte

func (c *cutReader) Read(b []byte) (int, error) {
	for len(*c) > 0 && len((*c)[0]) == 0 {
		*c = (*c)[1:]
	}
	if len(*c) == 0 {
		return 0, io.EOF
	}
	n := copy(b, (*c)[0])
	(*c)[0] = (*c)[0][n:]
	return n, nil
}

// streams are the bytes of whole connections: all vectors of a version and an
// end one behind the other, some large packets among them.
func streams() map[connection][]byte {
	all := map[connection][]byte{}
	eachVector(func(_ string, c connection, b []byte, _ *Packet) {
		if c.v != 0 {
			all[c] = append(all[c], b...)
		}
	})
	for c := range all {
		payload := strings.Repeat("x", maxBuffer+100)
		all[c] = AppendPublish(all[c], c.v, 2, []byte("large"), 7, nil, []byte(payload), 0)
		all[c] = AppendPublish(all[c], c.v, 0, []byte(strings.Repeat("n", maxBuffer+5)), 7, nil, []byte(payload), 0)
		all[c] = AppendAck(all[c], c.v, PUBACK, 9, Success)
	}
	return all
}

// TestTruncated cuts every packet at every offset. The Reader must ask for
// more, and Parse must refuse.
func TestTruncated(t *testing.T) {
	eachVector(func(name string, c connection, b []byte, want *Packet) {
		for n := range b {
			got := transcript(c, bytes.NewReader(b[:n]))
			if want := fmt.Sprintf("EOF, in a packet: %v", n > 0); got != want {
				t.Errorf("%s, cut at %d: %s", name, n, got)
			}
			if p, err := c.parse(b[:n]); err == nil && (p.Rest == 0 || p.Size() != len(b)) {
				t.Errorf("%s, cut at %d: parsed as %s", name, n, show(p))
			}
		}
	})
	eachWrong(func(name string, c connection, b []byte, want *Error) {
		if len(b) > 1<<10 {
			return
		}
		for n := range b {
			r := NewReader(c.from)
			r.Version = c.v
			err := readAll(r, bytes.NewReader(b[:n]), func(p *Packet) {
				t.Errorf("%s, cut at %d: %s", name, n, show(p))
			})
			if err != io.EOF {
				broken(t, err, want)
			}
		}
	})
}

// TestCuts reads the same bytes in pieces of all kinds.
func TestCuts(t *testing.T) {
	eachVector(func(name string, c connection, b []byte, _ *Packet) {
		checkCuts(t, name, c, b)
	})
	eachWrong(func(name string, c connection, b []byte, _ *Error) {
		if len(b) < 1<<10 {
			checkCuts(t, name, c, b)
		}
	})
}

func checkCuts(t *testing.T, name string, c connection, b []byte) {
	t.Helper()
	want := transcript(c, bytes.NewReader(b))
	if got := transcript(c, iotest.OneByteReader(bytes.NewReader(b))); got != want {
		t.Errorf("%s, byte by byte: %s, want %s", name, got, want)
	}
	for n := range b {
		if got := transcript(c, &cutReader{b[:n], b[n:]}); got != want {
			t.Errorf("%s, cut at %d: %s, want %s", name, n, got, want)
		}
	}
}

func TestStreamCuts(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for c, b := range streams() {
		t.Run(c.String(), func(t *testing.T) {
			want := transcript(c, bytes.NewReader(b))
			if !strings.HasSuffix(want, "EOF, in a packet: false") {
				t.Fatal(want[max(0, len(want)-200):])
			}
			readers := map[string]io.Reader{
				"byte by byte":     iotest.OneByteReader(bytes.NewReader(b)),
				"in halves":        iotest.HalfReader(bytes.NewReader(b)),
				"error with bytes": iotest.DataErrReader(bytes.NewReader(b)),
			}
			for i := range 50 {
				readers[fmt.Sprint("random ", i)] = randomCuts(random, b)
			}
			for name, src := range readers {
				if transcript(c, src) != want {
					t.Errorf("%s: not the same", name)
				}
			}
			got := transcript(c, iotest.TimeoutReader(iotest.OneByteReader(bytes.NewReader(b))))
			if !strings.HasSuffix(got, iotest.ErrTimeout.Error()) {
				t.Errorf("timeout: %s", got)
			}
		})
	}
}

// randomCuts cuts b into pieces, small ones mostly.
func randomCuts(random *rand.Rand, b []byte) io.Reader {
	var cuts cutReader
	for len(b) > 0 {
		n := min(len(b), 1+random.IntN(1<<random.IntN(15)))
		cuts, b = append(cuts, b[:n]), b[n:]
	}
	return &cuts
}
