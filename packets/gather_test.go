package packets

import (
	"bytes"
	"testing"
	"testing/iotest"
)

// TestGather takes back a PUBLISH by its head, reads it whole, in pieces of any
// size, and goes on behind it.
func TestGather(t *testing.T) {
	behind := []byte("\xc0\x00")
	for _, size := range []int{bufferSize, 100_000, MaxWhole - 100} {
		payload := bytes.Repeat([]byte("0123456789"), size/10)
		publish := AppendPublish(nil, V5, 2, []byte("a/b"), 7, nil, payload, 0)
		sent := append(bytes.Clone(publish), behind...)
		for name, src := range map[string]*pieces{"at once": {bytes.NewReader(sent), 0}, "by 1000": {bytes.NewReader(sent), 1000}, "by 17": {bytes.NewReader(sent), 17}} {
			r := NewReader(Client)
			r.Version = V5
			next := func() *Packet {
				t.Helper()
				for {
					p, err := r.Next()
					switch {
					case err == nil:
						return p
					case err != ErrShort:
						t.Fatalf("%s: %v", name, err)
					}
					if !r.Room() {
						r.Compact()
					}
					if most := max(bufferSize, 4*(r.w-r.r)); len(r.buf) > most {
						t.Fatalf("%s: a buffer of %d bytes for %d that have come", name, len(r.buf), r.w-r.r)
					}
					if err := r.Fill(src); err != nil {
						t.Fatalf("%s: %v", name, err)
					}
				}
			}
			p := next()
			if p.Rest == 0 {
				t.Fatalf("%s: a PUBLISH of %d bytes is whole at once", name, len(publish))
			}
			r.Gather()
			if len(r.Run()) > 0 || !r.Partial() {
				t.Errorf("%s: %d bytes in the run, partial %v; want none of the packet, which has begun", name, len(r.Run()), r.Partial())
			}
			p = next()
			if p.Rest != 0 || !bytes.Equal(p.Raw, publish) || !bytes.Equal(p.Payload, payload) || p.ID != 7 {
				t.Errorf("%s: a rest of %d, %d of %d bytes", name, p.Rest, len(p.Raw), len(publish))
			}
			r.Mark(0)
			if p = next(); p.Type != PINGREQ {
				t.Errorf("%s: %v, want PINGREQ", name, p.Type)
			}
			r.Compact()
			if len(r.buf) != bufferSize {
				t.Errorf("%s: a buffer of %d bytes is left, want %d", name, len(r.buf), bufferSize)
			}
		}
	}
}

// pieces returns at most n bytes at once; zero: as many as fit.
type pieces struct {
	src *bytes.Reader
	n   int
}

func (r *pieces) Read(b []byte) (int, error) {
	if r.n > 0 {
		b = b[:min(len(b), r.n)]
	}
	return r.src.Read(b)
}

// TestGatherOnce: only the PUBLISH that was taken back is read whole.
func TestGatherOnce(t *testing.T) {
	r := NewReader(Client)
	r.Version = V311
	publish := AppendPublish(nil, V311, 0, []byte("a"), 0, nil, make([]byte, 2*maxBuffer), 0)
	src := iotest.DataErrReader(bytes.NewReader(append(bytes.Clone(publish), publish...)))
	var rests []int
	for len(rests) < 3 {
		p, err := r.Next()
		if err != nil {
			if !r.Room() {
				r.Compact()
			}
			if err := r.Fill(src); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if rests = append(rests, p.Rest); len(rests) == 1 {
			r.Gather()
		}
	}
	if rests[0] == 0 || rests[1] != 0 || rests[2] == 0 {
		t.Errorf("rests %v, want some, none, some", rests)
	}
}
