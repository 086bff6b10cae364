package admin

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/mqttward/mqttward/ratelimit"
)

// banCollector tells at each scrape how many bans there are. Kinds and reasons are
// small sets that the program knows.
type banCollector struct {
	tally          func() ratelimit.Tally
	inForce, begun *prometheus.Desc
}

// banReasons are the label values; that of a kind is one of Kinds.
var banReasons = []string{
	string(ratelimit.AuthFailure), string(ratelimit.ProtocolError), string(ratelimit.Flapping),
	string(ratelimit.UserFlapping), string(ratelimit.Takeover), ratelimit.ByHand,
}

// CountBans has each scrape ask tally for the bans. It is to be called once.
func (m *Metrics) CountBans(tally func() ratelimit.Tally) {
	m.registry.MustRegister(&banCollector{
		tally:   tally,
		inForce: prometheus.NewDesc("mqttward_bans", "Bans in force, by what they keep out.", []string{"kind"}, nil),
		begun:   prometheus.NewDesc("mqttward_bans_begun_total", "Bans begun since the start, by why.", []string{"reason"}, nil),
	})
}

// Describe implements prometheus.Collector.
func (c *banCollector) Describe(descs chan<- *prometheus.Desc) {
	descs <- c.inForce
	descs <- c.begun
}

// Collect implements prometheus.Collector.
func (c *banCollector) Collect(metrics chan<- prometheus.Metric) {
	t := c.tally()
	for _, kind := range Kinds {
		metrics <- prometheus.MustNewConstMetric(c.inForce, prometheus.GaugeValue, float64(t.InForce[kind]), string(kind))
	}
	for _, reason := range banReasons {
		metrics <- prometheus.MustNewConstMetric(c.begun, prometheus.CounterValue, float64(t.Begun[reason]), reason)
	}
}
