package authz

import (
	"testing"

	"github.com/mqttward/mqttward/filters"
)

// TestConnectLiteral: to a client identifier no character means more.
func TestConnectLiteral(t *testing.T) {
	for _, id := range []string{"c1", "a+b", "#c", "+", "$share/g/x", "$x", "a/b", "*", "${clientid}"} {
		own := Rule{Connect: true, Topics: []Topic{{Pattern: filters.Escape(id), Kind: Literal}}}
		others := Rule{Connect: true, Deny: true, Topics: []Topic{{Kind: Every}}}
		v := compiled(t, own, others).View(user("bob"))
		for _, other := range []string{id, "x", "g/x", "ac", "cc", "c1 "} {
			if d := v.Connect(noon, other, false); d.Allowed != (other == id) {
				t.Errorf("only %q may connect, and %q gets %+v", id, other, d)
			}
		}
	}
}
