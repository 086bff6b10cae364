package main

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"
)

// direct serves a sink and returns it as a peer.
func direct(t *testing.T) *peer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	broker, served := new(sink), make(chan struct{})
	go func() {
		defer close(served)
		broker.serve(l)
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-served
	})
	return &peer{name: "direct", address: l.Addr().String(), sink: broker}
}

// TestScenarios runs the load against the sink: what is measured with, works.
func TestScenarios(t *testing.T) {
	p := direct(t)
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			s.clients = min(s.clients, 60)
			s.messages = min(s.messages, 2*s.clients)
			s.settle = min(s.settle, 1)
			m, err := s.measure(p, 10*time.Millisecond)
			if s.denied {
				if err == nil || !strings.Contains(err.Error(), "that no rule allows have reached the broker") {
					t.Errorf("the sink has rules: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if s.messages > 0 && m.Messages != s.messages {
				t.Errorf("%d messages, want %d", m.Messages, s.messages)
			}
			if m.Messages < s.clients-1 || m.Seconds <= 0 { // one that publishes to the others has none
				t.Errorf("%d messages of %d clients in %v s", m.Messages, s.clients, m.Seconds)
			}
			oneWay := strings.Contains(s.name, "one-way")
			if (m.Latency == nil) != oneWay || m.Latency != nil && m.Latency.P50 <= 0 {
				t.Errorf("latency %+v", m.Latency)
			}
		})
	}
}

// TestFailure: one client that fails ends the scenario for all, and its error
// is told.
func TestFailure(t *testing.T) {
	p := direct(t)
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			s.clients, s.settle = min(s.clients, 10), 0
			s.prepare = func(c *client) error {
				if c.number < s.clients-1 {
					return nil
				}
				c.peer = &peer{address: "127.0.0.1:0"} // for those that open connections of their own
				return c.Close()
			}
			if m, err := s.measure(p, 50*time.Millisecond); err == nil {
				t.Errorf("measured %+v without a connection", m)
			}
		})
	}
}

// TestFailed: who waits for other clients is told that one has failed.
func TestFailed(t *testing.T) {
	failure := errors.New("failed")
	s := scenario{clients: 2, load: func(j *job, c *client) (int, error) {
		if c.number > 0 {
			return 0, failure
		}
		for range fanWindow { // nobody gives a place back
			<-j.fan.free
		}
		return 0, j.fan.publish(j, c)
	}}
	if _, err := s.measure(direct(t), time.Second); !errors.Is(err, failure) {
		t.Errorf("%v, want %v", err, failure)
	}
}

func TestMeets(t *testing.T) {
	ours, other, none := &peer{name: "bin/mqttward", pid: 1}, &peer{name: reference, pid: 1}, &peer{name: "direct"}
	tests := []struct {
		name  string
		s     scenario
		p     *peer
		round int
		want  bool
	}{
		{"traffic", scenario{}, none, 1, true},
		{"denied by us", scenario{denied: true}, ours, 1, true},
		{"denied by none but us", scenario{denied: true}, other, 1, false},
		{"our policy", scenario{policy: 10}, ours, 1, true},
		{"no policy", scenario{policy: 10}, other, 1, false},
		{"memory", scenario{settle: 1}, other, 0, true},
		{"memory once", scenario{settle: 1}, other, 1, false},
		{"memory of nobody", scenario{settle: 1}, none, 0, false},
	}
	for _, tt := range tests {
		if got := tt.s.meets(tt.p, tt.round); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}
