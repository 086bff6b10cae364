package filters

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mqttward/mqttward/packets"
)

// judge is a filter as a function.
type judge func(s *Session, p *packets.Packet) Verdict

func (j judge) Filter(_ time.Time, s *Session, p *packets.Packet) Verdict { return j(s, p) }

// says is a filter that always says v.
func says(v Verdict) Filter {
	return judge(func(*Session, *packets.Packet) Verdict {
		v := v
		v.Filters = slices.Clone(v.Filters) // the chain keeps them
		return v
	})
}

// guard refuses what begins with "no/", in MQTT 5.0 a Topic Filter that begins
// with "no/quota" for another reason.
var guard = judge(func(s *Session, p *packets.Packet) Verdict {
	switch p.Type {
	case packets.PUBLISH:
		if strings.HasPrefix(string(p.Topic), "no/") {
			return Deny(s, p, packets.NotAuthorized, "guard")
		}
	case packets.SUBSCRIBE:
		v := Pass()
		for filter := range p.Subscriptions() {
			rc := packets.Success
			switch {
			case strings.HasPrefix(string(filter), "no/quota"):
				rc = packets.QuotaExceeded
			case strings.HasPrefix(string(filter), "no/"):
				rc = packets.NotAuthorized
			}
			v.Filters = append(v.Filters, Judgement{Reason: rc, Rule: "guard"})
		}
		return v
	}
	return Pass()
})

var versions = []packets.Version{packets.V31, packets.V311, packets.V5}

// parse returns the view of b, a packet that the end from sends.
func parse(t *testing.T, b []byte, v packets.Version, from packets.Role) *packets.Packet {
	t.Helper()
	p, err := packets.Parse(b, v, from)
	if err != nil {
		t.Fatalf("% x: %v", b, err)
	}
	return p
}

// publish returns a PUBLISH with an empty payload.
func publish(v packets.Version, qos packets.QoS, id uint16, topic string) []byte {
	return packets.AppendPublish(nil, v, byte(qos)<<1, []byte(topic), id, nil, nil, 0)
}

// subscribe returns a SUBSCRIBE to filters, all with QoS 1.
func subscribe(v packets.Version, id uint16, filters ...string) []byte {
	var subs []packets.Subscription
	for _, f := range filters {
		subs = append(subs, packets.Subscription{Filter: []byte(f), Options: 1})
	}
	return packets.AppendSubscribe(nil, v, id, nil, subs)
}

func suback(v packets.Version, id uint16, codes ...packets.ReasonCode) []byte {
	return packets.AppendSuback(nil, v, id, nil, codes)
}

func pubrel(v packets.Version, id uint16) []byte {
	return packets.AppendAck(nil, v, packets.PUBREL, id, packets.Success)
}

// A step is one packet, and what is to become of it.
type step struct {
	say    string
	packet []byte // from the client; a SUBACK comes from the broker
	want   Action
	bytes  string               // of the verdict
	reason packets.ReasonCode   // only compared when the session ends
	codes  []packets.ReasonCode // only compared if given
}

// play lets chain judge a session's packets. What goes on or back must be well
// formed for those who read it.
func play(t *testing.T, chain Chain, v packets.Version, steps []step) {
	t.Helper()
	s := &Session{Version: v}
	for _, step := range steps {
		t.Helper()
		got, from := Verdict{}, packets.Client
		if packets.Type(step.packet[0]>>4) == packets.SUBACK {
			from = packets.Server
		}
		p := parse(t, step.packet, v, from)
		if from == packets.Server {
			got = chain.JudgeDown(time.Time{}, s, p)
		} else {
			got = chain.JudgeUp(time.Time{}, s, p)
		}
		if got.Action != step.want || string(got.Packet) != step.bytes {
			t.Fatalf("MQTT %v: %s: action %d with % x, want %d with % x", v, step.say, got.Action, got.Packet, step.want, step.bytes)
		}
		if step.want == Disconnect && got.Reason != step.reason {
			t.Fatalf("MQTT %v: %s: reason %v, want %v", v, step.say, got.Reason, step.reason)
		}
		if step.codes != nil && !slices.Equal(codesOf(got), step.codes) {
			t.Fatalf("MQTT %v: %s: codes %x, want %x", v, step.say, codesOf(got), step.codes)
		}
		switch step.want {
		case Reply:
			parse(t, got.Packet, v, packets.Server)
		case Rewrite:
			parse(t, got.Packet, v, from)
		}
	}
}

