package authz

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

func monitored(t *testing.T, limit int, rules ...Rule) (*Policy, *Recorder) {
	t.Helper()
	r := NewRecorder(limit)
	p := *compiled(t, rules...)
	p.options.Monitor = true
	return p.Recording(r), r
}

// TestMonitor: everything goes on, and the verdict tells what would be denied.
func TestMonitor(t *testing.T) {
	s := user("bob")
	p, _ := monitored(t, 100, allow("a"), deny("b"))
	up, down := p.Open(s), p.Deliveries().(filters.Opener).Open(s)
	request := publish(packets.V5, 0, "a", responseTopic("r"))
	connect := func(topic string) []byte {
		return packets.AppendConnect(nil, packets.V5, &packets.Connect{Level: 5, CleanStart: true, ClientID: []byte("c"), Will: &packets.Will{Topic: []byte(topic), Payload: []byte("x")}})
	}
	for _, tt := range []struct {
		name   string
		filter filters.Filter
		packet *packets.Packet
		want   string
	}{
		{"allowed", up, parse(t, publish(packets.V5, 2, "a", nil), packets.V5), ""},
		{"denied", up, parse(t, publish(packets.V5, 2, "b", nil), packets.V5), "1"},
		{"no rule", up, parse(t, publish(packets.V5, 0, "c", nil), packets.V5), noRule},
		{"response topic", up, parse(t, request, packets.V5), noRule},
		{"Will", up, parse(t, connect("b"), 0), "1"},
		{"allowed Will", up, parse(t, connect("a"), 0), ""},
		{"delivery", down, delivered(t, 0, "b"), "1"},
		{"allowed delivery", down, delivered(t, 0, "a"), ""},
	} {
		got := tt.filter.Filter(noon, s, tt.packet)
		if got.Action != filters.Forward || got.Monitored != tt.want || got.Reason != packets.Success {
			t.Errorf("%s: %+v, want one that goes on, monitored by %q", tt.name, got, tt.want)
		}
	}
	sub := parse(t, packets.AppendSubscribe(nil, packets.V5, 7, nil, []packets.Subscription{{Filter: []byte("a")}, {Filter: []byte("#")}}), packets.V5)
	got := up.Filter(noon, s, sub)
	if want := []filters.Judgement{{}, {Monitored: noRule}}; got.Action != filters.Forward || !reflect.DeepEqual(got.Filters, want) {
		t.Errorf("SUBSCRIBE: %+v", got)
	}
	if got := up.(filters.Reviewer).Review(noon, s, sub); got.Action != filters.Forward || got.Filters[1].Reason != packets.Success {
		t.Errorf("review: %+v", got)
	}
	all := filters.Offer{MaximumQoS: 2, Retain: true, Wildcard: true, Shared: true}
	offer := all
	if up.(filters.Limiter).Limit(&offer); offer != all {
		t.Errorf("limits what is offered: %+v", offer)
	}
}

func TestRecorder(t *testing.T) {
	p, r := monitored(t, 100, allow("a"))
	for _, s := range []*filters.Session{user("bob"), user("bob"), user("eve")} {
		s.ClientID, s.Identity.Groups, s.Identity.Tenant, s.Listener = "c", []string{"z", "g"}, "acme", "mqtts"
		v := p.Open(s)
		for range 3 {
			v.Filter(noon, s, parse(t, publish(packets.V5, 2, "a", nil), packets.V5))
		}
		v.Filter(noon, s, parse(t, publish(packets.V5, 2, "b", nil), packets.V5))
	}
	who := func(name string) Actor {
		return Actor{User: name, ClientID: "c", Groups: []string{"g", "z"}, Tenant: "acme", Listener: "mqtts"}
	}
	want := []Act{
		{Actor: who("bob"), Action: "publish", Topic: "a", QoS: 1, Count: 6},
		{Actor: who("bob"), Action: "publish", Topic: "b", QoS: 1, Count: 2, Denied: noRule},
		{Actor: who("eve"), Action: "publish", Topic: "a", QoS: 1, Count: 3},
		{Actor: who("eve"), Action: "publish", Topic: "b", QoS: 1, Count: 1, Denied: noRule},
	}
	if got, lost := r.Acts(); lost != 0 || !reflect.DeepEqual(got, want) {
		t.Errorf("%d lost, got\n%+v, want\n%+v", lost, got, want)
	}
}

// TestRecorderBounds: neither one client nor many fill the memory, and what found
// no room is counted.
func TestRecorderBounds(t *testing.T) {
	record := func(limit, clients, topics int) (kept, lost int) {
		p, r := monitored(t, limit, allow("#"))
		for c := range clients {
			s := user(fmt.Sprint("user-", c))
			v := p.Open(s).(*View)
			for i := range topics {
				v.witness.note("publish", fmt.Appendf(nil, "t/%d", i), 0, false, Decision{Allowed: true})
			}
		}
		acts, n := r.Acts()
		return len(acts), int(n)
	}
	if kept, lost := record(1_000_000, 2, maxActs+10); kept != 2*maxActs || lost != 20 {
		t.Errorf("of one client %d are kept and %d lost", kept, lost)
	}
	if kept, lost := record(100, 3, 50); kept != 100 || lost != 50 {
		t.Errorf("of all clients %d are kept and %d lost", kept, lost)
	}
	if kept, lost := record(10, 50, 1); kept != 10 || lost != 40 {
		t.Errorf("of many clients %d are kept and %d lost", kept, lost)
	}
}

// TestRecorderLengths: nobody fills the memory with few acts that are long.
func TestRecorderLengths(t *testing.T) {
	long := strings.Repeat("x", maxRecorded+1)
	for _, tt := range []struct {
		clientID, topic string
		kept            int
	}{{"c", long[1:], 1}, {"c", long, 0}, {long, "a", 0}} {
		p, r := monitored(t, 100, allow("#"))
		s := user("bob")
		s.ClientID = tt.clientID
		v := p.Open(s)
		v.Filter(noon, s, parse(t, publish(packets.V5, 2, tt.topic, nil), packets.V5))
		if acts, lost := r.Acts(); len(acts) != tt.kept || lost != int64(1-tt.kept) {
			t.Errorf("names of %d and a topic of %d bytes: %d acts, %d lost", len(tt.clientID), len(tt.topic), len(acts), lost)
		}
	}
}

func TestMonitorAllocations(t *testing.T) {
	s := user("bob")
	p, _ := monitored(t, 100, allow("a"))
	v := p.Open(s)
	for _, topic := range []string{"a", "b"} {
		pkt := parse(t, publish(packets.V5, 2, topic, nil), packets.V5)
		v.Filter(noon, s, pkt)
		if n := testing.AllocsPerRun(100, func() { v.Filter(noon, s, pkt) }); n > 0 {
			t.Errorf("%s again: %v allocations", topic, n)
		}
	}
}
