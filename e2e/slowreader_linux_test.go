package e2e

import (
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
)

// A client that subscribes and never reads is cut. Until then it costs the proxy no
// more than a client does, and who else is subscribed gets everything.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	s := crowd(b, plain, "packet_timeout: 2s")
	p := startService(t, s)
	dial := func(id string) *raw {
		conn, err := net.Dial("tcp", p.address())
		if err != nil {
			t.Fatal(err)
		}
		c := newRaw(t, conn)
		c.connect(v5, id, "")
		return c
	}
	subscribed := func(c *raw, qos packets.QoS) {
		c.send(packets.AppendSubscribe(nil, v5, 1, nil, []packets.Subscription{{Filter: []byte("news"), Options: packets.SubscribeOptions(qos)}}))
		c.expect("subscribed", subackOf(v5, 1, packets.ReasonCode(qos)))
	}
	cut := `mqttward_sessions_ended_total{reason="write_timeout"}`
	const (
		readers  = 3
		messages = 4000 // of 10 kB
	)
	var honest []*raw
	for i := range readers {
		c := dial("reader" + strconv.Itoa(i))
		subscribed(c, 0)
		honest = append(honest, c)
	}
	publisher := b.raw(t)
	publisher.connect(v5, "publisher", "")
	body := strings.Repeat("x", 10_000)
	news := func(from, to int) {
		t.Helper()
		for i := from; i < to; i++ {
			publisher.send(mqtttest.Publish(v5, 0, 0, "news", strconv.Itoa(i)+" "+body))
			for _, c := range honest {
				if frame, err := readFrame(c.in); err != nil || !strings.Contains(string(frame[:30]), "news\x00"+strconv.Itoa(i)+" x") {
					t.Fatalf("message %d is %.40q, %v", i, frame, err)
				}
			}
		}
	}
	news(0, messages/2)
	for i := range 3 {
		slow := dial("slow" + strconv.Itoa(i))
		if err := slow.Conn.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
			t.Fatal(err)
		}
		subscribed(slow, 0)
	}
	before := memory(t, p.process, "VmRSS")
	resetPeak(t, p.process)
	news(messages/2, messages)
	if rise := memory(t, p.process, "VmHWM") - before; rise > 4<<20 {
		t.Errorf("the proxy's memory rose by %d KiB while three did not read", rise>>10)
	} else {
		t.Logf("the proxy's memory rose by %d KiB", rise>>10)
	}
	eventually(t, "the end of the slow ones", func() bool { return p.metrics(t)[cut] == 3 })
	news(messages, messages+100)
}
