package strict

import (
	"bytes"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
	"github.com/mqttward/mqttward/packets/topics"
)

// topic judges the Topic Name and Response Topic of a PUBLISH.
func topic(f *filter, s *filters.Session, p *packets.Packet) (filters.Verdict, bool) {
	if why := f.badName(p.Topic, p.Props); why != "" {
		return filters.Deny(s, p, packets.TopicNameInvalid, "C8: "+why), true
	}
	return pass()
}

// badName says what is wrong with a Topic Name, or the Response Topic among ps.
func (f *filter) badName(name []byte, ps packets.Properties) string {
	if why := f.badTopic(name); why != "" || len(ps) == 0 {
		return why
	}
	if response, ok := ps.Lookup(packets.ResponseTopic); ok {
		return f.badTopic(response)
	}
	return ""
}

// badTopic says which limit a Topic Name or Filter is over.
func (f *filter) badTopic(t []byte) string {
	levels := f.Limits.TopicLevels
	if most := f.Broker.Profile().MaxLevels; most > 0 && (levels == 0 || most < levels) {
		levels = most
	}
	switch {
	case f.Limits.TopicLength > 0 && len(t) > f.Limits.TopicLength:
		return "limits.max_topic_length"
	case levels > 0 && bytes.Count(t, slash) >= levels: // recursion of the broker [CVE-2019-11779]
		return "limits.max_topic_levels"
	case f.Broker.Profile().OnlySYS && len(t) > 0 && t[0] == '$' && !bytes.Equal(t, sysRoot) && !bytes.HasPrefix(t, sysTree):
		return "the broker bears no topic with $ but $SYS" // [CVE-2018-12543]
	}
	return ""
}

var slash, sysRoot, sysTree = []byte("/"), []byte("$SYS"), []byte("$SYS/")

// topicFilters judges the Topic Filters of a SUBSCRIBE or UNSUBSCRIBE, each by
// itself.
func topicFilters(f *filter, s *filters.Session, p *packets.Packet) (filters.Verdict, bool) {
	if most := f.Limits.FiltersPerSubscribe; most > 0 && count(p) > most {
		if p.Type == packets.UNSUBSCRIBE { // its answer knows no such reason
			return end(packets.QuotaExceeded, "C9: limits.max_filters_per_subscribe")
		}
		return filters.Deny(s, p, packets.QuotaExceeded, "C9: limits.max_filters_per_subscribe"), true
	}
	var judged []filters.Judgement
	i := 0
	for text := range p.Subscriptions() {
		if why := f.badTopic(text); why != "" {
			judged = refuse(judged, p, i, packets.TopicFilterInvalid, "C9: "+why)
		}
		i++
	}
	return filters.Verdict{Action: filters.Forward, Filters: judged}, judged != nil
}

// subscriptions bounds the subscriptions of a session, and keeps apart what the
// broker does not bear together.
func subscriptions(f *filter, s *filters.Session, p *packets.Packet) (filters.Verdict, bool) {
	if f.Limits.Subscriptions == 0 && !f.Broker.Profile().ShareExcludes {
		return pass()
	}
	var judged []filters.Judgement
	held := s.Subscriptions()
	i := 0
	for text := range p.Subscriptions() {
		filter := string(text)
		again := s.Subscribed(filter)
		switch {
		case !f.Lax().Has(packets.CheckFilter) && f.badTopic(text) != "": // refused already
		case f.Broker.Profile().ShareExcludes && excluded(filter, held):
			// Taking one of the two back frees what the other uses [CVE-2024-8376].
			judged = refuse(judged, p, i, packets.SharedSubscriptionsNotSupported, "C15: the broker does not bear a filter shared and not shared in one session")
		case !again && f.Limits.Subscriptions > 0 && len(held) >= f.Limits.Subscriptions:
			judged = refuse(judged, p, i, packets.QuotaExceeded, "C15: limits.max_subscriptions")
		case !again:
			held = append(held, filter)
		}
		i++
	}
	return filters.Verdict{Action: filters.Forward, Filters: judged}, judged != nil
}

// excluded reports whether filter is held shared and is not, or the other way
// round.
func excluded(filter string, held []string) bool {
	_, inner, shared := topics.Share(filter)
	for _, h := range held {
		_, other, otherShared := topics.Share(h)
		if shared != otherShared && inner == other {
			return true
		}
	}
	return false
}

// refuse notes the refusal of filter i of p.
func refuse(judged []filters.Judgement, p *packets.Packet, i int, rc packets.ReasonCode, rule string) []filters.Judgement {
	if judged == nil {
		judged = make([]filters.Judgement, count(p))
	}
	judged[i] = filters.Judgement{Reason: rc, Rule: rule}
	return judged
}

func count(p *packets.Packet) (n int) {
	for range p.Subscriptions() {
		n++
	}
	return n
}
