package strict

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the table of docs/brokers.md anew")

const document = "../../docs/brokers.md"

// table is the list of defects as docs/brokers.md shows it.
func table() string {
	var b strings.Builder
	b.WriteString("| defect | versions of Mosquitto | what happens | shielded | by |\n|---|---|---|---|---|\n")
	for _, d := range Defects() {
		var ranges, how []string
		for _, r := range d.Affected {
			ranges = append(ranges, span(r))
		}
		for _, c := range d.Checks {
			how = append(how, c.String())
		}
		by := strings.Join(how, ", ")
		if d.How != "" {
			by = strings.TrimPrefix(by+"; "+d.How, "; ")
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", d.ID, strings.Join(ranges, ", "), d.What, d.Shield, by)
	}
	return b.String()
}

func span(r Range) string {
	switch first, last := r.First == v(0, 1, 0), r.Last.Major == 99; {
	case first && last:
		return "all"
	case first:
		return "up to " + r.Last.String()
	case last:
		return "from " + r.First.String()
	}
	return r.First.String() + " to " + r.Last.String()
}

// TestDocument keeps the table of the document.
func TestDocument(t *testing.T) {
	const begin, end = "<!-- defects -->\n", "<!-- end -->"
	data, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, found := strings.Cut(string(data), begin)
	old, tail, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s has no place for the table", document)
	}
	if old == table() {
		return
	}
	if !*update {
		t.Fatalf("%s does not show the list of today: go test ./filters/strict -update", document)
	}
	if err := os.WriteFile(document, []byte(head+begin+table()+end+tail), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestDefects: each has what a reader needs, and is claimed only with a reason.
func TestDefects(t *testing.T) {
	seen := map[string]bool{}
	for _, d := range Defects() {
		switch {
		case d.ID == "" || d.What == "" || len(d.Affected) == 0 || seen[d.ID]:
			t.Errorf("%+v lacks something, or is there twice", d)
		case d.Shield != Not && len(d.Checks) == 0 && d.How == "":
			t.Errorf("%s is shielded by nothing", d.ID)
		case d.Shield == Not && len(d.Checks) > 0:
			t.Errorf("%s is not shielded, by %v", d.ID, d.Checks)
		}
		seen[d.ID] = true
		for _, r := range d.Affected {
			if r.First.Compare(r.Last) > 0 || !d.Affects(r.First) || !d.Affects(r.Last) {
				t.Errorf("%s: affects %v", d.ID, r)
			}
		}
	}
	for id, want := range map[string]bool{"CVE-2021-41039": true, "CVE-2023-0809": true, "CVE-2019-11778": false, "#2881": false} {
		for _, d := range Defects() {
			if d.ID == id && d.Affects(Version{2, 0, 11}) != want {
				t.Errorf("%s affects 2.0.11: %v", id, !want)
			}
		}
	}
}

func TestParseVersion(t *testing.T) {
	for text, want := range map[string]Version{
		"mosquitto version 2.0.11": {2, 0, 11}, "mosquitto version 1.4.15 (build date x)": {1, 4, 15},
		"mosquitto version 2.1.0-rc1": {2, 1, 0}, "mosquitto version 1.6": {1, 6, 0},
	} {
		if got, ok := ParseVersion(text); !ok || got != want {
			t.Errorf("%q: %v, %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "2.0.11", "mosquitto version", "mosquitto version 2", "mosquitto version a.b", "mosquitto version 1.2.3.4", "mosquitto version -1.0"} {
		if got, ok := ParseVersion(text); ok {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestProfileOf(t *testing.T) {
	for _, tt := range []struct {
		version Version
		want    Profile
	}{
		{v(1, 3, 5), Profile{Name: "mosquitto-1.4", NoV5: true, NoSlashInNames: true, LocalAcks: true, MaxLevels: 100, ShareExcludes: true}},
		{v(1, 4, 15), Profile{Name: "mosquitto-1.4", NoV5: true, MaxLevels: 100, ShareExcludes: true}},
		{v(1, 5, 2), Profile{Name: "mosquitto-1.5", NoV5: true, OnlySYS: true, MaxLevels: 100, ShareExcludes: true}},
		{v(1, 5, 9), Profile{Name: "mosquitto-1.5", NoV5: true, ShareExcludes: true}},
		{v(1, 6, 1), Profile{Name: "mosquitto-1.6", NoWillProperties: true, MaxLevels: 100, ShareExcludes: true}},
		{v(1, 6, 12), Profile{Name: "mosquitto-1.6", ShareExcludes: true}},
		{v(2, 0, 11), Profile{Name: "mosquitto-2.0a", ShareExcludes: true}},
		{v(2, 0, 18), Profile{Name: "mosquitto-2.0d", ShareExcludes: true}},
		{v(2, 0, 22), Profile{Name: "mosquitto-2.1"}},
		{v(100, 0, 0), Profile{Name: "mosquitto-2.1"}},
	} {
		if got := ProfileOf(tt.version); got != tt.want {
			t.Errorf("%v: %+v, want %+v", tt.version, got, tt.want)
		}
	}
	for _, name := range strings.Fields("none legacy mosquitto-1.4 mosquitto-1.5 mosquitto-1.6 mosquitto-2.0a mosquitto-2.0b mosquitto-2.0c mosquitto-2.0d mosquitto-2.1") {
		if p, ok := ParseProfile(name); !ok || p.Name != name {
			t.Errorf("%s: %+v, %v", name, p, ok)
		}
	}
	var unknown *Broker
	if got := unknown.Profile(); got.Name != "legacy" {
		t.Errorf("an unknown broker has the profile %q", got.Name)
	}
	if _, ok := ParseProfile("auto"); ok {
		t.Error("auto is no profile")
	}
}
