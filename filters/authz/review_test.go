package authz

import (
	"reflect"
	"testing"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

func TestReview(t *testing.T) {
	low := allow("low/#")
	low.QoS = []packets.QoS{0}
	policy := compiled(t, deny("a/secret"), low, allow("a/#"))
	connect := func(topic string) []byte {
		c := packets.Connect{Level: byte(packets.V5), CleanStart: true, ClientID: []byte("c")}
		if topic != "" {
			c.Will = &packets.Will{Topic: []byte(topic), QoS: 1}
		}
		return packets.AppendConnect(nil, packets.V5, &c)
	}
	tests := []struct {
		name   string
		packet []byte
		rule   string // that refuses; empty: none
	}{
		{"PUBLISH", publish(packets.V5, 4, "a/b", nil), ""},
		{"PUBLISH denied", publish(packets.V5, 4, "a/secret", nil), "0"},
		{"PUBLISH with another QoS", publish(packets.V5, 4, "low/x", nil), noRule},
		{"no Will", connect(""), ""},
		{"Will", connect("a/b"), ""},
		{"Will denied", connect("a/secret"), "0"},
		{"Will with another QoS", connect("low/x"), noRule},
		{"PINGREQ", []byte{0xc0, 0}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			version := packets.V5
			if packets.Type(tt.packet[0]>>4) == packets.CONNECT {
				version = 0
			}
			s := user("bob")
			got := policy.View(s).Review(noon, s, parse(t, tt.packet, version))
			want := filters.Verdict{Action: filters.Disconnect, Reason: packets.NotAuthorized, Rule: tt.rule}
			if tt.rule == "" {
				want = filters.Pass()
			}
			if got.Action != want.Action || got.Reason != want.Reason || got.Rule != want.Rule {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

// TestReviewSubscriptions: what was asked for with QoS 2 may be held with 0.
func TestReviewSubscriptions(t *testing.T) {
	low, high := allow("low"), allow("high")
	low.QoS, high.QoS = []packets.QoS{0}, []packets.QoS{2}
	v := compiled(t, deny("a/secret"), low, high, allow("a/#")).View(user("bob"))
	asked := []packets.Subscription{
		{Filter: []byte("a/#"), Options: 2},
		{Filter: []byte("a/secret"), Options: 0},
		{Filter: []byte("low"), Options: 2},
		{Filter: []byte("high"), Options: 2},
		{Filter: []byte("high"), Options: 1},
		{Filter: []byte("$share/g/a/#"), Options: 0},
		{Filter: []byte("$share/g/a/b"), Options: 0},
	}
	got := v.Review(noon, user("bob"), parse(t, packets.AppendSubscribe(nil, packets.V5, 7, nil, asked), packets.V5))
	by := func(rule string) filters.Judgement {
		return filters.Judgement{Reason: packets.NotAuthorized, Rule: rule}
	}
	var ok filters.Judgement
	if want := []filters.Judgement{ok, by("0"), ok, ok, by(noRule), by("0"), ok}; got.Action != filters.Forward || !reflect.DeepEqual(got.Filters, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestLimit(t *testing.T) {
	publish := func(edit func(*Rule)) Rule {
		r := Rule{Publish: true, Topics: ParseTopics("a")}
		edit(&r)
		return r
	}
	same := func(*Rule) {}
	low := func(r *Rule) { r.QoS = []packets.QoS{1, 0} }
	plain := func(r *Rule) { r.Retain = new(bool) }
	kept := func(r *Rule) { r.Retain = new(true) }
	subscribe := func(topics ...string) Rule { return Rule{Subscribe: true, Topics: ParseTopics(topics...)} }
	others := allow("#")
	others.Users = Globs([]string{"eve"})
	all := filters.Offer{MaximumQoS: 2, Retain: true, Wildcard: true, Shared: true}
	none := filters.Offer{MaximumQoS: 2, Retain: true} // may not subscribe
	tests := []struct {
		name  string
		rules []Rule
		offer filters.Offer
		want  filters.Offer
	}{
		{"everything", []Rule{allow("#")}, all, all},
		{"nothing", nil, all, none},
		{"what others may", []Rule{others}, all, none},
		{"nothing is raised", []Rule{allow("#")}, filters.Offer{}, filters.Offer{}},
		{"denials count for nothing", []Rule{deny("#"), allow("#")}, all, all},
		{"no rule to publish", []Rule{subscribe("#")}, all, all},

		{"QoS", []Rule{publish(low), subscribe("#")}, all, filters.Offer{MaximumQoS: 1, Retain: true, Wildcard: true, Shared: true}},
		{"QoS, lower already", []Rule{publish(low), subscribe("#")}, filters.Offer{Wildcard: true}, filters.Offer{Wildcard: true}},
		{"QoS of one of them", []Rule{publish(low), publish(same), publish(low), subscribe("#")}, all, all},
		{"QoS of subscriptions", []Rule{publish(same), {Subscribe: true, Topics: ParseTopics("#"), QoS: []packets.QoS{0}}}, all, all},
		{"retain", []Rule{publish(plain), subscribe("#")}, all, filters.Offer{MaximumQoS: 2, Wildcard: true, Shared: true}},
		{"retain for one of them", []Rule{publish(plain), publish(same), publish(plain), subscribe("#")}, all, all},
		{"retain only", []Rule{publish(kept), subscribe("#")}, all, all},

		{"no wildcard", []Rule{subscribe("a", "=b", "c/${username}")}, all, filters.Offer{MaximumQoS: 2, Retain: true, Shared: true}},
		{"wildcard for one of them", []Rule{subscribe("a"), subscribe("b", "a/#", "c"), subscribe("a")}, all, all},
		{"wildcard to the letter", []Rule{subscribe("=a/+")}, all, all},
		{"wildcard of a group", []Rule{subscribe("$share/g/#")}, all, all},
		{"wildcard that is denied", []Rule{{Deny: true, Subscribe: true, Topics: ParseTopics("#")}, subscribe("a")}, all, filters.Offer{MaximumQoS: 2, Retain: true, Shared: true}},
		{"to receive is not to subscribe", []Rule{{Receive: true, Topics: ParseTopics("#")}}, all, none},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.offer
			compiled(t, tt.rules...).View(user("bob")).Limit(&got)
			if got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}
