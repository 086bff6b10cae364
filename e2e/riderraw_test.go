package e2e

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/mqttward/mqttward/packets"
)

// linkRaw is a connection that speaks MQTT by itself, as small devices do: it sends a
// message that was not acknowledged again as what it is, with DUP, and its old packet
// identifier, whatever has become of its session.
type linkRaw struct {
	net.Conn
	rider   *rider
	reader  *packets.Reader
	version packets.Version
	acks    chan uint16
	gone    chan struct{}
	reading sync.WaitGroup
}

// boardRaw is a rider's way without a library.
func boardRaw(v packets.Version) func(*ride, *rider) (link, error) {
	return func(all *ride, r *rider) (link, error) { return newLinkRaw(all, r, v) }
}

func newLinkRaw(all *ride, r *rider, v packets.Version) (link, error) {
	dialer := net.Dialer{Timeout: patience}
	conn, err := tls.DialWithDialer(&dialer, "tcp", all.address, all.config)
	if err != nil {
		return nil, err
	}
	l := &linkRaw{Conn: conn, rider: r, version: v, reader: packets.NewReader(packets.Server), acks: make(chan uint16, 16), gone: make(chan struct{})}
	l.reader.Version = v
	_ = conn.SetDeadline(time.Now().Add(patience))
	err = l.ask(rawConnect(l.version, r.id, "alice"), packets.CONNACK)
	if err == nil {
		err = l.ask(sub(l.version, 0xFFFF, 1, r.topic()), packets.SUBACK)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	_ = conn.SetDeadline(time.Time{})
	l.reading.Go(l.read)
	return l, nil
}

// ask sends a packet and waits for the answer.
func (l *linkRaw) ask(packet []byte, answer packets.Type) error {
	if _, err := l.Write(packet); err != nil {
		return err
	}
	p, err := l.next()
	switch {
	case err != nil:
		return err
	case p.Type != answer || p.Reason != packets.Success:
		return errors.New("refused")
	}
	return nil
}

func (l *linkRaw) next() (*packets.Packet, error) {
	for {
		p, err := l.reader.Next()
		if !errors.Is(err, packets.ErrShort) {
			return p, err
		}
		l.reader.Compact()
		if err := l.reader.Fill(l.Conn); err != nil {
			return nil, err
		}
	}
}

// read takes what comes until the connection ends.
func (l *linkRaw) read() {
	defer close(l.gone)
	for {
		p, err := l.next()
		if err != nil {
			return
		}
		switch p.Type {
		case packets.PUBLISH:
			l.rider.receive(string(p.Payload))
			if _, err := l.Write(packets.AppendAck(nil, l.version, packets.PUBACK, p.ID, packets.Success)); err != nil {
				return
			}
		case packets.PUBACK:
			l.acks <- p.ID
		default:
			return // a DISCONNECT
		}
	}
}

func (l *linkRaw) publish(n int, again bool) error {
	flags := byte(2) // QoS 1
	if again {
		flags |= 8 // DUP
	}
	id := uint16(n%1000 + 1)
	if _, err := l.Write(packets.AppendPublish(nil, l.version, flags, []byte(l.rider.topic()), id, nil, []byte(payload(strconv.Itoa(n))), 0)); err != nil {
		return err
	}
	select {
	case got := <-l.acks:
		if got != id {
			return errors.New("another acknowledgement")
		}
		return nil
	case <-l.gone:
		return io.ErrUnexpectedEOF
	case <-time.After(patience):
		return errors.New("no acknowledgement")
	}
}

func (l *linkRaw) close() {
	_ = l.Close()
	l.reading.Wait()
}
