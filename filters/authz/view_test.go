package authz

import (
	"slices"
	"strings"
	"testing"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

func TestPublish(t *testing.T) {
	yes, no := true, false
	retained, plain, quick := allow("a"), deny("a"), allow("a")
	retained.Retain, plain.Retain, quick.QoS = &yes, &no, []packets.QoS{0, 1}
	readOnly := allow("a")
	readOnly.Publish = false
	tests := []struct {
		name   string
		rules  []Rule
		topic  string
		qos    packets.QoS
		retain bool
		want   bool
	}{
		{"no rules", nil, "a", 0, false, false},
		{"allowed", []Rule{allow("a")}, "a", 0, false, true},
		{"another topic", []Rule{allow("a")}, "b", 0, false, false},
		{"the second topic", []Rule{allow("b", "a")}, "a", 0, false, true},
		{"another action", []Rule{readOnly}, "a", 0, false, false},
		{"deny before allow", []Rule{deny("a/b"), allow("a/#")}, "a/b", 0, false, false},
		{"beside what is denied", []Rule{deny("a/b"), allow("a/#")}, "a/c", 0, false, true},
		{"allow before deny", []Rule{allow("a/b"), deny("#")}, "a/b", 0, false, true},
		{"wildcards", []Rule{allow("+/b/#")}, "a/b/c/d", 2, true, true},
		{"parent of a wildcard", []Rule{allow("a/#")}, "a", 0, false, true},

		{"one QoS", []Rule{quick}, "a", 1, false, true},
		{"another QoS", []Rule{quick}, "a", 2, false, false},
		{"any QoS", []Rule{allow("a")}, "a", 2, false, true},
		{"retained only", []Rule{retained}, "a", 0, true, true},
		{"retained only, but is not", []Rule{retained}, "a", 0, false, false},
		{"denied unless retained", []Rule{plain, allow("#")}, "a", 0, false, false},
		{"denied unless retained, and is", []Rule{plain, allow("#")}, "a", 0, true, true},

		{"literal", []Rule{allow("=a/b")}, "a/b", 0, false, true},
		{"literal, another", []Rule{allow("=a/b")}, "a", 0, false, false},
		{"literal with a wildcard names no topic", []Rule{allow("=a/+", "=#")}, "a/b", 0, false, false},
		{"literal =", []Rule{allow("==a")}, "=a", 0, false, true},
		{"literal denied", []Rule{deny("=a"), allow("#")}, "a", 0, false, false},

		{"all does not hold $SYS", []Rule{allow("#", "+/#", "+/x", "/#")}, "$SYS/x", 0, false, false},
		{"nor $CONTROL", []Rule{allow("#", "+/#")}, "$CONTROL/dynamic-security/v1", 0, false, false},
		{"unless a rule names it", []Rule{allow("$CONTROL/#")}, "$CONTROL/dynamic-security/v1", 0, false, true},
		{"$ further in is a name as any", []Rule{allow("#")}, "a/$SYS", 0, false, true},
		{"nobody publishes to a shared subscription", []Rule{allow("$share/g/a", "=$share/g/a", "#")}, "$share/g/a", 0, false, false},
		{"nor is its topic granted with it", []Rule{allow("$share/g/a")}, "a", 0, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := compiled(t, tt.rules...).View(user("bob"))
			if got := v.Publish(noon, Message{Topic: []byte(tt.topic), QoS: tt.qos, Retain: tt.retain}); got.Allowed != tt.want {
				t.Errorf("got %+v, want %v", got, tt.want)
			}
		})
	}
}

