package backend

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	paho "github.com/eclipse/paho.golang/packets"

	"github.com/mqttward/mqttward/packets"
)

const (
	// maxAnswer bounds a packet of a broker that is checked, in bytes.
	maxAnswer = 4 << 10
	// maxMessages is how many messages a broker may send unasked before its PINGRESP.
	maxMessages = 64
	// oldFor is how long a broker is taken for one that has no MQTT 5.
	oldFor = time.Hour
)

// errVersion says that a broker does not speak the version it was asked in.
var errVersion = errors.New("the broker does not speak this version of MQTT")

// checker checks one broker, and knows in which version that works.
type checker struct {
	old atomic.Int64 // until when it is asked in 3.1.1 at once, in Unix nanoseconds
}

// check asks the broker at the end of what open opens whether it works: in MQTT 5,
// and if it has none on another connection in 3.1.1.
func (c *checker) check(ctx context.Context, open func(context.Context) (net.Conn, error), login Login) error {
	if time.Now().UnixNano() >= c.old.Load() {
		err := once(ctx, open, packets.V5, login)
		if !errors.Is(err, errVersion) {
			return err
		}
	}
	if err := once(ctx, open, packets.V311, login); err != nil {
		c.old.Store(0) // it may be another broker by now
		return err
	}
	if time.Now().UnixNano() >= c.old.Load() {
		c.old.Store(time.Now().Add(oldFor).UnixNano())
	}
	return nil
}

func once(ctx context.Context, open func(context.Context) (net.Conn, error), v packets.Version, login Login) error {
	conn, err := open(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return ping(ctx, conn, v, login)
}

// ping asks the broker at the end of conn for a PINGRESP. One that refuses the login
// works as well: it has looked at it. errVersion says that it does not speak v.
func ping(ctx context.Context, conn net.Conn, v packets.Version, login Login) error {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	p := pinger{conn: conn, version: v, reader: packets.NewReader(packets.Server)}
	p.reader.Version, p.reader.Max = v, maxAnswer
	err := p.ping(login)
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("no answer to a health check: %w", ctx.Err())
	}
	return err
}

// pinger is a connection to a broker that is checked.
type pinger struct {
	conn    net.Conn
	version packets.Version
	reader  *packets.Reader
	heard   bytes.Buffer // what came before the CONNACK was complete
}

func (p *pinger) ping(login Login) error {
	id := "mqttward-" + rand.Text()[:12]
	connect := connect3
	if p.version == packets.V5 {
		connect = connect5
	}
	if _, err := p.conn.Write(connect(id, login)); err != nil {
		return Reason(p.conn, err)
	}
	code, err := p.connack()
	if err != nil {
		return err
	}
	if code != packets.Success {
		return judge(p.version, code)
	}
	if err := p.send(paho.PINGREQ); err != nil {
		return err
	}
	if err := p.pingresp(); err != nil {
		return err
	}
	_ = p.send(paho.DISCONNECT) // the broker has answered, whatever comes of this
	return nil
}

func connect3(id string, login Login) []byte {
	c := packets.Connect{Level: byte(packets.V311), CleanStart: true, ClientID: []byte(id), KeepAlive: 60}
	if login.Username != "" {
		c.HasUsername, c.Username = true, []byte(login.Username)
		c.HasPassword, c.Password = len(login.Password) > 0, login.Password
	}
	return packets.AppendConnect(nil, packets.V311, &c)
}

func connect5(id string, login Login) []byte {
	packet := paho.NewControlPacket(paho.CONNECT)
	c, _ := packet.Content.(*paho.Connect) // as made
	limit := uint32(maxAnswer)
	c.ClientID, c.CleanStart, c.KeepAlive, c.Properties.MaximumPacketSize = id, true, 60, &limit
	if login.Username != "" {
		c.UsernameFlag, c.Username = true, login.Username
		c.PasswordFlag, c.Password = len(login.Password) > 0, login.Password
	}
	var b bytes.Buffer
	_, _ = packet.WriteTo(&b) // a Buffer takes all
	return b.Bytes()
}

