package payload

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

const temperature = `{
  "type": "object",
  "properties": {"temp": {"type": "number", "minimum": -50, "maximum": 150}, "unit": {"enum": ["C", "F"]}},
  "required": ["temp"],
  "additionalProperties": false
}`

// schema compiles text.
func schema(t testing.TB, text string) *Schema {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "schema.json"), text)
	s, _, err := LoadSchema(dir, filepath.Join(dir, "schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func filter(t testing.TB, checks ...Check) *Filter {
	t.Helper()
	for i := range checks {
		if checks[i].Place == "" {
			checks[i].Place = fmt.Sprintf("payload[%d]", i)
		}
		if checks[i].inside() && checks[i].MaxSize == 0 {
			checks[i].MaxSize = 64 << 10
		}
	}
	f, err := New(checks)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// indicator is the Payload Format Indicator.
func indicator(values ...byte) (ps packets.Properties) {
	for _, v := range values {
		ps = append(ps, byte(packets.PayloadFormatIndicator), v)
	}
	return ps
}

func publish(t testing.TB, v packets.Version, qos packets.QoS, topic, payload string, ps packets.Properties, rest int) *packets.Packet {
	t.Helper()
	var id uint16
	if qos > 0 {
		id = 7
	}
	p, err := packets.Parse(packets.AppendPublish(nil, v, byte(qos)<<1, []byte(topic), id, ps, []byte(payload), rest), v, packets.Client)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func connect(t testing.TB, v packets.Version, w *packets.Will) *packets.Packet {
	t.Helper()
	p, err := packets.Parse(packets.AppendConnect(nil, v, &packets.Connect{Level: byte(v), CleanStart: true, ClientID: []byte("c"), Will: w}), 0, packets.Client)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func judge(f *Filter, v packets.Version, p *packets.Packet) filters.Verdict {
	return f.Filter(time.Time{}, &filters.Session{Version: v}, p)
}

// TestContents holds payloads to the formats. The same holds of a Will.
func TestContents(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	declared, utf8, json := Check{Format: Declared}, Check{Format: UTF8}, Check{Format: JSON}
	schema := Check{Schema: schema(t, temperature), Format: JSON}
	empty := json
	empty.AllowEmpty = true
	tests := []struct {
		name    string
		check   Check
		payload string
		ps      packets.Properties
		why     string // "": it is sound
	}{
		{"nothing is declared", declared, "\xff", nil, ""},
		{"bytes are declared", declared, "\xff", indicator(0), ""},
		{"text is declared", declared, "täg\x00", indicator(1), ""},
		{"text is declared, and is none", declared, "a\xff", indicator(1), "payload is not UTF-8"},
		{"text is declared, and a surrogate is there", declared, "\xed\xa0\x80", indicator(1), "payload is not UTF-8"},

		{"UTF-8", utf8, "täg\x00\ufeff", nil, ""},
		{"no text", utf8, "", nil, ""},
		{"Latin-1", utf8, "t\xe4g", nil, "payload is not UTF-8"},
		{"overlong", utf8, "\xc0\x80", nil, "payload is not UTF-8"},

		{"object", json, ` {"a": [1, -2.5e3, true, null, "\u00e4"]} `, nil, ""},
		{"scalar", json, "42", nil, ""},
		{"no JSON", json, "temp=42", nil, "payload is not JSON"},
		{"two values", json, "{} {}", nil, "payload is not JSON"},
		{"comma too many", json, "[1,]", nil, "payload is not JSON"},
		{"truncated", json, `{"a": 1`, nil, "payload is not JSON"},
		{"byte order mark", json, "\ufeff{}", nil, "payload is not JSON"},
		{"ill-formed string", json, "\"\xff\"", nil, "payload is not UTF-8"},
		{"empty", json, "", nil, "payload is not JSON"},
		{"empty is allowed", empty, "", nil, ""},
		{"a space is not empty", empty, " ", nil, "payload is not JSON"},
		{"name twice", json, `[{"a": 1, "b": {"a": 2}, "\u0061": 3}]`, nil, "payload is JSON with a name twice in one object"},
		{"names that differ in case", json, `{"a": 1, "A": 2}`, nil, ""},
		{"deep", json, deep(100), nil, ""},
		{"deeper", json, deep(101), nil, "payload is JSON that is nested too deeply"},
		{"large number", json, "1e400", nil, ""},
		{"larger number", json, "[1e401]", nil, "payload is JSON with a number out of range"},
		{"small number", json, `{"a": 1E-401}`, nil, "payload is JSON with a number out of range"},
		{"exponent that overflows", json, "1e99999999999999999999", nil, "payload is JSON with a number out of range"},
		{"long number", json, strings.Repeat("1", 400), nil, ""},
		{"longer number", json, strings.Repeat("1", 401), nil, "payload is JSON with a number out of range"},

		{"as the schema says", schema, `{"temp": 21.5, "unit": "C"}`, nil, ""},
		{"too warm", schema, `{"temp": 150.5}`, nil, `schema schema.json#/properties/temp/maximum fails at "/temp"`},
		{"no temperature", schema, `{"unit": "C"}`, nil, `schema schema.json#/required fails at ""`},
		{"no number", schema, `{"temp": "secret"}`, nil, `schema schema.json#/properties/temp/type fails at "/temp"`},
		{"another unit", schema, `{"temp": 1, "unit": "secret"}`, nil, `schema schema.json#/properties/unit/enum fails at "/unit"`},
		{"something more", schema, `{"temp": 1, "more": "secret"}`, nil, `schema schema.json#/additionalProperties fails at ""`},
		{"no JSON for the schema", schema, "temp=42", nil, "payload is not JSON"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.check.Topics = []string{"data/#"}
			f := filter(t, tt.check)
			v := judge(f, packets.V5, publish(t, packets.V5, 1, "data/a", tt.payload, tt.ps, 0))
			will := judge(f, packets.V5, connect(t, packets.V5, &packets.Will{Topic: []byte("data/a"), Payload: []byte(tt.payload), Props: tt.ps}))
			if tt.why == "" {
				if v.Action != filters.Forward || v.Content != filters.ContentSound || will.Action != filters.Forward {
					t.Errorf("%+v, Will %+v; want both to go on", v, will)
				}
				return
			}
			rule := "payload[0]: " + tt.why
			if v.Action != filters.Reply || string(v.Packet) != "\x40\x03\x00\x07\x99" || v.Content != filters.ContentRefused || v.Rule != rule {
				t.Errorf("%+v, want PUBACK with Payload format invalid by %q", v, rule)
			}
			if will.Action != filters.Disconnect || will.Reason != packets.PayloadFormatInvalid || will.Content != filters.ContentRefused || will.Rule != rule {
				t.Errorf("Will: %+v, want its CONNECT refused by %q", will, rule)
			}
			if strings.Contains(v.Rule, "secret") {
				t.Errorf("rule %q has a value of the payload", v.Rule)
			}
		})
	}
}

// TestTopics applies the checks whose topics match, in their order.
func TestTopics(t *testing.T) {
	f := filter(t,
		Check{Topics: []string{"data/+/temp", "other"}, Format: JSON},
		Check{Topics: []string{"data/#"}, MaxSize: 4},
		Check{Topics: []string{"#"}, Format: UTF8, Action: Report},
	)
	tests := []struct {
		topic, payload, rule string
		content              filters.Content
	}{
		{"data/a/temp", "{}", "", filters.ContentSound},
		{"data/a/temp", "a", "payload[0]: payload is not JSON", filters.ContentRefused},
		{"data/a/temp", "[1,2]", "payload[1]: payload is larger than max_size", filters.ContentRefused},
		{"data/a/temp", "a=bcd", "payload[1]: payload is larger than max_size", filters.ContentRefused}, // sizes come first
		{"data/a/b", "a=b", "", filters.ContentSound},
		{"data", "12345", "payload[1]: payload is larger than max_size", filters.ContentRefused},
		{"data/a/b", "\xff", "payload[2]: payload is not UTF-8", filters.ContentReported},
		{"data/a/temp", "\xff", "payload[0]: payload is not UTF-8", filters.ContentRefused},
		{"other", "\"a\"", "", filters.ContentSound},
		{"others", "12345", "", filters.ContentSound},
		{"$data/a", "\xff", "", filters.ContentSound},
	}
	for _, tt := range tests {
		v := judge(f, packets.V311, publish(t, packets.V311, 0, tt.topic, tt.payload, nil, 0))
		if v.Content != tt.content || v.Rule != tt.rule || (v.Action == filters.Forward) != (tt.content == filters.ContentSound || tt.content == filters.ContentReported) {
			t.Errorf("%s %q: %+v, want %q", tt.topic, tt.payload, v, tt.rule)
		}
	}
}

// TestActions gives each action its answer in every version.
func TestActions(t *testing.T) {
	for _, tt := range []struct {
		action  Action
		size    bool
		v       packets.Version
		answers [3]string
		content filters.Content
	}{
		{Refuse, false, packets.V31, [3]string{"", "\x40\x02\x00\x07", "\x50\x02\x00\x07"}, filters.ContentRefused},
		{Refuse, false, packets.V311, [3]string{"", "\x40\x02\x00\x07", "\x50\x02\x00\x07"}, filters.ContentRefused},
		{Refuse, false, packets.V5, [3]string{"", "\x40\x03\x00\x07\x99", "\x50\x03\x00\x07\x99"}, filters.ContentRefused},
		{Refuse, true, packets.V5, [3]string{"", "\x40\x03\x00\x07\x97", "\x50\x03\x00\x07\x97"}, filters.ContentRefused},
		{Drop, false, packets.V311, [3]string{"", "\x40\x02\x00\x07", "\x50\x02\x00\x07"}, filters.ContentDropped},
		{Drop, false, packets.V5, [3]string{"", "\x40\x02\x00\x07", "\x50\x02\x00\x07"}, filters.ContentDropped},
		{Drop, true, packets.V5, [3]string{"", "\x40\x02\x00\x07", "\x50\x02\x00\x07"}, filters.ContentDropped},
		{Report, true, packets.V5, [3]string{}, filters.ContentReported},
		{Report, false, packets.V311, [3]string{}, filters.ContentReported},
		{Action(9), false, packets.V5, [3]string{"", "\x40\x03\x00\x07\x99", "\x50\x03\x00\x07\x99"}, filters.ContentRefused},
	} {
		c := Check{Topics: []string{"a"}, Action: tt.action, Format: JSON}
		if tt.size {
			c = Check{Topics: []string{"a"}, Action: tt.action, MaxSize: 1}
		}
		f := filter(t, c)
		for qos, answer := range tt.answers {
			v := judge(f, tt.v, publish(t, tt.v, packets.QoS(qos), "a", "no", nil, 0))
			want := filters.Reply
			switch {
			case tt.action == Report:
				want = filters.Forward
			case qos == 0:
				want = filters.Drop
			}
			if v.Action != want || string(v.Packet) != answer || v.Content != tt.content {
				t.Errorf("action %d, size %v, MQTT %v QoS %d: %+v", tt.action, tt.size, tt.v, qos, v)
			}
		}
		v := judge(f, tt.v, connect(t, tt.v, &packets.Will{Topic: []byte("a"), Payload: []byte("no")}))
		want := packets.PayloadFormatInvalid
		if tt.size {
			want = packets.PacketTooLarge
		}
		switch {
		case tt.action == Report:
			if v.Action != filters.Forward || v.Content != filters.ContentReported {
				t.Errorf("Will, reported: %+v", v)
			}
		case v.Action != filters.Disconnect || v.Reason != want || v.Content != filters.ContentRefused || want.ConnectReturnCode() != 5:
			t.Errorf("Will, action %d: %+v", tt.action, v)
		}
	}
}

// TestOthersPass: packets without a message are not judged.
func TestOthersPass(t *testing.T) {
	f := filter(t, Check{Topics: []string{"#"}, Format: JSON})
	ping, err := packets.Parse([]byte("\xc0\x00"), packets.V5, packets.Client)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []*packets.Packet{ping, connect(t, packets.V5, nil)} {
		if v := judge(f, packets.V5, p); v.Action != filters.Forward || f.Whole(nil, p) {
			t.Errorf("%v: %+v", p.Type, v)
		}
	}
}

func TestValidate(t *testing.T) {
	tests := []struct {
		name  string
		check Check
		want  string
	}{
		{"no topics", Check{MaxSize: 1}, "topics are missing"},
		{"no filter", Check{Topics: []string{"a", "a#"}, MaxSize: 1}, `no topic filter: "a#"`},
		{"shared", Check{Topics: []string{"$share/g/a"}, MaxSize: 1}, `no topic filter: "$share/g/a"`},
		{"no size", Check{Topics: []string{"a"}, Format: Declared}, "max_size is not from 1 to 524288 bytes"},
		{"too large", Check{Topics: []string{"a"}, Schema: &Schema{}, MaxSize: MaxInside + 1}, "max_size is not from 1 to 524288 bytes"},
		{"large without looking", Check{Topics: []string{"a"}, MaxSize: 100 << 20}, ""},
		{"largest", Check{Topics: []string{"a"}, Format: JSON, MaxSize: MaxInside}, ""},
	}
	for _, tt := range tests {
		got := ""
		if _, err := New([]Check{tt.check}); err != nil {
			got = strings.TrimPrefix(err.Error(), ": ")
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestUnmatchedAllocatesNothing: what no check is about costs the comparison.
func TestUnmatchedAllocatesNothing(t *testing.T) {
	f := filter(t, Check{Topics: []string{"data/+/temp", "data/#"}, Format: JSON}, Check{Topics: []string{"a/b"}, MaxSize: 10}, Check{Topics: []string{"#"}, Format: Declared})
	s := &filters.Session{Version: packets.V5}
	for _, p := range []*packets.Packet{
		publish(t, packets.V5, 1, "other/a/temp", "\xff", indicator(0), 0),
		publish(t, packets.V5, 1, "a/b", "small", nil, 0),
	} {
		if n := testing.AllocsPerRun(100, func() { f.Filter(time.Time{}, s, p); f.Whole(s, p) }); n != 0 {
			t.Errorf("%s: %v allocations", p.Topic, n)
		}
	}
}
