// Package filters judges packets: what a client may send to the broker and
// what the broker may send to a client.
//
// A Filter looks at one validated packet and returns a Verdict. A Chain asks
// its filters in order and turns their verdicts into what MQTT demands of a
// refusal: the right acknowledgement for packet type, protocol version and
// QoS, the merged SUBACK, the rest of a refused QoS 2 flow.
//
// The package does no I/O, starts no goroutine and fails closed: the zero
// Verdict ends the session.
package filters

import (
	"time"

	"github.com/mqttward/mqttward/packets"
)

// Filter judges packets of one direction.
//
// A filter does no I/O, does not block and cannot fail. The packet and its
// slices are valid during the call only. Calls for one session and one
// direction come from one goroutine; now is the time at which the burst of
// packets was read.
type Filter interface {
	Filter(now time.Time, s *Session, p *packets.Packet) Verdict
}

// Opener is a Filter that keeps state per session: Open returns the filter
// that judges the packets of s.
type Opener interface {
	Open(s *Session) Filter
}

// Passer is a filter with a short way for what it most often lets go on. Passes
// reports whether Filter would return Pass(), and does then what else Filter
// would do. If not it has done nothing, and Filter is asked.
type Passer interface {
	Passes(now time.Time, s *Session, p *packets.Packet) bool
}

// Closer is an opened filter that holds something until its session ends. A
// Filter that sessions share must not be one.
type Closer interface {
	Close()
}

// Reviewer is a filter whose permission can be withdrawn: Review judges again,
// by the rules of now, what was let go on and has not taken effect yet. p is a
// PUBLISH whose PUBREL has come, without payload; a SUBSCRIBE to what the
// session is subscribed to, where to narrow a filter is to refuse it; or a CONNECT
// with the Will that is about to be published. It counts towards no quota.
type Reviewer interface {
	Review(now time.Time, s *Session, p *packets.Packet) Verdict
}

// Offer is what a CONNACK tells an MQTT 5.0 client that it may use (sections
// 3.2.2.3.4 to 3.2.2.3.13).
type Offer struct {
	MaximumQoS               packets.QoS
	Retain, Wildcard, Shared bool
	PacketSize               int // Maximum Packet Size; zero: no limit
	ReceiveMaximum           int // zero: no limit
}

// Limiter is an opened filter that never lets some of an Offer go on. Limit
// lowers o to what it does.
type Limiter interface {
	Limit(o *Offer)
}

// Noter is an opened filter that counts the retained messages there are. Note
// tells it whether the last that it has let pass, or the Will that it has reviewed,
// goes on, now that the filters behind it have judged too.
type Noter interface {
	Note(goesOn bool)
}

// Holder is an opened filter that can make a PUBLISH wait until the broker has
// answered something. It is asked before any filter judges, since a packet that
// waits is judged again.
type Holder interface {
	Hold(s *Session, p *packets.Packet) bool
}

// Whole is an opened filter that judges payloads. It reports whether it has to
// see the rest of p, a PUBLISH of the client, before it can judge; what it can
// refuse by its length alone, it need not see. It is asked before any filter
// judges, about the packet as the client sent it, but for its Topic Name, which is
// the one that it will be judged by; see Namer.
//
// A PUBLISH of more than packets.MaxWhole bytes is judged without its Rest
// nevertheless.
type Whole interface {
	Whole(s *Session, p *packets.Packet) bool
}

// Action is what happens to a judged packet.
type Action uint8

// The actions. Disconnect is zero, so that a forgotten verdict fails closed.
const (
	Disconnect Action = iota // end the session with Verdict.Reason
	Drop                     // the packet ends here
	Reply                    // the packet ends here; Verdict.Packet goes back to its sender
	Hold                     // of the chain: the packet waits until the broker has answered something, and is judged again
	Gather                   // of the chain: the packet waits for the rest of its payload, and is judged again
	Rewrite                  // Verdict.Packet goes on in its place; a SUBSCRIBE keeps its filters' number and order
	Forward                  // the packet goes on as it came
)

// Verdict is a filter's judgement of one packet.
type Verdict struct {
	Action  Action
	Reason  packets.ReasonCode // why it does not go on; told to MQTT 5.0 peers
	Content Content            // what a check of the payload made of it
	Packet  []byte             // Reply and Rewrite: a whole packet
	Rule    string             // the rule that decided, for the audit log
	Delay   time.Duration      // wait this long before anything is done
	Broken  packets.Checks     // the checks that the packet fails, whether it goes on or not

	// Monitored is the rule that would have refused a packet that goes on, where
	// rules are not enforced.
	Monitored string

	// Filters has, for a SUBSCRIBE that goes on, a judgement of each Topic
	// Filter; one that is missing refuses. Nil lets all go on. The chain keeps
	// the slice.
	Filters []Judgement
}

// Content is what became of a message that failed a check of its payload.
type Content uint8

// What becomes of such messages.
const (
	ContentSound    Content = iota // it failed none
	ContentRefused                 // its sender is told
	ContentDropped                 // acknowledged, and not sent on
	ContentReported                // it goes on; Verdict.Rule is what it failed
)

// Judgement is what a filter says of one Topic Filter of a SUBSCRIBE. The zero
// Judgement lets it go on.
type Judgement struct {
	Reason packets.ReasonCode // a failure refuses the Topic Filter
	Rule   string             // the rule that refused it, for the audit log

	Monitored string // the rule that would have refused it, where rules are not enforced

	// Narrowed, unless nil, are the Topic Filters that are subscribed to in the
	// place of this one, with its options: 1 to 64 of them, each within it and, if
	// it is a Shared Subscription, in its group. Anything else refuses it, and so
	// does a second filter of the chain that narrows it. Those within another one
	// are left out, since what both match would come twice. The client does not
	// see it: it has subscribed to what it has asked for. The chain keeps the slice.
	Narrowed []string
}

// and is the judgement of two filters, of which the first refusal stands.
func (j Judgement) and(next Judgement) Judgement {
	switch {
	case j.Reason != packets.Success:
		return j
	case next.Reason != packets.Success || j.Narrowed == nil:
		return next
	case next.Narrowed != nil: // what both leave of it may be nothing
		return Judgement{Reason: packets.ImplementationSpecificError, Rule: "two filters narrow it"}
	default:
		return j
	}
}

// Pass is the verdict that lets a packet go on.
func Pass() Verdict { return Verdict{Action: Forward} }
