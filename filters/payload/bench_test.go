package payload

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

// kibibyte is a JSON payload of 1 KiB with a schema for it.
func kibibyte() (payload, schema string) {
	var values []string
	for i := range 55 {
		values = append(values, fmt.Sprintf(`{"t": %d, "v": %d.5}`, 1_000+i, i%40))
	}
	payload = `{"device": "sensor-1", "values": [` + strings.Join(values, ",")
	payload = payload[:1<<10]
	payload = payload[:strings.LastIndex(payload, "},")+1] + "]}"
	return payload + strings.Repeat(" ", 1<<10-len(payload)), `{
  "type": "object", "required": ["device", "values"], "additionalProperties": false,
  "properties": {
    "device": {"type": "string", "pattern": "^sensor-[0-9]+$"},
    "values": {"type": "array", "items": {
      "type": "object", "required": ["t", "v"],
      "properties": {"t": {"type": "integer"}, "v": {"type": "number", "minimum": -50, "maximum": 150}}
    }}
  }
}`
}

func BenchmarkSchema(b *testing.B) {
	payload, text := kibibyte()
	for _, bm := range []struct {
		name  string
		topic string
		check Check
	}{
		{"no match", "other", Check{Topics: []string{"data/+/temp"}, Format: JSON}},
		{"size", "data/a/temp", Check{Topics: []string{"data/+/temp"}, MaxSize: 4 << 10}},
		{"utf-8", "data/a/temp", Check{Topics: []string{"data/+/temp"}, Format: UTF8}},
		{"json", "data/a/temp", Check{Topics: []string{"data/+/temp"}, Format: JSON}},
		{"schema", "data/a/temp", Check{Topics: []string{"data/+/temp"}, Format: JSON, Schema: schema(b, text)}},
	} {
		b.Run(bm.name, func(b *testing.B) {
			f := filter(b, bm.check)
			s := &filters.Session{Version: packets.V5}
			p := publish(b, packets.V5, 0, bm.topic, payload, nil, 0)
			b.ReportAllocs()
			for b.Loop() {
				if v := f.Filter(time.Time{}, s, p); v.Action != filters.Forward {
					b.Fatal(v.Rule)
				}
			}
		})
	}
}
