package backend

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqttward/mqttward/internal/memnet"
	"github.com/mqttward/mqttward/packets"
)

// broker is one connection to a broker that answers each packet with the next of
// answers; after the last one it closes if closes says so.
func broker(t *testing.T, closes bool, answers ...string) net.Conn {
	t.Helper()
	near, far := memnet.Pipe(&net.TCPAddr{Port: 1}, &net.TCPAddr{Port: 2})
	t.Cleanup(func() { near.Close(); far.Close() })
	go func() {
		for _, answer := range answers {
			head := make([]byte, 2)
			if _, err := io.ReadFull(far, head); err != nil {
				return
			}
			if _, err := io.CopyN(io.Discard, far, int64(head[1])); err != nil {
				return
			}
			if _, err := far.Write([]byte(answer)); err != nil {
				return
			}
		}
		if closes {
			far.Close()
		}
	}()
	return near
}

const pong = "\xd0\x00"

func TestPing(t *testing.T) {
	ok5, ok3 := "\x20\x03\x00\x00\x00", "\x20\x02\x00\x00"
	code5 := func(c byte) string { return string([]byte{0x20, 3, 0, c, 0}) }
	many := func(n int) string { return strings.Repeat("\x30\x04\x00\x01a\x00", n) }
	type row struct {
		name    string
		version packets.Version
		closes  bool
		answers []string
		want    string // what the error says
	}
	rows := []row{
		{"answers", packets.V5, false, []string{ok5, pong}, ""},
		{"answers 3.1.1", packets.V311, false, []string{ok3, pong}, ""},
		{"3.1.1 identifier", packets.V311, false, []string{"\x20\x02\x00\x02"}, ""},
		{"3.1.1 unavailable", packets.V311, false, []string{"\x20\x02\x00\x03"}, "return code 3"},
		{"3.1.1 password", packets.V311, false, []string{"\x20\x02\x00\x04"}, ""},
		{"3.1.1 not authorized", packets.V311, false, []string{"\x20\x02\x00\x05"}, ""},
		{"3.1.1 version", packets.V311, false, []string{"\x20\x02\x00\x01"}, errVersion.Error()},
		{"old answer to MQTT 5", packets.V5, false, []string{"\x20\x02\x00\x01"}, errVersion.Error()},
		{"closes at once", packets.V5, true, []string{""}, errVersion.Error()},
		{"closes at once on 3.1.1", packets.V311, true, []string{""}, "EOF"},
		{"closes after CONNACK", packets.V5, true, []string{ok5, ""}, "EOF"},
		{"messages", packets.V5, false, []string{ok5, many(maxMessages) + pong}, ""},
		{"too many messages", packets.V5, false, []string{ok5, many(maxMessages+1) + pong}, "instead of a PINGRESP"},
		{"disconnects", packets.V5, false, []string{ok5, "\xe0\x02\x8b\x00"}, "the broker disconnects"},
		{"no PINGRESP", packets.V5, false, []string{ok5, "\x90\x04\x00\x01\x00\x00"}, "packet type 9"},
		{"no CONNACK", packets.V5, false, []string{pong}, "packet type 13"},
		{"garbage", packets.V5, false, []string{"HTTP/1.1 400"}, "reserved flags"},
		{"huge", packets.V5, false, []string{"\x20\xff\xff\xff\x7f"}, "larger than allowed"},
		{"silent", packets.V5, false, nil, "no answer to a health check"},
		{"silent after CONNACK", packets.V311, false, []string{ok3}, "no answer to a health check"},
	}
	for _, c := range []byte{0x85, 0x86, 0x87, 0x8a, 0x8c} {
		rows = append(rows, row{packets.ReasonCode(c).String(), packets.V5, false, []string{code5(c)}, ""})
	}
	for _, c := range []byte{0x80, 0x83, 0x88, 0x89, 0x97, 0x9c, 0x9d, 0x9f} {
		rows = append(rows, row{packets.ReasonCode(c).String(), packets.V5, false, []string{code5(c)}, "refuses a health check"})
	}
	rows = append(rows, row{"version", packets.V5, false, []string{code5(0x84)}, errVersion.Error()})
	for _, tt := range rows {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				conn := broker(t, tt.closes, tt.answers...)
				err := ping(ctx, conn, tt.version, Login{Username: "u", Password: []byte("p")})
				if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
					t.Errorf("ping: %v, want %q", err, tt.want)
				}
				if errors.Is(err, errVersion) != (tt.want == errVersion.Error()) {
					t.Errorf("ping: %v is or is not errVersion", err)
				}
			})
		})
	}
}

func TestCheckFallsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c checker
		opened, up := 0, true
		open := func(context.Context) (net.Conn, error) {
			opened++
			near, far := memnet.Pipe(&net.TCPAddr{Port: 1}, &net.TCPAddr{Port: 2})
			go func() {
				defer far.Close()
				b := make([]byte, 512)
				n, _ := far.Read(b)
				if !up || !bytes.Contains(b[:n], []byte("MQTT\x04")) {
					return
				}
				_, _ = far.Write([]byte("\x20\x02\x00\x00"))
				_, _ = far.Read(b)
				_, _ = far.Write([]byte(pong))
				_, _ = io.Copy(io.Discard, far)
			}()
			return near, nil
		}
		step := func(what string, healthy bool, connections int) {
			t.Helper()
			opened = 0
			if err := c.check(t.Context(), open, Login{}); (err == nil) != healthy || opened != connections {
				t.Errorf("%s: %v after %d connections, want healthy %v after %d", what, err, opened, healthy, connections)
			}
		}
		step("first", true, 2)
		step("remembered", true, 1)
		time.Sleep(oldFor)
		step("asked anew", true, 2)
		up = false
		step("down", false, 1)
		step("still down", false, 2)
		up = true
		step("up again", true, 2)
	})
}

func FuzzPing(f *testing.F) {
	for _, s := range []string{"\x20\x03\x00\x00\x00" + pong, "\x20\x02\x00\x01", "\x20\xff\xff\xff\x7f", "\x20\x02\x00\x00" + pong} {
		f.Add([]byte(s), true)
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, answer []byte, five bool) {
		near, far := net.Pipe()
		defer near.Close()
		go func() { _, _ = io.Copy(io.Discard, far) }()
		go func() {
			_, _ = far.Write(answer)
			far.Close()
		}()
		version := packets.V311
		if five {
			version = packets.V5
		}
		if err := ping(t.Context(), near, version, Login{}); err == nil && (len(answer) < 4 || answer[0] != 0x20) {
			t.Errorf("%x is taken for a broker that works", answer)
		}
	})
}
