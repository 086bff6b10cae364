package e2e

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mqttward/mqttward/filters/strict"
	"github.com/mqttward/mqttward/packets"
)

// A vector is packets that have broken brokers, and what becomes of them.
type vector struct {
	id      string
	defects []string        // of strict.Defects that it triggers
	version packets.Version // of a session that is there already; zero: none
	profile string          // of the broker; "": legacy
	send    []string        // packets in hexadecimal
	broker  []string        // the broker sends these
	want    []string        // what the client gets, in hexadecimal; "ok" is any CONNACK that accepts
	closes  bool            // and the connection ends
	reaches []string        // what reaches the broker of it; none of the vectors without a session is even dialled for
}

const v3, v5 = packets.V311, packets.V5

// text is a string as MQTT has it, in hexadecimal.
func text(s string) string { return fmt.Sprintf("%04x%x", len(s), s) }

// frame puts type and Remaining Length in front of a body in hexadecimal.
func frame(head byte, body string) string {
	return hex.EncodeToString(packets.AppendVarint([]byte{head}, len(body)/2)) + body
}

func repeat(s string, n int) string { return strings.Repeat(s, n) }

// unfinished are QoS 2 PUBLISHes that nobody releases, and their PUBRECs.
func unfinished(n int) (publishes, pubrecs []string) {
	for id := 1; id <= n; id++ {
		publishes = append(publishes, frame(0x34, text("topic")+fmt.Sprintf("%04x", id)+"6d"))
		pubrecs = append(pubrecs, fmt.Sprintf("5002%04x", id))
	}
	return publishes, pubrecs
}

