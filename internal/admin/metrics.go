package admin

import (
	"net/http"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// handshakeBuckets are seconds: a resumed handshake on a local network at one
// end, the default handshake deadline at the other.
var handshakeBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// maxScrapes bounds the scrapes in progress: each holds every series once.
const maxScrapes = 4

// Metrics counts what the proxy does, for Prometheus. Its methods may be
// called from any goroutine, allocate nothing and take no lock once a label
// value has been seen. Nothing a peer chooses becomes a label: no client id,
// no topic, no user name.
type Metrics struct {
	registry *prometheus.Registry

	connections prometheus.Gauge
	opened      *family // listener
	ended       *family // reason
	refused     *family // reason

	handshakes       *family // outcome
	handshakeSeconds prometheus.Histogram

	authentications *family // method, outcome
	decisions       *family // action, outcome
	checks          *family // check, outcome

	ocspUnanswered prometheus.Counter

	up, down  traffic
	auditLost prometheus.Counter

	reloads       *family // outcome
	reloadSuccess prometheus.Gauge
	reloadTime    prometheus.Gauge
}

// traffic is one direction's counters, held because every burst adds to them.
type traffic struct{ packets, bytes prometheus.Counter }

// Build says what runs.
type Build struct{ Version, Commit string }

// NewMetrics returns counters at zero on a registry of their own, together
// with those of the Go runtime and the process.
func NewMetrics(b Build) *Metrics {
	r := prometheus.NewRegistry()
	r.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	registerBuild(r, b)

	m := &Metrics{registry: r}
	m.registerConnections()
	m.registerJudgements()
	m.registerTraffic()
	m.registerReloads()
	return m
}

func registerBuild(r *prometheus.Registry, b Build) {
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "mqttward_build_info",
		Help: "What runs; the value is always 1.",
		ConstLabels: prometheus.Labels{
			"version":   b.Version,
			"commit":    b.Commit,
			"goversion": runtime.Version(),
		},
	})
	info.Set(1)
	r.MustRegister(info)
}

func (m *Metrics) registerConnections() {
	m.connections = newGauge(m.registry, "mqttward_connections",
		"Client connections that are open.")
	m.opened = newFamily(m.registry, "mqttward_connections_total",
		"Client connections admitted.", "listener")
	m.ended = newFamily(m.registry, "mqttward_sessions_ended_total",
		"Sessions of clients that were let in and are over, by what ended them.", "reason")
	m.refused = newFamily(m.registry, "mqttward_refusals_total",
		"Clients refused before or at CONNECT, by why.", "reason")

	m.handshakes = newFamily(m.registry, "mqttward_handshakes_total",
		"TLS handshakes with clients; resumed are those that succeeded from a session ticket.", "outcome")
	m.handshakes.seed("ok")
	m.handshakes.seed("resumed")
	m.handshakes.seed("failed")
	m.handshakeSeconds = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "mqttward_handshake_seconds",
		Help:    "Time of the TLS handshakes that succeeded.",
		Buckets: handshakeBuckets,
	})
	m.registry.MustRegister(m.handshakeSeconds)
}

func (m *Metrics) registerJudgements() {
	m.authentications = newFamily(m.registry, "mqttward_authentications_total",
		"Answers of the authentication methods.", "method", "outcome")
	m.decisions = newFamily(m.registry, "mqttward_decisions_total",
		"What clients asked for, by whether they may: a SUBSCRIBE counts once for each of its topic filters.", "action", "outcome")
	m.checks = newFamily(m.registry, "mqttward_checks_total",
		"Packets that failed a check, by whether they were refused or let through by the configuration.", "check", "outcome")
	m.checks.seed("C12", "refused")
	m.ocspUnanswered = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "mqttward_ocsp_unanswered_total",
		Help: "Client certificates accepted though nobody could say whether they are revoked.",
	})
	m.registry.MustRegister(m.ocspUnanswered)
	for _, action := range []string{"publish", "subscribe", "will"} {
		m.decisions.seed(action, "allowed")
		m.decisions.seed(action, "denied")
		m.decisions.seed(action, "monitored")
	}
	for _, outcome := range []string{"refused", "dropped", "reported"} {
		m.decisions.seed("payload", outcome)
	}
}

func (m *Metrics) registerTraffic() {
	packets := newFamily(m.registry, "mqttward_packets_total",
		"MQTT packets read in sessions, after CONNECT and CONNACK: up from clients, down from brokers.", "direction")
	bytes := newFamily(m.registry, "mqttward_bytes_total",
		"Bytes of MQTT read in sessions, after CONNECT and CONNACK: up from clients, down from brokers.", "direction")
	m.up = traffic{packets.counter("up"), bytes.counter("up")}
	m.down = traffic{packets.counter("down"), bytes.counter("down")}
	m.auditLost = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "mqttward_audit_lost_total",
		Help: "Lines that the audit log did not take: nobody reads it, or its disk is full.",
	})
	m.registry.MustRegister(m.auditLost)
}

func (m *Metrics) registerReloads() {
	m.reloads = newFamily(m.registry, "mqttward_reloads_total",
		"Attempts to load the configuration again.", "outcome")
	m.reloads.seed("success")
	m.reloads.seed("failure")
	m.reloadSuccess = newGauge(m.registry, "mqttward_last_reload_success",
		"Whether the last load of the configuration succeeded; after a failed one the configuration before it stays.")
	m.reloadTime = newGauge(m.registry, "mqttward_last_reload_timestamp_seconds",
		"Unix time of the last load of the configuration that succeeded.")
	// The process runs, so the first load succeeded, and it did so just now.
	m.reloadSuccess.Set(1)
	m.reloadTime.SetToCurrentTime()
}

func newGauge(r *prometheus.Registry, name, help string) prometheus.Gauge {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	r.MustRegister(g)
	return g
}

// handler serves the series in the formats of Prometheus. A scrape in which a
// collector fails is answered 500, so that a gap is seen and not guessed at.
func (m *Metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		EnableOpenMetrics:   true,
		MaxRequestsInFlight: maxScrapes,
	})
}
