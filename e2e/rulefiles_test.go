package e2e

import (
	"os"
	"strings"
	"testing"
)

// withRuleFile is a proxy whose rules stand in a file of another product.
func withRuleFile(t *testing.T, kind, name, text string) *proxy {
	t.Helper()
	s := settings{broker: startBroker(t).address(), rules: []string{`{deny: [publish], topics: ["never"]}`}}
	s.more = "  files: [{type: " + kind + ", path: " + name + "}]\nbroker_profile: legacy"
	dir := proxyFolder(t, s)
	write(t, dir+"/"+name, text)
	return startProxyIn(t, dir)
}

// brokenBy reloads with text in a rule file, which must change nothing.
func (p *proxy) brokenBy(t *testing.T, name, text, want string) {
	t.Helper()
	whole := p.read(t, name)
	write(t, p.file(name), text)
	if err := p.Reload(); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want one with %q", err, want)
	}
	write(t, p.file(name), whole)
}

// Behind the proxy with Mosquitto's acl_file everything may be subscribed to, and
// only what may be read is delivered, as it was without.
func TestACLFile(t *testing.T) {
	t.Parallel()
	const acl = "topic read open/#\n\nuser alice\ntopic readwrite a/#\ntopic deny a/secret\n\nuser bob\ntopic read a/+\n\npattern write from/%u/#\n"
	p := withRuleFile(t, "mosquitto_acl", "acl", acl)
	alice, _ := p.connect5(t, connection("alice"))
	bob, _ := p.connect5(t, connection("bob"))
	equal(t, "reason codes", bob.subscribe(t, 1, "#", "$share/g/a/1", "$share/g/b/#"), []byte{1, 1, 0x87})
	for _, topic := range []string{"a/b/c", "from/alice/x", "a/x"} {
		alice.publishes(t, topic, 0)
	}
	if topic, _ := bob.next(t); topic != "a/x" {
		t.Errorf("bob gets %s first", topic)
	}
	for _, topic := range []string{"a/secret", "b", "from/bob/x", "never"} {
		alice.publishes(t, topic, 0x87)
	}
	if r := mqttward(t, "", "acl", "explain", "-c", p.file("mqttward.yaml"), "--user", "alice", "publish", "a/secret"); r.code != 1 || !strings.HasPrefix(r.stdout, "deny: acl:5\n") {
		t.Errorf("explain: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	p.brokenBy(t, "acl", acl+"topic raed x\n", "acl: line 11: ")
	alice.publishes(t, "a/x", 0)
	if err := os.Truncate(p.file("acl"), 0); err != nil { // which denies everything [CVE-2018-12550]
		t.Fatal(err)
	}
	if err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	alice.publishes(t, "a/x", 0x87)
}

// With dynamic security, subscriptions are judged by the roles of the client.
func TestDynsecFile(t *testing.T) {
	t.Parallel()
	const dynsec = `{
  "defaultACLAccess": {"publishClientSend": false, "publishClientReceive": true, "subscribe": false, "unsubscribe": true},
  "clients": [{"username": "alice", "roles": [{"rolename": "sensor"}]}, {"username": "bob", "roles": [{"rolename": "reader"}]}, {"username": "carol", "disabled": true}],
  "roles": [
    {"rolename": "sensor", "acls": [{"acltype": "publishClientSend", "topic": "data/%u/#", "allow": true}]},
    {"rolename": "reader", "acls": [{"acltype": "subscribePattern", "topic": "data/+/temp", "allow": true}, {"acltype": "publishClientReceive", "topic": "data/alice/hidden/#", "allow": false}]}
  ]
}`
	p := withRuleFile(t, "mosquitto_dynsec", "dynamic-security.json", dynsec)
	alice, _ := p.connect5(t, connection("alice"))
	bob, _ := p.connect5(t, connection("bob"))
	p.refused5(t, connection("carol"), 0x87)
	equal(t, "reason codes", bob.subscribe(t, 1, "data/#", "data/+/temp", "#"), []byte{0x87, 1, 0x87})
	alice.publishes(t, "data/bob/temp", 0x87)
	alice.publishes(t, "data/alice/temp", 0)
	if topic, _ := bob.next(t); topic != "data/alice/temp" {
		t.Errorf("bob gets %s", topic)
	}
	p.brokenBy(t, "dynamic-security.json", dynsec[:len(dynsec)-30], "dynamic-security.json: line ")
	alice.publishes(t, "data/alice/temp", 0)
}

// EMQX's acl.conf decides from its first line to its last.
func TestEMQXFile(t *testing.T) {
	t.Parallel()
	const acl = `%% who may do what
{deny, all, all, ["a/secret/#"]}.
{allow, {user, "alice"}, publish, ["a/#", "from/${clientid}"]}.
{allow, {'or', [{user, "bob"}, {clientid, {re, "^c"}}]}, subscribe, ["a/+", {eq, "#"}]}.
{allow, {ipaddr, "10.0.0.0/8"}, all, ["#"]}.
{deny, all}.
`
	p := withRuleFile(t, "emqx_acl", "acl.conf", acl)
	alice, _ := p.connect5(t, connection("alice"))
	bob, _ := p.connect5(t, connection("bob"))
	// EMQX takes "#" for a level that "+" holds; what is deeper is not delivered.
	equal(t, "reason codes", bob.subscribe(t, 1, "a/+", "#", "a/#", "b", "+/x"), []byte{1, 1, 1, 0x87, 0x87})
	for topic, want := range map[string]byte{"a/secret/x": 0x87, "from/alice": 0, "from/bob": 0x87, "b": 0x87} {
		alice.publishes(t, topic, want)
	}
	alice.publishes(t, "a/x", 0)
	bob.publishes(t, "a/x", 0x87)
	p.brokenBy(t, "acl.conf", acl[:len(acl)-3], "acl.conf: line ")
	p.brokenBy(t, "acl.conf", "{allow, {usr, \"alice\"}, all, [\"#\"]}.\n", "acl.conf: line 1")
	alice.publishes(t, "a/x", 0)
}

// A policy of AWS IoT says who may connect, too, and judges each delivery.
func TestAWSFile(t *testing.T) {
	t.Parallel()
	const policy = `{
  "Version": "2012-10-17",
  "Statement": [
    {"Effect": "Allow", "Action": "iot:Connect", "Resource": "arn:aws:iot:eu-central-1:123456789012:client/${iot:ClientId}"},
    {"Effect": "Deny", "Action": "iot:Connect", "Resource": "arn:aws:iot:eu-central-1:123456789012:client/car*"},
    {"Effect": "Allow", "Action": ["iot:Publish", "iot:Receive"], "Resource": "arn:aws:iot:eu-central-1:123456789012:topic/a/*"},
    {"Effect": "Deny", "Action": "iot:Receive", "Resource": "arn:aws:iot:eu-central-1:123456789012:topic/a/hidden/*"},
    {"Effect": "Allow", "Action": "iot:Subscribe", "Resource": "arn:aws:iot:eu-central-1:123456789012:topicfilter/a/*"}
  ]
}`
	p := withRuleFile(t, "aws_iot", "policy.json", policy)
	alice, ack := p.connect5(t, connection("alice"))
	if ack.Properties.RetainAvailable {
		t.Error("alice is told that she may retain, without the right to")
	}
	p.refused5(t, connection("carol"), 0x87)
	equal(t, "reason codes", alice.subscribe(t, 1, "a/#", "b/#"), []byte{1, 0x87})
	alice.publishes(t, "b/x", 0x87)
	alice.publishes(t, "a/hidden/x", 0)
	alice.publishes(t, "a/x", 0)
	if topic, _ := alice.next(t); topic != "a/x" {
		t.Errorf("alice gets %s", topic)
	}
	p.brokenBy(t, "policy.json", policy[:len(policy)-40], "policy.json: line ")
	p.brokenBy(t, "policy.json", strings.Replace(policy, "iot:Receive", "iot:Recieve", 1), "iot:Recieve")
	alice.publishes(t, "a/x", 0)
}
