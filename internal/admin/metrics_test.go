package admin_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/mqttward/mqttward/internal/admin"
)

// exercise makes every method count something.
func exercise(m *admin.Metrics) {
	m.Opened("mqtts")
	m.Opened("mqtts")
	m.Opened("plain")
	m.Closed()
	m.Ended("client_gone")
	m.Refused("not_mqtt")
	m.Handshake("ok", 0.003)
	m.Handshake("resumed", 0.0004)
	m.Handshake("failed", 9)
	m.Authenticated("users", "accepted")
	m.Authenticated("users", "refused")
	m.Decided("publish", "allowed", 40)
	m.Decided("publish", "denied", 2)
	m.Decided("subscribe", "denied", 3)
	m.Traffic("up", 42, 4200)
	m.Traffic("down", 7, 70)
	m.Reloaded(true)
	m.Reloaded(false)
}

func scrape(t *testing.T, m *admin.Metrics) string {
	t.Helper()
	url := start(t, admin.Options{Metrics: m, Ready: isReady})
	got := ask(t, http.MethodGet, url+"/metrics")
	if got.status != http.StatusOK {
		t.Fatalf("scrape: %d %s", got.status, got.body)
	}
	return got.body
}

func TestSeries(t *testing.T) {
	m := admin.NewMetrics(admin.Build{Version: "v1.2.3", Commit: "abc"})
	exercise(m)
	body := scrape(t, m)
	for _, want := range []string{
		`mqttward_connections 2`,
		`mqttward_connections_total{listener="mqtts"} 2`,
		`mqttward_connections_total{listener="plain"} 1`,
		`mqttward_sessions_ended_total{reason="client_gone"} 1`,
		`mqttward_refusals_total{reason="not_mqtt"} 1`,
		`mqttward_handshakes_total{outcome="ok"} 1`,
		`mqttward_handshakes_total{outcome="resumed"} 1`,
		`mqttward_handshakes_total{outcome="failed"} 1`,
		`mqttward_handshake_seconds_count 2`,
		`mqttward_handshake_seconds_bucket{le="0.001"} 1`,
		`mqttward_authentications_total{method="users",outcome="accepted"} 1`,
		`mqttward_authentications_total{method="users",outcome="refused"} 1`,
		`mqttward_decisions_total{action="publish",outcome="allowed"} 40`,
		`mqttward_decisions_total{action="publish",outcome="denied"} 2`,
		`mqttward_decisions_total{action="subscribe",outcome="denied"} 3`,
		`mqttward_decisions_total{action="will",outcome="denied"} 0`,
		`mqttward_packets_total{direction="up"} 42`,
		`mqttward_packets_total{direction="down"} 7`,
		`mqttward_bytes_total{direction="up"} 4200`,
		`mqttward_bytes_total{direction="down"} 70`,
		`mqttward_reloads_total{outcome="success"} 1`,
		`mqttward_reloads_total{outcome="failure"} 1`,
		`mqttward_last_reload_success 0`,
	} {
		if !strings.Contains(body, "\n"+want+"\n") {
			t.Errorf("the scrape lacks %s", want)
		}
	}
	for _, want := range []string{
		"\nmqttward_last_reload_timestamp_seconds 1.",
		"\n" + `mqttward_build_info{commit="abc",goversion="go1.`,
		"\ngo_goroutines ",
		"\nprocess_open_fds ",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the scrape lacks %q", want)
		}
	}
}

func TestReloadAfterFailure(t *testing.T) {
	m := admin.NewMetrics(admin.Build{})
	if body := scrape(t, m); !strings.Contains(body, "\nmqttward_last_reload_success 1\n") {
		t.Error("a proxy that has started does not say that its configuration loaded")
	}
	m.Reloaded(false)
	m.Reloaded(true)
	if body := scrape(t, m); !strings.Contains(body, "\nmqttward_last_reload_success 1\n") {
		t.Error("a reload that succeeds does not clear the failure before it")
	}
}

// TestLint holds the names, units and help texts to Prometheus's own rules.
func TestLint(t *testing.T) {
	m := admin.NewMetrics(admin.Build{Version: "v1.2.3", Commit: "abc"})
	exercise(m)
	problems, err := promlint.New(strings.NewReader(scrape(t, m))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestLabelValuesAreBounded(t *testing.T) {
	m := admin.NewMetrics(admin.Build{})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i := range 500 {
				m.Refused(fmt.Sprintf("reason %d", i))
				m.Authenticated(fmt.Sprintf("method %d", i), "accepted")
			}
		})
	}
	all.Wait()
	m.Refused("not UTF-8: \xff")

	body := scrape(t, m)
	for name, overflow := range map[string]string{
		"mqttward_refusals_total":        `mqttward_refusals_total{reason="other"} 1745`, // 4*(500-64) + 1
		"mqttward_authentications_total": `mqttward_authentications_total{method="other",outcome="other"} 1744`,
	} {
		if n := strings.Count(body, "\n"+name+"{"); n != 65 {
			t.Errorf("%s has %d series, want 64 and one for the others", name, n)
		}
		if !strings.Contains(body, "\n"+overflow+"\n") {
			t.Errorf("the scrape lacks %s", overflow)
		}
	}
}

func TestCountingDoesNotAllocate(t *testing.T) {
	m := admin.NewMetrics(admin.Build{})
	exercise(m) // every label value has been seen
	m.Handshake("ok", 1)
	if n := testing.AllocsPerRun(100, func() { exercise(m) }); n != 0 {
		t.Errorf("%v allocations a run, want none", n)
	}
}

func BenchmarkDecided(b *testing.B) {
	m := admin.NewMetrics(admin.Build{})
	b.ReportAllocs()
	for b.Loop() {
		m.Decided("publish", "allowed", 1)
	}
}

func BenchmarkTraffic(b *testing.B) {
	m := admin.NewMetrics(admin.Build{})
	b.ReportAllocs()
	for b.Loop() {
		m.Traffic("up", 16, 1024)
	}
}
