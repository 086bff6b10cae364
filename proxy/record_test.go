package proxy_test

import (
	"crypto/tls"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
)

// TestRecordThatStays: a TLS record that has begun is no packet. It keeps no session
// alive, whether it stays as it is or drips in.
func TestRecordThatStays(t *testing.T) {
	record := append([]byte{23, 3, 3, 64, 0}, make([]byte, 1000)...)
	for _, begin := range []int{1, 4, 5, 6} {
		for name, every := range map[string]time.Duration{"stays": time.Hour, "drips": 10 * time.Second} {
			t.Run(fmt.Sprintf("%d bytes, %s", begin, name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					id := newIdentity(t, "broker.example")
					h := open(t, withTLS(id))
					defer h.close()
					client := h.dial(packets.V5)
					network := client.Conn
					client.Conn = tls.Client(network, id.client())
					h.sessionWith(client, packets.V5, mqtttest.Connack(packets.V5, packets.Success), mqtttest.KeepAlive(60))
					time.Sleep(20 * time.Second)
					over := make(chan struct{})
					defer close(over)
					go func() {
						_, err := network.Write(record[:begin])
						for n := begin; err == nil && n < len(record); n++ {
							select {
							case <-over:
								return
							case <-time.After(every):
								_, err = network.Write(record[n : n+1])
							}
						}
					}()
					for start := time.Now(); h.seen.sum("ended ") == 0; time.Sleep(time.Second) {
						if time.Since(start) > 92*time.Second {
							t.Fatal("the session is still there")
						}
					}
				})
			})
		}
	}
}
