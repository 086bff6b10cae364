package main

import (
	"errors"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/mqttward/mqttward/bench/rig"
	"github.com/mqttward/mqttward/packets"
)

// The counters of a Mosquitto that are looked at.
const (
	brokerUptime   = "$SYS/broker/uptime" // comes with each second
	brokerReceived = "$SYS/broker/messages/received"
	brokerRetained = "$SYS/broker/retained messages/count"
	brokerSubs     = "$SYS/broker/subscriptions/count"
	brokerAway     = "$SYS/broker/clients/disconnected"
)

// monitor reads what the broker tells about itself, on a connection around the
// proxy.
type monitor struct {
	stream *rig.Stream
	tick   chan struct{} // a value for each second of the broker
	ended  chan struct{}

	mu     sync.Mutex
	values map[string]float64
}

func newMonitor(address string) (*monitor, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	m := &monitor{
		stream: &rig.Stream{Conn: conn, Reader: packets.NewReader(packets.Server)},
		tick:   make(chan struct{}, 1), ended: make(chan struct{}), values: map[string]float64{},
	}
	s := m.stream
	s.Reader.Version = packets.V311
	s.Out = packets.AppendConnect(nil, packets.V311, &packets.Connect{Level: byte(packets.V311), CleanStart: true, ClientID: []byte("monitor")})
	s.Out = packets.AppendSubscribe(s.Out, packets.V311, 1, nil, []packets.Subscription{{Filter: []byte("$SYS/broker/#")}})
	if err := errors.Join(s.Expect(packets.CONNACK), s.Expect(packets.SUBACK)); err != nil {
		_ = s.Close()
		return nil, err
	}
	go m.read()
	return m, nil
}

func (m *monitor) read() {
	defer close(m.ended)
	for {
		p, err := m.stream.Next()
		if err != nil {
			return
		}
		if p.Type != packets.PUBLISH {
			continue
		}
		if string(p.Topic) == brokerUptime {
			if p.Retain() {
				continue // of before
			}
			select {
			case m.tick <- struct{}{}:
			default:
			}
			continue
		}
		if v, err := strconv.ParseFloat(string(p.Payload), 64); err == nil {
			m.mu.Lock()
			m.values[string(p.Topic)] = v
			m.mu.Unlock()
		}
	}
}

// fresh waits until the counters are of now.
func (m *monitor) fresh() error {
	select {
	case <-m.tick: // of before
	default:
	}
	for range 2 { // the values of a second may come behind its uptime
		select {
		case <-m.tick:
		case <-m.ended:
			return errors.New("the broker has ended the monitor's connection")
		case <-time.After(rig.Grace):
			return errors.New("the broker tells nothing about itself")
		}
	}
	return nil
}

func (m *monitor) value(topic string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return int(m.values[topic])
}

func (m *monitor) close() {
	_ = m.stream.Close()
	<-m.ended
}
