package proxy_test

import (
	"bufio"
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pires/go-proxyproto"

	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
)

// TestHeldAtShutdown: a connection that is nobody's yet does not hold the end up.
func TestHeldAtShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, behind(nil))
		client := h.dial(packets.V311)
		if _, err := client.Conn.Write([]byte("PROXY")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		h.front.Close()
		if err := h.server.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.expectEnd("refused shutdown")
		if lines := h.log.at(slog.LevelWarn); len(lines) != 0 {
			t.Errorf("warnings %q", lines)
		}
		h.close()
	})
}

// TestTrustReload: whom to believe is what it is when a connection comes.
func TestTrustReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		defer h.close()
		client, _ := h.session(packets.V311)
		h.listener.SetPolicy(h.newPolicy(behind(nil)))
		client.Send(mqtttest.Pingreq())
		held := h.dial(packets.V311)
		connect := mqtttest.Connect(packets.V311, "other")
		held.Send(introduced(t, 1, "203.0.113.8:1"), connect)
		h.answer(packets.V311).Expect("What comes now has a header.", connect)
	})
}

// TestWarningsOfHeaders: a balancer that gets it wrong does so with each connection.
func TestWarningsOfHeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, behind(nil))
		defer h.close()
		for i, want := range []int{1, 1, 1, 2} {
			client := h.dial(packets.V311)
			client.Send(mqtttest.Connect(packets.V311, "device"))
			client.ExpectGone("It ends.")
			synctest.Wait()
			if n := len(h.log.at(slog.LevelWarn)); n != want {
				t.Errorf("after %d: %d warnings, want %d", i+1, n, want)
			}
			if i == 2 {
				time.Sleep(time.Minute)
			}
		}
		if n := h.seen.count("refused proxy_header"); n != 4 {
			t.Errorf("%d counted", n)
		}
	})
}

// TestOrigin: the broker is told what the balancer has said, both addresses of it.
func TestOrigin(t *testing.T) {
	for _, source := range []string{"203.0.113.7:40000", "[2001:db8::7]:40000"} {
		for _, version := range []byte{1, 2} {
			t.Run(fmt.Sprint(source, " in version ", version), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					h := open(t, behind(nil))
					defer h.close()
					h.policy.Route = at(h.reach, announced(version))
					client := h.dial(packets.V311)
					connect := mqtttest.Connect(packets.V311, "device")
					client.Send(introduced(t, 2, source, authority("mqtt.example"),
						proxyproto.TLV{Type: proxyproto.PP2_TYPE_SSL, Value: []byte("\x07\x00\x00\x00\x00\x22\x00\x05admin")}), connect)
					header := readHeader(t, h.answer(packets.V311).Conn)
					want := "192.0.2.99:8883"
					if strings.Contains(source, "2001") {
						want = "[2001:db8::99]:8883"
					}
					if header.SourceAddr.String() != source || header.DestinationAddr.String() != want {
						t.Errorf("%v to %v", header.SourceAddr, header.DestinationAddr)
					}
					tlvs, err := header.TLVs()
					if err != nil {
						t.Fatal(err)
					}
					if version == 2 && (len(tlvs) != 2 || string(tlvs[0].Value) != "mqtt.example" || bytes.Contains(tlvs[1].Value, []byte("admin")) || tlvs[1].Value[0] != 0) {
						t.Errorf("values %+v", tlvs)
					}
				})
			})
		}
	}
}

func readHeader(t *testing.T, conn net.Conn) *proxyproto.Header {
	t.Helper()
	h, err := proxyproto.Read(bufio.NewReader(conn))
	if err != nil {
		t.Fatal(err)
	}
	return h
}
