package emqx

import (
	"regexp"
	"strings"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/authz"
	"github.com/mqttward/mqttward/packets/topics"
)

// topicsOf is what a rule of the file says of topics.
type topicsOf struct {
	every bool
	list  []topic
}

// topic is a template of a Topic Filter, or to the letter.
type topic struct {
	pattern string
	literal bool
}

// Topics that EMQX judges by what follows: of the subscriptions to $exclusive/x, as
// of those to $share/group/x, and of messages to $delayed/seconds/x (emqx_topic:parse/2,
// emqx_access_control:authorize/3). $queue/x is x up to EMQX 6.0 and itself since
// (emqx-docs#3884): x denies it and does not allow it.
var (
	deniedBehind     = []string{"$queue/", "$exclusive/"}
	subscribedBehind = []string{"$exclusive/"}
	publishedBehind  = []string{"$delayed/+/"}
)

// publishes returns the topics of a rule about messages that clients send.
func (a topicsOf) publishes(deny bool) []authz.Topic {
	if a.every {
		return []authz.Topic{{Kind: authz.Every}}
	}
	all := make([]authz.Topic, 0, 2*len(a.list))
	for _, t := range a.list {
		all = append(all, t.plain())
		if deny || !t.wildBegin() {
			all = append(all, t.behind(publishedBehind)...)
		}
	}
	return all
}

// subscriptions returns the topics of a rule about subscriptions. EMQX compares a
// Topic Filter with that of the rule level by level, so that "+" matches the level
// "#". Where that allows, deliveries are judged; but what is not delivered of a
// Shared Subscription is lost, so that it must be covered.
func (a topicsOf) subscriptions(deny bool) []authz.Topic {
	if a.every {
		return []authz.Topic{{Kind: authz.Every}}
	}
	var all []authz.Topic
	for _, t := range a.list {
		switch {
		case t.literal:
			all = append(all, t.plain())
		case deny:
			all = append(all, authz.Topic{Pattern: t.pattern, Kind: authz.Levels})
		default:
			all = append(all,
				authz.Topic{Pattern: t.pattern, Kind: authz.Levels, Share: authz.Unshared},
				authz.Topic{Pattern: t.pattern, Share: authz.Shared})
		}
		switch {
		case deny:
			all = append(all, t.behind(deniedBehind)...)
		case !t.wildBegin():
			all = append(all, t.behind(subscribedBehind)...)
		}
	}
	return all
}

// deliveries returns the topics of a rule about messages that are delivered. A
// subscription that is denied to the letter says nothing of them.
func (a topicsOf) deliveries(deny bool) []authz.Topic {
	if a.every {
		return []authz.Topic{{Kind: authz.Every}}
	}
	var all []authz.Topic
	for _, t := range a.list {
		if !deny || !t.literal || topics.ValidName(t.pattern) {
			all = append(all, t.plain())
		}
	}
	return all
}

func (t topic) plain() authz.Topic {
	if t.literal {
		return authz.Topic{Pattern: filters.Escape(t.pattern), Kind: authz.Literal}
	}
	return authz.Topic{Pattern: t.pattern}
}

// behind returns t where each of the heads stands before it.
func (t topic) behind(heads []string) []authz.Topic {
	var all []authz.Topic
	for _, head := range heads {
		switch {
		case !t.literal:
			all = append(all, authz.Topic{Pattern: head + t.pattern})
		case topics.ValidName(t.pattern):
			all = append(all, authz.Topic{Pattern: head + filters.Escape(t.pattern)})
		case topics.ValidName(head):
			all = append(all, authz.Topic{Pattern: head + filters.Escape(t.pattern), Kind: authz.Literal})
		}
	}
	return all
}

// wildBegin reports whether t begins with a wildcard, which takes in nothing that
// begins with $: behind a head it would.
func (t topic) wildBegin() bool {
	return !t.literal && (strings.HasPrefix(t.pattern, "+") || strings.HasPrefix(t.pattern, "#"))
}

// readTopics reads all or a list of topics.
func readTopics(t term) (topicsOf, error) {
	if t.is("all") {
		return topicsOf{every: true}, nil
	}
	if t.kind != list {
		return topicsOf{}, t.errorf("wants a list of topics, or all")
	}
	var about topicsOf
	for _, item := range t.items {
		if item.is("all") {
			about.every = true
			continue
		}
		one, err := readTopic(item)
		if err != nil {
			return about, err
		}
		about.list = append(about.list, one)
	}
	return about, nil
}

// readTopic reads "filter", {eq, "filter"} or "eq filter".
func readTopic(t term) (topic, error) {
	source, literal := t, false
	if t.kind == tuple && len(t.items) == 2 && t.items[0].is("eq") {
		source, literal = t.items[1], true
	}
	if source.kind != text {
		return topic{}, t.errorf("no topic: wants \"filter\" or {eq, \"filter\"}")
	}
	pattern := source.text
	if after, ok := strings.CutPrefix(pattern, "eq "); ok && !literal {
		pattern, literal = after, true
	}
	switch {
	case literal && strings.Contains(pattern, "${"):
		return topic{}, t.errorf("eq takes placeholders to the letter: %q", pattern)
	case strings.HasPrefix(pattern, "$share/"):
		return topic{}, t.errorf("%q: of a shared subscription the filter within is judged: name that", pattern)
	case literal:
		if !topics.ValidFilter(pattern) {
			return topic{}, t.errorf("no topic filter: %q", pattern)
		}
		return topic{pattern, true}, nil
	}
	pattern, err := placeholders(t, pattern)
	return topic{pattern: pattern}, err
}

// known are EMQX's placeholders and what they are here. Those of attributes are
// claims, as where EMQX's tokens are read.
var known = map[string]string{"${clientid}": "${clientid}", "${username}": "${username}", "${cert_common_name}": "${cert.cn}"}

var placeholder = regexp.MustCompile(`\$\{[^}]*\}?`)

func placeholders(t term, pattern string) (string, error) {
	var err error
	pattern = placeholder.ReplaceAllStringFunc(pattern, func(p string) string {
		if name, ok := strings.CutPrefix(p, "${client_attrs."); ok && strings.HasSuffix(name, "}") && name != "}" {
			return "${claims.client_attrs." + name
		}
		if known[p] == "" {
			err = t.errorf("no placeholder here: %s; wants ${clientid}, ${username}, ${cert_common_name} or ${client_attrs.NAME}", p)
		}
		return known[p]
	})
	if err == nil && (strings.Contains(pattern, "%c") || strings.Contains(pattern, "%u")) {
		err = t.errorf("%q: placeholders of EMQX 4: write ${clientid} and ${username}", pattern)
	}
	return pattern, err
}