// send sends a packet that has no fields, in MQTT 3.1.1 the same as in 5.
func (p *pinger) send(t byte) error {
	b := []byte{t << 4, 0}
	if p.version == packets.V5 {
		var out bytes.Buffer
		_, _ = paho.NewControlPacket(t).WriteTo(&out)
		b = out.Bytes()
	}
	_, err := p.conn.Write(b)
	return err
}

// connack returns the code of the CONNACK.
func (p *pinger) connack() (packets.ReasonCode, error) {
	pkt, err := p.next(io.TeeReader(p.conn, &p.heard))
	var broken *packets.Error
	var timeout net.Error
	switch {
	case err == nil && pkt.Type != packets.CONNACK:
		return 0, fmt.Errorf("the broker answers a CONNECT with packet type %d", pkt.Type)
	case err == nil && p.version == packets.V5:
		return code5(pkt)
	case err == nil:
		return pkt.Reason, nil
	case p.version != packets.V5:
		return 0, err
	case errors.As(err, &broken):
		// Mosquitto up to 1.5 and others refuse in the format of MQTT 3.1.1.
		if bytes.HasPrefix(p.heard.Bytes(), []byte{0x20, 2, 0, 1}) {
			return 0, errVersion
		}
	case p.heard.Len() == 0 && !(errors.As(err, &timeout) && timeout.Timeout()):
		return 0, fmt.Errorf("%w: %w", errVersion, err) // or close, as MQTT-3.1.2-2 allows
	}
	return 0, err
}

// code5 has paho read the CONNACK. It gets validated bytes only: on its own it
// allocates whatever length it is told.
func code5(pkt *packets.Packet) (packets.ReasonCode, error) {
	read, err := paho.ReadPacket(bytes.NewReader(pkt.Raw))
	if err != nil {
		return 0, err
	}
	ack, ok := read.Content.(*paho.Connack)
	if !ok {
		return 0, errors.New("the broker answers a CONNECT with another packet than CONNACK")
	}
	return packets.ReasonCode(ack.ReasonCode), nil
}

// pingresp reads to the PINGRESP, past messages that a broker subscribes its
// clients to by itself.
func (p *pinger) pingresp() error {
	for range maxMessages + 1 {
		pkt, err := p.next(p.conn)
		switch {
		case err != nil:
			return err
		case pkt.Type == packets.PINGRESP:
			return nil
		case pkt.Type == packets.DISCONNECT:
			return fmt.Errorf("the broker disconnects: %s", pkt.Reason)
		case pkt.Type != packets.PUBLISH:
			return fmt.Errorf("the broker answers a PINGREQ with packet type %d", pkt.Type)
		}
	}
	return errors.New("the broker sends messages instead of a PINGRESP")
}

func (p *pinger) next(src io.Reader) (*packets.Packet, error) {
	for {
		pkt, err := p.reader.Next()
		if !errors.Is(err, packets.ErrShort) {
			return pkt, err
		}
		p.reader.Compact()
		if err := p.reader.Fill(src); err != nil {
			return nil, err
		}
	}
}

// judge says whether a broker that refuses with code works: it does if what it
// minds is who asks.
func judge(v packets.Version, code packets.ReasonCode) error {
	if v != packets.V5 {
		switch code {
		case 1:
			return errVersion
		case 2, 4, 5: // identifier, user name or password, not authorized
			return nil
		}
		return fmt.Errorf("the broker refuses a health check: return code %d", code)
	}
	switch code {
	case packets.UnsupportedProtocolVersion:
		return errVersion
	case packets.ClientIdentifierNotValid, packets.BadUserNameOrPassword, packets.NotAuthorized,
		packets.Banned, packets.BadAuthenticationMethod:
		return nil
	}
	return fmt.Errorf("the broker refuses a health check: %s", code)
}
