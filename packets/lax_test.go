package packets

import (
	"testing"
)

// TestLax: what a Reader can be lax about is refused by a strict one, named, and
// let through by one that is lax about just that.
func TestLax(t *testing.T) {
	tests := []struct {
		name  string
		c     connection
		wire  string
		check Check
		soft  bool
	}{
		{"length in too many bytes", connection{V311, Client}, `c0 8000`, CheckLength, true},
		{"length of five bytes", connection{V311, Client}, `c0 8080808000`, CheckLength, false},
		{"reserved flags", connection{V311, Client}, `80 * 0001 "a" 00`, CheckFlags, true},
		{"DUP with QoS 0", connection{V311, Client}, `38 * "a"`, CheckFlags, true},
		{"QoS 3", connection{V311, Client}, `36 * "a" 0001`, CheckFlags, false},
		{"bytes behind the last field", connection{V311, Client}, `c0 01 00`, CheckBody, true},
		{"acknowledgement of 3.1.1 with a code", connection{V311, Client}, `40 03 0001 00`, CheckBody, true},
		{"a field is cut", connection{V311, Client}, `40 01 00`, CheckBody, false},
		{"reserved Connect Flag", connection{0, Client}, `10 * "MQTT" 04 03 003c "c"`, CheckConnect, true},
		{"Will Retain without a Will", connection{0, Client}, `10 * "MQTT" 04 22 003c "c"`, CheckConnect, true},
		{"password without user name", connection{0, Client}, `10 * "MQTT" 04 42 003c "c" "p"`, CheckConnect, true},
		{"second CONNECT", connection{V311, Client}, `10 * "MQTT" 04 02 003c "c"`, CheckConnect, false},
		{"ill-formed client identifier", connection{0, Client}, `10 * "MQTT" 04 02 003c "\xff"`, CheckUTF8, true},
		{"ill-formed topic", connection{V311, Client}, `30 * "\xff"`, CheckUTF8, true},
		{"ill-formed filter", connection{V311, Client}, `82 * 0001 "\xff" 00`, CheckUTF8, true},
		{"ill-formed property", connection{V5, Client}, `30 * "a" {03 "\xff"}`, CheckUTF8, true},
		{"NUL in a topic", connection{V311, Client}, `30 * "a\x00b"`, CheckUTF8, false},
		{"wildcard in a topic", connection{V311, Client}, `30 * "a/+"`, CheckTopic, false},
		{"Topic Alias 0", connection{V5, Client}, `30 * "a" {23 0000}`, CheckTopic, false},
		{"Will to a wildcard", connection{0, Client}, `10 * "MQTT" 04 06 003c "c" "a/#" "x"`, CheckWill, false},
		{"reserved options", connection{V311, Client}, `82 * 0001 "a" 40`, CheckFilter, true},
		{"No Local on a shared subscription", connection{V5, Client}, `82 * 0001 {} "$share/g/a" 04`, CheckFilter, true},
		{"no filter", connection{V311, Client}, `82 * 0001`, CheckFilter, false},
		{"misplaced wildcard", connection{V311, Client}, `82 * 0001 "a#" 00`, CheckFilter, false},
		{"property twice", connection{V5, Client}, `30 * "a" {01 01 01 01}`, CheckProperties, false},
		{"property out of place", connection{V5, Client}, `30 * "a" {0b 01}`, CheckProperties, true},
		{"property out of range", connection{V5, Client}, `30 * "a" {01 02}`, CheckProperties, true},
		{"unknown property", connection{V5, Client}, `30 * "a" {7f 00}`, CheckProperties, false},
		{"code of another packet", connection{V5, Client}, `40 03 0001 92`, CheckProperties, true},
		{"type of the other end", connection{V311, Client}, `20 02 0000`, CheckDirection, false},
		{"Packet Identifier 0", connection{V311, Client}, `40 02 0000`, CheckFlow, false},
		{"not CONNECT", connection{0, Client}, `30 * "a"`, CheckFirstPacket, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := wire(tt.wire)
			_, err := tt.c.parse(b)
			e, ok := err.(*Error)
			if !ok || e.Check != tt.check {
				t.Fatalf("strictly: %v, want one of %v", err, tt.check)
			}
			only := Checks(0).With(tt.check)
			p, err := parse(b, tt.c.v, tt.c.from, only)
			if (err == nil) != tt.soft {
				t.Fatalf("lax about %v: %v", tt.check, err)
			}
			if _, err := parse(b, tt.c.v, tt.c.from, ^only); err == nil {
				t.Errorf("lax about all but %v, it passes", tt.check)
			}
			if err != nil {
				return
			}
			if p.Broken != only || len(p.Raw) != len(b) {
				t.Errorf("broken %b, want %b; Raw % x", p.Broken, only, p.Raw)
			}
			again, err := p.Reparse(b, tt.c.from)
			if err != nil || again.Broken != only {
				t.Errorf("parsed again: %v", err)
			}
			if p.Type == CONNECT {
				if _, err := p.Connect(); err != nil {
					t.Errorf("Connect: %v", err)
				}
			}
		})
	}
}

func TestChecks(t *testing.T) {
	for c := Check(1); c < NumChecks; c++ {
		if got, ok := ParseCheck(c.String()); !ok || got != c {
			t.Errorf("%v is read as %v, %v", c, got, ok)
		}
	}
	for _, text := range []string{"", "C", "C0", "C29", "c1", "C1 ", "3"} {
		if c, ok := ParseCheck(text); ok {
			t.Errorf("%q is %v", text, c)
		}
	}
}

// TestErrorsHaveChecks: an error that names no check would be counted nowhere.
func TestErrorsHaveChecks(t *testing.T) {
	for _, b := range [][]byte{{0xf0}, {0x10, 1, 0}, {0x10, 6, 0, 4, 'M', 'Q', 'T', 'X'}} {
		_, err := Parse(b, 0, Client)
		if e, ok := err.(*Error); !ok || e.Check == 0 {
			t.Errorf("% x: %v has no check", b, err)
		}
	}
}
