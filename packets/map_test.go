package packets

import (
	"bytes"
	"testing"
)

// TestMap: one property is changed or left out, the others stay as they are and where
// they are.
func TestMap(t *testing.T) {
	before := Properties(nil).With(ContentType, []byte("text")).WithUser("k", "v")
	behind := Properties{byte(MessageExpiryInterval), 0, 0, 0, 9, byte(SubscriptionIdentifier), 0x80, 1}
	with := func(topic string) Properties {
		return append(append(bytes.Clone(before), Properties(nil).With(ResponseTopic, []byte(topic))...), behind...)
	}
	none := append(bytes.Clone(before), behind...)
	prefix := func(v []byte) ([]byte, bool) { return append([]byte("t/"), v...), string(v) != "gone" }
	for _, tt := range []struct {
		name     string
		ps, want Properties
	}{
		{"changed", with("a"), with("t/a")},
		{"left out", with("gone"), none},
		{"not there", none, none},
		{"empty", nil, nil},
		{"cut off", with("a")[:len(before)+3], before},
	} {
		if got := tt.ps.Map(nil, ResponseTopic, prefix); !bytes.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
		if got := tt.ps.Map(Properties("x"), ResponseTopic, prefix); !bytes.Equal(got, append(Properties("x"), tt.want...)) {
			t.Errorf("%s: not appended: %q", tt.name, got)
		}
	}
	room, ps := make(Properties, 0, 100), with("a")
	same := func(v []byte) ([]byte, bool) { return v, true }
	if n := testing.AllocsPerRun(10, func() { room = ps.Map(room[:0], ResponseTopic, same) }); n != 0 || !bytes.Equal(room, ps) {
		t.Errorf("%v allocations for %q", n, room)
	}
}
