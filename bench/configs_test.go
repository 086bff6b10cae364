package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/mqttward/mqttward/bench/rig"
	"github.com/mqttward/mqttward/configs"
)

// TestConfigs: mqttward takes the configurations that it gets, and each other
// program is told where to serve and what is behind it.
func TestConfigs(t *testing.T) {
	l := &launcher{dir: t.TempDir()}
	at := setting{Address: "127.0.0.1:8883", Sink: "127.0.0.1:1883", Dir: l.dir, File: filepath.Join(l.dir, "x.yaml")}
	if _, err := rig.WriteKeys(l.dir); err != nil {
		t.Fatal(err)
	}
	for _, policy := range []int{0, 10, 1000} {
		s, err := l.mqttward("bin/mqttward", policy)
		if err != nil {
			t.Fatal(err)
		}
		text, err := s.configure(at)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at.File, text, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := configs.Load(at.File, nil)
		if err != nil {
			t.Fatal(err)
		}
		checkLimits(t, reflect.ValueOf(c.Limits))
		if policy == 0 && len(c.Authz.Rules) != 1000 {
			t.Errorf("%d rules", len(c.Authz.Rules))
		}
	}
	for name, s := range others {
		text, err := s.configure(at)
		if err != nil || !strings.Contains(string(text), "8883") {
			t.Errorf("%s: %v: %s", name, err, text)
		}
		if behind := strings.Contains(string(text), at.Sink); behind == (name == "mosquitto") {
			t.Errorf("%s has the sink behind it: %v", name, behind)
		}
	}
}

// checkLimits: no limit is off, and so no rate.
func checkLimits(t *testing.T, limits reflect.Value) {
	t.Helper()
	for limit, v := range limits.Fields() {
		if v.Kind() == reflect.Struct {
			checkLimits(t, v)
		} else if v.IsZero() {
			t.Errorf("%v: %s is off", limits.Type(), limit.Name)
		}
	}
}
