package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	passwords "github.com/mqttward/mqttward/filters/authn/password"
)

// TestSite: mqttward takes its configuration, with the limits of an empty one,
// and the broker's users have the password that honest clients send.
func TestSite(t *testing.T) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "mqttward")
	if err := os.WriteFile(binary, []byte("#!/bin/sh\necho \"$4:of $4\" > \"$3\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := newSite(t.Context(), dir, binary)
	if err != nil {
		t.Fatal(err)
	}
	if s.limits.MaxHandshakes == 0 || s.limits.PublishRate.PerSecond == 0 {
		t.Errorf("limits %+v", s.limits)
	}
	users, err := os.ReadFile(s.file("users.passwd"))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(string(users), ":of x\n"); got != honestUsers+1 {
		t.Errorf("%d users in\n%s", got, users)
	}
	if _, err := passwords.Load(s.file("broker.passwd")); err != nil {
		t.Error(err)
	}
	conf, err := os.ReadFile(s.file("broker.conf"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"listener " + port(s.plain) + " 127.0.0.1", "listener " + port(s.direct) + " 127.0.0.1"} {
		if !strings.Contains(string(conf), want) {
			t.Errorf("%q is not in\n%s", want, conf)
		}
	}
}

func TestScrape(t *testing.T) {
	text := "# HELP x y\nx{a=\"b c\"} 1\nx{a=\"d\"} 2.5\n\ngo_goroutines 8\n"
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/metrics" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = w.Write([]byte(text))
	}))
	defer web.Close()
	got, err := scrape(t.Context(), web.URL+"/metrics")
	if err != nil || got["x"] != 3.5 || got["go_goroutines"] != 8 || len(got) != 2 {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := scrape(t.Context(), web.URL); err == nil {
		t.Errorf("%v of a page that is not there", got)
	}
	for _, bad := range []string{"x", "x y", "x{a=\"b\"}"} {
		if got, err := parseMetrics(strings.NewReader(bad)); err == nil {
			t.Errorf("%q gave %v", bad, got)
		}
	}
}
