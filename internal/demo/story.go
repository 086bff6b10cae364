package demo

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"

	"github.com/mqttward/mqttward/internal/app"
)

const (
	stepTime  = 30 * time.Second // for one step of the story
	floodSize = 150
)

// story shows what the proxy does for the broker, in four scenes.
func (d *Demo) story(ctx context.Context) error {
	d.printf(`The legacy broker (an embedded stand-in: no TLS, no passwords, no rules) listens on %s.
mqttward stands in front of it on %s and protects it with TLS, users and rules.

`, d.brokerAddr, d.proxyAddr)
	for i, scene := range []func(context.Context) (string, error){d.allowed, d.reboot, d.nobody, d.flood} {
		ctx, cancel := context.WithTimeout(ctx, stepTime)
		said, err := scene(ctx)
		cancel()
		if err != nil {
			return fmt.Errorf("scene %d: %w", i+1, err)
		}
		d.printf("%d. %s\n", i+1, said)
	}
	return nil
}

// allowed publishes a temperature that the dashboard gets.
func (d *Demo) allowed(ctx context.Context) (string, error) {
	dashboard, inbox, err := d.connect(ctx, "dashboard_app")
	if err != nil {
		return "", err
	}
	defer goodbye(dashboard)
	if _, err := dashboard.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "data/+/+", QoS: 1}}}); err != nil {
		return "", err
	}
	sensor, _, err := d.connect(ctx, "sensor_01")
	if err != nil {
		return "", err
	}
	defer goodbye(sensor)
	if _, err := sensor.Publish(ctx, &paho.Publish{Topic: "data/sensor01/temp", QoS: 1, Payload: []byte("21.5")}); err != nil {
		return "", err
	}
	select {
	case m := <-inbox:
		return fmt.Sprintf("Allowed:  sensor_01 published %s to %s, and dashboard_app has it.", m.Payload, m.Topic), nil
	case <-ctx.Done():
		return "", errors.New("the dashboard got nothing")
	}
}

// reboot tries a command that the sensor has no right to.
func (d *Demo) reboot(ctx context.Context) (string, error) {
	sensor, _, err := d.connect(ctx, "sensor_01")
	if err != nil {
		return "", err
	}
	defer goodbye(sensor)
	const topic = "system/reboot"
	answer, err := sensor.Publish(ctx, &paho.Publish{Topic: topic, QoS: 1, Payload: []byte("now")})
	if err == nil || answer == nil || answer.ReasonCode != packets.PubackNotAuthorized {
		return "", errors.New("the fake command was not refused")
	}
	explainer, err := app.NewExplainer(d.file("mqttward.yaml"), nil)
	if err != nil {
		return "", err
	}
	decision, err := explainer.Ask(app.Question{User: "sensor_01", Action: "publish", Topic: topic})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("Refused:  a fake %s by sensor_01: reason code 0x%02X, by the rule %q.", topic, answer.ReasonCode, decision.Rule), nil
}

// nobody connects without credentials.
func (d *Demo) nobody(ctx context.Context) (string, error) {
	client, _, err := d.dial(ctx)
	if err != nil {
		return "", err
	}
	ack, err := client.Connect(ctx, &paho.Connect{ClientID: "nobody", CleanStart: true, KeepAlive: 30})
	if err == nil || ack == nil {
		return "", errors.New("a client without credentials was let in")
	}
	return fmt.Sprintf("Refused:  a client without credentials: reason code 0x%02X. The broker never saw it.", ack.ReasonCode), nil
}

// flood publishes faster than the rate allows.
func (d *Demo) flood(ctx context.Context) (string, error) {
	controller, inbox, err := d.connect(ctx, "controller")
	if err != nil {
		return "", err
	}
	defer goodbye(controller)
	if _, err := controller.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "command/zone1", QoS: 0}}}); err != nil {
		return "", err
	}
	start := time.Now()
	for range floodSize {
		if _, err := controller.Publish(ctx, &paho.Publish{Topic: "command/zone1", Payload: []byte("on")}); err != nil {
			return "", err
		}
	}
	for range floodSize {
		select {
		case <-inbox:
		case <-ctx.Done():
			return "", errors.New("messages of the flood were lost")
		}
	}
	return fmt.Sprintf("Held back: a flood of %d messages at once took %.1f s (50 a second after a burst of 50), and none was lost.",
		floodSize, time.Since(start).Seconds()), nil
}

// connect opens a session for one of the users.
func (d *Demo) connect(ctx context.Context, user string) (*paho.Client, <-chan *paho.Publish, error) {
	client, inbox, err := d.dial(ctx)
	if err != nil {
		return nil, nil, err
	}
	_, err = client.Connect(ctx, &paho.Connect{
		ClientID: "demo-" + user, CleanStart: true, KeepAlive: 30,
		UsernameFlag: true, Username: user, PasswordFlag: true, Password: []byte(passwords[user]),
	})
	return client, inbox, err
}

// dial opens a TLS connection to the proxy.
func (d *Demo) dial(ctx context.Context) (*paho.Client, <-chan *paho.Publish, error) {
	ca, err := os.ReadFile(d.file("ca.crt"))
	if err != nil {
		return nil, nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: "localhost", MinVersion: tls.VersionTLS12}}
	conn, err := dialer.DialContext(ctx, "tcp", d.proxyAddr)
	if err != nil {
		return nil, nil, err
	}
	inbox := make(chan *paho.Publish, floodSize)
	client := paho.NewClient(paho.ClientConfig{
		Conn: packets.NewThreadSafeConn(conn),
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(r paho.PublishReceived) (bool, error) {
			inbox <- r.Packet
			return true, nil
		}},
	})
	return client, inbox, nil
}

func goodbye(c *paho.Client) { _ = c.Disconnect(&paho.Disconnect{}) }

// tryIt prints lines to paste into another terminal.
func (d *Demo) tryIt() {
	port := d.proxyAddr[len("127.0.0.1:"):]
	ca := d.file("ca.crt")
	d.printf(`
mqttward stays up. To try it (mosquitto-clients), paste into another terminal:

  # the dashboard listens
  mosquitto_sub -h localhost -p %[1]s --cafile %[2]s -V 5 -u dashboard_app -P %[3]s -t 'data/+/+' -v
  # the sensor reports: the dashboard has it
  mosquitto_pub -h localhost -p %[1]s --cafile %[2]s -V 5 -u sensor_01 -P %[4]s -t data/sensor01/temp -q 1 -m 22.5
  # the sensor oversteps: "Not authorized"
  mosquitto_pub -h localhost -p %[1]s --cafile %[2]s -V 5 -u sensor_01 -P %[4]s -t system/reboot -q 1 -m now
  # the unprotected broker itself, for comparison: nobody asks
  mosquitto_pub -h 127.0.0.1 -p %[5]s -t system/reboot -q 1 -m now

  metrics   http://%[6]s/metrics
  decisions %[7]s

Ctrl-C ends the demo and removes its files.
`, port, ca, passwords["dashboard_app"], passwords["sensor_01"], d.brokerAddr[len("127.0.0.1:"):], d.app.AdminAddr(), d.file("audit.log"))
}
