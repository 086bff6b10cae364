package app

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"testing"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/internal/admin"
	"github.com/mqttward/mqttward/internal/memnet"
	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/proxy"
	"github.com/mqttward/mqttward/proxy/backend"
)

// filtering has all filters on that let packets go on as they came: limits, rates, a
// check of payloads, rules for publishing and for deliveries.
const filtering = `listeners: [{name: local, address: "127.0.0.1:1"}]
backends: [{name: broker, servers: [{address: "127.0.0.1:1883"}]}]
authn: [{name: any, type: anonymous}]
broker_profile: none
payload: [{topics: ["data/#"], max_size: 1KiB}]
authz:
  rules:
    - {anonymous: true, allow: [publish, subscribe, receive], topics: ["data/+/temperature"], qos: [0, 1], max_payload: 1KiB}
    - {deny: [publish, receive], topics: ["#"]}
limits:
  publish_rate: {rate: 1000000000, burst: 1000000000}
  publish_bytes: {rate: 1000GiB, burst: 1000GiB}
`

const topic = "data/sensor/temperature"

// session runs a proxy with a configuration between a client and a broker, and
// returns their ends of a session.
func session(t testing.TB, config string, v packets.Version) (client, broker net.Conn) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "mqttward.yaml")
	put(t, filepath.Dir(path), "mqttward.yaml", config)
	b, err := load(path, nil, newShared(), nil)
	if err != nil {
		t.Fatal(err)
	}
	front, behind := memnet.Listen(), memnet.Listen()
	pool := backend.New(backend.Options{
		Name: "broker", Servers: []backend.Spec{{Address: "127.0.0.1:1883"}},
		Dial: func(ctx context.Context, _, _ string) (net.Conn, error) { return behind.Dial(ctx) },
	}, nil)
	b.policies[0].Route = func(*filters.Session) *backend.Pool { return pool }
	silent := slog.New(slog.DiscardHandler)
	server := proxy.NewServer(admin.NewMetrics(admin.Build{}), silent, silent)
	var serving sync.WaitGroup
	listener := server.NewListener(b.policies[0])
	serving.Go(func() { listener.Serve(front) })
	if client, err = front.Dial(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		front.Close()
		client.Close()
		if broker != nil {
			broker.Close()
		}
		_ = server.Shutdown(context.Background()) // the ends are gone
		serving.Wait()
	})
	mqtttest.Client(t, client, v).Send(mqtttest.Connect(v, "device", mqtttest.KeepAlive(60)))
	if broker, err = behind.Accept(); err != nil {
		t.Fatal(err)
	}
	receive(t, broker, v, packets.CONNECT)
	mqtttest.Broker(t, broker, v).Send(mqtttest.Connack(v, packets.Success))
	receive(t, client, v, packets.CONNACK)
	subscribe(t, client, broker, v)
	return client, broker
}

// subscribe lets the client have what the broker will send it.
func subscribe(t testing.TB, client, broker net.Conn, v packets.Version) {
	mqtttest.Client(t, client, v).Send(mqtttest.Subscribe(v, 1, topic))
	receive(t, broker, v, packets.SUBSCRIBE)
	mqtttest.Broker(t, broker, v).Send(mqtttest.Suback(v, 1, 1))
	receive(t, client, v, packets.SUBACK)
}

// receive reads one packet of type want, shorter than 128 bytes.
func receive(t testing.TB, conn net.Conn, v packets.Version, want packets.Type) {
	t.Helper()
	var b [130]byte
	if _, err := io.ReadFull(conn, b[:2]); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, b[2:2+b[1]]); err != nil {
		t.Fatal(err)
	}
	if got := packets.Type(b[0] >> 4); got != want || b[1] > 127 {
		t.Fatalf("MQTT %v: got a %v, want a %v", v, got, want)
	}
}

// passing returns a call that passes run messages from one end to the other, and
// back their acknowledgements.
func passing(t testing.TB, v packets.Version, qos packets.QoS, run int) func(from, to net.Conn) {
	var messages, acks []byte
	for i := range run {
		messages = append(messages, mqtttest.Publish(v, qos, uint16(i+1), topic, "21.5")...)
		if qos > 0 {
			acks = append(acks, mqtttest.Ack(v, packets.PUBACK, uint16(i+1), packets.Success)...)
		}
	}
	buf := make([]byte, len(messages))
	pass := func(from, to net.Conn, b []byte) {
		if _, err := from.Write(b); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(to, buf[:len(b)]); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(buf[:len(b)], b) {
			t.Fatalf("% x arrives, want % x", buf[:len(b)], b)
		}
	}
	return func(from, to net.Conn) {
		pass(from, to, messages)
		pass(to, from, acks)
	}
}

// each calls f for each shape of traffic that is forwarded as it comes.
func each(f func(name string, v packets.Version, qos packets.QoS, up bool)) {
	for _, v := range []packets.Version{packets.V311, packets.V5} {
		for _, qos := range []packets.QoS{0, 1} {
			for _, up := range []bool{true, false} {
				direction := map[bool]string{true: "up", false: "down"}[up]
				f(fmt.Sprintf("mqtt=%v/qos=%d/%s", v, qos, direction), v, qos, up)
			}
		}
	}
}

// TestForwardAllocations: a message that goes on costs no memory, whatever judges it.
func TestForwardAllocations(t *testing.T) {
	each(func(name string, v packets.Version, qos packets.QoS, up bool) {
		t.Run(name, func(t *testing.T) {
			from, to := session(t, filtering, v)
			if !up {
				from, to = to, from
			}
			pass := passing(t, v, qos, 1)
			if n := testing.AllocsPerRun(1000, func() { pass(from, to) }); n != 0 {
				t.Errorf("%v allocations for a message", n)
			}
		})
	})
}

// BenchmarkForward counts messages, which come in runs of 50. Both ends and memnet
// are part of it.
func BenchmarkForward(b *testing.B) {
	const run = 50
	each(func(name string, v packets.Version, qos packets.QoS, up bool) {
		b.Run(name, func(b *testing.B) {
			from, to := session(b, filtering, v)
			if !up {
				from, to = to, from
			}
			pass := passing(b, v, qos, run)
			b.ReportAllocs()
			b.ResetTimer()
			for n := 0; n < b.N; n += run {
				pass(from, to)
			}
		})
	})
}
