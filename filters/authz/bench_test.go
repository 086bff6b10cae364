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
		r.Users = Globs([]string{fmt.Sprintf("robot-%d", i)})
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

// BenchmarkRules judges PUBLISHes, each with another topic than the one before,
// by a few rules and by many: those of one client, or of a client each.
func BenchmarkRules(b *testing.B) {
	for _, n := range []int{2, 4, 8, 16, 32, 10, 1000, 100_000} {
		b.Run(fmt.Sprintf("own=%d", n), func(b *testing.B) {
			rules := make([]Rule, n)
			for i := range rules {
				rules[i] = allow(fmt.Sprintf("plant/line-%d/+/cell-%d/#", i%100, i))
			}
			benchmarkRules(b, rules, fmt.Sprintf("plant/line-%d/robot/cell-%d/temperatur", (n-1)%100, n-1))
		})
	}
	for _, n := range []int{10, 1000, 100_000} {
		b.Run(fmt.Sprintf("others=%d", n), func(b *testing.B) {
			rules := make([]Rule, n)
			for i := range rules {
				rules[i] = allow(fmt.Sprintf("plant/line-a/cell-%d/#", i))
				rules[i].Users = Globs([]string{fmt.Sprintf("robot-%d", i)})
			}
			rules[n-1].Users = Globs([]string{"bob"})
			benchmarkRules(b, rules, fmt.Sprintf("plant/line-a/cell-%d/temperatur", n-1))
		})
	}
}

func benchmarkRules(b *testing.B, rules []Rule, topic string) {
	policy := compiled(b, rules...)
	s := user("bob")
	v := policy.View(s)
	p := parse(b, publish(packets.V5, 0, topic+"e", nil), packets.V5)
	next := parse(b, publish(packets.V5, 0, topic+"f", nil), packets.V5)
	b.Run("decide", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			p, next = next, p
			if v.Filter(noon, s, p).Action != filters.Forward {
				b.Fatal("not allowed")
			}
		}
	})
	b.Run("open", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			policy.View(s)
		}
	})
}
