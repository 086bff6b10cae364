package authz

import (
	"fmt"
	"testing"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

// BenchmarkFilterAgain judges the same PUBLISH again and again.
func BenchmarkFilterAgain(b *testing.B) {
	v, s := benchmarkView(b, 10, 0)
	p := parse(b, publish(packets.V5, 0, "plant/line-a/robot/temperature", nil), packets.V5)
	b.ReportAllocs()
	for b.Loop() {
		if v.Filter(time.Time{}, s, p).Action != filters.Forward {
			b.Fatal("not allowed")
		}
	}
}

// BenchmarkFilter judges a PUBLISH that the last rule allows, each with another
// topic than the one before. Rules for others must cost nothing.
func BenchmarkFilter(b *testing.B) {
	for _, n := range []struct{ own, others int }{{10, 0}, {10, 1000}, {1000, 0}} {
		b.Run(fmt.Sprintf("rules=%d,others=%d", n.own, n.others), func(b *testing.B) {
			v, s := benchmarkView(b, n.own, n.others)
			p := parse(b, publish(packets.V5, 0, "plant/line-a/robot/temperature", nil), packets.V5)
			next := parse(b, publish(packets.V5, 0, "plant/line-a/robot/temperaturf", nil), packets.V5)
			b.ReportAllocs()
			for b.Loop() {
				p, next = next, p
				if v.Filter(time.Time{}, s, p).Action != filters.Forward {
					b.Fatal("not allowed")
				}
			}
		})
	}
}

// BenchmarkView chooses the rules for a session.
func BenchmarkView(b *testing.B) {
	for _, n := range []struct{ own, others int }{{10, 0}, {10, 1000}, {1000, 0}} {
		b.Run(fmt.Sprintf("rules=%d,others=%d", n.own, n.others), func(b *testing.B) {
			policy, s := benchmarkPolicy(b, n.own, n.others), user("bob")
			b.ReportAllocs()
			for b.Loop() {
				policy.View(s)
			}
		})
	}
}

func benchmarkView(b *testing.B, own, others int) (*View, *filters.Session) {
	s := user("bob")
	return benchmarkPolicy(b, own, others).View(s), s
}

func benchmarkPolicy(b *testing.B, own, others int) *Policy {
	var rules []Rule
	for i := range others {
		r := allow("#")
		r.Users = []string{fmt.Sprintf("robot-%d", i)}
		rules = append(rules, r)
	}
	for i := range own - 1 {
		rules = append(rules, allow(fmt.Sprintf("plant/+/cell-%d/#", i)))
	}
	return compiled(b, append(rules, allow("plant/line-a/#"))...)
}

// BenchmarkDeliveryAgain judges the same delivery again and again.
func BenchmarkDeliveryAgain(b *testing.B) { benchmarkDelivery(b, 0, "temperature", "temperature") }

// BenchmarkDelivery judges deliveries that the last rule allows, each with
// another topic than the one before.
func BenchmarkDelivery(b *testing.B) { benchmarkDelivery(b, 0, "temperature", "temperaturf") }

// BenchmarkRetained judges retained messages, of a publisher that is known.
func BenchmarkRetained(b *testing.B) { benchmarkDelivery(b, 1, "temperature", "temperaturf") }

func benchmarkDelivery(b *testing.B, flags byte, one, another string) {
	policy, s := benchmarkPolicy(b, 10, 1000).With(NewRetained(10)), user("bob")
	f := policy.Deliveries().(filters.Opener).Open(s)
	p, next := delivered(b, flags, "plant/line-a/robot/"+one), delivered(b, flags, "plant/line-a/robot/"+another)
	if flags != 0 {
		policy.View(s).Filter(time.Time{}, s, p)
		policy.View(s).Filter(time.Time{}, s, next)
	}
	b.ReportAllocs()
	for b.Loop() {
		p, next = next, p
		if f.Filter(time.Time{}, s, p).Action != filters.Forward {
			b.Fatal("not allowed")
		}
	}
}
