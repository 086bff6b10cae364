package strict

import (
	"testing"

	"github.com/mqttward/mqttward/packets"
)

// TestDefectWith: a shield counts only where the configuration has what it needs.
func TestDefectWith(t *testing.T) {
	defects := map[string]Defect{}
	for _, d := range Defects() {
		defects[d.ID] = d
	}
	profile := func(name string) Means {
		p, _ := ParseProfile(name)
		return Means{Profile: p}
	}
	relaxed := func(checks ...packets.Check) Means {
		m := profile("legacy")
		for _, c := range checks {
			m.Relaxed = m.Relaxed.With(c)
		}
		return m
	}
	unlimited := func(m Means, keys ...string) Means {
		m.Unlimited = keys
		return m
	}
	for _, tt := range []struct {
		id      string
		with    Means
		want    Shield
		missing string
	}{
		{"CVE-2017-7653", profile("none"), Whole, ""},
		{"CVE-2017-7653", relaxed(packets.CheckUTF8), Not, "strict relaxes C6"},
		{"#693", relaxed(packets.CheckUTF8), Not, "strict relaxes C6"}, // U+0000 in names
		{"CVE-2017-7654", relaxed(packets.CheckConnect), Whole, ""},    // never let through
		{"CVE-2018-12543", profile("mosquitto-1.5"), Whole, ""},
		{"CVE-2018-12543", profile("legacy"), Not, "the profile legacy does not have it"},
		{"#1244", profile("mosquitto-1.6"), Whole, ""},
		{"#1244", profile("none"), Not, "the profile none does not have it"},
		{"CVE-2024-8376", profile("legacy"), Whole, ""},
		{"CVE-2024-8376", profile("mosquitto-2.1"), Not, "the profile mosquitto-2.1 does not have it"},
		{"CVE-2019-11779", unlimited(profile("mosquitto-1.5"), "max_topic_levels"), Whole, ""},
		{"CVE-2019-11779", profile("none"), Whole, ""}, // the limit does it
		{"CVE-2019-11779", unlimited(profile("none"), "max_topic_levels"), Not, "limits.max_topic_levels is 0"},
		{"CVE-2019-11779", relaxed(packets.CheckFilter), Partly, "strict relaxes C9"},
		{"CVE-2019-11779", relaxed(packets.CheckTopic, packets.CheckFilter), Not, "strict relaxes C8, C9"},
		{"CVE-2020-13849", unlimited(profile("legacy"), "max_keepalive"), Not, "limits.max_keepalive is 0"},
		{"CVE-2024-3935", relaxed(packets.CheckServer), Partly, ""},
		{"2.0.22", profile("legacy"), Not, ""},
	} {
		s, missing := defects[tt.id].With(tt.with)
		if s != tt.want || missing != tt.missing {
			t.Errorf("%s: %v, %q; want %v, %q", tt.id, s, missing, tt.want, tt.missing)
		}
	}
}
