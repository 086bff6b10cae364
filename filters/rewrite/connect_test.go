package rewrite_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/rewrite"
	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
)

func TestCredentials(t *testing.T) {
	const v5 = packets.V5
	named, err := filters.ParseTemplate("gw-${username}")
	if err != nil {
		t.Fatal(err)
	}
	var (
		replace  = &rewrite.Credentials{Replace: true, Username: named, Password: filters.Secret("secret")}
		nameOnly = &rewrite.Credentials{Replace: true, Username: named}
		strip    = &rewrite.Credentials{}
		login    = mqtttest.Login("claimed", "token")
		will     = mqtttest.Will("gone", "x")
		expiry   = mqtttest.Uint32(packets.SessionExpiryInterval, 5)
		bare     = func(c *packets.Connect) { c.HasUsername, c.Username = true, []byte("gw-bob") }
		bridge   = func(c *packets.Connect) { c.Level |= 0x80 }
	)
	tests := []struct {
		name        string
		version     packets.Version
		credentials *rewrite.Credentials
		user        string
		connect     []byte
		want        []byte
		refused     packets.ReasonCode
	}{
		{
			"replaced", v5, replace, "bob", mqtttest.Connect(v5, "device", login, will, mqtttest.Props(expiry)),
			mqtttest.Connect(v5, "device", mqtttest.Login("gw-bob", "secret"), will, mqtttest.Props(expiry)), 0,
		},
		{"replaced without a password", packets.V311, nameOnly, "bob", mqtttest.Connect(packets.V311, "device", login), mqtttest.Connect(packets.V311, "device", bare), 0},
		{"replaced where there were none", packets.V31, replace, "bob", mqtttest.Connect(packets.V31, "device"), mqtttest.Connect(packets.V31, "device", mqtttest.Login("gw-bob", "secret")), 0},
		{"stripped", packets.V311, strip, "bob", mqtttest.Connect(packets.V311, "device", login, bridge), mqtttest.Connect(packets.V311, "device", bridge), 0},
		{"nobody to name", v5, replace, "", mqtttest.Connect(v5, "device", login), nil, packets.NotAuthorized},
		{"a wildcard for a name", v5, replace, "a/+", mqtttest.Connect(v5, "device", login), nil, packets.NotAuthorized},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := packets.Parse(tt.connect, 0, packets.Client)
			if err != nil {
				t.Fatal(err)
			}
			s := &filters.Session{Version: tt.version, ClientID: "device", Identity: filters.Identity{Username: tt.user}}
			v := tt.credentials.Filter(time.Time{}, s, p)
			switch {
			case tt.refused != 0:
				if v.Action != filters.Disconnect || v.Reason != tt.refused {
					t.Errorf("got %+v, want a refusal with %#x", v, tt.refused)
				}
			case v.Action != filters.Rewrite || !bytes.Equal(v.Packet, tt.want):
				t.Errorf("got %d %x, want %x", v.Action, v.Packet, tt.want)
			}
		})
	}
}

func TestOtherPackets(t *testing.T) {
	p, err := packets.Parse(mqtttest.Publish(packets.V5, 0, 0, "a", "x"), packets.V5, packets.Client)
	if err != nil {
		t.Fatal(err)
	}
	f := &rewrite.Credentials{}
	s := &filters.Session{}
	if n := testing.AllocsPerRun(10, func() {
		if f.Filter(time.Time{}, s, p).Action != filters.Forward {
			t.Error("does not go on")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
