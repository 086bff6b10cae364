package main

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/mqttward/mqttward/configs"
)

func TestBar(t *testing.T) {
	calm := result{Proxied: true, Deliveries: spread{1, 10}}
	good := result{
		Attack: "x", Proxied: true, Messages: 100, Deliveries: spread{1, 30}, Calm: spread{1, 5},
		Known: connects{All: 100, Good: 99}, Strangers: connects{All: 100, Good: 99}, Arrived: 7, Quota: 7,
		Proxy:  usage{Before: 100 << 20, Steady: 140 << 20, Max: 164 << 20},
		Before: state{Goroutines: 10, Descriptors: 10}, After: state{Goroutines: 15, Descriptors: 15},
	}
	tests := []struct {
		change func(*result)
		miss   string // "": the bar is reached
	}{
		{func(*result) {}, ""},
		{func(r *result) { r.Lost = 1 }, "1 of 100 messages lost"},
		{func(r *result) { r.Disconnects = 2 }, "2 disconnects"},
		{func(r *result) { r.Known.Good = 98 }, "known connects 98.0 %"},
		{func(r *result) { r.Known = connects{} }, "known connects 0.0 %"},
		{func(r *result) { r.Strangers.Good = 50 }, "strangers' connects 50.0 %"},
		{func(r *result) { r.Deliveries.P99 = 31 }, "p99 3.1 times"},
		{func(r *result) { r.Deliveries.P99, r.Calm.P99 = 60, 20 }, ""},
		{func(r *result) { r.Arrived = 8 }, "8 packets at the broker, quota 7"},
		{func(r *result) { r.Quota = unlimited }, "no quota"},
		{func(r *result) { r.Proxy.Steady = 100 << 20 }, "memory 64 % above its steady state"},
		{func(r *result) { r.Proxy.Max += 1 << 20 }, "memory 65 MiB more"},
		{func(r *result) { r.After.Goroutines++ }, "6 goroutines left"},
		{func(r *result) { r.After.Descriptors++ }, "6 descriptors left"},
		{func(r *result) { r.After.Connections++ }, "1 connections left"},
	}
	for _, tt := range tests {
		r := good
		tt.change(&r)
		if got := strings.Join(misses(r, calm), "; "); got != tt.miss {
			t.Errorf("misses %q, want %q", got, tt.miss)
		}
	}
	if got := verdict(good, calm); got != "**pass**" {
		t.Error(got)
	}
}

func TestQuota(t *testing.T) {
	l := &configs.Limits{
		ConnectRate: configs.Rate{PerSecond: 500, Burst: 1000}, ConnectRatePerIP: configs.Rate{PerSecond: 10, Burst: 50},
		PublishRate:  configs.PublishRate{PerSecond: 100, Burst: 200},
		PacketRate:   configs.PublishRate{PerSecond: 500, Burst: 1000},
		PublishBytes: configs.PublishBytes{PerSecond: configs.MiB, Burst: 4 * configs.MiB},
	}
	none := &configs.Limits{}
	a := &attack{connections: 5, sources: 4}
	few := *l
	few.MaxConnectionsPerIdentity = 2
	many := &attack{connections: 5, sources: 400}
	tests := []struct {
		name string
		q    quota
		a    *attack
		l    *configs.Limits
		want float64
	}{
		{"nothing", nothing, a, none, 0},
		{"each source", logins(2), a, l, 2 * 4 * (50 + 10*10)},
		{"all sources", logins(1), many, l, 1000 + 500*10},
		{"no connect rate", logins(1), a, none, unlimited},
		{"messages", messages, a, l, 3 + 5*(200+100*10)},
		{"no publish rate", messages, a, none, unlimited},
		{"messages of few connections", messages, a, &few, 3 + 2*(200+100*10)},
		{"bytes of few connections", large(1 << 20), a, &few, 3 + 2*14},
		{"bytes", large(3 << 20), a, l, 3 + 5*5},
		{"bytes of small messages", large(1), a, l, 3 + 5*1200},
		{"too large", oversized, a, l, 3},
		{"every packet", everyPacket, a, l, 3 + 5*(1000+500*10)},
		{"no packet rate", everyPacket, a, none, unlimited},
	}
	for _, tt := range tests {
		if got := tt.q(tt.a, tt.l, 10, 3); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestArrivals(t *testing.T) {
	for _, tt := range []struct{ others, unanswered, want int }{{0, 0, 0}, {7, 0, 7}, {7, 5, 2}, {3, 5, 0}, {-2, 0, 0}} {
		if got := arrivals(tt.others, tt.unanswered); got != tt.want {
			t.Errorf("%d of %d, %d unanswered", got, tt.others, tt.unanswered)
		}
	}
}

func TestSummary(t *testing.T) {
	got := summary([]int{10, 99, 90, 40, 30, 50}, 7, 1500*time.Millisecond)
	if want := (usage{Before: 10, Steady: 40, Max: 99, Descriptors: 7, CPU: 1.5}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := summary([]int{10}, 0, 0); got.Steady != 10 {
		t.Errorf("%+v", got)
	}
	if !math.IsInf(bucket(0, 5, 1), 1) {
		t.Error("a bucket without a rate limits")
	}
}
