package configs

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestRuntime(t *testing.T) {
	for _, tt := range []struct {
		text string
		want Runtime
	}{
		{"memory_limit: 75%, gc_percent: 100", Runtime{MemoryLimit{Percent: 75}, 100}},
		{"memory_limit: 100%", Runtime{MemoryLimit: MemoryLimit{Percent: 100}}},
		{"memory_limit: 512MiB, gc_percent: auto", Runtime{MemoryLimit: MemoryLimit{Size: 512 * MiB}}},
		{"memory_limit: 32MiB, gc_percent: 10", Runtime{MemoryLimit{Size: 32 * MiB}, 10}},
		{"memory_limit: off, gc_percent: 1000", Runtime{GCPercent: 1000}},
	} {
		if c := mustParse(t, minimal+"runtime: {"+tt.text+"}\n"); c.Runtime != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.text, c.Runtime, tt.want)
		}
	}
}

func TestRuntimeMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"memory_limit: 0%":    `wants a share from 1% to 100%, not "0%"`,
		"memory_limit: 101%":  `wants a share from 1% to 100%, not "101%"`,
		"memory_limit: 1.5%":  `wants a share from 1% to 100%, not "1.5%"`,
		"memory_limit: much":  `wants a share such as 90%, a size such as 512MiB, or off, not "much"`,
		"memory_limit: 0":     `wants at least 32MiB, not "0"`,
		"memory_limit: 31MiB": `wants at least 32MiB, not "31MiB"`,
		"gc_percent: off":     `wants auto, or a whole number from 10 to 1000, not "off"`,
		"gc_percent: 9":       `wants auto, or a whole number from 10 to 1000, not "9"`,
		"gc_percent: 1001":    `wants auto, or a whole number from 10 to 1000, not "1001"`,
	} {
		name, _, _ := strings.Cut(text, ":")
		want = "mqttward.yaml:5: runtime." + name + ": " + want
		if _, err := parse(t, minimal+"runtime: {"+text+"}\n"); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func TestRuntimeFromEnvironment(t *testing.T) {
	path := filepath.Join(folder(t, "users"), "mqttward.yaml")
	write(t, path, minimal+"runtime: {memory_limit: off}\n")
	t.Setenv("MQTTWARD_RUNTIME_MEMORY_LIMIT", "50%")
	t.Setenv("MQTTWARD_RUNTIME_GC_PERCENT", "50")
	c, err := Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := (Runtime{MemoryLimit{Percent: 50}, 50}); c.Runtime != want {
		t.Errorf("%+v, want %+v", c.Runtime, want)
	}
}
