package proxy

import (
	"encoding/binary"
	"log/slog"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

// keepWill keeps what is needed to judge the Will again: all of it but the
// payload, of which one byte tells that it does not clear what is retained.
func (c *conn) keepWill() {
	w := c.connect.Will
	if w == nil {
		return
	}
	c.sess.WillSize = len(w.Payload)
	c.will = packets.AppendConnect(nil, c.sess.Version, &packets.Connect{
		Level: byte(c.sess.Version), CleanStart: true, ClientID: []byte("will"),
		Will: &packets.Will{QoS: w.QoS, Retain: w.Retain, Topic: w.Topic, Props: w.Props, Payload: w.Payload[:min(1, len(w.Payload))]},
	})
}

// willDenied reports which rule denies the Will by now; "" if it has its right or
// there is none.
func (c *conn) willDenied() (rule string, denied bool) {
	if c.will == nil {
		return "", false
	}
	p, err := packets.Parse(c.will, 0, packets.Client)
	if err != nil {
		return err.Error(), true
	}
	c.up.renew()
	v := c.up.chain.ReviewWill(time.Now(), &c.sess, p)
	return v.Rule, v.Action < filters.Rewrite
}

// withdrawWill keeps the broker from publishing a Will that has lost its right
// since the CONNECT: a DISCONNECT in the client's name discards it
// [MQTT-3.14.4-3].
func (c *conn) withdrawWill() {
	if rule, denied := c.willDenied(); denied {
		c.noteWill(rule)
		_ = c.toBroker.write(packets.AppendDisconnect(nil, c.sess.Version, packets.Success))
	}
}

func (c *conn) noteWill(rule string) {
	c.listener.server.observer.Decided("will", "denied", 1)
	c.log("will withdrawn", slog.String("rule", rule))
}

// goodbye judges a DISCONNECT that goes on: one that asks for a Will which has
// lost its right goes on without that, and a new Session Expiry Interval is
// lowered as that of CONNECT was.
func (j *upJudge) goodbye(pkt *packets.Packet, v filters.Verdict) filters.Verdict {
	if v.Action != filters.Forward {
		return v
	}
	c := j.conn
	if expiry, ok := pkt.Props.Lookup(packets.SessionExpiryInterval); ok {
		n := binary.BigEndian.Uint32(expiry)
		if most := c.policy.Limits.MaxSessionExpiry; most > 0 && n > most {
			n = most
			binary.BigEndian.PutUint32(expiry, n) // in place, in pkt.Raw
		}
		c.terms.keep = lifetime(n)
	}
	if pkt.Reason == packets.DisconnectWithWill {
		if rule, denied := c.willDenied(); denied {
			c.noteWill(rule)
			at := 1
			for pkt.Raw[at] >= 0x80 { // Remaining Length
				at++
			}
			pkt.Raw[at+1] = byte(packets.Success)
		}
	}
	return v
}
