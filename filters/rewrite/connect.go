// Package rewrite changes packets on their way to the broker, so that the broker
// gets what the proxy has found out in the place of what the client has said.
//
// It decides nothing about who may do what, and stands before the filters that
// judge: they see what the broker will see. What cannot be rewritten is refused.
package rewrite

import (
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

// Credentials are the user name and the password that the broker gets instead of
// the client's own. It is a filter of CONNECT packets, and lets all others pass.
type Credentials struct {
	Replace  bool             // by Username and Password; otherwise none are sent
	Username filters.Template // for the identity
	Password filters.Secret   // nil: none
}

// Filter puts the credentials into a CONNECT.
func (f *Credentials) Filter(_ time.Time, s *filters.Session, p *packets.Packet) filters.Verdict {
	if p.Type != packets.CONNECT {
		return filters.Pass()
	}
	c, err := p.Connect()
	if err != nil {
		return refuse(packets.MalformedPacket, err.Error())
	}
	c.HasUsername, c.Username, c.HasPassword, c.Password = false, nil, false, nil
	if f.Replace {
		username, ok := f.Username.Expand(s.Value)
		if !ok {
			return refuse(packets.NotAuthorized, "no user name for the broker: credentials.username lacks a value")
		}
		c.HasUsername, c.Username = true, []byte(username)
		c.HasPassword, c.Password = f.Password != nil, f.Password
	}
	return filters.Verdict{Action: filters.Rewrite, Packet: packets.AppendConnect(nil, p.Version, &c)}
}

// Passes reports whether p is no CONNECT.
func (f *Credentials) Passes(_ time.Time, _ *filters.Session, p *packets.Packet) bool {
	return p.Type != packets.CONNECT
}

func refuse(rc packets.ReasonCode, rule string) filters.Verdict {
	return filters.Verdict{Reason: rc, Rule: rule}
}