func TestSubscribe(t *testing.T) {
	quick, writeOnly, denyWrites, retained := allow("a"), allow("a"), deny("a"), allow("a")
	quick.QoS = []packets.QoS{0}
	writeOnly.Subscribe, denyWrites.Subscribe = false, false
	retained.Retain = new(bool)
	denyQuick, dropQuick := deny("a"), deny("a")
	denyQuick.QoS, dropQuick.QoS, dropQuick.Receive = quick.QoS, quick.QoS, true
	receive, withhold := Rule{Receive: true, Topics: ParseTopics("#")}, Rule{Deny: true, Receive: true, Topics: ParseTopics("a/#")}
	tests := []struct {
		name   string
		rules  []Rule
		filter string
		qos    packets.QoS
		want   bool
	}{
		{"no rules", nil, "a", 0, false},
		{"the topic", []Rule{allow("a")}, "a", 0, true},
		{"covered", []Rule{allow("a/+/#")}, "a/+/b", 2, true},
		{"not covered", []Rule{allow("a/+")}, "a/#", 0, false},
		{"one level does not cover all", []Rule{allow("+")}, "#", 0, false},
		{"covered by two together, which are not one", []Rule{allow("a", "a/+/#")}, "a/#", 0, false},
		{"another action", []Rule{writeOnly}, "a", 0, false},
		{"a denial of another action", []Rule{denyWrites, allow("a")}, "a", 0, true},
		{"one QoS", []Rule{quick}, "a", 0, true},
		{"another QoS", []Rule{quick}, "a", 1, false},
		{"retain is about publishes", []Rule{retained}, "a", 0, true},

		// What is denied of a wider subscription is not delivered.
		{"denied topic", []Rule{deny("a/secret/#"), allow("#")}, "a/secret/x", 0, false},
		{"denied parent", []Rule{deny("a/secret/#"), allow("#")}, "a/secret", 0, false},
		{"denied filter", []Rule{deny("a/secret/#"), allow("#")}, "a/secret/#", 0, false},
		{"narrower than what is denied", []Rule{deny("a/secret/#"), allow("#")}, "a/secret/+/x", 0, false},
		{"denied together by two", []Rule{deny("a", "a/+/#"), allow("#")}, "a/#", 0, true}, // and nothing is delivered
		{"overlap with +", []Rule{deny("a/secret/#"), allow("#")}, "a/+/x", 0, true},
		{"overlap with #", []Rule{deny("a/secret/#"), allow("#")}, "#", 0, true},
		{"overlap at the root", []Rule{deny("a/secret/#"), allow("#")}, "+/secret/x", 0, true},
		{"overlap in depth", []Rule{deny("a/secret/#"), allow("#")}, "a/+", 0, true},
		{"no overlap", []Rule{deny("a/secret/#"), allow("#")}, "b/#", 0, true},
		{"allow before deny", []Rule{allow("a/#"), deny("a/secret")}, "a/#", 0, true},
		{"an exception before a denial", []Rule{allow("a/secret/mine"), deny("a/secret/#"), allow("a/#")}, "a/secret/mine", 0, true},
		{"and around it", []Rule{allow("a/secret/mine"), deny("a/secret/#"), allow("a/#")}, "a/+/mine", 0, true},
		{"overlap with one QoS, which no delivery is judged by", []Rule{denyQuick, allow("#")}, "#", 0, false},
		{"overlap with another QoS", []Rule{denyQuick, allow("#")}, "#", 1, true},
		{"overlap with one QoS of deliveries", []Rule{dropQuick, allow("#")}, "#", 0, true},
		{"receive is not subscribe", []Rule{receive}, "a", 0, false},
		{"nor is a denial", []Rule{withhold, allow("#")}, "a", 0, true},

		{"literal", []Rule{allow("=a/+")}, "a/+", 0, true},
		{"literal covers itself only", []Rule{allow("=a/+")}, "a/b", 0, false},
		{"literal topic", []Rule{allow("=a/b")}, "a/b", 0, true},
		{"literal denied, as that filter", []Rule{deny("=#"), allow("#")}, "#", 0, false},
		{"literal denied leaves others", []Rule{deny("=#"), allow("#")}, "a/#", 0, true},
		{"literal topic denied", []Rule{deny("=a/b"), allow("#")}, "a/b", 0, false},
		{"literal topic denied leaves others", []Rule{deny("=a/b"), allow("#")}, "a/+", 0, true},

		{"all does not hold $SYS", []Rule{allow("#", "+/#")}, "$SYS/#", 0, false},
		{"nor with a name", []Rule{allow("#", "+/x")}, "$SYS/x", 0, false},
		{"unless a rule names it", []Rule{allow("$SYS/#")}, "$SYS/broker/+", 0, true},
		{"a denial of all leaves it", []Rule{deny("#"), allow("$SYS/#")}, "$SYS/#", 0, true},

		{"shared", []Rule{allow("a/#")}, "$share/g/a/b", 0, true},
		{"shared, not covered", []Rule{allow("a/#")}, "$share/g/#", 0, false},
		{"the group is not the topic", []Rule{allow("g/#")}, "$share/g/a", 0, false},
		{"shared denial", []Rule{deny("a/secret"), allow("#")}, "$share/g/a/#", 0, false},
		{"shared denial of all of it", []Rule{deny("secret/#"), allow("#", "+/#", "$share/g/#")}, "$share/g/secret/#", 0, false},
		{"shared denial of a part", []Rule{deny("secret/x"), allow("#")}, "$share/g/secret/#", 0, false},
		{"shared denial of more", []Rule{deny("secret/#"), allow("#")}, "$share/g/+", 0, false},
		{"shared, beside what is denied", []Rule{deny("secret/#"), allow("#")}, "$share/g/open/#", 0, true},
		{"shared, denied to receive", []Rule{withhold, allow("#")}, "$share/g/#", 0, true},
		{"the name of the group opens nothing", []Rule{allow("g/#", "+/g/#", "open/#", "$share/secret/#")}, "$share/g/secret/#", 0, false},
		{"shared $SYS", []Rule{allow("#")}, "$share/g/$SYS/#", 0, false},
		{"shared literal", []Rule{deny("=#"), allow("#")}, "$share/g/#", 0, false},
		{"named group", []Rule{allow("$share/g/a/#")}, "$share/g/a/b", 0, true},
		{"named group, another group", []Rule{allow("$share/g/a/#")}, "$share/h/a/b", 0, false},
		{"named group, not shared", []Rule{allow("$share/g/a/#")}, "a/b", 0, false},
		{"named group denied", []Rule{deny("$share/g/a/#"), allow("#")}, "$share/g/+/b", 0, false},
		{"named group denied, another group", []Rule{deny("$share/g/a/#"), allow("#")}, "$share/h/+/b", 0, true},
		{"named group denied, not shared", []Rule{deny("$share/g/a/#"), allow("#")}, "+/b", 0, true},
		{"named group literal", []Rule{allow("=$share/g/+")}, "$share/g/+", 0, true},
		{"named group literal, another", []Rule{allow("=$share/g/+")}, "$share/g/a", 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := compiled(t, tt.rules...).View(user("bob"))
			if got := v.Subscribe(noon, []byte(tt.filter), tt.qos); got.Allowed != tt.want {
				t.Errorf("got %+v, want %v", got, tt.want)
			}
		})
	}
}

