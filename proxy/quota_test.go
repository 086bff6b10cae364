package proxy_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/quota"
	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/proxy"
	"github.com/mqttward/mqttward/ratelimit"
)

// limiting puts limits in front of the chains.
func limiting(limits ...quota.Limit) func(*proxy.Policy) {
	q := quota.New(limits, 100, nil)
	return func(p *proxy.Policy) {
		p.Up = append(filters.Chain{q.Up()}, p.Up...)
		p.Down = append(p.Down, q.Down()...)
	}
}

// TestPacketRate: PINGREQs wait, and are counted; nothing is lost.
func TestPacketRate(t *testing.T) {
	each(t, func(t *testing.T, v packets.Version) {
		h := open(t, limiting(quota.Limit{What: quota.Packets, Rate: ratelimit.Rate{PerSecond: 1, Burst: 2}}))
		defer h.close()
		client, broker := h.session(v, mqtttest.KeepAlive(60))
		broker.Patience = time.Minute
		start := time.Now()
		go func() {
			for range 5 {
				client.Conn.Write(mqtttest.Pingreq())
			}
		}()
		for i := range 5 {
			broker.Expect("It goes on in its turn.", mqtttest.Pingreq())
			if got, want := time.Since(start), max(0, time.Duration(i-1)*time.Second); got != want {
				t.Errorf("PINGREQ %d came after %v, want %v", i, got, want)
			}
		}
		if n := h.seen.count("decided packet delayed"); n != 3 {
			t.Errorf("%d delays counted, want 3", n)
		}
	})
}

// TestSharedDebt: a debt of others keeps no client from its broker for so long that
// the broker gives it up.
func TestSharedDebt(t *testing.T) {
	each(t, func(t *testing.T, v packets.Version) {
		h := open(t, limiting(quota.Limit{Rule: "all", What: quota.Packets, Per: quota.PerAll, Rate: ratelimit.Rate{PerSecond: .1, Burst: 1}}))
		defer h.close()
		client, broker := h.session(v, mqtttest.KeepAlive(9))
		broker.Patience = time.Minute
		start := time.Now()
		publish := mqtttest.Publish(v, 1, 7, "data/a", "x")
		client.Send(mqtttest.Pingreq(), mqtttest.Pingreq(), publish, mqtttest.Pingreq())
		broker.Expect("The first is within the limit.", mqtttest.Pingreq())
		broker.Expect("The second would wait for ten seconds.", mqtttest.Pingreq())
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("it waited for %v, want a third of the Keep Alive", took)
		}
		client.Expect("A PUBLISH is refused.", mqtttest.Ack(v, packets.PUBACK, 7, packets.QuotaExceeded))
		broker.Expect("So is nothing else.", mqtttest.Pingreq())
	})
}

// TestDelayedDeliveries: the broker is read more slowly.
func TestDelayedDeliveries(t *testing.T) {
	each(t, func(t *testing.T, v packets.Version) {
		h := open(t, limiting(quota.Limit{What: quota.Deliveries, Rate: ratelimit.Rate{PerSecond: 1, Burst: 1}}))
		defer h.close()
		client, broker := h.session(v, mqtttest.KeepAlive(60))
		client.Patience = time.Minute
		start := time.Now()
		sent := [][]byte{mqtttest.Publish(v, 0, 0, "data/a", "1"), mqtttest.Publish(v, 1, 1, "data/a", "2"), mqtttest.Publish(v, 2, 2, "data/a", "3")}
		broker.Send(sent...)
		for i, p := range sent {
			client.Expect("One a second.", p)
			if got := time.Since(start); got != time.Duration(i)*time.Second {
				t.Errorf("message %d came after %v", i, got)
			}
		}
		if n := h.seen.count("decided receive delayed"); n != 2 {
			t.Errorf("%d delays counted, want 2", n)
		}
	})
}

// TestOfferedSizes: what would never go on is told in advance, and holds.
func TestOfferedSizes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, checked, limiting(
			quota.Limit{What: quota.Messages, Action: quota.Drop, Rate: ratelimit.Rate{PerSecond: 1, Burst: 7}},
			quota.Limit{What: quota.Bytes, Action: quota.Drop, Rate: ratelimit.Rate{PerSecond: 1, Burst: 500}},
		), func(p *proxy.Policy) { p.Limits.MaxPacketSize, p.Limits.MaxInflight = 1000, 50 })
		defer h.close()
		client := h.dial(v5)
		client.Send(mqtttest.Connect(v5, "device"))
		broker := h.answer(v5)
		broker.Expect("The CONNECT goes on.", mqtttest.Connect(v5, "device"))
		broker.Send(mqtttest.Connack(v5, packets.Success))
		client.Expect("The lower ones.", mqtttest.Connack(v5, packets.Success, mqtttest.Uint16(packets.ReceiveMaximum, 7), mqtttest.Uint32(packets.MaximumPacketSize, 500)))
		for id := range uint16(7) {
			p := mqtttest.Publish(v5, 2, id+1, "data/a", "x")
			client.Send(p)
			broker.Expect("Seven go on.", p)
		}
		time.Sleep(time.Minute)
		client.Send(mqtttest.Publish(v5, 2, 8, "data/a", "x"))
		client.Expect("The eighth is more than was offered.", mqtttest.Disconnect(v5, packets.ReceiveMaximumExceeded))
	})
}

