package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/mqttward/mqttward/packets"
)

// The attacks of mallory, who has an account and may publish and subscribe to
// attack/#.

// slowITe holds a connection for as long as the protocol lets it without a
// packet.
func slowITe(s *siege, c *attacker) {
	if s.login(c, &packets.Connect{ClientID: fmt.Appendf(nil, "slow-%d", c.id), CleanStart: true, KeepAlive: math.MaxUint16}) == nil {
		s.wait(c)
	}
}

// slowTT does no more than to stay.
func slowTT(s *siege, c *attacker) {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for s.send(c, 1, pingreq) && c.Expect(packets.PINGRESP) == nil {
		select {
		case <-s.ctx.Done():
			return
		case <-second.C:
		}
	}
}

// takeOver takes a session from the other who has its client identifier, and
// waits until that one does the same.
func takeOver(s *siege, c *attacker) {
	if s.login(c, &packets.Connect{ClientID: fmt.Appendf(nil, "pair-%d", c.number/2), CleanStart: true}) == nil {
		s.wait(c)
	}
}

// hoard leaves a session behind that never expires.
func hoard(s *siege, c *attacker) {
	never := packets.Properties{0x11, 0xff, 0xff, 0xff, 0xff}
	if s.login(c, &packets.Connect{ClientID: fmt.Appendf(nil, "hoard-%d", c.id), Props: never}) == nil {
		_, _ = c.Write(packets.AppendDisconnect(nil, packets.V5, packets.Success))
	}
}

var pingreq = []byte{byte(packets.PINGREQ) << 4, 0}

func pings(s *siege, c *attacker) {
	s.flood(c, maxRun, func(dst []byte, _ int) []byte { return append(dst, pingreq...) })
}

func publishes(qos byte) func(*siege, *attacker) {
	return func(s *siege, c *attacker) {
		topic, payload := fmt.Appendf(nil, "attack/flood-%d", c.number), make([]byte, 64)
		s.flood(c, maxRun, func(dst []byte, k int) []byte {
			return packets.AppendPublish(dst, packets.V5, qos<<1, topic, packetID(k)*min(1, uint16(qos)), nil, payload, 0)
		})
	}
}

func payloads(size int) func(*siege, *attacker) {
	return func(s *siege, c *attacker) {
		payload := make([]byte, size)
		s.flood(c, 1, func(dst []byte, _ int) []byte {
			return packets.AppendPublish(dst, packets.V5, 0, []byte("attack/large"), 0, nil, payload, 0)
		})
	}
}

// churn subscribes and unsubscribes in turns, each time to something new.
func churn(s *siege, c *attacker) {
	s.flood(c, 2, func(dst []byte, k int) []byte {
		filter := fmt.Appendf(nil, "attack/churn-%d/%d/+/#", c.number, k/2)
		if k%2 == 0 {
			return packets.AppendSubscribe(dst, packets.V5, packetID(k), nil, []packets.Subscription{{Filter: filter}})
		}
		return packets.AppendUnsubscribe(dst, packets.V5, packetID(k), nil, [][]byte{filter})
	})
}

// wildcards has everything delivered that is retained, again and again, and
// retains some for that first.
func wildcards(s *siege, c *attacker) {
	const kept = 4
	filters := []string{"#", "+/#", "attack/#", "attack/+/+"}
	s.flood(c, 1, func(dst []byte, k int) []byte {
		if k < kept {
			topic := fmt.Appendf(nil, "attack/kept/%d-%d", c.number, k)
			return packets.AppendPublish(dst, packets.V5, 1, topic, 0, nil, make([]byte, 10<<10), 0)
		}
		all := []packets.Subscription{{Filter: []byte(filters[k%len(filters)])}}
		return packets.AppendSubscribe(dst, packets.V5, packetID(k), nil, all)
	})
}

// retained retains something new with each message.
func retained(s *siege, c *attacker) {
	payload := make([]byte, 256)
	s.flood(c, maxRun, func(dst []byte, k int) []byte {
		return packets.AppendPublish(dst, packets.V5, 1, fmt.Appendf(nil, "attack/kept/%d/%d", c.id, k), 0, nil, payload, 0)
	})
}

// unfinished begins exchanges of QoS 2 with all packet identifiers.
func unfinished(s *siege, c *attacker) {
	payload := make([]byte, 256)
	s.flood(c, maxRun, func(dst []byte, k int) []byte {
		return packets.AppendPublish(dst, packets.V5, 2<<1, []byte("attack/qos-2"), packetID(k), nil, payload, 0)
	})
}

// aliases binds all Topic Aliases to long topics.
func aliases(s *siege, c *attacker) {
	long := append([]byte("attack/"), bytes.Repeat([]byte{'a'}, 1000)...)
	s.flood(c, 1, func(dst []byte, k int) []byte {
		alias := binary.BigEndian.AppendUint16(packets.Properties{0x23}, packetID(k))
		return packets.AppendPublish(dst, packets.V5, 0, long, 0, alias, nil, 0)
	})
}

func publishBomb(s *siege, c *attacker) {
	s.flood(c, 1, func(dst []byte, _ int) []byte {
		return packets.AppendPublish(dst, packets.V5, 0, []byte("attack/bomb"), 0, userProperties(bomb), nil, 0)
	})
}

// slowReader subscribes to what its neighbour publishes, and reads nothing.
func slowReader(s *siege, c *attacker) {
	topic, payload := fmt.Appendf(nil, "attack/busy-%d", c.number/2), make([]byte, 4<<10)
	if c.number%2 == 1 {
		s.flood(c, 1, func(dst []byte, _ int) []byte {
			return packets.AppendPublish(dst, packets.V5, 0, topic, 0, nil, payload, 0)
		})
		return
	}
	_ = c.tcp.SetReadBuffer(4 << 10)
	if s.send(c, 1, packets.AppendSubscribe(nil, packets.V5, 1, nil, []packets.Subscription{{Filter: topic}})) {
		<-s.ctx.Done()
	}
}
