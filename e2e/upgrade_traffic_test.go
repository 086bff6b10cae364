package e2e

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
)

// caller connects to an address again and again.
type caller struct {
	address string
	config  *tls.Config
	id      string
}

// connect dials and logs in; every step must succeed.
func (c caller) connect() (net.Conn, *bufio.Reader, error) {
	dialer := &net.Dialer{Timeout: patience}
	conn, err := tls.DialWithDialer(dialer, "tcp", c.address, c.config)
	if err != nil {
		return nil, nil, fmt.Errorf("dial: %w", err)
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	in := bufio.NewReader(conn)
	_, err = conn.Write(rawConnect(packets.V5, c.id, ""))
	var ack []byte
	if err == nil {
		ack, err = readFrame(in)
	}
	if err != nil || len(ack) < 4 || ack[0] != 0x20 || ack[3] != 0 {
		_ = conn.Close()
		return nil, nil, fmt.Errorf("CONNECT: answered by %x, %v", ack, err)
	}
	return conn, in, nil
}

// visit connects and leaves.
func (c caller) visit() error {
	conn, _, err := c.connect()
	if err != nil {
		return err
	}
	_, err = conn.Write(packets.AppendDisconnect(nil, packets.V5, packets.Success))
	_ = conn.Close()
	return err
}

// ping publishes at QoS 1 at each beat until its session is ended, and then from a new
// one. It returns when the beat stops.
func (c caller) ping(beat <-chan struct{}, done func()) error {
	for {
		conn, in, err := c.connect()
		if err != nil {
			return err
		}
		for err == nil {
			if _, open := <-beat; !open {
				return conn.Close()
			}
			if _, err = conn.Write(mqtttest.Publish(packets.V5, 1, 1, "ping/"+c.id, payload("x"))); err == nil {
				var ack []byte
				if ack, err = readFrame(in); err == nil && ack[0] != 0x40 {
					err = errors.New("a goodbye")
				}
			}
			if err == nil {
				_ = conn.SetDeadline(time.Now().Add(patience))
				done()
			}
		}
		_ = conn.Close()
	}
}

// Nobody notices an upgrade but for the end of the session.
func TestUpgradeUnderTraffic(t *testing.T) {
	t.Parallel()
	const upgrades, clients, callers, between = 3, 50, 8, 40
	b := startBroker(t)
	u := startUpgradable(t, crowd(b, tlsListener(""), "max_connections_per_network: 0, connect_rate: {rate: 0}, connect_rate_per_network: {rate: 0}, connect_timeout: 60s"))
	var pings, visits atomic.Int64
	var traffic sync.WaitGroup
	failed := make(chan error, clients+callers)
	stop, beat := make(chan struct{}), make(chan struct{})
	for i := range clients {
		c := caller{u.address(), u.tlsConfig(), "pinger-" + strconv.Itoa(i)}
		traffic.Go(func() {
			if err := c.ping(beat, func() { pings.Add(1) }); err != nil {
				failed <- err
			}
		})
	}
	for i := range callers {
		c := caller{u.address(), u.tlsConfig(), "caller-" + strconv.Itoa(i)}
		traffic.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := c.visit(); err != nil {
					failed <- err
					return
				}
				visits.Add(1)
			}
		})
	}
	traffic.Go(func() {
		defer close(beat)
		pace := time.NewTicker(2 * time.Millisecond) // all clients together: the callers need the processors
		defer pace.Stop()
		for {
			select {
			case <-stop:
				return
			case <-pace.C:
			}
			select {
			case beat <- struct{}{}:
			case <-stop:
				return
			}
		}
	})
	goesOn := func(what string) {
		t.Helper()
		v, p := visits.Load(), pings.Load()
		eventually(t, what, func() bool {
			return len(failed) > 0 || visits.Load() >= v+between && pings.Load() >= p+between
		})
	}
	goesOn("traffic before")
	for range upgrades {
		u.upgrade(t)
		if code, body := get(t, u.client(), "http://admin/readyz"); code != http.StatusOK {
			t.Errorf("/readyz: %d %s", code, body)
		}
		goesOn("traffic after an upgrade")
	}
	close(stop)
	traffic.Wait()
	close(failed)
	refused := 0
	for err := range failed {
		refused++
		t.Error(err)
	}
	t.Logf("%d upgrades, %d connections and %d pings, %d refused", upgrades, visits.Load(), pings.Load(), refused)
	if n := visits.Load(); refused > 0 || n < (upgrades+1)*between {
		t.Errorf("%d of %d connections were refused", refused, n)
	}
	if m := u.metrics(t); m["mqttward_connections_total{listener=\"mqtts\"}"] == 0 {
		t.Errorf("the last process has had no connection: %v", m)
	}
	if r := u.run(t, "clients"); r.code != 0 {
		t.Errorf("clients: exit %d: %s", r.code, r.stderr)
	}
}
