package proxy_test

import (
	"context"
	"crypto"
	"crypto/tls"
	"encoding/binary"
	"io"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/proxy"
	"github.com/mqttward/mqttward/ratelimit"
)

// held counts the places that are taken.
type held struct {
	proxy.Places
	n int
}

func (h *held) Take(ctx context.Context, rank int) error { h.n++; return h.Places.Take(ctx, rank) }
func (h *held) Give()                                    { h.n--; h.Places.Give() }

// watched tells when it signs.
type watched struct {
	crypto.Signer
	signs func()
}

func (w watched) Sign(r io.Reader, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	w.signs()
	return w.Signer.Sign(r, digest, o)
}

// TestRetriedHelloTakesAProcessor: a ClientHello without a share that the server takes
// gets no signature without a place.
func TestRetriedHelloTakesAProcessor(t *testing.T) {
	for _, retried := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			places, signed := &held{Places: ratelimit.NewTurns(1)}, 0
			id := newIdentity(t, "broker.example")
			key, _ := id.pair.PrivateKey.(crypto.Signer)
			id.pair.PrivateKey = watched{key, func() {
				if signed++; places.n != 1 {
					t.Errorf("retried %v: a signature with %d places", retried, places.n)
				}
			}}
			h := open(t, withTLS(id), func(p *proxy.Policy) { p.Computing = places })
			defer h.close()
			client := h.dial(packets.V5)
			go io.Copy(io.Discard, client.Conn)
			hello := clientHello(t, tls.X25519)
			if retried {
				client.Send(strangeShare(hello))
				synctest.Wait()
				hello[2] = 3 // the version of records from now on
			}
			client.Send(hello)
			synctest.Wait()
			if signed != 1 {
				t.Errorf("retried %v: %d signatures", retried, signed)
			}
			client.Close()
			h.wait()
			if places.n != 0 {
				t.Errorf("retried %v: %d places are held", retried, places.n)
			}
		})
	}
}

// strangeShare is a ClientHello with a key share of a group that nobody knows.
func strangeShare(hello []byte) []byte {
	b := slices.Clone(hello)
	at := 5 + 4 + 2 + 32 // record, message, version, random
	at += 1 + int(b[at])
	at += 2 + int(binary.BigEndian.Uint16(b[at:]))
	at += 1 + int(b[at]) + 2
	for at < len(b) {
		if binary.BigEndian.Uint16(b[at:]) == 51 { // key_share
			b[at+6], b[at+7] = 0x0a, 0x0a
		}
		at += 4 + int(binary.BigEndian.Uint16(b[at+2:]))
	}
	return b
}
