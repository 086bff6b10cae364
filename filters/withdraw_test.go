package filters

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mqttward/mqttward/packets"
)

// subscribed is a session that holds filters.
func subscribed(t *testing.T, v packets.Version, r *rules, filters ...string) *talk {
	t.Helper()
	c := newTalk(t, v, r)
	c.client("subscribed", subscribe(v, 1, filters...), Forward, nil)
	c.broker("granted", suback(v, 1, make([]packets.ReasonCode, len(filters))...), Forward)
	return c
}

// TestReviewSubscriptions: what has lost its right is unsubscribed from, and
// nothing else; a right that comes back brings nothing back.
func TestReviewSubscriptions(t *testing.T) {
	for _, v := range versions {
		r := &rules{}
		c := subscribed(t, v, r, "a", "b", "c")
		if got := c.up.ReviewSubscriptions(timeZero, c.s); got != nil || c.s.Unsubscribe(timeZero) != nil {
			t.Errorf("MQTT %v: %+v has its right", v, got)
		}
		r.denied = []string{"a", "c"}
		want := []Withdrawn{{"a", "rules", []string{"a"}}, {"c", "rules", []string{"c"}}}
		if got := c.up.ReviewSubscriptions(timeZero, c.s); !reflect.DeepEqual(got, want) {
			t.Errorf("MQTT %v: %+v", v, got)
		}
		if got := c.s.Unsubscribe(time.Unix(1000, 0)); !slices.Equal(got, unsubscribe(v, 65535, "a", "c")) {
			t.Errorf("MQTT %v: % x", v, got)
		}
		if got := c.up.ReviewSubscriptions(timeZero, c.s); got != nil || c.s.Unsubscribe(timeZero) != nil {
			t.Errorf("MQTT %v: %+v is on its way already", v, got)
		}
		if !c.s.Owed() || !c.s.Overdue(time.Unix(1001, 0)) {
			t.Errorf("MQTT %v: the answer is not owed", v)
		}
		r.denied = nil
		c.client("it is back before the answer", subscribe(v, 2, "c"), Forward, nil)
		c.broker("ours", unsuback(v, 65535, 0, 0), Drop)
		c.broker("granted", suback(v, 2, 1), Forward)
		if got := c.s.Subscriptions(); len(got) != 2 || !c.s.Subscribed("b") || !c.s.Subscribed("c") || c.s.Owed() {
			t.Errorf("MQTT %v: %q", v, got)
		}
		if got := (Chain{}).ReviewSubscriptions(timeZero, c.s); len(got) != 2 || got[0].Rule != "no filters" {
			t.Errorf("MQTT %v: what nobody judges has no right: %+v", v, got)
		}
	}
}

// TestWithdrawnInFlight: a SUBSCRIBE that is not answered yet is undone when it is.
func TestWithdrawnInFlight(t *testing.T) {
	for _, v := range versions {
		r := &rules{}
		c := newTalk(t, v, r)
		c.client("on its way", subscribe(v, 1, "a", "b"), Forward, nil)
		r.denied = []string{"a", "b"}
		if got := c.up.ReviewSubscriptions(timeZero, c.s); len(got) != 2 {
			t.Errorf("MQTT %v: %+v", v, got)
		}
		if got := c.s.Unsubscribe(timeZero); got != nil {
			t.Errorf("MQTT %v: % x would overtake the SUBSCRIBE", v, got)
		}
		failed := packets.UnspecifiedError
		if v == packets.V31 {
			failed = 0
		}
		c.broker("b fails by itself", suback(v, 1, 1, failed), Forward)
		names := []string{"a"}
		if v == packets.V31 {
			names = append(names, "b")
		}
		if !c.s.Due() {
			t.Fatalf("MQTT %v: nothing is due", v)
		}
		if got := c.s.Unsubscribe(timeZero); !slices.Equal(got, unsubscribe(v, 65535, names...)) {
			t.Errorf("MQTT %v: % x", v, got)
		}
	}
}

