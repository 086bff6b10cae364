package app

import (
	"crypto/x509"
	"fmt"
	"testing"
	"time"
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
}

func TestBanner(t *testing.T) {
	lines := Banner("mosquitto version 2.0.11")
	if lines[0] != "mosquitto version 2.0.11: profile mosquitto-2.0a" || len(lines) < 3 {
		t.Errorf("%q", lines)
	}
	if lines := Banner("2.7.9"); len(lines) != 2 || lines[0] != "2.7.9: profile legacy" {
		t.Errorf("%q", lines)
	}
}
