package authz

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/packets/topics"
)

// narrows is the Policy of rules that narrows, with what it looks up by few
// topics of a class.
func narrows(t *testing.T, few int, rules ...Rule) *Policy {
	t.Helper()
	p := *compiled(t, rules...)
	p.options.Narrow = true
	p.index = newIndex(p.rules, few)
	return &p
}

func TestNarrow(t *testing.T) {
	many := make([]Rule, maxNarrowed+1)
	for i := range many {
		many[i] = allow(fmt.Sprintf("m/%d", i))
	}
	quick, globs := allow("q"), allow("g")
	quick.QoS = []packets.QoS{0}
	globs.Topics = []Topic{{Pattern: "g/*", Kind: Glob}}
	rules := append([]Rule{
		deny("a/secret", "d/#"), deny("s/x/hidden"), allow("a/+/b", "a/secret", "=a/c", "=a/+/d"), allow("${username}/#"), allow("d/x"), quick, globs,
		allow("s/x/#"), allow("$share/g/only"),
	}, many...)
	tests := []struct {
		filter string
		qos    packets.QoS
		want   []string // nil: refused, unless whole
		whole  bool
	}{
		{filter: "a/x/b", whole: true},
		{filter: "bob/#", whole: true},
		{filter: "a/#", want: []string{"a/+/b", "a/c"}},
		{filter: "a/+", want: []string{"a/c"}},
		{filter: "+/x/b", want: []string{"a/x/b", "bob/x/b", "s/x/b"}},
		{filter: "b/#"},
		{filter: "d/#"},
		{filter: "+", want: []string{"q", "bob"}},
		{filter: "+", qos: 1, want: []string{"bob"}},
		{filter: "g/+", whole: true},
		{filter: "m/#"},
		{filter: "$SYS/#"},
		{filter: "$share/g/a/#", want: []string{"$share/g/a/+/b", "$share/g/a/c"}},
		{filter: "$share/g/+", want: []string{"$share/g/q", "$share/g/bob", "$share/g/only"}},
		{filter: "$share/h/+", want: []string{"$share/h/q", "$share/h/bob"}},
		{filter: "$share/g/s/#"}, // its part is denied in part, which would be lost for the group
		{filter: "s/#", want: []string{"s/x/#"}},
	}
	for _, few := range []int{0, 1000} {
		v := narrows(t, few, rules...).View(user("bob"))
		for _, tt := range tests {
			d := v.Subscribe(noon, []byte(tt.filter), tt.qos)
			slices.Sort(d.Narrowed)
			slices.Sort(tt.want)
			if d.Allowed != (tt.whole || tt.want != nil) || !slices.Equal(d.Narrowed, tt.want) {
				t.Errorf("%d: %s: %+v, want %q", few, tt.filter, d, tt.want)
			}
		}
	}
}

// TestNarrowedVerdict: what is narrowed goes on narrowed, but where nothing is
// enforced.
func TestNarrowedVerdict(t *testing.T) {
	for _, monitor := range []bool{false, true} {
		p := narrows(t, 0, allow("a/b"))
		p.options.Monitor = monitor
		s := user("bob")
		sub := parse(t, packets.AppendSubscribe(nil, packets.V5, 7, nil, []packets.Subscription{{Filter: []byte("a/#")}, {Filter: []byte("a/b")}}), packets.V5)
		want := []filters.Judgement{{Narrowed: []string{"a/b"}}, {}}
		if monitor {
			want[0] = filters.Judgement{Monitored: noRule}
		}
		if got := p.Open(s).Filter(noon, s, sub); !reflect.DeepEqual(got.Filters, want) {
			t.Errorf("monitor %v: %+v, want %+v", monitor, got.Filters, want)
		}
	}
}

// TestNarrowReference: the parts are what the client may subscribe to of the
// filter, and all of it that a rule spells out.
func TestNarrowReference(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	narrowed := 0
	for range 2000 {
		data := make([]byte, 128)
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		r := (&choices{data}).request()
		v := narrows(t, 0, r.rules...).View(&filters.Session{Version: packets.V5, Identity: filters.Identity{Username: r.username}})
		d := v.Subscribe(noon, []byte(r.filter), r.qos)
		if d.Narrowed == nil {
			continue
		}
		narrowed++
		group, filter, _ := topics.Share([]byte(r.filter))
		for _, part := range d.Narrowed {
			partGroup, inner, _ := topics.Share([]byte(part))
			if !bytes.Equal(partGroup, group) || !topics.Covers(filter, inner) || !v.read(noon, group, inner, r.qos).Allowed {
				t.Fatalf("%s is narrowed to %s; %s", r.filter, part, r)
			}
		}
		for _, topic := range everyTopic {
			if !topics.Match(filter, []byte(topic)) || !v.read(noon, group, []byte(topic), r.qos).Allowed {
				continue
			}
			among := func(part string) bool {
				_, inner, _ := topics.Share(part)
				return topics.Match(inner, []byte(topic))
			}
			if !slices.ContainsFunc(d.Narrowed, among) && plain(r.rules) {
				t.Fatalf("%s is narrowed to %q, without %s; %s", r.filter, d.Narrowed, topic, r)
			}
		}
	}
	if narrowed < 50 {
		t.Errorf("%d were narrowed: the test says little", narrowed)
	}
}

// plain reports whether rules only allow, and only Topic Filters.
func plain(rules []Rule) bool {
	return !slices.ContainsFunc(rules, func(r Rule) bool {
		return r.Deny || slices.ContainsFunc(r.Topics, func(t Topic) bool { return t.Kind != Filter })
	})
}
