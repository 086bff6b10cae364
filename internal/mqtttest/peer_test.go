package mqtttest_test

import (
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqttward/mqttward/internal/memnet"
	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
)

// verdict is a testing.TB that keeps what a failing expectation says.
type verdict struct {
	testing.TB
	failure string
}

func (v *verdict) Helper() {}

func (v *verdict) Fatalf(format string, args ...any) {
	v.failure = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// judge runs script with a broker's end and a client's end and returns how the
// client's expectations failed.
func judge(script func(client, broker *mqtttest.Peer)) string {
	addr := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}
	near, far := memnet.Pipe(addr, addr)
	v := &verdict{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		script(mqtttest.Client(v, near, packets.V5), mqtttest.Broker(v, far, packets.V5))
	}()
	<-done
	return v.failure
}

func TestExpectations(t *testing.T) {
	publish := mqtttest.Publish(packets.V5, 1, 7, "a/b", "hello")
	other := mqtttest.Publish(packets.V5, 1, 8, "a/b", "hello")
	long := mqtttest.Publish(packets.V5, 0, 0, "a", strings.Repeat("x", 50_000))
	tests := []struct {
		name   string
		script func(c, b *mqtttest.Peer)
		want   string // in the failure; empty: none
	}{
		{"the packet that was expected", func(c, b *mqtttest.Peer) { b.Send(publish, long); c.Expect("It comes.", publish, long) }, ""},
		{"another one", func(c, b *mqtttest.Peer) { b.Send(other); c.Expect("It comes.", publish) }, `client: It comes. (packet 1 of 1)
  want PUBLISH id 7 QoS 1 to "a/b", 5 bytes of payload | 32 0d 00 03 61 2f 62 00 07 00 68 65 6c 6c 6f
  got  PUBLISH id 8 QoS 1`},
		{"no packet", func(c, b *mqtttest.Peer) { b.Send([]byte("?!")); b.Close(); c.Expect("It comes.", publish) }, "not a packet"},
		{"half of it", func(c, b *mqtttest.Peer) { b.Send(publish[:9]); b.Close(); c.Expect("It comes.", publish) }, "unexpected EOF"},
		{"nothing in time", func(c, _ *mqtttest.Peer) { c.Expect("It comes.", publish) }, "got  nothing and read tcp"},
		{"an orderly close", func(c, b *mqtttest.Peer) { b.Close(); c.ExpectClose("It ends.") }, ""},
		{"a reset instead", func(c, b *mqtttest.Peer) { c.Send(publish); b.Close(); c.ExpectClose("It ends.") }, "connection reset"},
		{"a reset will do", func(c, b *mqtttest.Peer) { c.Send(publish); b.Close(); c.ExpectGone("It ends.") }, ""},
		{"no close", func(c, _ *mqtttest.Peer) { c.ExpectGone("It ends.") }, "i/o timeout"},
		{"a packet instead of the end", func(c, b *mqtttest.Peer) { b.Send(publish); b.Close(); c.ExpectClose("It ends.") }, "PUBLISH id 7"},
		{"silence", func(c, _ *mqtttest.Peer) { c.ExpectSilence("It is quiet.", time.Minute) }, ""},
		{"a word in the silence", func(c, b *mqtttest.Peer) { b.Send(mqtttest.Pingresp()); c.ExpectSilence("It is quiet.", time.Minute) }, "PINGRESP"},
		{"an end in the silence", func(c, b *mqtttest.Peer) { b.Close(); c.ExpectSilence("It is quiet.", time.Minute) }, "EOF"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got := judge(tt.script)
				if (tt.want == "") != (got == "") || !strings.Contains(got, tt.want) {
					t.Errorf("failure:\n%s\nwant it to contain:\n%s", got, tt.want)
				}
			})
		})
	}
}

// TestBuild parses what the functions build.
func TestBuild(t *testing.T) {
	for _, v := range []packets.Version{packets.V31, packets.V311, packets.V5} {
		connect := mqtttest.Connect(v, "id", mqtttest.Login("user", "password"), mqtttest.KeepAlive(60), mqtttest.Will("will", "gone"))
		p, err := packets.Parse(connect, 0, packets.Client)
		if err != nil {
			t.Fatal(err)
		}
		c, err := p.Connect()
		if err != nil || p.Version != v || c.KeepAlive != 60 || string(c.Username) != "user" || string(c.Will.Topic) != "will" {
			t.Errorf("%v: CONNECT %+v (%v)", v, c, err)
		}
		for _, b := range [][]byte{
			mqtttest.Publish(v, 2, 1, "a", "b"), mqtttest.Ack(v, packets.PUBREL, 1, packets.Success),
			mqtttest.Subscribe(v, 1, "a", "b/#"), mqtttest.Disconnect(v, packets.Success), mqtttest.Pingreq(),
		} {
			if _, err := packets.Parse(b, v, packets.Client); err != nil {
				t.Errorf("%v: % x: %v", v, b, err)
			}
		}
		for _, b := range [][]byte{mqtttest.Connack(v, packets.NotAuthorized), mqtttest.Suback(v, 1, packets.GrantedQoS1), mqtttest.Pingresp()} {
			if _, err := packets.Parse(b, v, packets.Server); err != nil {
				t.Errorf("%v: % x: %v", v, b, err)
			}
		}
	}
	props := mqtttest.Props(mqtttest.Uint16(packets.ReceiveMaximum, 3), mqtttest.Text(packets.AuthenticationMethod, "SCRAM"))
	p, err := packets.Parse(mqtttest.Connect(packets.V5, "id", props), 0, packets.Client)
	if err != nil {
		t.Fatal(err)
	}
	c, _ := p.Connect()
	if n, _ := c.Props.Uint16(packets.ReceiveMaximum); n != 3 {
		t.Errorf("Receive Maximum %d, want 3", n)
	}
	if method, _ := c.Props.Lookup(packets.AuthenticationMethod); string(method) != "SCRAM" {
		t.Errorf("Authentication Method %q", method)
	}
}
