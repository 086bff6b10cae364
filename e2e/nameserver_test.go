package e2e

import (
	"net"
	"net/netip"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// nameserver is a DNS server over UDP whose records can be changed.
type nameserver struct {
	address string

	mu       sync.Mutex
	silent   bool
	hosts    map[string][]string // IPv4 addresses, by name
	services map[string][]dnsmessage.SRVResource
}

// startNameserver starts one without a name.
func startNameserver(t *testing.T) *nameserver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &nameserver{address: conn.LocalAddr().String(), hosts: map[string][]string{}, services: map[string][]dnsmessage.SRVResource{}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for {
			size, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if answer := n.answer(buf[:size]); answer != nil {
				_, _ = conn.WriteTo(answer, from)
			}
		}
	}()
	t.Cleanup(func() { _ = conn.Close(); <-done })
	return n
}

// change changes the records.
func (n *nameserver) change(f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f()
}

// answer answers a question, or a failure of the server.
func (n *nameserver) answer(question []byte) []byte {
	var m dnsmessage.Message
	if m.Unpack(question) != nil || len(m.Questions) != 1 {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	q := m.Questions[0]
	name := q.Name.String()
	header := func(kind dnsmessage.Type) dnsmessage.ResourceHeader {
		return dnsmessage.ResourceHeader{Name: q.Name, Type: kind, Class: dnsmessage.ClassINET, TTL: 1}
	}
	answer := dnsmessage.Message{Header: dnsmessage.Header{ID: m.ID, Response: true, Authoritative: true}, Questions: m.Questions}
	hosts, isHost := n.hosts[name]
	services, isService := n.services[name]
	switch {
	case n.silent:
		answer.RCode = dnsmessage.RCodeServerFailure
	case !isHost && !isService:
		answer.RCode = dnsmessage.RCodeNameError
	case q.Type == dnsmessage.TypeA:
		for _, h := range hosts {
			answer.Answers = append(answer.Answers, dnsmessage.Resource{Header: header(q.Type), Body: &dnsmessage.AResource{A: netip.MustParseAddr(h).As4()}})
		}
	case q.Type == dnsmessage.TypeSRV:
		for i := range services {
			answer.Answers = append(answer.Answers, dnsmessage.Resource{Header: header(q.Type), Body: &services[i]})
		}
	}
	b, err := answer.Pack()
	if err != nil {
		return nil
	}
	return b
}
