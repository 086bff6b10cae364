package configs

import "testing"

// TestSubscribeDefault: subscriptions are granted as Mosquitto does where its
// acl_file decides, and nothing that decides about them.
func TestSubscribeDefault(t *testing.T) {
	for text, want := range map[string]string{
		``:                                     SubscribeDeny,
		`{type: rules}`:                        SubscribeDeny,
		`{type: emqx_acl}`:                     SubscribeDeny,
		`{type: mosquitto_acl}`:                SubscribeFilter,
		`{type: rules}, {type: mosquitto_acl}`: SubscribeFilter,
		`{type: mosquitto_acl}, {type: mosquitto_dynsec}`:     SubscribeDeny,
		`{type: aws_iot}, {type: mosquitto_acl}`:              SubscribeDeny,
		`{type: mosquitto_acl}], subscribe: deny, rules: [{}`: SubscribeDeny,
	} {
		c, _ := Parse([]byte("authz: {files: ["+text+"]}"), "mqttward.yaml") // much is missing
		if c.Authz.Subscribe != want || c.Authz.Mode != ModeEnforce {
			t.Errorf("%s: subscribe %s, mode %s", text, c.Authz.Subscribe, c.Authz.Mode)
		}
	}
}
