package app

import (
	"crypto/x509"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/filters/strict"
)

func TestListening(t *testing.T) {
	const four = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:075B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 00000000:075B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1 0 100 0 0 10 0
   2: 0502000A:075B 0100007F:1234 01 00000000:00000000 00:00000000 00000000     0        0 3 1 0 100 0 0 10 0
   3: 0502000A:075C 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4 1 0 100 0 0 10 0
   4: zz:075B 00000000:0000 0A
`
	const six = `   0: 00000000000000000000000001000000:075B 00000000000000000000000000000000:0000 0A 0
   1: 0000000000000000FFFF00000100007F:075B 00000000000000000000000000000000:0000 0A 0
   2: B80D0120000000000000000001000000:075B 00000000000000000000000000000000:0000 0A 0
`
	for _, tt := range []struct{ table, port, want string }{
		{four, "1883", "[0.0.0.0:1883]"},
		{four, "1884", "[10.0.2.5:1884]"},
		{four, "1", "[]"},
		{six, "1883", "[[2001:db8::1]:1883]"},
		{"", "1883", "[]"},
	} {
		if got := fmt.Sprint(listening(tt.table, tt.port)); got != tt.want {
			t.Errorf("port %s: %s, want %s", tt.port, got, tt.want)
		}
	}
}

func TestExpiry(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for left, want := range map[time.Duration]string{
		-time.Hour: GradeFail, time.Hour: GradeWarn, expiresSoon - 1: GradeWarn, expiresSoon: GradeOK,
	} {
		if grade, text := expiry(now, &x509.Certificate{NotAfter: now.Add(left)}); grade != want {
			t.Errorf("%v left: %s %s, want %s", left, grade, text, want)
		}
	}
	if grade, text := expiry(now, &x509.Certificate{NotBefore: now.Add(time.Hour), NotAfter: now.Add(2 * expiresSoon)}); grade != GradeFail {
		t.Errorf("a certificate of the future: %s %s", grade, text)
	}
}

// TestOurs: the proxy's own listener on the broker's port is no way around it.
func TestOurs(t *testing.T) {
	d := doctor{built: &built{config: &configs.Config{Listeners: []configs.Listener{{Address: "192.0.2.1:1883"}, {Address: "unix:/x"}, {Address: ":8883"}}}}}
	for at, want := range map[string]bool{
		"192.0.2.1:1883": true, "[::ffff:192.0.2.1]:1883": true, "192.0.2.1:1884": false, "192.0.2.2:1883": false, "0.0.0.0:1883": false,
	} {
		if got := d.ours(netip.MustParseAddrPort(at)); got != want {
			t.Errorf("%s is ours: %v, want %v", at, got, want)
		}
	}
}

func TestBanner(t *testing.T) {
	const version = "mosquitto version 2.0.11"
	p := profileOf(version)
	lines := Banner(version, strict.Means{Profile: p, Relaxed: checks([]string{"C3"}), Unlimited: []string{"max_keepalive"}})
	if want := version + ": profile mosquitto-2.0a, "; !strings.HasPrefix(lines[0], want) {
		t.Errorf("%q, want %s…", lines[0], want)
	}
	for _, want := range []string{
		"flags: not shielded: flags of PUBREL, SUBSCRIBE, UNSUBSCRIBE, DISCONNECT and AUTH are not looked at (strict relaxes C3)",
		"CVE-2020-13849: not shielded: clients choose a Keep Alive that holds connections for hours (limits.max_keepalive is 0)",
		"2.0.22: not shielded: a message to $CONTROL over a bridge ends the broker",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("%q is not in %q", want, lines)
		}
	}
	if last := lines[len(lines)-1]; !strings.HasPrefix(last, "shielded: ") || !strings.Contains(last, "CVE-2021-41039 (C2, C10)") || strings.Contains(last, "flags") {
		t.Errorf("shielded are %q", last)
	}
	p = profileOf("2.7.9")
	if got := Banner("2.7.9", strict.Means{Profile: p}); len(got) != 2 || got[0] != "2.7.9: profile legacy" {
		t.Errorf("%q", got)
	}
}

// TestMeans: what the configuration takes from the shields is seen.
func TestMeans(t *testing.T) {
	b := &built{config: &configs.Config{BrokerProfile: "none", Strict: configs.Strict{Log: []string{"C3"}, Off: []string{"C10"}}}}
	b.config.Limits.MaxTopicLevels = 7
	m := b.means(b.profile("mosquitto version 1.5.1"))
	if m.Profile.Name != "none" || !m.Relaxed.Has(3) || !m.Relaxed.Has(10) || m.Relaxed.Has(8) {
		t.Errorf("%+v", m)
	}
	if want := []string{"max_connections", "max_inflight", "max_keepalive", "max_user_properties"}; !slices.Equal(m.Unlimited, want) {
		t.Errorf("unlimited are %q, want %q", m.Unlimited, want)
	}
	b.config.BrokerProfile = "auto"
	if p := b.profile("mosquitto version 1.5.1"); p.Name != "mosquitto-1.5" || !p.OnlySYS {
		t.Errorf("%+v", p)
	}
}
