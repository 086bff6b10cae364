package rig

import (
	"os"
	"testing"
)

func TestParseStat(t *testing.T) {
	for _, name := range []string{"12 (mqttward)", "12 (a) R 7 (b c)"} {
		pid, parent, err := parseStat(name + " S 7 2 3 4 5")
		if pid != 12 || parent != 7 || err != nil {
			t.Errorf("%s: %d, %d, %v", name, pid, parent, err)
		}
	}
	for _, stat := range []string{"", "12 (x) S", "x (x) S 7 2", "12 (x) S y 2"} {
		if pid, parent, err := parseStat(stat); err == nil {
			t.Errorf("%q gave %d, %d", stat, pid, parent)
		}
	}
}

func TestParseResident(t *testing.T) {
	if got, err := parseResident("Name:\tx\nVmRSS:\t    1234 kB\nRssAnon:\t 5 kB\n"); got != 1234<<10 || err != nil {
		t.Errorf("%d, %v", got, err)
	}
	for _, status := range []string{"", "Name:\tx\n", "Name:\tx\nVmRSS:\tmuch kB\n"} {
		if got, err := parseResident(status); err == nil {
			t.Errorf("%q gave %d", status, got)
		}
	}
}

// TestOwnProcess: this process is measured as any other. Its children count.
func TestOwnProcess(t *testing.T) {
	pid := os.Getpid()
	before, err := CPU(pid)
	if err != nil || before <= 0 {
		t.Fatalf("%v, %v", before, err)
	}
	after := before
	for after == before { // the clock counts nanoseconds: a call shows
		if after, err = CPU(pid); err != nil {
			t.Fatal(err)
		}
	}
	if after < before {
		t.Errorf("%v after %v", after, before)
	}
	if resident, err := Resident(pid); err != nil || resident < 1<<20 {
		t.Errorf("%d bytes, %v", resident, err)
	}
	pids, err := family(os.Getppid())
	if err != nil || len(pids) < 2 {
		t.Errorf("the parent of this process has the family %v, %v", pids, err)
	}
}
