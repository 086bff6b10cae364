package main

import (
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/mqttward/mqttward/bench/rig"
	"github.com/mqttward/mqttward/packets"
)

// TestMonitor: counters are those behind a tick of now, not of one that was
// retained.
func TestMonitor(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	next := make(chan struct{})
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		s := &rig.Stream{Conn: conn, Reader: packets.NewReader(packets.Client)}
		publish := func(flags byte, topic, value string) {
			s.Out = packets.AppendPublish(s.Out, packets.V311, flags, []byte(topic), 0, nil, []byte(value), 0)
		}
		s.Next()
		s.Out = packets.AppendConnack(s.Out, packets.V311, false, packets.Success, nil)
		s.Next()
		s.Out = packets.AppendSuback(s.Out, packets.V311, 1, nil, []packets.ReasonCode{0})
		publish(1, brokerUptime, "7 seconds")
		publish(1, brokerReceived, "5")
		publish(1, "$SYS/broker/version", "mosquitto")
		s.Flush()
		<-next
		publish(0, brokerReceived, "8")
		for tick := time.NewTicker(time.Millisecond); ; {
			publish(0, brokerUptime, "9 seconds")
			s.Flush()
			select {
			case <-next:
				return
			case <-tick.C:
			}
		}
	}()
	m, err := newMonitor(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	for m.value(brokerReceived) != 5 {
		runtime.Gosched()
	}
	if len(m.tick) > 0 {
		t.Error("what was retained is taken for news")
	}
	next <- struct{}{}
	if err := m.fresh(); err != nil || m.value(brokerReceived) != 8 {
		t.Errorf("%d, %v", m.value(brokerReceived), err)
	}
	close(next)
	if err := m.fresh(); err == nil {
		t.Error("a broker that has gone tells something")
	}
}

// TestSample: a process is seen while it is looked at, none is not.
func TestSample(t *testing.T) {
	s, err := sample(&rig.Process{PID: os.Getpid()})
	if err != nil {
		t.Fatal(err)
	}
	u, err := s.end()
	if err != nil || u.Before < 1<<20 || u.Max < u.Steady || u.Descriptors < 3 {
		t.Errorf("%+v, %v", u, err)
	}
	if s, err = sample(nil); s != nil || err != nil {
		t.Errorf("%v, %v", s, err)
	}
	if u, err := s.end(); u != (usage{}) || err != nil {
		t.Errorf("%+v, %v", u, err)
	}
}
