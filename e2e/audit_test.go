package e2e

import (
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
)

// Each security event has one line, with who, from where, what and why.
func TestAudit(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startProxy(t, settings{broker: b.address(), rules: sensorRules})
	p.refused5(t, &paho.Connect{ClientID: "nobody", CleanStart: true}, 0x87)
	p.awaitEvent(t, event{"msg": "connection refused"})
	c, _ := p.connect5(t, connection("alice"))
	c.publish(t, &paho.Publish{Topic: "system/reboot", QoS: 1, Payload: []byte(payload("now"))})
	c.publish(t, &paho.Publish{Topic: "data/1", QoS: 1, Payload: []byte(payload("1"))})
	c.subscribe(t, 1, "data/+", "system/#", "other")
	_ = c.Disconnect(&paho.Disconnect{})
	p.awaitEvent(t, event{"msg": "session ended"})

	alice := event{"client_id": "alice", "username": "alice", "method": "users"}
	for i, want := range []event{
		{"msg": "connection refused", "client_id": "nobody", "username": "", "method": "", "end": "bad_credentials", "reason": "Not authorized"},
		{"msg": "session started"},
		{"msg": "publish denied", "topic": "system/reboot", "qos": 1, "rule": "nobody reboots, authz.rules[0] (line 10)", "reason": "Not authorized"},
		{"msg": "subscribe denied", "filter": "system/#", "rule": "nobody reboots, authz.rules[0] (line 10)"},
		{"msg": "subscribe denied", "filter": "other", "rule": "no rule matches"},
		{"msg": "session ended", "end": "client_disconnect"},
	} {
		lines := p.audit(t)
		if len(lines) != 6 {
			t.Fatalf("%d lines, want 6: %v", len(lines), lines)
		}
		got := lines[i]
		if !got.has(want) || i > 0 && !got.has(alice) || !got.has(event{"level": "INFO", "listener": "mqtts", "version": "5.0"}) {
			t.Errorf("line %d is %v, want %v", i, got, want)
		}
		remote, _ := got["remote"].(string)
		at, _ := got["time"].(string)
		if _, err := time.Parse(time.RFC3339Nano, at); err != nil || !strings.HasPrefix(remote, "127.0.0.1:") {
			t.Errorf("line %d is of %q from %q", i, at, remote)
		}
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startProxy(t, settings{broker: b.address()})
	for path, want := range map[string]int{
		"/livez": http.StatusOK, "/readyz": http.StatusOK, "/metrics": http.StatusOK, "/": http.StatusNotFound, "/debug/pprof/": http.StatusNotFound,
	} {
		if code, body := p.get(t, path); code != want {
			t.Errorf("%s: %d %s, want %d", path, code, body, want)
		}
	}
	p.stop(t)
	if r, err := http.Get("http://" + p.AdminAddr().String() + "/livez"); err == nil {
		_ = r.Body.Close()
		t.Error("the admin address answers after the end")
	}
}

// What docs/operating.md tells of the metrics is there.
func TestDocumentedMetrics(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	b := startBroker(t)
	p := startProxy(t, settings{broker: b.address()})
	publish(t, p.as("alice"), "-q", "1", "-t", "a", "-m", payload("x"))
	if r := tryPublish(t, p.anyone(), "-q", "1", "-t", "a", "-m", payload("x")); r.code == 0 {
		t.Error("a client without credentials was let in")
	}
	p.awaitMetric(t, refusals("bad_credentials"), 1)
	_, body := p.get(t, "/metrics")
	names := regexp.MustCompile(`mqttward_[a-z_]+`).FindAllString(string(doc), -1)
	if len(names) < 15 {
		t.Fatalf("found only %v in the document", names)
	}
	for _, name := range names {
		if !strings.Contains(body, "# TYPE "+name+" ") {
			t.Errorf("%s is not in /metrics", name)
		}
	}
	for name := range strings.Lines(body) {
		name, _, _ = strings.Cut(strings.TrimPrefix(name, "# TYPE "), " ")
		if strings.HasPrefix(name, "mqttward_") && !strings.Contains(name, "{") && !strings.Contains(string(doc), strings.TrimSuffix(strings.TrimSuffix(name, "_sum"), "_count")) {
			t.Errorf("%s is not in the document", name)
		}
	}
}
