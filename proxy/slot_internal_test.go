package proxy

import (
	"context"
	"crypto/tls"
	"testing"

	"github.com/mqttward/mqttward/packets"
)

// full has no place, and looks at who wants one.
type full struct {
	Places
	look func()
}

func (f full) Take(context.Context, int) error {
	f.look()
	return context.DeadlineExceeded
}

// TestWaitingForASlotHoldsNoBuffer: the ClientHello is read, and its buffer given back.
func TestWaitingForASlotHoldsNoBuffer(t *testing.T) {
	w, far := socketPair(t)
	w.records, w.reader = true, packets.NewReader(packets.Client)
	asked := false
	slot := &handshakeSlot{life: t.Context(), letGo: w.ahead.release, handshakes: full{look: func() {
		asked = true
		if w.ahead.buf != nil {
			t.Error("who waits holds a buffer")
		}
	}}}
	go func() {
		_ = tls.Client(far, &tls.Config{ServerName: "localhost", MinVersion: tls.VersionTLS12}).HandshakeContext(t.Context())
	}()
	server := tls.Server(w, &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return nil, slot.take()
	}})
	if err := server.HandshakeContext(t.Context()); err == nil || !asked {
		t.Errorf("handshake: %v, asked for a slot: %v", err, asked)
	}
}
