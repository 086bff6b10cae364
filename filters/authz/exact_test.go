package authz

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"testing"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

// TestTopicKinds: the topics of other formats, of rules that are exact.
func TestTopicKinds(t *testing.T) {
	kind := func(k Kind, pattern string) Topic { return Topic{Pattern: pattern, Kind: k} }
	share := func(s Share, pattern string) Topic { return Topic{Pattern: pattern, Share: s} }
	tests := []struct {
		topic  Topic
		action string
		name   string
		want   bool
	}{
		{kind(Every, ""), "publish", "$SYS/x", true},
		{kind(Every, ""), "subscribe", "#", true},
		{kind(Every, ""), "subscribe", "$share/g/$SYS/#", true},
		{kind(Glob, "a/*"), "publish", "a/b/c", true},
		{kind(Glob, "*"), "publish", "$SYS/x", false},
		{kind(Glob, "$SYS*"), "publish", "$SYSx", true},
		{kind(Glob, "a?"), "publish", "ab", false},
		{kind(Wild, "a/?/c"), "publish", "a/ä/c", true},
		{kind(Wild, "a/?/c"), "publish", "a/bb/c", false},
		{kind(Wild, "*"), "publish", "$SYS/x", true},
		{kind(Wild, "a/*"), "subscribe", "a/#", true},
		{kind(Wild, "a/+/c"), "subscribe", "a/+/c", true},
		{kind(Wild, "a/+/c"), "publish", "a/b/c", false},
		{kind(Wild, "a/${username}/*"), "publish", "a/bob/x", true},
		{kind(Wild, "a/${username}"), "publish", "a/eve", false},
		{kind(Wild, "a*b*c"), "publish", "a-b-b-c", true},
		{kind(Wild, "a*b*c"), "publish", "a-c-b", false},
		{kind(Wild, "a/*"), "subscribe", "$share/g/a/b", false},
		{kind(Wild, "$share/*/a/*"), "subscribe", "$share/g/a/b", true},
		{kind(Wild, "$share/g/a/*"), "subscribe", "$share/h/a/b", false},
		{kind(Wild, "$share/g/a/*"), "subscribe", "a/b", false},
		{kind(Wild, "*"), "subscribe", "$share/g/a/b", true},
		{Topic{Pattern: "a*", Kind: Wild, Also: "*/${username}/?"}, "publish", "a/bob/x", true},
		{Topic{Pattern: "a*", Kind: Wild, Also: "*/${username}/?"}, "publish", "b/bob/x", false},
		{Topic{Pattern: "a*", Kind: Wild, Also: "*/${username}/?"}, "publish", "a/eve/x", false},
		{kind(Levels, "a/+"), "subscribe", "a/#", true},
		{kind(Levels, "a/+"), "subscribe", "a/b/#", false},
		{kind(Levels, "a/+"), "subscribe", "a", false},
		{kind(Levels, "a/+/c"), "subscribe", "a/+/c", true},
		{kind(Levels, "a/+/#"), "subscribe", "a/#", true},
		{kind(Levels, "a/+/#"), "subscribe", "a", false},
		{kind(Levels, "a/b"), "subscribe", "a/+", false},
		{kind(Levels, "a/b"), "subscribe", "a/#", false},
		{kind(Levels, "a/#"), "subscribe", "a", true},
		{kind(Levels, "a/#"), "subscribe", "b/c", false},
		{kind(Levels, "+"), "subscribe", "#", true},
		{kind(Levels, "+/x"), "subscribe", "$SYS/x", false},
		{kind(Levels, "#"), "subscribe", "$SYS/#", false},
		{kind(Levels, "#"), "subscribe", "$share/g/a/#", true},
		{kind(Levels, "a/${username}/+"), "subscribe", "a/bob/#", true},
		{kind(Levels, "a/+"), "publish", "a/b", true},
		{kind(Levels, "a/+"), "publish", "a/b/c", false},
		{kind(Wildcards, ""), "subscribe", "a/+", true},
		{kind(Wildcards, ""), "subscribe", "a", false},
		{kind(Wildcards, ""), "publish", "a", false},
		{kind(Literal, "a/${username}"), "publish", "a/bob", true},
		{share(Unshared, "a/#"), "subscribe", "a/b", true},
		{share(Unshared, "a/#"), "subscribe", "$share/g/a/b", false},
		{share(Unshared, "a/#"), "publish", "a/b", true},
		{share(Shared, "a/#"), "subscribe", "$share/g/a/b", true},
		{share(Shared, "a/#"), "subscribe", "a/b", false},
		{share(Shared, "a/#"), "publish", "a/b", false},
		{share(SharedOrNot, "$share/g/a/#"), "subscribe", "$share/g/a/b", true},
		{share(SharedOrNot, "$share/g/a/#"), "subscribe", "$share/h/a/b", false},
	}
	for _, tt := range tests {
		for _, few := range []int{0, 1000} {
			p := *compiled(t, Rule{Exact: true, Publish: true, Subscribe: true, Topics: []Topic{tt.topic}})
			p.index = newIndex(p.rules, few)
			v := p.View(user("bob"))
			d := v.Publish(noon, Message{Topic: []byte(tt.name)})
			if tt.action == "subscribe" {
				d = v.Subscribe(noon, []byte(tt.name), 0)
			}
			if d.Allowed != tt.want {
				t.Errorf("%+v %s %s: %v", tt.topic, tt.action, tt.name, d.Allowed)
			}
		}
	}
	wild := compiled(t, Rule{Exact: true, Publish: true, Topics: []Topic{kind(Wild, "a/${username}")}})
	if wild.View(user("b*")).Publish(noon, Message{Topic: []byte("a/bob")}).Allowed {
		t.Error("a user name is taken for a wildcard")
	}
	if wild.View(user("b$b")).Publish(noon, Message{Topic: []byte("a/b$b")}).Allowed {
		t.Error("a user name with $ is put into a wild pattern")
	}
}

