package configs

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

// TestBackendDefaults: what is left out; a backend of one server is not asked how it is,
// since nobody could take its place, and 0 that is written stays.
func TestBackendDefaults(t *testing.T) {
	outlier := Outlier{Failures: 5, Time: 10 * time.Second, MaxEjected: 50}
	health := Health{Interval: 5 * time.Second, Timeout: 2 * time.Second, Type: HealthMQTT, Rise: 2, Fall: 2}
	for _, tt := range []struct {
		keys    string
		health  *Health
		outlier Outlier
		resolve *Resolve
	}{
		{`servers: [{address: "a:1"}]`, nil, outlier, nil},
		{`servers: [{address: "a:1"}, {address: "b:1"}]`, &health, outlier, nil},
		{`servers: [{address: "a:1"}], resolve: {server: "dns:53"}`, &health, outlier, &Resolve{Interval: 30 * time.Second, Server: "dns:53"}},
		{`servers: [{srv: _mqtt._tcp.a}]`, &health, outlier, &Resolve{Interval: 30 * time.Second}},
		{`servers: [{address: "a:1"}], health: {interval: 1s}`, &Health{Interval: time.Second, Timeout: time.Second, Type: HealthMQTT, Rise: 2, Fall: 2}, outlier, nil},
		{`servers: [{address: "a:1"}], outlier: {failures: 0}`, nil, Outlier{Time: 10 * time.Second, MaxEjected: 50}, nil},
		{`servers: [{address: "a:1"}], outlier: {time: 1s}`, nil, Outlier{Failures: 5, Time: time.Second, MaxEjected: 50}, nil},
	} {
		c := mustParse(t, strings.Replace(minimal, `servers: [{address: "127.0.0.1:1883"}]`, tt.keys, 1))
		b := c.Backends[0]
		if !reflect.DeepEqual(b.Health, tt.health) || b.Outlier != tt.outlier || !reflect.DeepEqual(b.Resolve, tt.resolve) {
			t.Errorf("%s: health %+v, outlier %+v, resolve %+v", tt.keys, b.Health, b.Outlier, b.Resolve)
		}
		if b.Balance != "client_id" || b.Servers[0].Weight != 1 {
			t.Errorf("%s: balance %s, weight %d", tt.keys, b.Balance, b.Servers[0].Weight)
		}
	}
}
