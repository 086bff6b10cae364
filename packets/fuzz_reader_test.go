package packets

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// eachSeed calls add with every vector, right and wrong, and its connection.
func eachSeed(add func(b []byte, v, from byte)) {
	short := func(c connection, b []byte) {
		if len(b) < 1<<10 { // or the fuzzer spends its time on making it shorter
			add(b, byte(c.v), byte(c.from))
		}
	}
	eachVector(func(_ string, c connection, b []byte, _ *Packet) { short(c, b) })
	eachWrong(func(_ string, c connection, b []byte, _ *Error) { short(c, b) })
}

// fuzzed makes a connection of what the fuzzer gives: that of eachSeed again
// for its seeds. A server's version is known before it says anything.
func fuzzed(v, from byte) connection {
	c := connection{all[v%3], Role(from & 1)}
	if c.from == Client && v < 3 {
		c.v = 0
	}
	return c
}

// FuzzReader reads a stream to its end or its first error, in whatever pieces,
// always with the same result. Behind what the fuzzer gives come up to 32 KiB
// of padding, so that a few bytes can begin a PUBLISH that is streamed. A lax
// Reader shows the same up to the first error, and then more perhaps.
func FuzzReader(f *testing.F) {
	eachSeed(func(b []byte, v, from byte) { f.Add(b, v, from, uint16(0)) })
	for _, from := range ends {
		f.Add(wire(`c000 32 a09c01 "t" 0001 00`), byte(V5), byte(from), uint16(20_000))
		f.Add(wire(`d000 32 a09c01 4e20 74`), byte(V311), byte(from), uint16(30_000))
		f.Add(wire(`32 ffff7f "t" 0001 ffff01`), byte(V5), byte(from), uint16(32_767))
	}
	tolerate(func(_ string, c connection, b []byte, _ Check) { f.Add(b, byte(c.v), byte(c.from), uint16(0)) })
	f.Fuzz(func(t *testing.T, b []byte, v, from byte, padding uint16) {
		c := fuzzed(v, from)
		stream := slices.Concat(b, make([]byte, padding&0x7fff))
		want := transcript(c, bytes.NewReader(stream))
		random := rand.New(rand.NewPCG(uint64(len(b)), uint64(v)))
		for range 3 {
			if got := transcript(c, randomCuts(random, stream)); got != want {
				t.Errorf("%v, cut: %s, want %s", c, got, want)
			}
		}
		if len(stream) < 1<<10 {
			if got := transcript(c, iotest.OneByteReader(bytes.NewReader(stream))); got != want {
				t.Errorf("%v, byte by byte: %s, want %s", c, got, want)
			}
		}
		strict, end := cutLast(want)
		lax := laxTranscript(c, bytes.NewReader(stream), everyCheck)
		if !strings.HasPrefix(lax, strict) || strings.HasPrefix(end, "EOF") && lax != want {
			t.Errorf("%v, lax: %s, strict: %s", c, lax, want)
		}
		if got := laxTranscript(c, randomCuts(random, stream), everyCheck); got != lax {
			t.Errorf("%v, lax and cut: %s, want %s", c, got, lax)
		}
		checkLax(t, c, b)
	})
}

// cutLast splits s in front of its last line.
func cutLast(s string) (before, last string) {
	n := strings.LastIndexByte(s, '\n') + 1
	return s[:n], s[n:]
}

// checkLax reads b with every check lax. What a packet breaks is all that
// needs to be tolerated of it, for the same view.
func checkLax(t *testing.T, c connection, b []byte) {
	p, err := c.lax(b, everyCheck)
	if err != nil {
		return
	}
	use(p)
	if _, err := p.Connect(); p.Type == CONNECT && err != nil {
		t.Errorf("%v, %x: no view of CONNECT: %v", c, b, err)
	}
	again, err := p.Reparse(bytes.Clone(b), c.from)
	if err != nil || show(again) != show(p) {
		t.Errorf("%v, %x: %s, %v, want %s", c, b, show(again), err, show(p))
	}
	if _, err := c.parse(b); (err == nil) != (p.Broken == 0) {
		t.Errorf("%v, %x: %v, and %x broken", c, b, err, uint32(p.Broken))
	}
}

// FuzzReencode writes what it has parsed, with the Append functions, to the
// same bytes; plain knows the exceptions.
func FuzzReencode(f *testing.F) {
	eachSeed(func(b []byte, v, from byte) { f.Add(b, v, from) })
	f.Fuzz(func(t *testing.T, b []byte, v, from byte) {
		c := fuzzed(v, from)
		p, err := c.parse(b)
		if err != nil {
			return
		}
		use(p)
		if !bytes.Equal(p.Raw, b) {
			t.Errorf("Raw %x of %x", p.Raw, b)
		}
		checkReencode(t, c, p)
	})
}
