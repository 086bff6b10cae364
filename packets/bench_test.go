package packets

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

// BenchmarkNext reads packets out of a full buffer, refilling included.
func BenchmarkNext(b *testing.B) {
	for _, test := range load {
		b.Run(test.name, func(b *testing.B) {
			packet := wire(test.wire)
			src := repeat(packet)
			r := NewReader(test.c.from)
			r.Version = test.c.v
			b.SetBytes(int64(len(packet)))
			b.ReportAllocs()
			for b.Loop() {
				next(b, r, src)
			}
		})
	}
}

// BenchmarkUse asks for all that a view can decode.
func BenchmarkUse(b *testing.B) {
	for _, test := range load {
		if !strings.Contains(test.name, "propert") && !strings.Contains(test.name, "SUBSCRIBE") {
			continue
		}
		b.Run(test.name, func(b *testing.B) {
			p, err := test.c.parse(wire(test.wire))
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				use(p)
			}
		})
	}
}

func BenchmarkConnect(b *testing.B) {
	for name, notation := range map[string]string{
		"3.1.1": `10 * "MQTT" 04 c2 003c "sensor-01" "sensor_01" "correct horse battery staple"`,
		"5.0": `10 * "MQTT" 05 ee 003c {11 0000003c 21 0014 26 "site" "berlin"} "sensor-01" {18 00000005} "state/sensor-01" "gone"
			"sensor_01" "correct horse battery staple"`,
	} {
		b.Run(name, func(b *testing.B) {
			raw := wire(notation)
			b.ReportAllocs()
			for b.Loop() {
				p, err := Parse(raw, 0, Client)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := p.Connect(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppendPublish(b *testing.B) {
	topic, payload := []byte("plant/berlin/line-7/robot/12/temperature"), []byte(`{"value":21.5,"unit":"C"}`)
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendPublish(dst[:0], V5, 2, topic, 1, nil, payload, 0)
	}
}

// BenchmarkStream passes a payload of 1 MiB through.
func BenchmarkStream(b *testing.B) {
	packet := AppendPublish(nil, V5, 2, []byte("t"), 1, nil, make([]byte, 1<<20), 0)
	src := repeat(packet)
	r := NewReader(Client)
	r.Version = V5
	b.SetBytes(int64(len(packet)))
	b.ReportAllocs()
	for b.Loop() {
		next(b, r, src)
		for r.Chunk() != nil {
			if err := refill(r, src); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkDrip makes room for the next byte of a large packet that comes
// byte by byte. It must not cost more than for a small one.
func BenchmarkDrip(b *testing.B) {
	r := NewReader(Client)
	r.Version = V311
	half := append(wire(`82 fcff3f`), make([]byte, 900<<10)...)
	if err := readAll(r, bytes.NewReader(half), nil); !errors.Is(err, io.EOF) {
		b.Fatal(err)
	}
	r.Compact()
	for b.Loop() {
		r.Compact()
	}
}
