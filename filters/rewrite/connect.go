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

// Credentials are the user name and the password that the broker gets.
type Credentials struct {
	Replace  bool             // by Username and Password; otherwise none are sent
	Username filters.Template // for the identity
	Password filters.Secret   // nil: none
}

// Connect returns the filter of CONNECT packets. It puts in the client identifier
// of the session for an empty one, and the credentials, nil meaning those that the
// client sent; and takes out enhanced authentication, which ends at the proxy.
func Connect(c *Credentials) filters.Filter { return connect{c} }

type connect struct{ credentials *Credentials }

// Filter lets all other packets pass.
func (f connect) Filter(_ time.Time, s *filters.Session, p *packets.Packet) filters.Verdict {
	if p.Type != packets.CONNECT {
		return filters.Pass()
	}
	c, err := p.Connect()
	if err != nil {
		return refuse(packets.MalformedPacket, err.Error())
	}
	changed := f.credentials != nil
	if len(c.ClientID) == 0 && s.ClientID != "" {
		c.ClientID, changed = []byte(s.ClientID), true
	}
	if ps := c.Props.Without(packets.AuthenticationMethod, packets.AuthenticationData); len(ps) < len(c.Props) {
		c.Props, changed = ps, true
	}
	if !changed {
		return filters.Pass()
	}
	if !f.login(s, &c) {
		return refuse(packets.NotAuthorized, "no user name for the broker: credentials.username lacks a value")
	}
	return filters.Verdict{Action: filters.Rewrite, Packet: packets.AppendConnect(nil, p.Version, &c)}
}

// login puts the credentials into c, and reports false if they lack a value.
func (f connect) login(s *filters.Session, c *packets.Connect) bool {
	if f.credentials == nil {
		return true
	}
	c.HasUsername, c.Username, c.HasPassword, c.Password = false, nil, false, nil
	if !f.credentials.Replace {
		return true
	}
	username, ok := f.credentials.Username.Expand(s.Value)
	c.HasUsername, c.Username = true, []byte(username)
	c.HasPassword, c.Password = f.credentials.Password != nil, f.credentials.Password
	return ok
}

func refuse(rc packets.ReasonCode, rule string) filters.Verdict {
	return filters.Verdict{Reason: rc, Rule: rule}
}
