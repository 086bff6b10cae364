package filters

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/mqttward/mqttward/packets"
)

// TestNarrowRefuses: what is not narrower, not a filter, nothing or too much.
func TestNarrowRefuses(t *testing.T) {
	many := func(n int) (list []string) {
		for i := range n {
			list = append(list, strconv.Itoa(i))
		}
		return list
	}
	long := strings.Repeat("x", 40000)
	for _, tt := range []struct {
		name, filter string
		parts        []string
		most         int // bytes of a packet for the broker
		rule         string
		reason       packets.ReasonCode
	}{
		{"nothing", "#", []string{}, 0, "narrowed to nothing", packets.NotAuthorized},
		{"wider", "a/+", []string{"a/b", "a/#"}, 0, "narrowed to what was not asked for", packets.ImplementationSpecificError},
		{"$", "#", []string{"$SYS/#"}, 0, "narrowed to what was not asked for", packets.ImplementationSpecificError},
		{"another group", "$share/g/#", []string{"$share/h/a"}, 0, "narrowed to what was not asked for", packets.ImplementationSpecificError},
		{"no group", "$share/g/#", []string{"a"}, 0, "narrowed to what was not asked for", packets.ImplementationSpecificError},
		{"no filter", "#", []string{"a#"}, 0, "narrowed to what was not asked for", packets.ImplementationSpecificError},
		{"65", "#", many(65), 0, "narrowed to more than 64 filters", packets.QuotaExceeded},
		{"64", "#", many(64), 0, "", 0},
		{"too long", "#", []string{"a/" + long, "b/" + long}, 0, "narrowed to more than goes into one packet", packets.QuotaExceeded},
		{"not too long", "#", []string{"a/" + long}, 0, "", 0},
		{"for the broker", "#", many(20), 90, "narrowed to more than goes into one packet", packets.QuotaExceeded},
		{"not for the broker", "#", many(20), 100, "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, _ := newNarrowTalk(t, packets.V5, map[string][]string{tt.filter: tt.parts})
			c.s.Terms.PacketMaximum = tt.most
			got := c.up.JudgeUp(timeZero, c.s, parse(t, subscribe(packets.V5, 1, tt.filter), packets.V5, packets.Client))
			if j := got.Filters[0]; j.Rule != tt.rule || j.Reason != tt.reason || (got.Action == Reply) != (tt.rule != "") {
				t.Errorf("%+v", got)
			}
			if tt.most > 0 && len(got.Packet) > tt.most {
				t.Errorf("%d bytes for a broker that takes %d", len(got.Packet), tt.most)
			}
		})
	}
}

// TestNarrowPacket bounds the parts of all filters of one packet.
func TestNarrowPacket(t *testing.T) {
	const v = packets.V5
	parts, filters := map[string][]string{}, []string{}
	for i := range 17 {
		name := strconv.Itoa(i) + "/#"
		filters = append(filters, name)
		for j := range 64 {
			parts[name] = append(parts[name], strconv.Itoa(i)+"/"+strconv.Itoa(j))
		}
	}
	c, _ := newNarrowTalk(t, v, parts)
	got := c.up.JudgeUp(timeZero, c.s, parse(t, subscribe(v, 1, filters...), v, packets.Client))
	if len(c.s.Subscriptions()) != 1024 || got.Filters[16].Reason != packets.QuotaExceeded || c.s.waiting != 1024 {
		t.Errorf("%d filters, %d waiting, %+v", len(c.s.Subscriptions()), c.s.waiting, got.Filters[16])
	}
	c.broker("granted", suback(v, 1, make([]packets.ReasonCode, 1024)...), Rewrite, suback(v, 1, append(make([]packets.ReasonCode, 16), 0x97)...))
	c.s.Terms.PacketMaximum = 200
	back := c.up.JudgeUp(timeZero, c.s, parse(t, unsubscribe(v, 1, filters[:16]...), v, packets.Client))
	if back.Action != Reply || len(c.s.subscriptions.unsent) != 1024 {
		t.Errorf("what does not fit into the broker's packets goes in packets of ours: %+v", back)
	}
	sent := 0
	for b := c.s.Settle(timeZero); len(b) > 0; {
		n := 2 // bytes of header, for a Remaining Length of two
		size := int(b[1])
		if size >= 0x80 {
			size = size&0x7f + int(b[2])<<7
			n = 3
		}
		if n+size > 200 {
			t.Fatalf("an UNSUBSCRIBE of %d bytes", n+size)
		}
		for range parse(t, b[:n+size], v, packets.Client).Subscriptions() {
			sent++
		}
		b = b[n+size:]
	}
	if sent != 1024 {
		t.Errorf("%d of 1024 are unsubscribed from", sent)
	}
}

// TestWidest: a filter within another one would only bring messages twice.
func TestWidest(t *testing.T) {
	got := widest([]string{"a/b", "a/+", "c", "+/#", "#", "c", "$SYS/a", "$SYS/+", "$share/g/a"})
	if want := []string{"+/#", "$SYS/+", "$share/g/a"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	c, _ := newNarrowTalk(t, packets.V311, map[string][]string{"a/+": {"a/b", "a/+"}})
	c.client("what is narrowed to itself goes on as it came", subscribe(packets.V311, 1, "a/+"), Forward, nil)
}
