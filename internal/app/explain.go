package app

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/spf13/pflag"

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/authn/certificate"
	"github.com/mqttward/mqttward/filters/authz"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/packets/topics"
)

// Question asks what a client may do. Empty fields are things that the client
// does not have.
type Question struct {
	User     string   `yaml:"user"`
	ClientID string   `yaml:"client_id"`
	Groups   []string `yaml:"groups"`
	Tenant   string   `yaml:"tenant"`
	Cert     string   `yaml:"cert"` // file; names the user if User is empty
	IP       string   `yaml:"ip"`
	Listener string   `yaml:"listener"`
	Action   string   `yaml:"action"` // publish, subscribe or receive
	Topic    string   `yaml:"topic"`
	QoS      int      `yaml:"qos"`
	Retain   bool     `yaml:"retain"`
}

// Explainer answers questions about a configuration without running it.
type Explainer struct {
	built *built
}

// Check loads and builds the configuration at path and changes nothing. It
// returns what is weak in it.
func Check(path string, flags *pflag.FlagSet) (warnings []string, err error) {
	e, err := NewExplainer(path, flags)
	if err != nil {
		return nil, err
	}
	return append(e.built.config.Warnings(), e.built.warnings...), nil
}

// NewExplainer loads the configuration at path. The error is a configs.Errors
// if it is wrong.
func NewExplainer(path string, flags *pflag.FlagSet) (*Explainer, error) {
	b, err := load(path, flags, newShared(), nil)
	if err != nil {
		return nil, err
	}
	return &Explainer{built: b}, nil
}

// Ask returns the decision and the rule that made it.
func (e *Explainer) Ask(q Question) (authz.Decision, error) {
	session, err := e.session(q)
	if err != nil {
		return authz.Decision{}, err
	}
	if q.QoS < 0 || q.QoS > 2 {
		return authz.Decision{}, fmt.Errorf("no such QoS: %d", q.QoS)
	}
	view, qos := e.built.authz.View(session), packets.QoS(q.QoS)
	switch q.Action {
	case "publish", "receive":
		if !topics.ValidName(q.Topic) {
			return authz.Decision{}, fmt.Errorf("no topic name: %q", q.Topic)
		}
	case "subscribe":
		if !topics.ValidFilter(q.Topic) {
			return authz.Decision{}, fmt.Errorf("no topic filter: %q", q.Topic)
		}
	default:
		return authz.Decision{}, fmt.Errorf("no such action: %q; known are publish, subscribe and receive", q.Action)
	}
	now := time.Now()
	switch m := (authz.Message{Topic: []byte(q.Topic), QoS: qos, Retain: q.Retain}); q.Action {
	case "publish":
		return view.Publish(now, m), nil
	case "receive":
		return view.Receive(now, m), nil
	default:
		return view.Subscribe(now, m.Topic, qos), nil
	}
}

func (e *Explainer) session(q Question) (*filters.Session, error) {
	named := func(l configs.Listener) bool { return l.Name == q.Listener }
	if q.Listener != "" && !slices.ContainsFunc(e.built.config.Listeners, named) {
		return nil, fmt.Errorf("no listener of this name: %q", q.Listener)
	}
	s := &filters.Session{ClientID: q.ClientID, Listener: q.Listener}
	s.Identity = filters.Identity{Username: q.User, Groups: q.Groups, Tenant: q.Tenant}
	if q.IP != "" {
		addr, err := netip.ParseAddr(q.IP)
		if err != nil {
			return nil, fmt.Errorf("no address: %q", q.IP)
		}
		s.RemoteAddr = netip.AddrPortFrom(addr, 0)
	}
	if q.Cert == "" {
		return s, nil
	}
	cert, err := readCertificate(q.Cert)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", q.Cert, err)
	}
	s.Certificate = cert
	if q.User != "" {
		return s, nil
	}
	id, err := e.identify(s)
	s.Identity.Username = id.Username
	return s, err
}

// identify asks the first certificate method who the certificate stands for.
func (e *Explainer) identify(s *filters.Session) (filters.Identity, error) {
	for _, m := range e.built.config.Authn {
		if method, ok := e.built.methods[m.Name].(*certificate.Authenticator); ok {
			return method.Authenticate(context.Background(), filters.Credentials{
				ClientID: s.ClientID, Certificate: s.Certificate, RemoteAddr: s.RemoteAddr.Addr(), Listener: s.Listener,
			})
		}
	}
	return filters.Identity{}, errors.New("no authn method of type certificate")
}

func readCertificate(path string) (*x509.Certificate, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("no certificate in PEM form")
	}
	return x509.ParseCertificate(block.Bytes)
}