func vectors() []vector {
	publishes, pubrecs := unfinished(101)
	var publishes5 []string // with no properties
	for _, p := range publishes {
		publishes5 = append(publishes5, "340b"+p[4:len(p)-2]+"00"+p[len(p)-2:])
	}
	bomb := frame(0x10, text("MQTT")+"0502003c"+hex.EncodeToString(packets.AppendVarint(nil, 5001*13))+repeat("26"+text("key")+text("value"), 5001)+text("connect-user-property"))
	list := []vector{
		{id: "V01", defects: []string{"CVE-2017-7651"}, send: []string{"10ffffff7f"}, closes: true},
		{id: "V04", version: v5, send: []string{"c08000"}, want: []string{"e00181"}, closes: true},
		{id: "V07-0", defects: []string{"CVE-2017-7653"}, version: v3, send: []string{"3006000361c0806d"}, closes: true},
		{id: "V07-2", version: v3, send: []string{"3005000261ff6d"}, closes: true},
		{id: "V07-4", version: v3, send: []string{"3008000561f49080806d"}, closes: true},
		{id: "V08c", defects: []string{"#693"}, send: []string{frame(0x10, text("MQTT")+"0402003c"+text("victim\x00zz"))}, closes: true},
		{id: "V10", defects: []string{"CVE-2018-12543"}, version: v3, send: []string{frame(0x30, text("$x/y")+"6d")}},
		{
			id: "V11", defects: []string{"CVE-2019-11778"}, send: []string{"102000044d5154540506003c05110000000100027764051800000005000177000178"}, want: []string{"ok"},
			reaches: []string{"102000044d5154540506003c05110000000100027764051800000001000177000178"},
		},
		{id: "V12p", defects: []string{"CVE-2019-11779"}, version: v3, send: []string{frame(0x32, "ffff"+repeat("2f", 65535)+"0013"+hex.EncodeToString([]byte("message")))}, want: []string{"40020013"}},
		{id: "V13-correlation-data", defects: []string{"#1244"}, profile: "mosquitto-1.6", send: []string{"101a00044d5154540506003c00000277700409000163000177000178"}, want: []string{"2003008300"}, closes: true},
		{id: "V13-response-topic", profile: "mosquitto-1.6", send: []string{"101a00044d5154540506003c00000277700408000172000177000178"}, want: []string{"2003008300"}, closes: true},
		{id: "V15", defects: []string{"CVE-2021-34431"}, send: []string{"102700044d5154540506003c00001077696c6c2d3537333139312d7465737405180000000300000000"}, want: []string{"2003009000"}, closes: true},
		{id: "V17", defects: []string{"CVE-2021-41039"}, send: []string{bomb}, want: []string{"2003009500"}, closes: true},
		{id: "V18u", defects: []string{"CVE-2023-28366"}, version: v3, send: publishes, want: pubrecs[:100], closes: true, reaches: publishes[:100]},
		{
			id: "V20", defects: []string{"CVE-2024-8376"}, version: v3, profile: "mosquitto-2.0d",
			send:    []string{"821a000100152473686172652f73686172656e616d652f7465737401", "8209000200047465737400", "a2080007000474657374"},
			want:    []string{"9003000101", "9003000280", "b0020007"},
			reaches: []string{"821a000100152473686172652f73686172656e616d652f7465737401", "a2080007000474657374"},
		},
		{
			id: "V21", version: v3, profile: "mosquitto-2.0c", // not shielded, so it passes
			send:    []string{"822604d2000964726173682f312f2300000965726173682f322f2300000963726173682f332f2300", "a20d04d2000964726173682f312f23", "820e04d2000963726173682f332f2300"},
			want:    []string{"900504d2000000", "b00204d2", "900304d200"},
			reaches: []string{"822604d2000964726173682f312f2300000965726173682f322f2300000963726173682f332f2300", "a20d04d2000964726173682f312f23", "820e04d2000963726173682f332f2300"},
		},
		{id: "V23", defects: []string{"CVE-2024-3935"}, version: v3, broker: []string{"320c00062b2b2b2b2b2b00040033"}, closes: true},
		{id: "V24", defects: []string{"CVE-2024-10525"}, version: v3, broker: []string{"90020001"}, closes: true},
		{id: "V25", defects: []string{"CVE-2023-5632", "CVE-2017-7652"}, closes: true},
		{id: "V27", defects: []string{"will to $CONTROL", "#3552"}, send: []string{frame(0x10, text("MQTT")+"0406003c"+text("wc")+text("$CONTROL/dynamic-security/v1")+text("{}"))}, want: []string{"20020005"}, closes: true},
		{id: "V29", version: v5, send: []string{"8206000100000161"}, want: []string{"e00181"}, closes: true},
		{id: "V31", send: []string{"100700044d51545404c2003c" + text("test-python") + text("admin") + text("password")}, closes: true},
		{id: "V33", send: []string{"40020001"}, closes: true},
		{id: "V35", version: v3, send: []string{frame(0x10, text("MQTT")+"0402003c"+text("t1"))}, closes: true},
		{id: "V37", defects: []string{"#3551", "#3553"}, send: []string{"102600044d51545404c0003c000a676174657761792d3031000b73656e736f722d75736572000178"}, want: []string{"20020002"}, closes: true},
		{id: "V39", version: v5, send: []string{"3211000864656e6965642f7400010323000131", "3209000000020323000132"}, want: []string{"4003000187", "4003000287"}},

		{id: "first packet is no CONNECT", defects: []string{"CVE-2023-0809"}, send: []string{"3080808074"}, closes: true},
		{id: "wrong protocol name", defects: []string{"CVE-2017-7654"}, send: []string{frame(0x10, text(repeat("x", 4000)))}, closes: true},
		{id: "CONNACK of a client", defects: []string{"CVE-2021-28166"}, version: v5, send: []string{"29020001"}, want: []string{"e00182"}, closes: true},
		{id: "empty topic", defects: []string{"CVE-2021-34432"}, version: v5, send: []string{"3003000000"}, want: []string{"e00182"}, closes: true},
		{id: "Reason String in a Will", defects: []string{"CVE-2023-3592"}, send: []string{frame(0x10, text("MQTT")+"0506003c00"+text("wr")+"041f"+text("x")+text("w")+text("x"))}, want: []string{"2003008100"}, closes: true},
		{id: "a second CONNECT in MQTT 5.0", version: v5, send: []string{frame(0x10, text("MQTT")+"0502003c00"+text("t1"))}, want: []string{"e00182"}, closes: true},
		{id: "another's client identifier in MQTT 5.0", send: []string{frame(0x10, text("MQTT")+"05c0003c00"+text("gateway-01")+text("sensor-user")+text("x"))}, want: []string{"2003008500"}, closes: true},
		{id: "more QoS 2 messages than announced", version: v5, send: publishes5, want: append(slices.Clone(pubrecs[:100]), "e00193"), closes: true, reaches: publishes5[:100]},
		{id: "SUBSCRIBE of a broker", version: v3, broker: []string{"8206000100016100"}, closes: true},
		{id: "PINGREQ of a broker", version: v3, broker: []string{"c000"}, closes: true},
		{id: "CONNECT of a broker", version: v3, broker: []string{frame(0x10, text("MQTT")+"0402003c"+text("t1"))}, closes: true},
		{id: "a second CONNACK", version: v3, broker: []string{"20020000"}, closes: true},
		{id: "a delivery with QoS 3", version: v3, broker: []string{frame(0x36, text("a")+"000178")}, closes: true},
		{id: "a delivery with DUP and QoS 0", version: v3, broker: []string{frame(0x38, text("a")+"78")}, closes: true},
		{id: "a delivery with an ill-formed topic", version: v3, broker: []string{"3005000261ff6d"}, closes: true},
		{id: "a delivery with Packet Identifier 0", version: v3, broker: []string{frame(0x32, text("a")+"000078")}, closes: true},
		{id: "an overlong length of a broker", version: v3, broker: []string{"d08000"}, closes: true},
		{id: "a length of five bytes of a broker", version: v3, broker: []string{"30ffffffff01"}, closes: true},
		{id: "a delivery with two Topic Aliases", version: v5, broker: []string{frame(0x30, text("a")+"0623000123000278")}, want: []string{"e00180"}, closes: true},
		{id: "flags of SUBSCRIBE", defects: []string{"flags"}, version: v3, send: []string{frame(0x80, "0001"+text("a")+"00")}, closes: true},
		{id: "malformed $share behind a good filter", defects: []string{"Eclipse 248"}, version: v3, send: []string{frame(0x82, "0001"+text("a")+"00"+text("$share/x")+"00")}, closes: true},
		{id: "SUBSCRIBE of thousands of levels", defects: []string{"CVE-2019-11779"}, version: v3, send: []string{frame(0x82, "0001"+text(repeat("/", 65000))+"00")}, want: []string{"9003000180"}},
		{id: "UNSUBSCRIBE with $", defects: []string{"CVE-2018-12543"}, version: v3, profile: "mosquitto-1.5", send: []string{frame(0xa2, "0001"+text("$x/y"))}, want: []string{"b0020001"}},
		{
			id: "a QoS 2 message again and again", defects: []string{"CVE-2023-28366"}, version: v3,
			send:    []string{publishes[0], "3c" + publishes[0][2:], "3c" + publishes[0][2:], "62020001"},
			want:    []string{"50020001", "50020001", "50020001", "70020001"},
			reaches: []string{publishes[0], "62020001"},
		},
	}
	for i, name := range []string{"#", "+", "a/#", "+/x"} {
		list = append(list, vector{id: fmt.Sprintf("V05u-%d", i), defects: []string{"CVE-2017-7650"}, send: []string{frame(0x10, text("MQTT")+"04c2003c"+text(fmt.Sprint("dev", 1))+text(name)+text("p"))}, want: []string{"20020005"}, closes: true})
	}
	for _, head := range []string{"30", "50", "70", "90", "b0", "d0", "f0"} {
		list = append(list, vector{id: "V02-" + head, send: []string{head + "80808074"}, closes: true})
	}
	return list
}

