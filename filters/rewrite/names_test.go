package rewrite_test

import (
	"testing"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/payload"
	"github.com/mqttward/mqttward/filters/rewrite"
	"github.com/mqttward/mqttward/packets"
)

func TestPrefixes(t *testing.T) {
	for _, tt := range []struct {
		topic, clientID string
		ok              bool
	}{
		{"${tenant}/", "${tenant}-", true},
		{"x/${tenant}/${group}/", "", true},
		{"${tenant}", "", false},
		{"${clientid}/", "", false},
		{"${ip}/", "", false},
		{"$x/${tenant}/", "", false},
		{"${tenant}/+/", "", false},
		{"${tenant}${group}/", "", false},
		{"", "${tenant}", false},
		{"", "${tenant}/", false},
		{"", "${tenant}x${group}-", false},
		{"", "$${tenant}-", false},
		{"", "${tenant}+-", false},
		{"", "${clientid}-", false},
		{"${$}x/${tenant}/", "", false},
		{"${nobody}/", "", false},
		{"\x00${tenant}/", "", false},
		{"\xff${tenant}/", "", false},
		{"\ue000${tenant}/", "", false},
	} {
		_, topicErr, idErr := rewrite.NewNamespaces(tt.topic, tt.clientID)
		if (topicErr == nil && idErr == nil) != tt.ok {
			t.Errorf("%q %q: %v, %v", tt.topic, tt.clientID, topicErr, idErr)
		}
	}
}

func TestTenantValues(t *testing.T) {
	n, _, _ := rewrite.NewNamespaces("${tenant}/", "${tenant}-")
	for tenant, ok := range map[string]bool{"acme": true, "": false, "a/b": false, "+": false, "#": false, "a\x00": false, "a\n": false, "$a": false, "a-b": false} {
		if _, err := n.Of(&filters.Session{Identity: filters.Identity{Tenant: tenant}}); (err == nil) != ok {
			t.Errorf("%q: %v", tenant, err)
		}
	}
}

// TestWholeByBrokerName: a check of payloads is asked by the name that it judges.
func TestWholeByBrokerName(t *testing.T) {
	n, _, _ := rewrite.NewNamespaces("${tenant}/", "")
	f, err := payload.New([]payload.Check{{Topics: []string{"acme/json"}, Format: payload.JSON, MaxSize: 1000}})
	if err != nil {
		t.Fatal(err)
	}
	s := &filters.Session{Version: packets.V5, Namespace: filters.Namespace{Topics: "acme/"}}
	chain := filters.Chain{n.Up(), f}.Open(s)
	for topic, want := range map[string]filters.Action{"json": filters.Gather, "acme/json": filters.Rewrite} {
		p, err := packets.Parse(packets.AppendPublish(nil, packets.V5, 0, []byte(topic), 0, nil, nil, 100), packets.V5, packets.Client)
		if err != nil {
			t.Fatal(err)
		}
		if v := chain.JudgeUp(time.Time{}, s, p); v.Action != want || string(p.Topic) != topic {
			t.Errorf("%s: %+v, want %d", topic, v, want)
		}
	}
}
