package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// get asks the admin address.
func (p *proxy) get(t *testing.T, path string) (code int, body string) {
	t.Helper()
	return get(t, http.DefaultClient, "http://"+p.AdminAddr().String()+path)
}

func get(t *testing.T, c *http.Client, url string) (code int, body string) {
	t.Helper()
	r, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(text)
}

// metrics are the values of series such as a_total{reason="b"}.
type metrics map[string]float64

func (p *proxy) metrics(t *testing.T) metrics {
	t.Helper()
	_, body := p.get(t, "/metrics")
	_, _ = io.WriteString(otherLogs, body)
	return parseMetrics(t, body)
}

func parseMetrics(t *testing.T, body string) metrics {
	t.Helper()
	m := metrics{}
	for lines := bufio.NewScanner(strings.NewReader(body)); lines.Scan(); {
		l := lines.Text()
		at := strings.LastIndex(l, " ")
		if strings.HasPrefix(l, "#") || at < 0 {
			continue
		}
		value, err := strconv.ParseFloat(l[at+1:], 64)
		if err != nil {
			t.Fatalf("metrics: %q: %v", l, err)
		}
		m[l[:at]] = value
	}
	if len(m) == 0 {
		t.Fatal("no metrics")
	}
	return m
}

// since returns the series of the families that have changed, by how much.
func (m metrics) since(before metrics, families ...string) metrics {
	changed := metrics{}
	for series, value := range m {
		family, _, _ := strings.Cut(series, "{")
		for _, f := range families {
			if family == f && value != before[series] {
				changed[series] = value - before[series]
			}
		}
	}
	return changed
}

// awaitMetric waits until a series has a value.
func (p *proxy) awaitMetric(t *testing.T, series string, want float64) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s = %v", series, want), func() bool { return p.metrics(t)[series] == want })
}

func refusals(reason string) string { return `mqttward_refusals_total{reason="` + reason + `"}` }