// TestWillIsCounted: one for which there is no room is withdrawn.
func TestWillIsCounted(t *testing.T) {
	retainedWill := func(c *packets.Connect) {
		c.Will = &packets.Will{Topic: []byte("will"), Retain: true, Payload: []byte("a payload that counts")}
	}
	each(t, func(t *testing.T, v packets.Version) {
		h := open(t, limiting(quota.Limit{Rule: "all", What: quota.Holds, Most: quota.Most{Bytes: 30}}))
		defer h.close()
		client, broker := h.session(v, retainedWill)
		client.Close()
		broker.ExpectClose("The Will is due, and there is room for it.")
		client, broker = h.session(v, retainedWill)
		client.Send(mqtttest.Publish(v, 1, 1, "data/a", "x", packets.Properties{}))
		broker.Expect("Nothing that is not retained counts.", mqtttest.Publish(v, 1, 1, "data/a", "x"))
		more := mqtttest.Publish(v, 1, 2, "data/a", "more")
		more[0] |= 1
		client.Send(more)
		client.Expect("There is no room beside the Will.", mqtttest.Ack(v, packets.PUBACK, 2, packets.QuotaExceeded))
	})
	each(t, func(t *testing.T, v packets.Version) {
		h := open(t, limiting(quota.Limit{Rule: "all", What: quota.Holds, Most: quota.Most{Bytes: 20}}))
		defer h.close()
		client, broker := h.session(v, retainedWill)
		client.Close()
		broker.Expect("It is withdrawn.", mqtttest.Disconnect(v, packets.Success))
	})
}

// slowly takes its time for dialogues.
type slowly struct {
	*house
	takes *atomic.Int64
}

func (s slowly) Begin(filters.Credentials) (filters.Dialogue, error) { return s, nil }

func (s slowly) Next(_ context.Context, data filters.Secret) ([]byte, *filters.Identity, error) {
	time.Sleep(time.Duration(s.takes.Load()))
	return nil, proved(string(data)), nil
}

// TestTimeAfterAuth: what comes behind an AUTH that somebody has thought about is not
// judged by the time of before. A limit that others share would take that for a clock
// that was set back.
func TestTimeAfterAuth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var takes atomic.Int64
		var late time.Duration
		h := open(t, func(p *proxy.Policy) {
			p.Up = append(filters.Chain{filter(func(now time.Time, p *packets.Packet) {
				if p.Type == packets.PUBLISH {
					late = time.Since(now)
				}
			})}, p.Up...)
		})
		h.listener.SetPolicy(h.newPolicy(func(p *proxy.Policy) { p.Authn, p.Up = slowly{h, &takes}, h.policy.Up }))
		defer h.close()
		client, broker := h.enhanced("bob")
		takes.Store(int64(4 * time.Second))
		p := mqtttest.Publish(v5, 0, 0, "data/x", "1")
		client.Send(mqtttest.Auth(packets.ReAuthenticate, "test", "bob"), p)
		broker.Patience = time.Minute
		broker.Expect("It goes on behind the AUTH.", p)
		if late != 0 {
			t.Errorf("it was judged by a time %v ago", late)
		}
	})
}

// filter is one that only looks.
type filter func(now time.Time, p *packets.Packet)

func (f filter) Filter(now time.Time, _ *filters.Session, p *packets.Packet) filters.Verdict {
	f(now, p)
	return filters.Pass()
}

// counting is a filter that counts, by the short way too.
type counting struct{ filter }

func (c counting) Passes(now time.Time, _ *filters.Session, p *packets.Packet) bool {
	c.filter(now, p)
	return true
}

// reloading is a filter without a short way for topics below "reload", during which
// another policy comes into force.
type reloading struct {
	quick
	reload func()
}

func (r reloading) Passes(_ time.Time, _ *filters.Session, p *packets.Packet) bool {
	if string(p.Topic) != "reload" {
		return true
	}
	r.reload()
	return false
}

// TestReloadCountsOnce: a packet that limits have counted when a reload comes is not
// counted again by the filters of the new policy, which judge the one behind it.
func TestReloadCountsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		defer h.close()
		var count [2]int // up, down
		chain := func(i int) filters.Chain {
			counts := counting{func(time.Time, *packets.Packet) { count[i]++ }}
			return filters.Chain{counts, reloading{reload: func() {
				h.listener.SetPolicy(h.newPolicy(func(p *proxy.Policy) {
					p.Up = append(filters.Chain{counts}, p.Up...)
					p.Down = append(filters.Chain{counts}, p.Down...)
				}))
			}}}
		}
		h.listener.SetPolicy(h.newPolicy(func(p *proxy.Policy) { p.Up, p.Down = chain(0), chain(1) }))
		client, broker := h.session(v5)
		synctest.Wait()
		count = [2]int{}
		reload, dropped, marker := mqtttest.Publish(v5, 0, 0, "reload", "x"), mqtttest.Publish(v5, 0, 0, "dropped/a", "x"), mqtttest.Publish(v5, 0, 0, "data/a", "x")
		broker.Send(reload)
		client.Expect("It goes on.", reload)
		if count != [2]int{0, 1} {
			t.Errorf("counted %v times, want it once", count)
		}
		broker.Send(dropped, marker)
		client.Expect("The new policy drops.", marker)

		h.listener.SetPolicy(h.newPolicy(func(p *proxy.Policy) { p.Up, p.Down = chain(0), chain(1) }))
		client.Send(marker) // which follows the reload
		broker.Expect("The first again.", marker)
		count = [2]int{}
		client.Send(reload)
		broker.Expect("It goes on.", reload)
		if count != [2]int{1, 0} {
			t.Errorf("counted %v times, want it once", count)
		}
		client.Send(dropped, marker)
		broker.Expect("The new policy drops.", marker)
	})
}
