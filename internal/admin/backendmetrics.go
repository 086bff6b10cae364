package admin

import "github.com/prometheus/client_golang/prometheus"

// ServerStatus is a server of a backend.
type ServerStatus struct {
	Backend  string `json:"backend"`
	Server   string `json:"server"`
	State    string `json:"state"`         // up, down, ejected, maintenance: the last three get no new sessions
	Why      string `json:"why,omitempty"` // it is down or ejected
	Sessions int    `json:"sessions"`      // that it has, and connections that are to become such
}

// serverCollector tells at each scrape how the servers do. They are those of the
// configuration, or what its names lead to.
type serverCollector struct {
	servers      func() []ServerStatus
	up, sessions *prometheus.Desc
}

// CountServers has each scrape ask servers for those of all backends. It is to be
// called once.
func (m *Metrics) CountServers(servers func() []ServerStatus) {
	labels := []string{"backend", "server"}
	m.registry.MustRegister(&serverCollector{
		servers:  servers,
		up:       prometheus.NewDesc("mqttward_backend_server_up", "Whether a server gets new sessions: 0 if it is down, ejected or in maintenance.", labels, nil),
		sessions: prometheus.NewDesc("mqttward_backend_server_sessions", "Sessions at a server, with connections that are to become such.", labels, nil),
	})
}

// Describe implements prometheus.Collector.
func (c *serverCollector) Describe(descs chan<- *prometheus.Desc) {
	descs <- c.up
	descs <- c.sessions
}

// Collect implements prometheus.Collector.
func (c *serverCollector) Collect(metrics chan<- prometheus.Metric) {
	for _, s := range c.servers() {
		up := 0.0
		if s.State == "up" {
			up = 1
		}
		metrics <- prometheus.MustNewConstMetric(c.up, prometheus.GaugeValue, up, s.Backend, s.Server)
		metrics <- prometheus.MustNewConstMetric(c.sessions, prometheus.GaugeValue, float64(s.Sessions), s.Backend, s.Server)
	}
}