// TestWithdrawnWithoutID: what cannot be sent now is sent when it can be, unless
// the client has asked for it again.
func TestWithdrawnWithoutID(t *testing.T) {
	const v = packets.V311
	r := &rules{}
	c := subscribed(t, v, r, "a", "b")
	for id := range uint16(65535) {
		c.s.flows.ids = append(c.s.flows.ids, id+1)
	}
	c.s.flows.list = slices.Repeat([]flow{{stage: AwaitPuback}}, 65535)
	c.s.flows.open, c.s.flows.moving = 65535, 65535
	r.denied = []string{"a", "b"}
	if got := c.up.ReviewSubscriptions(timeZero, c.s); len(got) != 2 {
		t.Errorf("%+v", got)
	}
	if got := c.s.Unsubscribe(timeZero); got != nil || c.s.Due() {
		t.Errorf("% x, due: %v", got, c.s.Due())
	}
	c.broker("an identifier is free", ack(v, packets.PUBACK, 7), Forward)
	if !c.s.Due() {
		t.Fatal("nothing is due")
	}
	r.denied = nil
	c.client("that is taken again", subscribe(v, 7, "b"), Forward, nil)
	c.broker("and free", suback(v, 7, 0), Forward)
	if got := c.s.Unsubscribe(timeZero); !slices.Equal(got, unsubscribe(v, 7, "a")) {
		t.Errorf("% x", got)
	}
}

// TestAskedForWhileReviewed: a SUBSCRIBE that comes beside a review is not undone
// by it.
func TestAskedForWhileReviewed(t *testing.T) {
	const v = packets.V5
	c := subscribed(t, v, &rules{}, "a", "b")
	old := Chain{reviewing(func() Verdict {
		c.client("by the rules of now", subscribe(v, 2, "a"), Forward, nil)
		return Verdict{Rule: "old"}
	})}
	if got := old.ReviewSubscriptions(timeZero, c.s); !reflect.DeepEqual(got, []Withdrawn{{"b", "old", []string{"b"}}}) {
		t.Errorf("%+v", got)
	}
}

// TestReviewBesideUnsubscribe: the client has what the broker did not end, if there
// was a review meanwhile or not.
func TestReviewBesideUnsubscribe(t *testing.T) {
	const v = packets.V5
	c := subscribed(t, v, &rules{}, "a")
	c.client("on its way", unsubscribe(v, 2, "a"), Forward, nil)
	if got := c.up.ReviewSubscriptions(timeZero, c.s); got != nil {
		t.Errorf("%+v", got)
	}
	c.broker("no", unsuback(v, 2, packets.UnspecifiedError), Forward)
	if got := c.s.Unsubscribe(timeZero); got != nil {
		t.Errorf("% x", got)
	}
}

type reviewing func() Verdict

func (r reviewing) Filter(time.Time, *Session, *packets.Packet) Verdict { return Pass() }
func (r reviewing) Review(time.Time, *Session, *packets.Packet) Verdict { return r() }

// TestWithdrawnBound: what waits for the broker's answers is bounded, and nothing
// is forgotten.
func TestWithdrawnBound(t *testing.T) {
	const v, n = packets.V311, maxWaiting + 100
	r := &rules{}
	c := newTalk(t, v, r)
	for i := range n {
		c.client("subscribed", subscribe(v, 1, "a"+strconv.Itoa(i)), Forward, nil)
		c.broker("granted", suback(v, 1, 0), Forward)
	}
	r.denied = []string{"a"}
	if got := c.up.ReviewSubscriptions(timeZero, c.s); len(got) != n {
		t.Errorf("%d of %d are withdrawn", len(got), n)
	}
	c.s.Unsubscribe(timeZero)
	if c.s.waiting != maxWaiting {
		t.Errorf("%d are on their way", c.s.waiting)
	}
	for id := uint16(65535); id > 65535-maxWaiting/maxUnsubscribed; id-- {
		c.broker("ours", unsuback(v, id), Drop)
	}
	c.s.Unsubscribe(timeZero)
	for id := uint16(65535); c.s.waiting > 0; id-- {
		c.broker("ours", unsuback(v, id), Drop)
	}
	if got := c.s.Subscriptions(); len(got) != 0 {
		t.Errorf("%d are left", len(got))
	}
}

