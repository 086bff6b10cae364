package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	paho5 "github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/mqttward/mqttward/packets"
)

// rider is a client that publishes numbers at QoS 1 to a topic of its own, which it
// has subscribed to. Whatever happens it comes back, with a back-off, and publishes
// again what was not acknowledged.
type rider struct {
	id    string
	board func(*ride, *rider) (link, error) // connects and subscribes

	mu       sync.Mutex
	sessions int   // that began
	sent     []int // times, by number
	got      []int
	acked    int       // all numbers below were
	last     time.Time // of the last that came back in this session
}

// link is a connection of a rider.
type link interface {
	// publish returns nil when the number is acknowledged.
	publish(number int, again bool) error
	close()
}

// ride is what all riders have in common.
type ride struct {
	address string
	config  *tls.Config
	hurry   atomic.Bool // no pause between two numbers
	over    context.Context
	stop    context.CancelFunc
	wg      sync.WaitGroup
}

// The pace of riders, and their back-off.
const (
	ridePause    = 100 * time.Millisecond
	firstBackOff = 50 * time.Millisecond
	mostBackOff  = 400 * time.Millisecond
)

func (r *rider) topic() string { return "ride/" + r.id }

// run rides until the ride is over.
func (r *rider) run(all *ride) {
	for wait := firstBackOff; ; wait = min(2*wait, mostBackOff) {
		l, err := r.board(all, r)
		if err == nil {
			r.mu.Lock()
			r.sessions, r.last = r.sessions+1, time.Time{}
			r.mu.Unlock()
			wait = firstBackOff
			r.stream(all, l)
			l.close()
		}
		if !all.pause(wait/2 + rand.N(wait)) {
			return
		}
	}
}

// pause reports false if the ride is over.
func (all *ride) pause(d time.Duration) bool {
	select {
	case <-all.over.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// stream publishes number after number, until one is not acknowledged.
func (r *rider) stream(all *ride, l link) {
	for all.over.Err() == nil {
		r.mu.Lock()
		n := r.acked
		for len(r.sent) <= n {
			r.sent, r.got = append(r.sent, 0), append(r.got, 0)
		}
		again := r.sent[n] > 0
		r.sent[n]++
		r.mu.Unlock()
		if l.publish(n, again) != nil {
			return
		}
		r.mu.Lock()
		r.acked++
		r.mu.Unlock()
		if !all.hurry.Load() {
			all.pause(ridePause)
		}
	}
}

// receive notes a number that came back.
func (r *rider) receive(body string) {
	n, err := strconv.Atoi(strings.TrimPrefix(body, payload("")))
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil || n >= len(r.got) {
		n = 0 // it shows as a message too many
	}
	r.got[n]++
	r.last = time.Now()
}

// count returns the sessions that began, and when the last number came back.
func (r *rider) count() (sessions int, last time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sessions, r.last
}

// board3 is a rider's way with paho.mqtt.golang.
func board3(all *ride, r *rider) (link, error) {
	o := mqtt.NewClientOptions().
		AddBroker("ssl://" + all.address).SetTLSConfig(all.config).SetProtocolVersion(v311).
		SetClientID(r.id).SetUsername("alice").SetPassword(password("alice")).
		SetAutoReconnect(false).SetConnectRetry(false).SetConnectTimeout(patience).
		SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { r.receive(string(m.Payload())) })
	l := link3{mqtt.NewClient(o), r.topic()}
	err := done3(l.Connect())
	if err == nil {
		err = done3(l.Subscribe(r.topic(), 1, nil))
	}
	if err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// link3 is a connection of paho.mqtt.golang.
type link3 struct {
	mqtt.Client
	topic string
}

func (l link3) publish(n int, _ bool) error {
	return done3(l.Publish(l.topic, 1, false, payload(strconv.Itoa(n))))
}

func (l link3) close() { l.Disconnect(0) }

func done3(token mqtt.Token) error {
	if !token.WaitTimeout(patience) {
		return context.DeadlineExceeded
	}
	return token.Error()
}

// board5 is a rider's way with paho.golang.
func board5(all *ride, r *rider) (link, error) {
	conn, err := tls.Dial("tcp", all.address, all.config)
	if err != nil {
		return nil, err
	}
	l := link5{topic: r.topic(), ctx: all.over, Client: paho.NewClient(paho.ClientConfig{
		Conn:          paho5.NewThreadSafeConn(conn),
		PacketTimeout: patience,
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(m paho.PublishReceived) (bool, error) {
			r.receive(string(m.Packet.Payload))
			return true, nil
		}},
	})}
	c := connection("alice")
	c.ClientID = r.id
	_, err = l.Connect(all.over, c)
	if err == nil {
		_, err = l.Subscribe(all.over, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: r.topic(), QoS: 1}}})
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return l, nil
}

// link5 is a connection of paho.golang.
type link5 struct {
	*paho.Client
	topic string
	ctx   context.Context
}

func (l link5) publish(n int, _ bool) error {
	ctx, cancel := context.WithCancel(l.ctx)
	defer cancel()
	go func() { // or it would wait for longer than there is a connection
		select {
		case <-l.Done():
			cancel()
		case <-ctx.Done():
		}
	}()
	_, err := l.Publish(ctx, &paho.Publish{Topic: l.topic, QoS: 1, Payload: []byte(payload(strconv.Itoa(n)))})
	return err
}

func (l link5) close() { _ = l.Disconnect(&paho.Disconnect{}) }

// startRide starts riders of all kinds, and waits until each has got its first number.
func startRide(t *testing.T, p *proxy, clients int) (*ride, []*rider) {
	t.Helper()
	all := &ride{address: p.address(), config: p.tlsConfig()}
	all.over, all.stop = context.WithCancel(context.Background())
	t.Cleanup(all.end)
	kinds := []func(*ride, *rider) (link, error){board3, board5, boardRaw(packets.V311), boardRaw(packets.V5)}
	var riders []*rider
	for i := range clients {
		r := &rider{id: fmt.Sprintf("rider-%d", i), board: kinds[i%len(kinds)]}
		riders = append(riders, r)
		all.wg.Go(func() { r.run(all) })
	}
	eventually(t, "first message of all riders", func() bool {
		for _, r := range riders {
			if _, last := r.count(); last.IsZero() {
				return false
			}
		}
		return true
	})
	return all, riders
}

// end ends the ride.
func (all *ride) end() {
	all.stop()
	all.wg.Wait()
}

// check checks that each number came back that was acknowledged, and none more often
// than it was sent. It returns how many were acknowledged, sent again, and came again.
func (r *rider) check(t *testing.T) (acked, again, twice int) {
	t.Helper()
	eventually(t, "messages of "+r.id, func() bool { // a library may be about to hand them over
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, n := range r.got[:r.acked] {
			if n == 0 {
				return false
			}
		}
		return true
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, n := range r.got {
		if n > r.sent[i] {
			t.Errorf("%s got message %d %d times, and sent it %d times", r.id, i, n, r.sent[i])
		}
		again += max(0, r.sent[i]-1)
		twice += max(0, n-1)
	}
	return r.acked, again, twice
}
