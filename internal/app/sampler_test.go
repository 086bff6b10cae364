package app

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

// lines decodes a JSON log.
func lines(t *testing.T, log *bytes.Buffer) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range bytes.Lines(log.Bytes()) {
		var m map[string]any
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		all = append(all, m)
	}
	return all
}

func TestSamplerCutsFloods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := slog.New(newSampler(slog.NewJSONHandler(&out, nil))).With("listener", "mqtts")
		for range eventsBurst + 500 {
			log.Info("publish denied")
		}
		for range eventsBurst + 500 {
			log.Info("connection refused", "end", "not_mqtt")
		}
		log.Info("connection refused", "end", "bad_credentials")
		if got := len(lines(t, &out)); got != 2*eventsBurst+1 {
			t.Fatalf("%d lines of two floods and one other event, want %d", got, 2*eventsBurst+1)
		}
		time.Sleep(time.Second) // of the bubble
		out.Reset()
		log.Info("publish denied")
		log.Info("publish denied")
		got := lines(t, &out)
		if got[0]["suppressed"] != 500.0 || got[0]["listener"] != "mqtts" {
			t.Errorf("the line after the flood: %v", got[0])
		}
		if _, again := got[1]["suppressed"]; again {
			t.Errorf("what was suppressed is told twice: %v", got[1])
		}
	})
}
