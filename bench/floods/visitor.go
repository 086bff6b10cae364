package main

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/mqttward/mqttward/packets"
)

// visits are attempts to connect, and how long those took that went well.
type visits struct {
	all, good int
	took      []time.Duration
	failures  map[string]int
}

// home is where the members of user n live, abroad is somewhere else.
func home(n int) net.IP   { return net.IPv4(127, 1, 0, byte((1+n%honestUsers)&0xff)) }
func abroad(n int) net.IP { return net.IPv4(127, 3, byte(n&0xff), 1) }

// visit connects, has a message come back, and goes.
func (p *people) visit(due time.Time, from net.IP, user string) (took time.Duration, err error) {
	s, err := p.connect(from, user, packets.V311)
	if err != nil {
		return 0, err
	}
	defer s.Close()
	took = time.Since(due)
	topic := fmt.Appendf(nil, "plant/%s/visit-%d", user, p.names.Add(1))
	s.Out = packets.AppendSubscribe(s.Out, packets.V311, 1, nil, []packets.Subscription{{Filter: topic}})
	p.packets.Add(1)
	if err := s.Expect(packets.SUBACK); err != nil {
		return 0, err
	}
	s.Out = packets.AppendPublish(s.Out, packets.V311, 0, topic, 0, nil, []byte("here"), 0)
	p.packets.Add(1)
	if err := s.Expect(packets.PUBLISH); err != nil {
		return 0, err
	}
	p.packets.Add(1)
	s.Out = packets.AppendDisconnect(s.Out, packets.V311, packets.Success)
	return took, s.Flush()
}

// count counts a visit that began while it counts.
func (p *people) count(v *visits, due time.Time, took time.Duration, err error) {
	if due.Before(p.start) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	v.all++
	if err != nil {
		if v.failures == nil {
			v.failures = map[string]int{}
		}
		v.failures[cause(err)]++
		return
	}
	v.good++
	v.took = append(v.took, took)
}

// cause is an error without addresses.
func cause(err error) string {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Op + ": " + op.Err.Error()
	}
	return err.Error()
}
