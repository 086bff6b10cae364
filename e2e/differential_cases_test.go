package e2e

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mqttward/mqttward/filters/authz"
	"github.com/mqttward/mqttward/filters/authz/mosquitto"
	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
)

const casesFile = `user ada
topic write w/#
topic read r/#
topic deny r/secret
pattern readwrite dev-%c/x
pattern read in/%c
pattern write out/%u/#
pattern deny %u/y
pattern write +/y
pattern write $x/#
`

func casesPolicy(t *testing.T) *authz.Policy {
	t.Helper()
	rules, _, err := mosquitto.ParseACL([]byte(casesFile), "acl")
	if err != nil {
		t.Fatal(err)
	}
	policy, err := authz.New(rules, authz.Options{FilterDeliveries: true})
	if err != nil {
		t.Fatal(err)
	}
	return policy
}

func startCases(t *testing.T) *reference {
	t.Helper()
	path := filepath.Join(t.TempDir(), "acl")
	write(t, path, casesFile)
	return startReference(t, "acl_file "+path)
}

// TestMosquittoDifferences holds each difference between Mosquitto 2.0 and the
// rules, and beside it what is the same.
func TestMosquittoDifferences(t *testing.T) {
	t.Parallel()
	policy, r := casesPolicy(t), startCases(t)
	for _, tt := range []struct {
		name string
		account
		action, topic    string
		broker, expected bool
	}{
		{"part of a level is text, as in 2.1", account{"ada", "c1"}, "publish", "dev-c1/x", true, false},
		{"and the text itself is of nobody in 2.0", account{"ada", "c1"}, "publish", "dev-%c/x", false, true},
		{"a whole level", account{"ada", "c1"}, "receive", "in/c1", true, true},
		{"a client identifier of two levels", account{"ada", "a/b"}, "receive", "in/a/b", true, false},
		{"a user name of two levels", account{"a/b", "c1"}, "publish", "out/a/b/x", true, false},
		{"a user name with $ inside", account{"$x", "c1"}, "publish", "out/$x/z", true, true},
		{"a user name with $ at the root", account{"$x", "c1"}, "publish", "$x/y", false, true},
		{"a Shared Subscription that is covered", account{"ada", "c1"}, "subscribe", "$share/g/r/#", true, true},
		{"a Shared Subscription that is not", account{"ada", "c1"}, "subscribe", "$share/g/#", true, false},
		{"a subscription that is not", account{"ada", "c1"}, "subscribe", "#", true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			q := questions{accounts: []account{tt.account}, readers: []account{tt.account}, publish: []string{"unused"}, subscribe: []string{"unused"}, receive: []string{"unused"}}
			switch tt.action {
			case "publish":
				q.publish[0] = tt.topic
			case "subscribe":
				q.subscribe[0] = tt.topic
			default:
				q.receive[0] = tt.topic
			}
			answers := r.ask(t, q)
			i := slices.IndexFunc(answers, func(q question) bool { return q.action == tt.action })
			if answers[i].allowed != tt.broker {
				t.Errorf("Mosquitto says %v", answers[i].allowed)
			}
			if d := answers[i].decide(policy.View(tt.session())); d.Allowed != tt.expected {
				t.Errorf("the rules say %+v", d)
			}
		})
	}
}

// TestMosquittoWill: Mosquitto judges a Will when it sends it, and the rules by
// the same right when a client connects.
func TestMosquittoWill(t *testing.T) {
	t.Parallel()
	policy, r := casesPolicy(t), startCases(t)
	watcher := account{"", "watcher"}.connect(t, r.free)
	watcher.subscribeAll([]string{"#"})
	var want []string
	for _, topic := range []string{"r/x", "r/secret", "w/x", "in/will", "out/ada/x", "out/bob/x", "w"} {
		who := account{"ada", "will-" + strings.ReplaceAll(topic, "/", "-")}
		who.connect(t, r.judged, mqtttest.Will(topic, "0")).Close()
		r.await(t, "Client "+who.clientID+" closed its connection")
		if d := policy.View(who.session()).Publish(time.Time{}, authz.Message{Topic: []byte(topic), Will: true}); d.Allowed {
			want = append(want, topic)
		}
	}
	if len(want) != 3 {
		t.Errorf("the rules allow Wills to %q", want)
	}
	if got := watcher.topicsUntilPing(); !slices.Equal(got, want) {
		t.Errorf("Mosquitto sends the Wills to %q, the rules allow those to %q", got, want)
	}
}

