package proxy

import (
	"bytes"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/pires/go-proxyproto"
)

// header2 is a header of version 2 with n bytes behind its fixed beginning.
func header2(n int) []byte {
	b := append(bytes.Clone(proxyproto.SIGV2),
		byte(proxyproto.PROXY), byte(proxyproto.TCPv4), byte(n>>8), byte(n),
		203, 0, 113, 7, 192, 0, 2, 1, 156, 64, 7, 91)
	for left := n - 12; left > 0; left -= 3 { // values of nothing
		b = append(b, byte(proxyproto.PP2_TYPE_NOOP), 0, 0)
	}
	return b[:fixedLen+n]
}

// TestHeaderMemory: a length is checked before there is room for it, and what is read
// of a header stays small whatever it has.
func TestHeaderMemory(t *testing.T) {
	tests := []struct {
		name   string
		header []byte
		most   uint64 // bytes
		err    error
	}{
		{"64 KiB", header2(0xffff), 16 << 10, errLongHeader},
		{"a byte too long", header2(maxInbound - fixedLen + 1), 16 << 10, errLongHeader},
		{"as long as may be", header2(maxInbound - fixedLen), 256 << 10, nil},
		{"an endless line", []byte("PROXY TCP4 " + strings.Repeat("1", 1<<20)), 16 << 10, errLongHeader},
	}
	for _, tt := range tests {
		var before, after runtime.MemStats
		r := bytes.NewReader(tt.header)
		runtime.ReadMemStats(&before)
		_, err := readOrigin(r)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, tt.err) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.err)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > tt.most {
			t.Errorf("%s: took %d bytes, want at most %d", tt.name, took, tt.most)
		}
		if read := len(tt.header) - r.Len(); read > maxInbound {
			t.Errorf("%s: %d bytes were read", tt.name, read)
		}
	}
}

// TestHeaderFromSocket: what is read by the descriptor stays in order, and who has
// sent half a header holds no buffer.
func TestHeaderFromSocket(t *testing.T) {
	w, far := socketPair(t)
	header := header2(12)
	for i, piece := range [][]byte{header[:5], header[5:20], append(header[20:len(header):len(header)], "behind"...)} {
		if i < 2 {
			if _, err := far.Write(piece); err != nil {
				t.Fatal(err)
			}
			continue
		}
		w.beforeWait = func() error {
			w.beforeWait = nil
			if w.file.raw != nil && w.ahead.buf != nil {
				t.Error("half a header holds a buffer")
			}
			_, err := far.Write(piece)
			return err
		}
	}
	o, err := readOrigin(&headerReader{wire: w})
	if err != nil || o.source.String() != "203.0.113.7:40000" || o.destination.String() != "192.0.2.1:1883" {
		t.Errorf("%+v, %v", o, err)
	}
	rest := make([]byte, len("behind"))
	if _, err := io.ReadFull(w, rest); err != nil || string(rest) != "behind" {
		t.Errorf("behind the header %q, %v", rest, err)
	}
}

// FuzzOrigin: whatever comes, what is understood is what the library understands, no
// byte behind the header is read, and it makes no difference in which pieces it comes.
func FuzzOrigin(f *testing.F) {
	f.Add([]byte("PROXY TCP4 203.0.113.7 192.0.2.1 40000 1883\r\n\x10"))
	f.Add([]byte("PROXY TCP6 2001:db8::7 2001:db8::99 40000 1883\r\n\x10"))
	f.Add([]byte("PROXY TCP6 ::ffff:203.0.113.7 ::ffff:192.0.2.1 40000 1883\r\n"))
	f.Add([]byte("PROXY UNKNOWN\r\n\x16\x03\x01"))
	f.Add([]byte("PROXY \r\n PROXY\r\n"))
	f.Add(header2(12))
	f.Add(header2(0xffff))
	f.Add(append(header2(15), "\x10\x00"...))
	f.Add([]byte("\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x04\x04\x00\x01\x00"))
	f.Add([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x00\x00\x00"))
	f.Add([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x13\xcb\x00\x71\x07\xc0\x00\x02\x01\x9c\x40\x07\x5b\x02\x00\x04mqtt"))
	f.Fuzz(func(t *testing.T, data []byte) {
		whole := bytes.NewReader(data)
		o, err := readOrigin(whole)
		pieces := bytes.NewReader(data)
		again, errAgain := readOrigin(iotest.OneByteReader(pieces))
		if o != again || (err == nil) != (errAgain == nil) || whole.Len() != pieces.Len() {
			t.Fatalf("%+v, %v; in pieces %+v, %v", o, err, again, errAgain)
		}
		size := len(data) - whole.Len()
		if size > maxInbound {
			t.Fatalf("%d bytes were read", size)
		}
		if err != nil {
			return
		}
		if o.source.IsValid() != o.destination.IsValid() || len(o.serverName) > maxServerName || strings.ContainsAny(o.serverName, "\x00\n\r ") {
			t.Fatalf("%+v", o)
		}
		if _, err := readOrigin(bytes.NewReader(data[:size-1])); err == nil {
			t.Fatal("it is understood without its end")
		}
		if !o.source.IsValid() {
			return
		}
		version := byte(2)
		if data[0] == 'P' {
			version = 1
		}
		h := proxyproto.HeaderProxyFromAddrs(version, net.TCPAddrFromAddrPort(o.source), net.TCPAddrFromAddrPort(o.destination))
		b, err := h.Format()
		if err != nil {
			t.Fatal(err)
		}
		if back, err := readOrigin(bytes.NewReader(b)); err != nil || back.source != o.source || back.destination != o.destination {
			t.Fatalf("%+v, written again, is %+v, %v", o, back, err)
		}
	})
}
