package app

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/mqttward/mqttward/configs"
)

func TestAuditFileIsReopened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	c := configs.Log{Level: "info", Format: "json", Audit: path}
	logs, err := OpenLogs(c, func() { t.Error("a line is lost") })
	if err != nil {
		t.Fatal(err)
	}
	logs.Audit.Info("first")
	for start := time.Now(); !contains(path, "first"); runtime.Gosched() {
		if time.Since(start) > 10*time.Second {
			t.Fatal("the first line does not arrive")
		}
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := logs.Reopen(c); err != nil {
		t.Fatal(err)
	}
	logs.Audit.Info("second")
	if err := logs.Close(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{path + ".1": "first", path: "second"} {
		got, err := os.ReadFile(name)
		if err != nil || strings.Count(string(got), "\n") != 1 || !strings.Contains(string(got), want) {
			t.Errorf("%s: %q, %v", filepath.Base(name), got, err)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others may read the audit log: %v, %v", info.Mode(), err)
	}
}

func TestAuditFileThatCannotBeOpened(t *testing.T) {
	_, err := OpenLogs(configs.Log{Level: "info", Audit: filepath.Join(t.TempDir(), "no", "audit.log")}, nil)
	if err == nil {
		t.Error("an audit log that cannot be written is not refused")
	}
}

func contains(file, text string) bool {
	data, err := os.ReadFile(file)
	return err == nil && strings.Contains(string(data), text)
}