// TestExact: rules of other formats mean what they say and no more.
func TestExact(t *testing.T) {
	exact := func(r Rule) Rule { r.Exact = true; return r }
	subscribe := exact(Rule{Subscribe: true, Topics: ParseTopics("#")})
	receive := exact(Rule{Receive: true, Topics: ParseTopics("#")})
	refuse := exact(Rule{Deny: true, Subscribe: true, Topics: ParseTopics("a/secret")})
	v := compiled(t, refuse, subscribe).View(user("bob"))
	if v.Receive(noon, Message{Topic: []byte("a")}).Allowed {
		t.Error("who may subscribe may receive")
	}
	if !v.Subscribe(noon, []byte("a/#"), 0).Allowed || !v.Subscribe(noon, []byte("$share/g/a/#"), 0).Allowed {
		t.Error("what is denied of a filter denies it")
	}
	if v := compiled(t, receive).View(user("bob")); v.Subscribe(noon, []byte("a"), 0).Allowed || !v.Receive(noon, Message{Topic: []byte("a")}).Allowed {
		t.Error("who may receive may subscribe, or may not receive")
	}
	void := exact(deny("a/${username}"))
	if !compiled(t, void, allow("#")).View(user("")).Publish(noon, Message{Topic: []byte("a/x")}).Allowed {
		t.Error("a deny that lacks a value is made wider")
	}
}

// TestFilterDeliveries: all but Shared Subscriptions are granted, and deliveries
// judged.
func TestFilterDeliveries(t *testing.T) {
	p := compiled(t, deny("a/secret"), allow("a/#"))
	p.options.FilterDeliveries = true
	v := p.View(user("bob"))
	for filter, want := range map[string]bool{"#": true, "a/secret": true, "$SYS/#": true, "$share/g/a/b": true, "$share/g/#": false, "$share/g/a/#": false} {
		if got := v.Subscribe(noon, []byte(filter), 0); got.Allowed != want {
			t.Errorf("%s: %+v", filter, got)
		}
	}
	for topic, want := range map[string]bool{"a/b": true, "a/secret": false, "b": false} {
		if got := v.Receive(noon, Message{Topic: []byte(topic)}); got.Allowed != want {
			t.Errorf("delivery of %s: %+v", topic, got)
		}
	}
	held := parse(t, packets.AppendSubscribe(nil, packets.V5, 7, nil, []packets.Subscription{{Filter: []byte("b/#")}}), packets.V5)
	if got := v.Review(noon, user("bob"), held); got.Filters[0].Reason != packets.Success {
		t.Errorf("a subscription loses its right: %+v", got)
	}
}

