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
	Action   string   `yaml:"action"` // publish, will, subscribe or receive
	Topic    string   `yaml:"topic"`
	QoS      int      `yaml:"qos"`
	Retain   bool     `yaml:"retain"`
	Size     int      `yaml:"size"` // of the payload, in bytes

	At time.Time `yaml:"at"` // zero: now
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

// Answer is a decision, the rule that made it, and what became of the rules before
// that.
type Answer struct {
	authz.Decision
	Steps []authz.Step
}

// Ask returns what the rules say.
func (e *Explainer) Ask(q Question) (Answer, error) {
	session, err := e.session(q)
	if err != nil {
		return Answer{}, err
	}
	ask, err := q.ask()
	if err != nil {
		return Answer{}, err
	}
	now := time.Now()
	if !q.At.IsZero() {
		now = q.At
	}
	d, steps := e.built.authz.Explain(now, session, ask)
	return Answer{d, steps}, nil
}

func (q Question) ask() (authz.Question, error) {
	ask := authz.Question{Action: q.Action}
	if q.QoS < 0 || q.QoS > 2 {
		return ask, fmt.Errorf("no such QoS: %d", q.QoS)
	}
	switch q.Action {
	case "publish", "will", "receive":
		if !topics.ValidName(q.Topic) {
			return ask, fmt.Errorf("no topic name: %q", q.Topic)
		}
	case "subscribe":
		if !topics.ValidFilter(q.Topic) {
			return ask, fmt.Errorf("no topic filter: %q", q.Topic)
		}
	default:
		return ask, fmt.Errorf("no such action: %q; known are publish, will, subscribe and receive", q.Action)
	}
	if q.Size < 0 {
		return ask, fmt.Errorf("no such size: %d", q.Size)
	}
	ask.Message = authz.Message{Topic: []byte(q.Topic), QoS: packets.QoS(q.QoS), Retain: q.Retain, Size: q.Size}
	return ask, nil
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
	s.Identity.Username, s.Identity.Groups = id.Username, append(s.Identity.Groups, id.Groups...)
	return s, err
}

// identify asks the first certificate method who the certificate stands for.
func (e *Explainer) identify(s *filters.Session) (filters.Identity, error) {
	for _, m := range e.built.config.Authn {
		if m.Type == configs.MethodCertificate {
			return e.built.methods[m.Name].Authenticate(context.Background(), filters.Credentials{
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