func TestPlaceholders(t *testing.T) {
	tests := []struct {
		name     string
		pattern  string
		username string
		topic    string
		want     bool
	}{
		{"own", "line/${username}/#", "bob", "line/bob/x", true},
		{"another's", "line/${username}/#", "bob", "line/eve/x", false},
		{"within a level", "line/x-${username}", "bob", "line/x-bob", true},
		{"literal", "=${username}/a", "bob", "bob/a", true},
		{"missing", "line/${username}/#", "", "line//x", false},
		{"missing, and there is more", "${username}line/#", "", "line/x", false},
		{"one of two missing", "${username}/${clientid}/a", "bob", "bob//a", false},
		{"plus", "line/${username}/a", "+", "line/eve/a", false},
		{"hash", "line/${username}", "#", "line/eve/a", false},
		{"slash", "line/${username}", "eve/a", "line/eve/a", false},
		{"NUL", "line/${username}", "a\x00", "line/a\x00", false},
		{"$ at the root", "${username}/#", "$SYS", "$SYS/a", false},
		{"$ further in", "a/${username}/#", "$SYS", "a/$SYS/b", true},
		{"what looks like a placeholder", "a/${username}", "${clientid}", "a/${clientid}", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := compiled(t, allow(tt.pattern)).View(user(tt.username))
			if got := v.Publish(noon, Message{Topic: []byte(tt.topic)}).Allowed; got != tt.want {
				t.Errorf("publish to %q: %v", tt.topic, got)
			}
			if got := v.Subscribe(noon, []byte(tt.topic), 0).Allowed; got != tt.want {
				t.Errorf("subscribe to %q: %v", tt.topic, got)
			}
		})
	}
}

