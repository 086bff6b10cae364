package backend

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
	"unicode"

	"github.com/mqttward/mqttward/packets"
)

// versionTopic is where Mosquitto, and some others, say what they are.
const versionTopic = "$SYS/broker/version"

// maxVersion bounds what is taken for a version, in bytes.
const maxVersion = 128

// Login is who asks. Without a user name it is nobody.
type Login struct {
	Username string
	Password []byte
}

// Version asks the broker what it is: the text of $SYS/broker/version. It speaks
// MQTT 3.1.1, which all brokers do. A broker that does not say is an error when
// ctx ends.
func (s *Server) Version(ctx context.Context) (string, error) {
	conn, err := s.Dial(ctx)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	p := probe{conn: conn, reader: packets.NewReader(packets.Server)}
	p.reader.Version, p.reader.Max = packets.V311, 4<<10
	version, err := p.ask(s.pool.options.Login)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("no answer to a subscription to %s: %w", versionTopic, ctx.Err())
	}
	return version, err
}

// probe is a connection to the broker that asks one question.
type probe struct {
	conn   net.Conn
	reader *packets.Reader
}

func (p probe) ask(login Login) (string, error) {
	connect := packets.Connect{Level: byte(packets.V311), CleanStart: true, ClientID: []byte("mqttward" + rand.Text()[:12]), KeepAlive: 60}
	if login.Username != "" {
		connect.HasUsername, connect.Username = true, []byte(login.Username)
		connect.HasPassword, connect.Password = len(login.Password) > 0, login.Password
	}
	if _, err := p.conn.Write(packets.AppendConnect(nil, packets.V311, &connect)); err != nil {
		return "", err
	}
	ack, err := p.await(packets.CONNACK)
	if err != nil {
		return "", err
	}
	if ack.Reason != packets.Success {
		return "", fmt.Errorf("the broker refuses the login of the probe: return code %d", ack.Reason)
	}
	subscribe := packets.AppendSubscribe(nil, packets.V311, 1, nil, []packets.Subscription{{Filter: []byte(versionTopic)}})
	if _, err := p.conn.Write(subscribe); err != nil {
		return "", err
	}
	message, err := p.await(packets.PUBLISH)
	if err != nil {
		return "", err
	}
	text := string(message.Payload)
	_, _ = p.conn.Write(packets.AppendDisconnect(nil, packets.V311, packets.Success))
	odd := func(r rune) bool { return !unicode.IsPrint(r) }
	if string(message.Topic) != versionTopic || len(text) > maxVersion || strings.ContainsFunc(text, odd) {
		return "", errors.New("what the broker says is no version")
	}
	return text, nil
}

// await reads to the next packet of type t, or to a SUBACK that refuses.
func (p probe) await(t packets.Type) (*packets.Packet, error) {
	for {
		pkt, err := p.reader.Next()
		switch {
		case errors.Is(err, packets.ErrShort):
			p.reader.Compact()
			if err := p.reader.Fill(p.conn); err != nil {
				return nil, err
			}
		case err != nil:
			return nil, err
		case pkt.Type == t:
			return pkt, nil
		case pkt.Type == packets.SUBACK && pkt.Payload[0] >= byte(packets.UnspecifiedError):
			return nil, fmt.Errorf("the broker refuses a subscription to %s", versionTopic)
		}
	}
}