// TestConditions: what a rule may say of clients and messages beside names and
// topics.
func TestConditions(t *testing.T) {
	small, will, acme, nobody, named := allow("a"), Rule{Will: true, Topics: ParseTopics("w")}, allow("t"), allow("n"), allow("r")
	small.Size = 10
	acme.Tenants = Globs([]string{"ac*"})
	nobody.Anonymous = true
	named.Users = []Name{Matching(regexp.MustCompile("^b.b$")), Exactly("x*")}
	p := compiled(t, small, will, acme, nobody, named)
	who := func(name, tenant string) *View {
		s := user(name)
		s.Identity.Tenant = tenant
		return p.View(s)
	}
	tests := []struct {
		name, user, tenant string
		message            Message
		want               bool
	}{
		{"small", "bob", "", Message{Topic: []byte("a"), Size: 10}, true},
		{"large", "bob", "", Message{Topic: []byte("a"), Size: 11}, false},
		{"of a size that is not known", "bob", "", Message{Topic: []byte("a"), Size: -1}, true},
		{"Will", "bob", "", Message{Topic: []byte("w"), Will: true}, true},
		{"publish where a Will may", "bob", "", Message{Topic: []byte("w")}, false},
		{"Will where a publish may", "bob", "", Message{Topic: []byte("a"), Will: true}, true},
		{"tenant", "bob", "acme", Message{Topic: []byte("t")}, true},
		{"another tenant", "bob", "other", Message{Topic: []byte("t")}, false},
		{"no tenant", "bob", "", Message{Topic: []byte("t")}, false},
		{"anonymous", "", "", Message{Topic: []byte("n")}, true},
		{"not anonymous", "bob", "", Message{Topic: []byte("n")}, false},
		{"regular expression", "bob", "", Message{Topic: []byte("r")}, true},
		{"beside it", "bobby", "", Message{Topic: []byte("r")}, false},
		{"to the letter", "x*", "", Message{Topic: []byte("r")}, true},
		{"no glob", "xy", "", Message{Topic: []byte("r")}, false},
	}
	for _, tt := range tests {
		if got := who(tt.user, tt.tenant).Publish(noon, tt.message); got.Allowed != tt.want {
			t.Errorf("%s: %+v", tt.name, got)
		}
	}
	// A decision of one message must not be that of the next, which is larger.
	v, s := who("bob", ""), user("bob")
	for size, want := range map[int]filters.Action{3: filters.Forward, 30: filters.Drop} {
		for range 3 {
			b := packets.AppendPublish(nil, packets.V5, 0, []byte("a"), 0, nil, make([]byte, size), 0)
			if got := v.Filter(noon, s, parse(t, b, packets.V5)); got.Action != want {
				t.Errorf("%d bytes: %+v", size, got)
			}
		}
	}
}

func TestConnect(t *testing.T) {
	yes, no := true, false
	connect := func(deny bool, wills *bool, topics ...Topic) Rule {
		return Rule{Exact: true, Connect: true, Deny: deny, Wills: wills, Topics: topics}
	}
	every := Topic{Kind: Every}
	tests := []struct {
		name  string
		rules []Rule
		will  bool
		want  bool
	}{
		{"no rules", nil, true, true},
		{"other rules", []Rule{deny("#")}, false, true},
		{"its identifier", []Rule{connect(false, nil, Topic{Kind: Wild, Pattern: "c-?"}), connect(true, nil, every)}, false, true},
		{"another identifier", []Rule{connect(false, nil, Topic{Kind: Literal, Pattern: "c-2"}), connect(true, nil, every)}, false, false},
		{"by a placeholder", []Rule{connect(false, nil, Topic{Kind: Glob, Pattern: "${clientid}"}), connect(true, nil, every)}, false, true},
		{"a Will that may not be", []Rule{connect(true, &yes, every)}, true, false},
		{"no Will", []Rule{connect(true, &yes, every)}, false, true},
		{"a Will that must be", []Rule{connect(true, &no, every)}, false, false},
		{"and is", []Rule{connect(true, &no, every)}, true, true},
	}
	for _, tt := range tests {
		s := user("bob")
		s.ClientID = "c-1"
		rules := append(slices.Clone(tt.rules), Rule{Publish: true, Topics: ParseTopics("w")})
		if got := compiled(t, rules...).View(s).Connect(noon, s.ClientID, tt.will); got.Allowed != tt.want {
			t.Errorf("%s: %+v", tt.name, got)
		}
		c := packets.Connect{Level: 5, CleanStart: true, ClientID: []byte("c-1")}
		if tt.will {
			c.Will = &packets.Will{Topic: []byte("w")}
		}
		got := compiled(t, rules...).View(s).Filter(noon, s, parse(t, packets.AppendConnect(nil, packets.V5, &c), 0))
		if (got.Action == filters.Forward) != tt.want {
			t.Errorf("%s: CONNECT %+v", tt.name, got)
		}
	}
}

