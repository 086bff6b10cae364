package packets

import (
	"bytes"
	"math/rand/v2"
	"slices"
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
// of padding, so that a few bytes can begin a PUBLISH that is streamed.
func FuzzReader(f *testing.F) {
	eachSeed(func(b []byte, v, from byte) { f.Add(b, v, from, uint16(0)) })
	for _, from := range ends {
		f.Add(wire(`c000 32 a09c01 "t" 0001 00`), byte(V5), byte(from), uint16(20_000))
		f.Add(wire(`d000 32 a09c01 4e20 74`), byte(V311), byte(from), uint16(30_000))
		f.Add(wire(`32 ffff7f "t" 0001 ffff01`), byte(V5), byte(from), uint16(32_767))
	}
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
	})
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

// FuzzLax: a lax parser takes all that a strict one takes, as that does, and
// names what else it takes.
func FuzzLax(f *testing.F) {
	eachSeed(func(b []byte, v, from byte) { f.Add(b, v, from) })
	f.Fuzz(func(t *testing.T, b []byte, v, from byte) {
		c := fuzzed(v, from)
		want, err := c.parse(b)
		got, laxErr := parse(b, c.v, c.from, ^Checks(0))
		switch {
		case err == nil && (laxErr != nil || show(got) != show(want) || got.Broken != 0):
			t.Errorf("%v, lax: %v, %v", c, got, laxErr)
		case err != nil && laxErr == nil && got.Broken == 0:
			t.Errorf("%v: %v, and laxly nothing is broken", c, err)
		case laxErr == nil:
			use(got)
		}
	})
}
