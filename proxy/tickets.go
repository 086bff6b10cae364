package proxy

import (
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"sync"
	"time"

	"github.com/mqttward/mqttward/filters"
)

// Tickets say who opens the session tickets of a listener (RFC 8446 section 4.6.1,
// RFC 5077). The zero value leaves the keys to crypto/tls: the listener alone, as long
// as its process lives.
type Tickets struct {
	Disabled bool // there are none

	// Secrets are shared by all that open each other's tickets, 32 random bytes or more
	// each. Tickets are made with the first and opened with any. Who knows one can make
	// a ticket with any client certificate in it.
	Secrets []filters.Secret

	// Listener is part of the keys. A client that was led from one listener to another
	// would else take it for the first, since who resumes shows no certificate.
	Listener string

	// Lifetime is the age at which no ticket is opened any more; up to half of it each
	// is. Not zero with Secrets.
	Lifetime time.Duration
}

// period counts the times of keys, of half a Lifetime each, by the clock that all nodes
// have: they change keys without a word to each other.
func (t *Tickets) period(now time.Time) int64 { return now.UnixNano() / int64(t.Lifetime/2) }

// keys returns what makes tickets in a period, and behind it what opens those of the
// period before and those of a node whose clock is ahead.
func (t *Tickets) keys(period int64) [][32]byte {
	var keys [][32]byte
	for _, at := range []int64{period, period - 1, period + 1} {
		for _, secret := range t.Secrets {
			keys = append(keys, t.key(secret, at))
		}
	}
	return keys
}

// key derives the key of a period by HKDF (RFC 5869). All nodes must come to the same
// one, whatever their version.
func (t *Tickets) key(secret filters.Secret, period int64) [32]byte {
	info := []byte("mqttward session tickets 1\x00")
	info = binary.BigEndian.AppendUint64(info, uint64(t.Lifetime)) //nolint:gosec // G115: any number will do
	info = binary.BigEndian.AppendUint64(info, uint64(period))     //nolint:gosec // G115: any number will do
	info = append(info, t.Listener...)
	key, err := hkdf.Key(sha256.New, secret, nil, string(info), 32)
	if err != nil {
		panic("proxy: " + err.Error()) // of lengths, which are constant
	}
	return [32]byte(key)
}

// ticketKeys puts the keys of Tickets into configurations as time goes by.
type ticketKeys struct {
	Tickets
	configs []*tls.Config

	mu      sync.Mutex
	current int64 // the period whose keys they have; 0, of a clock that is not set: crypto/tls has its own
}

// ticketKeys returns nil if t has no secrets: crypto/tls then makes up its own keys.
func (t *Tickets) ticketKeys(configs ...*tls.Config) *ticketKeys {
	if len(t.Secrets) == 0 {
		return nil
	}
	return &ticketKeys{Tickets: *t, configs: configs}
}

// rotate puts the keys of now in force. It is called before each handshake.
func (k *ticketKeys) rotate(now time.Time) {
	if k == nil {
		return
	}
	period := k.period(now)
	k.mu.Lock()
	defer k.mu.Unlock()
	if period == k.current {
		return
	}
	keys := k.keys(period)
	for _, c := range k.configs {
		c.SetSessionTicketKeys(keys)
	}
	k.current = period
}