// TestNarrowWithdrawn: a filter remains as long as one of its parts does.
func TestNarrowWithdrawn(t *testing.T) {
	for _, v := range versions {
		c, n := newNarrowTalk(t, v, map[string][]string{"#": {"a", "b"}, "+": {"b", "c"}})
		c.client("narrowed", subscribe(v, 1, "#", "+", "a"), Rewrite, subscribe(v, 1, "a", "b", "c"))
		c.broker("granted", suback(v, 1, 1, 1, 1), Rewrite, suback(v, 1, 1, 1, 1))
		n.denied = []string{"a"}
		if got := c.up.ReviewSubscriptions(timeZero, c.s); !reflect.DeepEqual(got, []Withdrawn{{"a", "rules", []string{"a"}}}) {
			t.Errorf("MQTT %v: %+v", v, got)
		}
		n.denied, n.parts = nil, map[string][]string{"b": {"b/c"}}
		if got := c.up.ReviewSubscriptions(timeZero, c.s); !reflect.DeepEqual(got, []Withdrawn{{"b", "", []string{"#"}}}) {
			t.Errorf("MQTT %v: %+v", v, got)
		}
		if got := c.s.Unsubscribe(timeZero); !slices.Equal(got, unsubscribe(v, 65535, "a", "b")) {
			t.Errorf("MQTT %v: % x", v, got)
		}
		c.broker("ours", unsuback(v, 65535, 0, 0), Drop)
		c.client("what is left", unsubscribe(v, 2, "#", "+"), Rewrite, unsubscribe(v, 2, "#", "c"))
	}
}

// TestWithdrawnResume: what was on its way when the connection ended is undone in
// the next, and what is held from before is judged there.
func TestWithdrawnResume(t *testing.T) {
	const v = packets.V5
	r := &rules{}
	first := subscribed(t, v, r, "a", "b", "c")
	r.denied = []string{"a"}
	first.up.ReviewSubscriptions(timeZero, first.s)
	first.s.Unsubscribe(timeZero)
	r.denied = []string{"b"}
	c := newTalk(t, v, r)
	c.s.Resume(first.s)
	if !c.s.Subscribes() {
		t.Error("nothing is held")
	}
	if got := c.up.ReviewSubscriptions(timeZero, c.s); !reflect.DeepEqual(got, []Withdrawn{{"b", "rules", []string{"b"}}}) {
		t.Errorf("%+v", got)
	}
	if got := c.s.Unsubscribe(timeZero); !slices.Equal(got, unsubscribe(v, 65535, "a", "b")) {
		t.Errorf("% x", got)
	}
}

// TestReviewIncomplete: a filter of which a Reviewer says nothing has no right,
// and so has all that one refuses as a whole.
func TestReviewIncomplete(t *testing.T) {
	for want, v := range map[string]Verdict{
		"b: a filter that nobody judged": {Action: Forward, Filters: []Judgement{{}}},
		"a: whole b: whole":              {Rule: "whole"},
		"":                               {Action: Forward},
	} {
		c := subscribed(t, packets.V5, &rules{}, "a", "b")
		var got []string
		for _, w := range (Chain{reviewing(func() Verdict { return v })}).ReviewSubscriptions(timeZero, c.s) {
			got = append(got, w.Filter+": "+w.Rule)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestReviewBeside: a review goes beside the pumps, and in the end nothing is held
// that has no right. The race detector watches.
func TestReviewBeside(t *testing.T) {
	const v = packets.V311
	old, now := &rules{}, &rules{denied: []string{"no"}}
	c := newTalk(t, v, old)
	sent := make(chan []byte, 1000)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for b := range sent {
			p := parse(t, b, v, packets.Client)
			c.down.JudgeDown(timeZero, c.s, parse(t, suback(v, p.ID, 0), v, packets.Server))
		}
	}()
	reviewed := make(chan struct{})
	go func() {
		defer close(reviewed)
		for range 20 {
			Chain{now}.ReviewSubscriptions(timeZero, c.s)
		}
	}()
	for i := range 200 {
		b := subscribe(v, uint16(i+1), fmt.Sprint("no", i))
		if got := c.up.JudgeUp(timeZero, c.s, parse(t, b, v, packets.Client)); got.Action == Forward {
			sent <- b
		}
	}
	<-reviewed
	close(sent)
	<-done
	Chain{now}.ReviewSubscriptions(timeZero, c.s)
	c.s.Unsubscribe(timeZero)
	for filter, h := range c.s.subscriptions.held {
		if h.wanted() || !h.leaving {
			t.Errorf("%s: %+v", filter, h)
		}
	}
}
