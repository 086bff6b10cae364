package e2e

import (
	"strings"
	"testing"
)

// doctor names the broker and its known defects, and what is weak.
func TestDoctor(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := &proxy{dir: proxyFolder(t, settings{broker: b.address(), listeners: plain, more: "broker_profile: auto", rules: []string{writeAll}})}
	r := mqttward(t, "", "doctor", "-c", p.file("mqttward.yaml"))
	for _, want := range []string{
		"ok    broker " + b.address() + ": reached\n",
		"ok    broker version: mosquitto version 2.0.11, profile mosquitto-2.0a\n",
		"ok    CVE-2021-41039: shielded: thousands of User Properties in a CONNECT take minutes (C2, C10)\n",
		"ok    CVE-2023-0809: shielded: ",
		"fail  2.0.22: not shielded: ",
		"ok    nobody listens on the broker's port but on loopback\n",
	} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("%q is not in the report", want)
		}
	}
	if strings.Contains(r.stdout, "CVE-2021-28166") { // mended in 2.0.10
		t.Error("a defect of other versions is in the report")
	}
	if r.code != 1 || t.Failed() {
		t.Errorf("exit %d, want 1:\n%s%s", r.code, r.stdout, r.stderr)
	}

	// A shield that the configuration has taken away is none.
	p.configure(t, settings{broker: b.address(), listeners: plain, more: "broker_profile: none\nstrict: {off: [C3]}", rules: []string{writeAll}})
	r = mqttward(t, "", "doctor", "-c", p.file("mqttward.yaml"))
	for _, want := range []string{
		"warn  broker_profile: none is configured; auto would be mosquitto-2.0a\n",
		"fail  CVE-2024-8376: not shielded: ", "(the profile none does not have it)\n",
		"fail  flags: not shielded: ", "(strict relaxes C3)\n",
	} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("%q is not in the report:\n%s", want, r.stdout)
		}
	}

	b.signal(t, 9)
	b.exit(t)
	r = mqttward(t, "", "doctor", "-c", p.file("mqttward.yaml"))
	if r.code != 1 || !strings.Contains(r.stdout, "fail  broker "+b.address()+": ") {
		t.Errorf("exit %d without a broker:\n%s%s", r.code, r.stdout, r.stderr)
	}
	if r := mqttward(t, "", "doctor", "-c", "nowhere.yaml"); r.code != 2 {
		t.Errorf("exit %d without a configuration", r.code)
	}
}

// TestProfileDetected: the proxy asks the broker what it is, says so, and keeps
// from it what it does not bear.
func TestProfileDetected(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	p := startService(t, settings{broker: b.address(), more: "broker_profile: auto"})
	p.process.await(t, "mosquitto version 2.0.11: profile mosquitto-2.0a")
	p.process.await(t, "2.0.22: not shielded: ")
	p.process.await(t, "shielded: CVE-2017-7651 (C1, C2)")
	// Mosquitto keeps the connection of the probe no longer than it takes.
	eventually(t, "end of the probe", func() bool { return strings.Contains(b.out.String(), "Client mqttward") })
}
