// Package payload judges what is in messages: their size, their format, and
// whether their JSON is what a schema says.
//
// A Filter has checks in order. Every check that one of its topic filters
// matches is applied to a PUBLISH of a client and to the Will of a CONNECT: sizes
// first, contents after. The first that refuses or drops decides; one that
// reports lets the message go on. A message that no check matches costs the
// comparison of its topic, and allocates nothing.
//
// What is in a payload is judged only if all of it is there: the Filter is a
// filters.Whole. A payload above the size of a check is judged by its length
// alone, so no more is ever held of one message than the largest size among the
// checks that look inside.
//
// It fails closed: an action that does not exist refuses, and so does a payload
// that is not there. Rules in verdicts name places in schema and message, never
// values: those may be secret.
package payload

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/packets/topics"
)

// Format is what a payload has to be.
type Format uint8

// The formats.
const (
	Any      Format = iota // whatever it is: nobody looks
	Declared               // UTF-8, as its Payload Format Indicator says (MQTT 5.0 section 3.3.2.3.2); others are not judged
	UTF8
	JSON // in UTF-8, with one reading; see document.form
)

// Action is what becomes of a message that fails a check.
type Action uint8

// The actions. The zero one refuses.
const (
	Refuse Action = iota // MQTT 5.0 clients are told why
	Drop                 // acknowledged as if it were delivered; a CONNECT with such a Will is refused
	Report               // it goes on, counted and logged
)

// Check is one check.
type Check struct {
	Place      string   // where it stands, for verdicts
	Topics     []string // topic filters
	MaxSize    int      // bytes of the payload; zero: no limit, which is possible with Any alone
	Format     Format
	Schema     *Schema // nil: none
	AllowEmpty bool    // an empty payload has every format
	Action     Action
}

// MaxInside is the largest MaxSize of a check that looks inside.
const MaxInside = packets.MaxWhole / 2

// Validate returns what is wrong with c, all at once; nil if nothing is.
func (c *Check) Validate() error {
	var errs []error
	if len(c.Topics) == 0 {
		errs = append(errs, errors.New("topics are missing"))
	}
	for _, t := range c.Topics {
		if _, _, shared := topics.Share(t); shared || !topics.ValidFilter(t) {
			errs = append(errs, fmt.Errorf("no topic filter: %q", t))
		}
	}
	if c.inside() && (c.MaxSize <= 0 || c.MaxSize > MaxInside) {
		errs = append(errs, fmt.Errorf("max_size is not from 1 to %d bytes", MaxInside))
	}
	return errors.Join(errs...)
}

// inside reports whether c looks into payloads.
func (c *Check) inside() bool { return c.Format != Any || c.Schema != nil }

func (c *Check) matches(topic []byte) bool {
	for _, filter := range c.Topics {
		if topics.Match(filter, topic) {
			return true
		}
	}
	return false
}

// Filter applies checks. It has no state and serves all sessions.
type Filter struct{ checks []Check }

// New returns the filter of checks, in order.
func New(checks []Check) (*Filter, error) {
	for i := range checks {
		if err := checks[i].Validate(); err != nil {
			return nil, fmt.Errorf("%s: %w", checks[i].Place, err)
		}
	}
	return &Filter{checks}, nil
}

// Filter judges a PUBLISH of the client, and the Will of a CONNECT.
func (f *Filter) Filter(_ time.Time, s *filters.Session, p *packets.Packet) filters.Verdict {
	switch p.Type {
	case packets.PUBLISH:
		m := messageOf(p)
		found := f.judge(&m)
		if found.check == nil {
			return filters.Pass()
		}
		return found.publish(s, p)
	case packets.CONNECT:
		return f.will(s, p)
	default:
		return filters.Pass()
	}
}

// will judges the Will of a CONNECT, which is all there.
func (f *Filter) will(s *filters.Session, p *packets.Packet) filters.Verdict {
	c, err := p.Connect()
	if err != nil {
		return filters.Verdict{Reason: packets.UnspecifiedError, Rule: err.Error()}
	}
	if c.Will == nil {
		return filters.Pass()
	}
	found := f.judge(&message{c.Will.Topic, c.Will.Payload, len(c.Will.Payload), c.Will.Props})
	if found.check == nil {
		return filters.Pass()
	}
	return found.connect(s, p)
}

// finding is the check that a message fails, and why.
type finding struct {
	check *Check // nil: it fails none
	rc    packets.ReasonCode
	why   string
}

// final reports whether no other check can change what becomes of the message.
func (f *finding) final() bool { return f.check != nil && f.check.Action != Report }

// add notes another check that the message fails. Of those that report the first
// stands.
func (f *finding) add(c *Check, rc packets.ReasonCode, why string) {
	if f.check == nil || c.Action != Report {
		*f = finding{c, rc, why}
	}
}

func (f *finding) rule() string {
	var b strings.Builder
	if f.check.Place != "" {
		b.WriteString(f.check.Place + ": ")
	}
	b.WriteString(f.why)
	return b.String()
}

func (f *finding) publish(s *filters.Session, p *packets.Packet) (v filters.Verdict) {
	switch f.check.Action {
	case Report:
		return f.report()
	case Drop:
		v = filters.Absorb(s, p, f.rule())
		v.Content = filters.ContentDropped
	default:
		v = filters.Deny(s, p, f.rc, f.rule())
		v.Content = filters.ContentRefused
	}
	return v
}

// connect refuses a Will with its CONNECT: to strip it would be to lose a
// message that the client counts on.
func (f *finding) connect(s *filters.Session, p *packets.Packet) filters.Verdict {
	if f.check.Action == Report {
		return f.report()
	}
	rc := f.rc
	if rc == packets.QuotaExceeded {
		rc = packets.PacketTooLarge // of MQTT 3.x return codes, one that asks for no second try
	}
	v := filters.Deny(s, p, rc, f.rule())
	v.Content = filters.ContentRefused
	return v
}

func (f *finding) report() filters.Verdict {
	v := filters.Pass()
	v.Content, v.Rule = filters.ContentReported, f.rule()
	return v
}
