package e2e

import (
	"testing"
)

// Two tenants at one Mosquitto use the same client identifier and the same topics.
func TestTenancy(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startProxy(t, settings{broker: b.address(), more: "rewrite: {topic_prefix: \"${username}/\", client_id_prefix: \"${username}-\"}\n"})
	want := map[string][]string{"311": {"line/311"}, "5": {"kept/311", "line/5"}}
	for _, version := range []string{"311", "5"} {
		alice := subscribe(t, p.as("alice"), "-V", version, "-i", "dev"+version, "-q", "1", "-t", "#")
		bob := subscribe(t, p.as("bob"), "-V", version, "-i", "dev"+version, "-q", "1", "-t", "#")
		topic := "line/" + version
		publish(t, p.as("alice"), "-V", version, "-q", "1", "-t", topic, "-m", payload("alice's"))
		publish(t, p.as("bob"), "-V", version, "-q", "1", "-t", topic, "-m", payload("bob's"))
		alice.await(t, line(topic, 1, false, payload("alice's")))
		bob.await(t, line(topic, 1, false, payload("bob's")))
		for name, s := range map[string]*process{"alice": alice, "bob": bob} {
			equal(t, name+"'s messages", messages(s.out.String()), want[version])
		}
		b.out.await(t, "alice-dev"+version, 1)
		publish(t, p.as("bob"), "-V", version, "-q", "1", "-r", "-t", "kept/"+version, "-m", payload("bob's"))
		publish(t, p.as("alice"), "-V", version, "-q", "1", "-r", "-t", "kept/"+version, "-m", payload("alice's"))
		late := subscribe(t, p.as("alice"), "-V", version, "-q", "1", "-t", "kept/"+version)
		late.await(t, line("kept/"+version, 1, true, payload("alice's")))
		equal(t, "retained", messages(late.out.String()), []string{"kept/" + version})
	}
}
