package aws

import (
	"testing"

	"github.com/mqttward/mqttward/filters/authz"
)

// TestControl: "*" is not the topics that administer a Mosquitto.
func TestControl(t *testing.T) {
	topic, filter := []byte("$CONTROL/dynamic-security/v1"), []byte("$CONTROL/#")
	all := view(t, document(allow("*", "*")), device("d1"))
	if all.Publish(noon, authz.Message{Topic: topic}).Allowed || all.Receive(noon, authz.Message{Topic: topic}).Allowed || all.Subscribe(noon, filter, 0).Allowed {
		t.Error("* allows to administer the broker")
	}
	if named := view(t, document(allow("Publish", "topic/$CONTROL/*")), device("d1")); !named.Publish(noon, authz.Message{Topic: topic}).Allowed {
		t.Error("denied where it is named")
	}
	if named := view(t, document(allow("Subscribe", "topicfilter/$CONTROL/*")), device("d1")); !named.Subscribe(noon, filter, 0).Allowed {
		t.Error("denied where the filter is named")
	}
}
