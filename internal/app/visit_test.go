package app

import (
	"testing"
	"time"

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/ratelimit"
)

// TestGuesses: where a user is known there are as many guesses as lock the name
// elsewhere.
func TestGuesses(t *testing.T) {
	for rule, want := range map[configs.BanRule]ratelimit.Rate{
		{}: {},
		{Max: 6, Window: 2 * time.Minute, Ban: time.Hour}: {PerSecond: 0.05, Burst: 6},
	} {
		cfg := &configs.Config{Limits: configs.Limits{AuthFailures: rule}}
		if got := gateLimits(cfg).Guesses; got != want {
			t.Errorf("%+v: %+v, want %+v", rule, got, want)
		}
	}
}