func TestChainDecides(t *testing.T) {
	drop := Verdict{Action: Drop, Reason: packets.QuotaExceeded, Rule: "first"}
	end := Verdict{Action: Disconnect, Reason: packets.NotAuthorized, Rule: "second"}
	ms := time.Millisecond
	tests := []struct {
		name  string
		chain Chain
		want  Verdict
	}{
		{"all pass", Chain{says(Pass()), says(Pass())}, Pass()},
		{"the first refusal decides", Chain{says(Pass()), says(drop), says(end)}, drop},
		{"in the order of the chain", Chain{says(end), says(drop)}, end},
		{"a forgotten verdict ends the session", Chain{says(Pass()), says(Verdict{}), says(Pass())}, Verdict{Reason: packets.UnspecifiedError}},
		{"an end for no reason", Chain{says(Verdict{Reason: packets.GrantedQoS2, Rule: "x"})}, Verdict{Reason: packets.UnspecifiedError, Rule: "x"}},
		{"no filters", nil, Verdict{Reason: packets.NotAuthorized, Rule: "no filters"}},
		{
			"the longest delay",
			Chain{says(Verdict{Action: Forward, Delay: 2 * ms}), says(Verdict{Action: Forward, Delay: 3 * ms}), says(Pass())},
			Verdict{Action: Forward, Delay: 3 * ms},
		},
		{
			"a refusal waits too",
			Chain{says(Verdict{Action: Forward, Delay: 2 * ms}), says(drop)},
			Verdict{Action: Drop, Reason: drop.Reason, Rule: drop.Rule, Delay: 2 * ms},
		},
		{"an end does not wait", Chain{says(Verdict{Action: Forward, Delay: 2 * ms}), says(end)}, end},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &Session{Version: packets.V5}
			p := parse(t, publish(packets.V5, 1, 7, "a"), packets.V5, packets.Client)
			got := tt.chain.JudgeUp(time.Time{}, s, p)
			if got.Action != tt.want.Action || got.Reason != tt.want.Reason || got.Rule != tt.want.Rule || got.Delay != tt.want.Delay {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

// TestRewrite: every filter sees the bytes that would go on.
func TestRewrite(t *testing.T) {
	const v = packets.V5
	// rewrite puts to in the place of a packet and asserts what it was.
	rewrite := func(was string, to []byte) Filter {
		return judge(func(_ *Session, p *packets.Packet) Verdict {
			if string(p.Topic) != was {
				t.Errorf("a filter sees %q, want %q", p.Topic, was)
			}
			return Verdict{Action: Rewrite, Packet: to, Rule: "rewrite", Delay: time.Second}
		})
	}
	p := publish(v, 0, 0, "a")
	b, c := publish(v, 0, 0, "b"), publish(v, 0, 0, "no/c")
	tests := []struct {
		name  string
		chain Chain
		want  Action
		bytes []byte
	}{
		{"once", Chain{rewrite("a", b), says(Pass())}, Rewrite, b},
		{"twice", Chain{rewrite("a", b), rewrite("b", c)}, Rewrite, c},
		{"to what is denied", Chain{rewrite("a", c), guard}, Drop, nil},
		{"from what is denied", Chain{guard, rewrite("a", c)}, Rewrite, c},
		{"to nothing", Chain{rewrite("a", nil), says(Pass())}, Disconnect, nil},
		{"to something malformed", Chain{rewrite("a", []byte("\x30\x03\x00\x01+")), says(Pass())}, Disconnect, nil},
		{"to two packets", Chain{rewrite("a", slices.Concat(b, b))}, Disconnect, nil},
		{"to a part of a packet", Chain{rewrite("a", b[:len(b)-1])}, Disconnect, nil},
		{"to what only a broker sends", Chain{rewrite("a", suback(v, 1, 0))}, Disconnect, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.chain.JudgeUp(time.Time{}, &Session{Version: v}, parse(t, p, v, packets.Client))
			if got.Action != tt.want || !slices.Equal(got.Packet, tt.bytes) {
				t.Errorf("action %d with % x, want %d with % x", got.Action, got.Packet, tt.want, tt.bytes)
			}
			if got.Action == Disconnect && got.Reason < packets.UnspecifiedError {
				t.Errorf("ended with %v", got.Reason)
			}
			if got.Action == Rewrite && got.Delay != time.Second {
				t.Errorf("delay %v, want 1s", got.Delay)
			}
		})
	}
}

// TestRewriteStreamed: the payload that is still to come must fit the new head.
func TestRewriteStreamed(t *testing.T) {
	const v, payload = packets.V5, 1 << 20
	head := func(topic string, rest int) []byte {
		return packets.AppendPublish(nil, v, 0, []byte(topic), 0, nil, nil, rest)
	}
	for rest, want := range map[int]Action{payload: Rewrite, payload - 1: Disconnect, payload + 1: Disconnect} {
		chain := Chain{says(Verdict{Action: Rewrite, Packet: head("b", rest)})}
		got := chain.JudgeUp(time.Time{}, &Session{Version: v}, parse(t, head("a", payload), v, packets.Client))
		if got.Action != want {
			t.Errorf("%d bytes of %d to come: action %d, want %d", rest, payload, got.Action, want)
		}
	}
}

// TestRewriteConnect: the session's version is known by then.
func TestRewriteConnect(t *testing.T) {
	for _, v := range versions {
		connect := func(id string) []byte {
			return packets.AppendConnect(nil, v, &packets.Connect{Level: byte(v), CleanStart: true, ClientID: []byte(id)})
		}
		chain := Chain{says(Verdict{Action: Rewrite, Packet: connect("tenant-a")}), says(Pass())}
		got := chain.JudgeUp(time.Time{}, &Session{Version: v}, parse(t, connect("a"), 0, packets.Client))
		if got.Action != Rewrite || !slices.Equal(got.Packet, connect("tenant-a")) {
			t.Errorf("MQTT %v: %+v", v, got)
		}
	}
}

func TestJudgeDown(t *testing.T) {
	s := &Session{Version: packets.V5}
	p := parse(t, publish(packets.V5, 0, 0, "a"), packets.V5, packets.Server)
	if got := Chain(nil).JudgeDown(time.Time{}, s, p); got.Action != Forward {
		t.Errorf("no filters: %+v", got)
	}
	if got := (Chain{says(Verdict{Action: Drop}), says(Pass())}).JudgeDown(time.Time{}, s, p); got.Action != Drop {
		t.Errorf("a filter that drops: %+v", got)
	}
	b := publish(packets.V5, 0, 0, "b")
	if got := (Chain{says(Verdict{Action: Rewrite, Packet: b})}).JudgeDown(time.Time{}, s, p); got.Action != Rewrite || !slices.Equal(got.Packet, b) {
		t.Errorf("a filter that rewrites: %+v", got)
	}
}

// TestCodes: what several filters say of the Topic Filters of one SUBSCRIBE.
func TestCodes(t *testing.T) {
	const (
		ok    = packets.Success
		auth  = packets.NotAuthorized
		quota = packets.QuotaExceeded
	)
	forward := func(rule string, codes ...packets.ReasonCode) Verdict {
		v := Pass()
		for _, rc := range codes {
			j := Judgement{Reason: rc}
			if rc != ok {
				j.Rule = rule
			}
			v.Filters = append(v.Filters, j)
		}
		return v
	}
	tests := []struct {
		name     string
		verdicts []Verdict
		rule     string
		want     string // codes of the SUBACK, "f" for what goes on
	}{
		{"nobody judges", []Verdict{Pass(), Pass()}, "", "fff"},
		{"all allowed", []Verdict{forward("", ok, ok, ok), forward("", ok, ok, ok)}, "", "fff"},
		{"one refuses", []Verdict{Pass(), forward("b", ok, auth, ok)}, "b", "f\x87f"},
		{"both refuse", []Verdict{forward("a", auth, ok, ok), forward("b", ok, ok, quota)}, "ab", "\x87f\x97"},
		{"the first reason stands", []Verdict{forward("a", ok, quota, ok), forward("b", ok, auth, auth)}, "ab", "f\x97\x87"},
		{"the rule of the one that refuses", []Verdict{forward("", ok, ok, ok), forward("b", auth, ok, ok)}, "b", "\x87ff"},
		{"too few codes", []Verdict{forward("a", ok)}, "", "f\x87\x87"},
		{"no codes", []Verdict{{Action: Forward, Filters: []Judgement{}}}, "", "\x87\x87\x87"},
		{"too few of the second", []Verdict{forward("", ok, ok, ok), forward("", ok)}, "", "f\x87\x87"},
		{"too few of the first", []Verdict{forward("", ok, ok), forward("", ok, ok, ok)}, "", "ff\x87"},
		{"too many", []Verdict{forward("", ok, ok, ok, auth)}, "", "fff"},
		{"a code that is no failure", []Verdict{forward("", packets.GrantedQoS2, ok, ok)}, "", "\x80ff"},
		{"a whole refusal", []Verdict{forward("a", ok, auth, ok), {Action: Drop, Rule: "b"}}, "b", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var chain Chain
			for _, v := range tt.verdicts {
				chain = append(chain, says(v))
			}
			s := &Session{Version: packets.V5}
			p := parse(t, subscribe(packets.V5, 7, "f0", "f1", "f2"), packets.V5, packets.Client)
			v := chain.JudgeUp(time.Time{}, s, p)
			if got := v.Rule + rulesOf(v); got != tt.rule {
				t.Errorf("rules %q, want %q", got, tt.rule)
			}
			if got := fate(t, p, v, slotsOf(s, 7)); got != tt.want {
				t.Errorf("codes %x, want %x", got, tt.want)
			}
		})
	}
}

func slotsOf(s *Session, id uint16) []slot {
	if f := s.flows.at(id); f != nil {
		return f.request.slots
	}
	return nil
}

func codesOf(v Verdict) (codes []packets.ReasonCode) {
	for _, j := range v.Filters {
		codes = append(codes, j.Reason)
	}
	return codes
}

// rulesOf joins the rules that refuse Topic Filters.
func rulesOf(v Verdict) (rules string) {
	for _, j := range v.Filters {
		rules += j.Rule
	}
	return rules
}

// fate is the code with which each Topic Filter of p is refused, or "f".
func fate(t *testing.T, p *packets.Packet, v Verdict, slots []slot) string {
	t.Helper()
	switch v.Action {
	case Forward:
		return "fff"
	case Reply:
		return string(parse(t, v.Packet, p.Version, packets.Server).Payload)
	case Rewrite:
		forwarded := map[string]bool{}
		for filter := range parse(t, v.Packet, p.Version, packets.Client).Subscriptions() {
			forwarded[string(filter)] = true
		}
		codes, i := []byte{}, 0
		for filter := range p.Subscriptions() {
			if forwarded[string(filter)] != (slots[i].from < slots[i].behind) {
				t.Errorf("%s: forwarded %v, but its slot is %+v", filter, forwarded[string(filter)], slots[i])
			}
			code := byte(slots[i].code)
			if forwarded[string(filter)] {
				code = 'f'
			}
			codes = append(codes, code)
			i++
		}
		return string(codes)
	}
	return ""
}

// counter counts its sessions.
type counter struct{ opened, closed int }

func (c *counter) Open(*Session) Filter {
	c.opened++
	return &counted{counter: c}
}

func (c *counter) Filter(time.Time, *Session, *packets.Packet) Verdict { return Verdict{} }

type counted struct{ *counter }

func (c *counted) Filter(time.Time, *Session, *packets.Packet) Verdict { return Pass() }
func (c *counted) Close()                                              { c.closed++ }

func TestOpenClose(t *testing.T) {
	var c counter
	policy := Chain{&c, guard}
	s := &Session{Version: packets.V5}
	p := parse(t, publish(packets.V5, 0, 0, "a"), packets.V5, packets.Client)
	if got := policy.JudgeUp(time.Time{}, s, p); got.Action != Disconnect {
		t.Errorf("a chain that was not opened: %+v", got)
	}
	first, second := policy.Open(s), policy.Open(s)
	if got := first.JudgeUp(time.Time{}, s, p); got.Action != Forward {
		t.Errorf("an opened chain: %+v", got)
	}
	first.Close()
	if c.opened != 2 || c.closed != 1 {
		t.Errorf("%d opened and %d closed, want 2 and 1", c.opened, c.closed)
	}
	second.Close()
	policy.Close() // holds nothing
	if c.closed != 2 {
		t.Errorf("%d closed, want 2", c.closed)
	}
	if got := policy.JudgeUp(time.Time{}, s, p); got.Action != Disconnect {
		t.Errorf("Open has changed the policy's chain: %+v", got)
	}
}
