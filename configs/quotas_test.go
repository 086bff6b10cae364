package configs

import (
	"reflect"
	"strings"
	"testing"
)

func TestQuotas(t *testing.T) {
	c := mustParse(t, minimal+`quotas:
  - name: line-a
    users: ["plc-*"]
    groups: [line-a]
    listeners: [local]
    topics: ["line-a/#"]
    per: all
    messages: {rate: 100, burst: 200}
    bytes: {rate: 1MiB, burst: 4MiB}
    retained: {rate: 0.5, burst: 10}
    deliveries: {rate: 1000, burst: 2000}
    delivered_bytes: {rate: 4MiB, burst: 8MiB}
    action: drop
    messages_per_day: 100000
    bytes_per_day: 1GiB
    retained_messages: 1000
    retained_bytes: 10MiB
  - {name: everybody, packets: {rate: 5, burst: 6}, subscribes: {rate: 1, burst: 2}}
`)
	want := []Quota{
		{
			Name: "line-a", Users: []string{"plc-*"}, Groups: []string{"line-a"}, Listeners: []string{"local"}, Topics: []string{"line-a/#"}, Per: PerAll, Action: ActionDrop,
			Messages: Rate{100, 200}, Bytes: ByteRate{MiB, 4 * MiB}, Retained: Rate{.5, 10}, Deliveries: Rate{1000, 2000}, DeliveredBytes: ByteRate{4 * MiB, 8 * MiB},
			MessagesPerDay: 100_000, BytesPerDay: GiB, RetainedMessages: 1000, RetainedBytes: 10 * MiB,
		},
		{Name: "everybody", Per: PerClient, Action: ActionDelay, Packets: Rate{5, 6}, Subscribes: Rate{1, 2}},
	}
	if !reflect.DeepEqual(c.Quotas, want) {
		t.Errorf("%+v, want %+v", c.Quotas, want)
	}
}

