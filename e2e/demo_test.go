package e2e

import (
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

var took = regexp.MustCompile(`took [0-9.]+ s`)

// The demo tells what the README says it does, its lines to paste do what they
// say, and Ctrl-C ends it and leaves nothing.
func TestDemo(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	demo := launchMqttward(t, "demo")
	for _, scene := range []string{"\n1. ", "\n2. ", "\n3. ", "\n4. "} {
		demo.await(t, scene)
	}
	text := demo.await(t, "Ctrl-C ends the demo")
	told := regexp.MustCompile(`(?m)^[1-4]\. .*$`).FindAllString(text, -1)
	promised := regexp.MustCompile(`(?m)^[1-4]\. .*$`).FindAllString(string(readme), -1)
	if len(promised) != 4 || took.ReplaceAllString(strings.Join(told, "\n"), "") != took.ReplaceAllString(strings.Join(promised, "\n"), "") {
		t.Errorf("the demo says\n%s\nand the README\n%s", strings.Join(told, "\n"), strings.Join(promised, "\n"))
	}

	var lines []string
	for l := range strings.Lines(text) {
		if l = strings.TrimSpace(l); strings.HasPrefix(l, "mosquitto_") {
			lines = append(lines, l)
		}
	}
	if len(lines) != 4 {
		t.Fatalf("lines to paste: %q", lines)
	}
	dashboard := launch(t, newTranscript(), "sh", "-c", "exec stdbuf -oL "+lines[0]+" -d")
	dashboard.await(t, "Subscribed (mid: ")
	for i, said := range map[int]string{1: "", 2: "Not authorized", 3: ""} {
		if r := execute(t, "", "sh", "-c", lines[i]); !strings.Contains(r.stderr, said) || said == "" && r.code != 0 {
			t.Errorf("%s: exit %d\n%s%s", lines[i], r.code, r.stdout, r.stderr)
		}
	}
	dashboard.await(t, "data/sensor01/temp 22.5\n")

	folder := regexp.MustCompile(`--cafile (\S+)/ca\.crt`).FindStringSubmatch(text)
	if folder == nil {
		t.Fatal("no folder in the lines to paste")
	}
	demo.signal(t, syscall.SIGINT)
	if code := demo.exit(t); code != 0 {
		t.Errorf("exit %d, want 0", code)
	}
	if _, err := os.Stat(folder[1]); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", folder[1], err)
	}
}