// TestPlaceholderMissing: a rule that allows does not match at all, one that
// denies gets wider.
func TestPlaceholderMissing(t *testing.T) {
	for topic, allowed := range map[string]bool{
		"secret": false, "a/x": false, "b/x-1/c": false, "own": false, "b": true, "a/b/c": true, "pub/x": true,
	} {
		v := compiled(t,
			allow("own", "own/${username}"),
			deny("secret", "=a/${username}", "b/x-${username}/#", "own"),
			allow("#"),
		).View(user("de/v"))
		if got := v.Publish(noon, Message{Topic: []byte(topic)}).Allowed; got != allowed {
			t.Errorf("%s: allowed is %v", topic, got)
		}
	}
	v := compiled(t, deny("$share/${username}/t"), allow("#")).View(user(""))
	if v.Subscribe(noon, []byte("$share/g/t"), 0).Allowed || v.Subscribe(noon, []byte("t"), 0).Allowed {
		t.Error("the denied group cannot be told, and a subscription is allowed")
	}
}

// TestViewsShare: sessions share what is the same for all of them, and hold
// nothing of rules that are for others.
func TestViewsShare(t *testing.T) {
	rules := []Rule{allow("a", "b"), allow("a/${username}")}
	for range 1000 {
		other := allow("x/#")
		other.Users = Globs([]string{"eve"})
		rules = append(rules, other)
	}
	p := compiled(t, rules...)
	bob, carol := p.View(user("bob")), p.View(user("carol"))
	if len(bob.loose) != 2 {
		t.Errorf("bob's view has %d rules, want 2", len(bob.loose))
	}
	if &bob.loose[0].topics[0] != &carol.loose[0].topics[0] {
		t.Error("each session has its own copy of the topics of a rule without placeholders")
	}
	if bob.Publish(noon, Message{Topic: []byte("a/carol")}).Allowed || !carol.Publish(noon, Message{Topic: []byte("a/carol")}).Allowed {
		t.Error("sessions share the topics of a rule with placeholders")
	}
}

// TestZeroValues: nothing that was forgotten allows anything.
func TestZeroValues(t *testing.T) {
	for name, v := range map[string]*View{
		"zero View":           {},
		"View of zero Policy": new(Policy).View(new(filters.Session)),
		"View of no rules":    compiled(t).View(user("bob")),
	} {
		if v.Publish(noon, Message{Topic: []byte("a")}).Allowed || v.Subscribe(noon, []byte("a"), 0).Allowed ||
			v.Receive(noon, Message{Topic: []byte("a"), QoS: 0}).Allowed || v.Publish(noon, Message{}).Allowed || v.Receive(noon, Message{}).Allowed {
			t.Errorf("%s allows", name)
		}
	}
}

// TestHiddenTopics: the topics of the broker belong to those whom a rule names
// them to, whatever else is granted [MQTT-4.7.2-1].
func TestHiddenTopics(t *testing.T) {
	wide := []string{"#", "+", "+/#", "+/+", "+/x", "+/x/#", "/#", "=#", "=+/x", "$share/g/#", "$share/g/+/x"}
	for _, topic := range []string{"$SYS/x", "$CONTROL/x"} {
		root, _, _ := strings.Cut(topic, "/")
		for _, grant := range wide {
			checkHidden(t, []Rule{allow(grant)}, topic, false)
		}
		checkHidden(t, []Rule{allow(wide...)}, topic, false)
		for _, grant := range []string{topic, "=" + topic, root + "/#", root + "/+"} {
			checkHidden(t, []Rule{allow(grant)}, topic, true)
			checkHidden(t, []Rule{deny(wide...), allow(grant)}, topic, true)
		}
		checkHidden(t, []Rule{deny(root + "/#"), allow(topic)}, topic, false)
	}
}

func checkHidden(t *testing.T, rules []Rule, topic string, want bool) {
	t.Helper()
	v, name := compiled(t, rules...).View(user("bob")), []byte(topic)
	got := []bool{
		v.Publish(noon, Message{Topic: name}).Allowed, v.Subscribe(noon, name, 0).Allowed, v.Receive(noon, Message{Topic: name}).Allowed,
		v.Subscribe(noon, []byte("$share/g/"+topic), 0).Allowed,
	}
	if !slices.Equal(got, []bool{want, want, want, want}) {
		t.Errorf("%q: publish, subscribe, receive, share are %v, want %v", rules[len(rules)-1].Topics, got, want)
	}
}