func TestQuotaMistakes(t *testing.T) {
	for _, tt := range []struct{ name, quota, want string }{
		{"no name", "{packets: {rate: 1, burst: 1}}", "quotas[0].name: is required"},
		{"odd name", "{name: a b, packets: {rate: 1, burst: 1}}", `quotas[0].name: wants up to 64 letters, digits, dots, dashes and underscores, not "a b"`},
		{"twice", "{name: a, packets: {rate: 1, burst: 1}}, {name: a, packets: {rate: 1, burst: 1}}", `quotas[1].name: "a" is the name of quotas[0] too`},
		{"nothing", "{name: a, users: [u]}", "quotas[0]: limits nothing: give packets, messages, bytes, subscribes, retained, deliveries, delivered_bytes, messages_per_day, bytes_per_day, retained_messages or retained_bytes"},
		{"nothing that is not 0", "{name: a, messages: 0, retained_messages: 0}", "quotas[0]: limits nothing: give packets, messages, bytes, subscribes, retained, deliveries, delivered_bytes, messages_per_day, bytes_per_day, retained_messages or retained_bytes"},
		{"misspelt", "{name: a, mesages: {rate: 1, burst: 1}}", `quotas[0].mesages: unknown key; did you mean "messages"?`},
		{"no burst", "{name: a, messages: {rate: 1}}", "quotas[0].messages.burst: is required, and 0 would let nothing pass"},
		{"burst of 0", "{name: a, delivered_bytes: {rate: 1, burst: 0}}", "quotas[0].delivered_bytes.burst: is required, and 0 would let nothing pass"},
		{"no rate", "{name: a, bytes: {burst: 1}}", "quotas[0].bytes.rate: is required with burst, and 0 would be no limit"},
		{"no users", "{name: a, users: [], messages: {rate: 1, burst: 1}}", "quotas[0].users: is an empty list: remove the key, or the quota"},
		{"no topics", "{name: a, topics: [], messages: {rate: 1, burst: 1}}", "quotas[0].topics: is an empty list: remove the key, or the quota"},
		{"no such listener", `{name: a, listeners: ["*", loacl], messages: {rate: 1, burst: 1}}`, `quotas[0].listeners[1]: no listener has the name "loacl"; did you mean "local"?`},
		{"packets to topics", "{name: a, topics: [a], packets: {rate: 1, burst: 1}}", "quotas[0].packets: counts more than messages: it cannot stand beside topics"},
		{"subscriptions to topics", "{name: a, topics: [a], subscribes: {rate: 1, burst: 1}}", "quotas[0].subscribes: counts more than messages: it cannot stand beside topics"},
		{"dropped packets", "{name: a, action: drop, packets: {rate: 1, burst: 1}}", "quotas[0].action: drop: MQTT has no answer that refuses any packet; packets wants delay or disconnect"},
		{"a SUBSCRIBE that never passes", "{name: a, action: drop, subscribes: {rate: 1, burst: 15}}", "quotas[0].subscribes.burst: is smaller than limits.max_filters_per_subscribe: with action drop, a SUBSCRIBE of so many filters never passes"},
		{"a day shorter than a burst", "{name: a, messages: {rate: 1, burst: 11}, messages_per_day: 10}", "quotas[0].messages_per_day: is less than the burst of messages: that could never be reached"},
		{"as many bytes", "{name: a, bytes: {rate: 1, burst: 11}, bytes_per_day: 10}", "quotas[0].bytes_per_day: is less than the burst of bytes: that could never be reached"},
		{"sharing", "{name: a, per: group, messages: {rate: 1, burst: 1}}", `quotas[0].per: wants client, user or all, not "group"`},
		{"action", "{name: a, action: refuse, messages: {rate: 1, burst: 1}}", `quotas[0].action: wants delay, drop or disconnect, not "refuse"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parse(t, minimal+"quotas: ["+tt.quota+"]\n")
			if err == nil || err.Error() != "mqttward.yaml:5: "+tt.want {
				t.Errorf("error %q, want %q", err, tt.want)
			}
		})
	}
}

// TestRatesOfClients: every message is a packet. What was left out gives way.
func TestRatesOfClients(t *testing.T) {
	for _, tt := range []struct {
		limits            string
		messages, packets PublishRate
		want              string // the mistake; "": none
	}{
		{"", PublishRate{100, 200, "delay"}, PublishRate{500, 1000, "delay"}, ""},
		{"publish_rate: {rate: 20, burst: 100}", PublishRate{20, 100, "delay"}, PublishRate{500, 1000, "delay"}, ""},
		{"publish_rate: {rate: 200, burst: 300}", PublishRate{200, 300, "delay"}, PublishRate{1000, 1500, "delay"}, ""},
		{"publish_rate: {rate: 200, burst: 300}, packet_rate: {burst: 9, action: disconnect}", PublishRate{200, 300, "delay"}, PublishRate{1000, 9, "disconnect"}, ""},
		{"publish_rate: 0", PublishRate{0, 0, "delay"}, PublishRate{0, 0, "delay"}, ""},
		{"publish_rate: 0, packet_rate: {rate: 50}", PublishRate{0, 0, "delay"}, PublishRate{50, 1000, "delay"}, ""},
		{"packet_rate: {rate: 50}", PublishRate{50, 200, "delay"}, PublishRate{50, 1000, "delay"}, ""},
		{"packet_rate: 0", PublishRate{100, 200, "delay"}, PublishRate{0, 0, "delay"}, ""},
		{"packet_rate: {rate: 50}, publish_rate: {rate: 50}", PublishRate{50, 200, "delay"}, PublishRate{50, 1000, "delay"}, ""},
		{"packet_rate: {rate: 50}, publish_rate: {rate: 51}", PublishRate{}, PublishRate{}, "limits.publish_rate.rate: is more than packet_rate, which counts every message too: it could never be reached"},
		{"packet_rate: {action: drop}", PublishRate{}, PublishRate{}, "limits.packet_rate.action: drop: MQTT has no answer that refuses any packet; wants delay or disconnect"},
		{"packet_rate: {burst: 0}", PublishRate{}, PublishRate{}, "limits.packet_rate.burst: 0 would let nothing pass; rate: 0 means no limit"},
		{"subscribe_rate: {burst: 0}", PublishRate{}, PublishRate{}, "limits.subscribe_rate.burst: 0 would let nothing pass; rate: 0 means no limit"},
		{"subscribe_rate: {burst: 15, action: drop}", PublishRate{}, PublishRate{}, "limits.subscribe_rate.burst: is smaller than max_filters_per_subscribe: with action drop, a SUBSCRIBE of so many filters never passes"},
		{"max_filters_per_subscribe: 0, subscribe_rate: {action: disconnect}", PublishRate{}, PublishRate{}, "limits.subscribe_rate.burst: is smaller than max_filters_per_subscribe: with action disconnect, a SUBSCRIBE of so many filters never passes"},
	} {
		c, err := parse(t, minimal+"limits: {"+tt.limits+"}\n")
		switch {
		case tt.want != "":
			if err == nil || !strings.HasSuffix(err.Error(), ": "+tt.want) {
				t.Errorf("%s: error %v, want %q", tt.limits, err, tt.want)
			}
		case err != nil || c.Limits.PublishRate != tt.messages || c.Limits.PacketRate != tt.packets:
			t.Errorf("%s: %+v, %+v, %v", tt.limits, c.Limits.PublishRate, c.Limits.PacketRate, err)
		}
	}
}

// TestNeverPass warns of messages that are allowed and find no room.
func TestNeverPass(t *testing.T) {
	for text, want := range map[string]string{
		"limits: {publish_bytes: {burst: 1KiB, action: drop}}":                         "limits.publish_bytes: messages larger than 1024 bytes never pass",
		"limits: {publish_bytes: {rate: 1KiB, burst: 10KiB}}":                          "limits.publish_bytes: messages larger than 40960 bytes never pass",
		"limits: {publish_bytes: {rate: 8KiB, burst: 16KiB}}":                          "",
		"limits: {publish_bytes: {rate: 1024GiB, burst: 1MiB}, max_packet_size: 1MiB}": "",
		"quotas: [{name: a, bytes: {rate: 1KiB, burst: 1KiB}}]":                        "quotas[0].bytes: messages larger than 31744 bytes never pass",
		"quotas: [{name: a, delivered_bytes: {rate: 1, burst: 9}, action: drop}]":      "quotas[0].delivered_bytes: messages larger than 9 bytes never pass",
		"quotas: [{name: a, bytes_per_day: 9}]":                                        "quotas[0].bytes_per_day: messages larger than 9 bytes never pass",
		"quotas: [{name: a, bytes_per_day: 256KiB, messages: {rate: 1, burst: 1}}]":    "",
	} {
		var found []string
		for _, w := range mustParse(t, minimal+text+"\n").Warnings() {
			if strings.Contains(w, "never pass") {
				found = append(found, w)
			}
		}
		if len(found) > 1 || (want == "") != (len(found) == 0) || want != "" && !strings.Contains(found[0], want) {
			t.Errorf("%s: warnings %q, want %q", text, found, want)
		}
	}
}