// vectorProxy is a proxy whose rules allow all that has no $ or is denied.
func vectorProxy(t *testing.T, b *recording, profile, strict string) *proxy {
	t.Helper()
	if profile == "" {
		profile = "legacy"
	}
	return startProxy(t, settings{
		broker:    b.Addr().String(),
		listeners: `[{name: plain, address: "127.0.0.1:0"}]`,
		authn:     "[{name: users, type: password, file: owners.passwd}, {name: anyone, type: anonymous}]",
		rules:     []string{`{deny: [publish], topics: ["denied/#"]}`, `{allow: [publish, subscribe], topics: ["#"]}`},
		limits:    "{publish_rate: {rate: 0}, connect_timeout: 1s}",
		more:      "broker_profile: " + profile + "\nstrict: " + strict,
	})
}

// ownersFile has the users of V37.
var ownersFile = sync.OnceValue(func() string {
	dir, err := os.MkdirTemp("", "mqttward-e2e-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	return hashed(filepath.Join(dir, "owners.passwd"), "sensor-user:x\nvictim:"+password("victim")+"\n")
})

// TestVectors sends each vector through the proxy to a broker that keeps what it
// gets.
func TestVectors(t *testing.T) {
	t.Parallel()
	for _, vec := range vectors() {
		t.Run(vec.id, func(t *testing.T) {
			t.Parallel()
			vec.run(t, "{}")
		})
	}
}

// TestVectorsOfFirmShields sends those whose defects are said to be shielded even
// where all is relaxed that can be.
func TestVectorsOfFirmShields(t *testing.T) {
	t.Parallel()
	legacy, _ := strict.ParseProfile("legacy")
	relaxed := strict.Means{Profile: legacy, Relaxed: ^packets.Checks(0)}
	firm := map[string]bool{}
	for _, d := range strict.Defects() {
		s, _ := d.With(relaxed)
		firm[d.ID] = s != strict.Not && s == d.Shield
	}
	for _, vec := range vectors() {
		if len(vec.defects) == 0 || slices.ContainsFunc(vec.defects, func(id string) bool { return !firm[id] }) {
			continue
		}
		t.Run(vec.id, func(t *testing.T) {
			t.Parallel()
			vec.run(t, "{off: [C2, C3, C4, C5, C6, C7, C8, C9, C10, C12, C13, C14, C15, C19]}")
		})
	}
}

// run sends vec through a proxy with these relaxed checks.
func (vec vector) run(t *testing.T, strict string) {
	t.Helper()
	b := record(t, nil)
	p := vectorProxy(t, b, vec.profile, strict)
	var before []string
	if vec.id == "V37" || strings.HasPrefix(vec.id, "another's client identifier") { // the victim's session outlives its connection
		victim := p.raw(t)
		victim.connect(v3, "gateway-01", "victim", durable)
		victim.Close()
		p.awaitEvent(t, event{"msg": "session ended", "username": "victim"})
		before = b.frames(t)
	}
	c := p.raw(t)
	if vec.version != 0 {
		c.connect(vec.version, "vector", "")
		before = b.frames(t)
	}
	dials := b.dials()
	answers := slices.Clone(vec.want)
	answered := func() {
		if len(answers) == 0 {
			return
		}
		if got := c.next(); got != answers[0] && (answers[0] != "ok" || !strings.HasPrefix(got, "20")) {
			t.Errorf("the client got %.60s, want %.60s", got, answers[0])
		}
		answers = answers[1:]
	}
	for _, s := range vec.send {
		packet, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		c.send(packet)
		answered()
	}
	for _, s := range vec.broker {
		packet, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		b.send(t, packet)
	}
	for len(answers) > 0 {
		answered()
	}
	reaches := vec.reaches
	if vec.closes {
		c.expect("the connection ends", "close")
		b.awaitEnd(t) // what reaches the broker has reached it then
	} else {
		c.alive("the session goes on")
		reaches = append(slices.Clone(reaches), "c000")
	}
	if vec.version == 0 && len(vec.reaches) == 0 && b.dials() != dials {
		t.Error("the broker was dialled")
	}
	if got := b.frames(t)[len(before):]; !slices.Equal(got, reaches) {
		t.Errorf("the broker got %.200s, want %.200s", got, reaches)
	}
}

// TestDefectsHaveVectors: what is claimed to be kept from the broker by a check is
// shown above.
func TestDefectsHaveVectors(t *testing.T) {
	shown := map[string]bool{
		// Shown elsewhere, by the test that the name says.
		"575314":         true,                                                               // TestDesync/3
		"CVE-2018-12546": true,                                                               // TestDesync/6
		"CVE-2021-34434": true,                                                               // TestDesync/5
		"CVE-2020-13849": true,                                                               // TestLongKeepAlive in proxy
		"CVE-2018-12550": true, "CVE-2018-12551": true, "CVE-2018-20145": true, "#996": true, // the broker's own security is not used: TestRefusedSubscription, TestDenied, TestCertificate
	}
	known := map[string]bool{}
	for _, d := range strict.Defects() {
		known[d.ID] = true
	}
	for _, vec := range vectors() {
		for _, id := range vec.defects {
			shown[id] = true
			if !known[id] {
				t.Errorf("%s shows %s, which is no known defect", vec.id, id)
			}
		}
	}
	for _, d := range strict.Defects() {
		if d.Shield != strict.Not && !shown[d.ID] {
			t.Errorf("%s is said to be shielded, and nothing shows it", d.ID)
		}
	}
}

// TestReferenceVectors compares the table with the reference that it was written
// from, where that lies beside the checkout.
func TestReferenceVectors(t *testing.T) {
	data, err := os.ReadFile("../../shared/reference/vectors.json")
	if err != nil {
		t.Log("no reference here:", err)
		return
	}
	var reference []struct {
		ID   string
		Dir  string
		Send []string
	}
	if err := json.Unmarshal(data, &reference); err != nil {
		t.Fatal(err)
	}
	ours := map[string]vector{}
	for _, vec := range vectors() {
		ours[vec.id] = vec
	}
	for _, r := range reference {
		vec, ok := ours[r.ID]
		if !ok {
			t.Errorf("%s is missing", r.ID)
			continue
		}
		sent := vec.send
		if r.Dir == "s2c" {
			sent = vec.broker
		}
		for i, s := range r.Send {
			if _, err := hex.DecodeString(s); err == nil && !slices.Contains(sent, s) {
				t.Errorf("%s: packet %d is not sent", r.ID, i)
			}
		}
	}
}

// durable asks for a session that stays.
func durable(c *packets.Connect) {
	c.CleanStart = false
	if c.Level == byte(v5) {
		c.Props = packets.Properties{byte(packets.SessionExpiryInterval), 0, 0, 0x0e, 0x10}
	}
}
