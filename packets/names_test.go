package packets

import (
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	for name, want := range map[string]string{
		CONNECT.String():    "CONNECT",
		AUTH.String():       "AUTH",
		Type(0).String():    "RESERVED",
		Type(16).String():   "type 16",
		V31.String():        "3.1",
		V311.String():       "3.1.1",
		V5.String():         "5.0",
		Version(6).String(): "level 6",
		Success.String():    "Success",
		WildcardSubscriptionsNotSupported.String(): "Wildcard Subscriptions not supported",
		ReasonCode(0x7f).String():                  "reason code 127",
		errQoS3.Error():                            "PUBLISH has QoS 3 [MQTT-3.3.1-4]",
		(&Error{Msg: "why"}).Error():               "why",
	} {
		if name != want {
			t.Errorf("%q, want %q", name, want)
		}
	}
}

// TestReasonNames shows that every Reason Code that a packet may carry has a
// name.
func TestReasonNames(t *testing.T) {
	for i := range reasonRules {
		for code := range 256 {
			rule, rc := &reasonRules[i], ReasonCode(code)
			if (rule.client.has(rc) || rule.server.has(rc)) && strings.HasPrefix(rc.String(), "reason code") {
				t.Errorf("%v: code %#x has no name", Type(i), code)
			}
		}
	}
}