// TestMosquittoRetained: what is retained is judged when it is replayed.
func TestMosquittoRetained(t *testing.T) {
	t.Parallel()
	policy, r := casesPolicy(t), startCases(t)
	var want []string
	publisher, reader := account{"", "publisher"}.connect(t, r.free), account{"ada", "c1"}
	for i, topic := range []string{"r/a", "r/secret", "n/a", "in/c1", "in/c2", "r"} {
		publisher.send(packets.AppendPublish(nil, packets.V5, 1<<1|1, []byte(topic), uint16(i+1), nil, []byte("0"), 0))
		if p := publisher.packet(); p.Type != packets.PUBACK {
			t.Fatalf("%s is not retained: %s", topic, p.Type)
		}
		if policy.View(reader.session()).Receive(time.Time{}, authz.Message{Topic: []byte(topic), Retain: true}).Allowed {
			want = append(want, topic)
		}
	}
	c := reader.connect(t, r.judged)
	c.subscribeAll([]string{"n/#", "in/#"})
	c.send(sub(packets.V5, 2, 0, "#"))
	got := c.topicsUntilPing()
	slices.Sort(got)
	slices.Sort(want)
	if got = slices.Compact(got); len(want) != 3 || !slices.Equal(got, want) {
		t.Errorf("Mosquitto replays %q, the rules allow %q", got, want)
	}
}

// topicsUntilPing returns the topics of the messages that have come.
func (c *raw) topicsUntilPing() (topics []string) {
	c.t.Helper()
	c.send(mqtttest.Pingreq())
	for p := c.packet(); p.Type != packets.PINGRESP; p = c.packet() {
		if p.Type == packets.PUBLISH {
			topics = append(topics, string(p.Topic))
		}
	}
	return topics
}

// TestMosquittoRefuses: files that Mosquitto does not start with are errors, and
// what it starts with is none.
func TestMosquittoRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "# only\n", "topic read\n", "topic read a/#", "user a b\ntopic x\n", "  topic a\n", "topic a/%u\r\n", "pattern a\n",
		"topic read " + strings.Repeat("/", 200), "topic $share/+/#", "topic deny\ta\n", "user $\ntopic $",
		"allow a\n", "topic\ta\n", " # indented\n", "topic a b\n", "topic Read a\n", "topic\n", "pattern\n", "user\n", "user  \n",
		"topic a/#/b\n", "topic a+\n", "topic $share/g/a#\n", "topic read " + strings.Repeat("/", 201), "topic " + strings.Repeat("a", 65536),
	} {
		path := filepath.Join(t.TempDir(), "acl")
		write(t, path, text)
		config := filepath.Join(t.TempDir(), "mosquitto.conf")
		write(t, config, "listener "+freePort(t)+" 127.0.0.1\nallow_anonymous true\nlog_dest stderr\nlog_timestamp false\nuser root\nacl_file "+path+"\n")
		p := launch(t, newTranscript(), "mosquitto", "-c", config)
		log, starts := p.out.wait(p.done, func(text string) bool { return strings.Contains(text, " running\n") })
		_ = p.cmd.Process.Kill()
		<-p.done
		_, _, err := mosquitto.ParseACL([]byte(text), "acl")
		if starts != (err == nil) {
			t.Errorf("%.60q: %v, and Mosquitto:\n%s", text, err, log)
		}
	}
}