func TestValidateExact(t *testing.T) {
	for name, r := range map[string]Rule{
		"connect and publish":        {Connect: true, Publish: true, Topics: []Topic{{Kind: Every}}},
		"connect by a filter":        {Connect: true, Topics: ParseTopics("a/#")},
		"Will of a publish":          {Publish: true, Wills: new(bool), Topics: ParseTopics("a")},
		"session of a publish":       {Publish: true, Persistent: new(bool), Topics: ParseTopics("a")},
		"second pattern of a filter": {Publish: true, Topics: []Topic{{Pattern: "a", Also: "b"}}},
		"second pattern of a client": {Connect: true, Topics: []Topic{{Pattern: "a", Kind: Wild, Also: "b"}}},
		"second pattern, malformed":  {Publish: true, Topics: []Topic{{Pattern: "a", Kind: Wild, Also: "${x}"}}},
		"connect by levels":          {Connect: true, Topics: []Topic{{Pattern: "a", Kind: Levels}}},
		"an empty name without":      {Publish: true, Topics: ParseTopics("a"), Without: []Subjects{{Users: Globs([]string{""})}}},
		"negative size":              {Publish: true, Size: -1, Topics: ParseTopics("a")},
		"size of a subscription":     {Subscribe: true, Size: 1, Topics: ParseTopics("a")},
		"glob with a wildcard":       {Publish: true, Topics: []Topic{{Kind: Glob, Pattern: "a/+"}}},
		"glob without anything":      {Publish: true, Topics: []Topic{{Kind: Glob}}},
		"glob that denies in part":   {Deny: true, Subscribe: true, Topics: []Topic{{Kind: Glob, Pattern: "a*"}}},
		"an empty name within":       {Publish: true, Topics: ParseTopics("a"), Within: []Subjects{{Users: Globs([]string{""})}}},
		"an empty tenant":            {Publish: true, Topics: ParseTopics("a"), Subjects: Subjects{Tenants: Globs([]string{""})}},
		"wildcards that are denied":  {Deny: true, Subscribe: true, Topics: []Topic{{Kind: Wildcards}}},
		"deliveries of a group only": {Deny: true, Receive: true, Topics: []Topic{{Pattern: "a", Share: Shared}}},
	} {
		if r.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestTreeFindsAll: with every kind of topic, what is looked up is what is found by
// walking.
func TestTreeFindsAll(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 10))
	level := func(list ...string) string { return list[random.IntN(len(list))] }
	levels := func(list ...string) string {
		text := level(list...)
		for range random.IntN(3) {
			text += "/" + level(list...)
		}
		return text
	}
	allowed := 0
	for range 3000 {
		rules := make([]Rule, 1+random.IntN(8))
		for i := range rules {
			r := Rule{Exact: true, Deny: random.IntN(3) == 0, Publish: true, Subscribe: true, Receive: random.IntN(2) == 0}
			for range 1 + random.IntN(3) {
				topic := Topic{Kind: Kind(random.IntN(7)), Share: Share(random.IntN(3))}
				switch topic.Kind {
				case Filter, Literal, Levels:
					topic.Pattern = levels("a", "b", "", "+", "$s") + level("", "/#", "/c")
				case Glob:
					topic.Pattern = levels("a", "b", "*", "a*", "$s") + "/c"
				case Wild:
					topic.Pattern = level("", "", "$share/g/", "$share/") + levels("a", "?", "*", "+", "#", "$s") + "/c"
					topic.Also = level("", "", "*a*", "*/c")
				}
				r.Topics = append(r.Topics, topic)
			}
			if r.Validate() == nil {
				rules[i] = r
			} else {
				rules[i] = allow("a")
			}
		}
		walks := compiled(t, rules...)
		finds := *walks
		walks.index, finds.index = newIndex(walks.rules, 1000), newIndex(walks.rules, 0)
		w, f := walks.View(user("bob")), finds.View(user("bob"))
		for range 20 {
			name := []byte(levels("a", "b", "", "x", "$s", "c"))
			filter := []byte(level("", "", "$share/g/") + levels("a", "b", "", "+", "$s", "c") + level("", "/#", "/c"))
			if len(name) == 0 {
				continue
			}
			for i, pair := range [][2]Decision{
				{w.Publish(noon, Message{Topic: name}), f.Publish(noon, Message{Topic: name})},
				{w.Receive(noon, Message{Topic: name}), f.Receive(noon, Message{Topic: name})},
				{w.Subscribe(noon, filter, 1), f.Subscribe(noon, filter, 1)},
			} {
				if pair[0].Rule != pair[1].Rule {
					t.Fatalf("question %d about %s, %s: %+v by walking, %+v by the tree; %+v", i, name, filter, pair[0], pair[1], rules)
				}
				if pair[0].Allowed {
					allowed++
				}
			}
		}
	}
	if allowed < 1000 {
		t.Errorf("%d were allowed: the test says little", allowed)
	}
}
