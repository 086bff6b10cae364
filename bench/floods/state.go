package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/mqttward/mqttward/bench/rig"
)

// state is what a proxy has of its own while nobody is connected.
type state struct {
	Memory, Descriptors     int
	Goroutines, Connections int
}

func (s *site) stateOf(ctx context.Context, pid int) (now state, err error) {
	metrics, err := scrape(ctx, "http://"+s.admin+"/metrics")
	if err != nil {
		return now, err
	}
	now.Goroutines, now.Connections = int(metrics["go_goroutines"]), int(metrics["mqttward_connections"])
	if now.Memory, err = rig.ResidentAlone(pid); err != nil {
		return now, err
	}
	now.Descriptors, err = rig.Descriptors(pid)
	return now, err
}

// calmDown waits until the proxy's state is what it was before anybody came,
// or has had the time for it.
func (t *trial) calmDown(ctx context.Context, r *result) (err error) {
	began := time.Now()
	if err := wait(ctx, shortest); err != nil || t.proxy == nil {
		return err
	}
	for {
		if r.After, err = t.stateOf(ctx, t.proxy.PID); err != nil {
			return err
		}
		r.CalmAfter = time.Since(began).Seconds()
		if len(r.left()) == 0 || time.Since(began) > longest {
			return nil
		}
		if err := wait(ctx, shortest/10); err != nil {
			return err
		}
	}
}

func scrape(ctx context.Context, url string) (map[string]float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Close = true // an idle connection would be counted
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close() //nolint:errcheck // it was read
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, response.Status)
	}
	return parseMetrics(response.Body)
}

// parseMetrics reads Prometheus's text format. Values of the same name are
// added up, whatever their labels.
func parseMetrics(r io.Reader) (map[string]float64, error) {
	all := map[string]float64{}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := lines.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		i := strings.LastIndexByte(line, ' ')
		v, err := strconv.ParseFloat(line[i+1:], 64)
		if i < 0 || err != nil {
			return nil, fmt.Errorf("no metric: %q", line)
		}
		name, _, _ := strings.Cut(line[:i], "{")
		all[name] += v
	}
	return all, lines.Err()
}
