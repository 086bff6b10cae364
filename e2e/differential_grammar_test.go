package e2e

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mqttward/mqttward/filters/authz/mosquitto"
)

// grammar is what lines of an acl_file are made of, and what they are not.
var grammar = []string{
	"topic", "pattern", "user", "read", "write", "readwrite", "deny", "Topic", "allow", "#comment",
	" ", " ", " ", " ", "  ", "\t", "\r", "\v", "\ufeff",
	"a/b", "#", "+", "a+", "#/a", "a/#", "x y", "%c", "é", "", "$share/g/a", "$share", "$share/", "$SYS/#",
	strings.Repeat("/", 200), strings.Repeat("/", 201),
}

// sharp are lines that are nearly something else.
var sharp = []string{
	"topic \t#", "topic read \t#", "topic read\t#", "topic\t#", "topic  \v+", "topic", "topic ", "topic read", "topic deny  ", "topic read read",
	"pattern", "pattern %u", "user", "user ", "user \t", "user \tada", " #", "#", "\t", " topic a", "topic a b", "topic a\r\rb", "TOPIC a",
	"topic /", "topic a/#/", "topic a+/b", "topic read a b c", "topic write +/+b",
}

// aclLine makes a line, whole or not.
func (d dice) aclLine() string {
	line := d.of("", "topic ", "pattern ", "user ", "topic read ", "topic deny ")
	return line + strings.Join(times(1+d.IntN(6), func() string { return d.of(grammar...) }), "") + d.of("", "\n", "\r\n", " \n", "\t\n")
}

// TestMosquittoGrammar: what a Mosquitto takes is taken, and what it refuses is
// refused.
func TestMosquittoGrammar(t *testing.T) {
	t.Parallel()
	const files = 500
	accepted, dir, d := 0, t.TempDir(), newDice(77)
	lines := append(times(files-len(sharp), d.aclLine), sharp...)
	for _, line := range lines {
		text := "topic first\n" + line
		write(t, filepath.Join(dir, "acl"), text)
		takes := mosquittoTakes(t, filepath.Join(dir, "acl"))
		_, _, err := mosquitto.ParseACL([]byte(text), "acl")
		if takes {
			accepted++
		}
		// A Shared Subscription of no topic is a filter to Mosquitto only.
		half := takes && slices.Contains(strings.Fields(text), "$share/")
		if takes != (err == nil) && !half {
			t.Errorf("%q: Mosquitto takes it: %v; here: %v", text, takes, err)
		}
	}
	if accepted < files/5 || accepted > files*4/5 {
		t.Errorf("%d of %d files were taken", accepted, files)
	}
}

// mosquittoTakes reports whether a Mosquitto starts with an acl_file.
func mosquittoTakes(t *testing.T, path string) bool {
	t.Helper()
	config := path + ".conf"
	for range 10 {
		write(t, config, "listener "+freePort(t)+" 127.0.0.1\nacl_file "+path+"\nuser root\nlog_dest stderr\n")
		p := launch(t, newTranscript(), "mosquitto", "-c", config)
		text, runs := p.out.wait(p.done, func(text string) bool { return strings.Contains(text, " running\n") })
		_ = p.cmd.Process.Kill()
		<-p.done
		if !strings.Contains(text, "Address already in use") {
			return runs
		}
	}
	t.Fatal("no port for mosquitto")
	return false
}
