package proxy_test

import (
	"fmt"
	"io"
	"net"
	"net/url"

	"github.com/gobwas/ws"

	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/proxy"
)

// overWebSocket makes a listener one for WebSockets.
func overWebSocket(p *proxy.Policy) { p.WebSocket = &proxy.WebSocket{Path: "/mqtt"} }

// page is a client's end of a WebSocket. What is written is the payload of one frame, and
// a close frame is the end of what is read.
type page struct {
	net.Conn
	rest   io.Reader // of the frame that has begun
	status ws.StatusCode
	pongs  []string
}

func (p *page) Write(b []byte) (int, error) {
	_, err := p.Conn.Write(frameOf(ws.OpBinary, b))
	return len(b), err
}

func (p *page) Read(b []byte) (int, error) {
	for {
		if p.rest != nil {
			if n, err := p.rest.Read(b); n > 0 || err != io.EOF {
				return n, err
			}
			p.rest = nil
		}
		h, err := ws.ReadHeader(p.Conn)
		if err != nil {
			return 0, err
		}
		if err := ws.CheckHeader(h, ws.StateClientSide); err != nil {
			return 0, err
		}
		if h.OpCode == ws.OpBinary {
			p.rest = io.LimitReader(p.Conn, h.Length)
			continue
		}
		payload := make([]byte, h.Length)
		if _, err := io.ReadFull(p.Conn, payload); err != nil {
			return 0, err
		}
		switch h.OpCode {
		case ws.OpPong:
			p.pongs = append(p.pongs, string(payload))
		case ws.OpClose:
			p.status, _ = ws.ParseCloseFrameData(payload)
			return 0, io.EOF
		default:
			return 0, fmt.Errorf("a frame %v", h.OpCode)
		}
	}
}

func frameOf(op ws.OpCode, payload []byte) []byte {
	return ws.MustCompileFrame(ws.MaskFrameWith(ws.NewFrame(op, true, payload), [4]byte{1, 2, 3, 250}))
}

// browse connects a client that has its WebSocket.
func (h *house) browse(v packets.Version) (*mqtttest.Peer, *page) {
	h.t.Helper()
	client := h.dial(v)
	return client, h.shakeHands(client)
}

func (h *house) shakeHands(client *mqtttest.Peer) *page {
	h.t.Helper()
	u := &url.URL{Scheme: "ws", Host: "broker.example", Path: "/mqtt"}
	_, agreed, err := ws.Dialer{Protocols: []string{"mqtt"}}.Upgrade(client.Conn, u)
	if err != nil || agreed.Protocol != "mqtt" {
		h.t.Fatalf("the WebSocket is refused: %+v, %v", agreed, err)
	}
	web := &page{Conn: client.Conn}
	client.Conn = web
	return web
}
