package main

import (
	"fmt"
	"math/rand/v2"

	"github.com/mqttward/mqttward/packets"
)

// The attacks of those who have no account.

// bomb is the number of User Properties of a bomb.
const bomb = 5000

func silent(s *siege, c *attacker) { s.wait(c) }

func leave(*siege, *attacker) {}

// halfHandshake begins the handshake and leaves it there.
func halfHandshake(s *siege, c *attacker) {
	if _, err := c.Write(s.hello); err == nil {
		s.wait(c)
	}
}

func dripHello(s *siege, c *attacker) { s.drip(c, s.hello) }

func dripConnect(s *siege, c *attacker) {
	s.drip(c, packets.AppendConnect(nil, packets.V5, &packets.Connect{
		Level: byte(packets.V5), CleanStart: true, ClientID: fmt.Appendf(nil, "drip-%d", c.id),
	}))
}

// speakHTTP takes the victim for a web server.
func speakHTTP(s *siege, c *attacker) {
	if _, err := c.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")); err == nil {
		s.wait(c)
	}
}

// malformed sends a CONNECT whose length has one byte too many.
func malformed(s *siege, c *attacker) {
	if _, err := c.Write([]byte{byte(packets.CONNECT) << 4, 0xff, 0xff, 0xff, 0xff, 0x7f}); err == nil {
		s.wait(c)
	}
}

func connectBomb(s *siege, c *attacker) {
	_ = s.connect(c, &packets.Connect{ClientID: []byte("bomb"), CleanStart: true, Props: userProperties(bomb)})
}

// guessOne tries passwords of somebody honest.
func guessOne(s *siege, c *attacker) { s.guess(c, honestUser(0)) }

// guessMany tries passwords of everybody honest, and of others who may be
// there.
func guessMany(s *siege, c *attacker) {
	s.guess(c, honestUser(rand.IntN(2*honestUsers))) //nolint:gosec // G404: nothing is to be kept from anybody
}

func (s *siege) guess(c *attacker, user string) {
	_ = s.connect(c, &packets.Connect{
		ClientID: fmt.Appendf(nil, "guess-%d", c.id), CleanStart: true,
		HasUsername: true, Username: []byte(user),
		HasPassword: true, Password: fmt.Appendf(nil, "guess-%d", c.id),
	})
}

func userProperties(n int) (ps packets.Properties) {
	for range n {
		ps = append(ps, 0x26, 0, 1, 'k', 0, 1, 'v')
	}
	return ps
}
