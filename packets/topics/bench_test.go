package topics

import "testing"

var (
	filterBytes = []byte("plant/+/line-7/robot/#")
	nameBytes   = []byte("plant/berlin/line-7/robot/12/axis/3/torque")
	sharedBytes = []byte("$share/consumers/plant/+/line-7/robot/#")
)

func TestNoAllocations(t *testing.T) {
	calls := map[string]func() bool{
		"ValidName":         func() bool { return ValidName(nameBytes) },
		"ValidFilter":       func() bool { return ValidFilter(sharedBytes) },
		"Match":             func() bool { return Match(filterBytes, nameBytes) },
		"Match with string": func() bool { return Match("plant/#", nameBytes) },
		"Covers":            func() bool { return Covers("plant/#", filterBytes) },
		"Overlaps":          func() bool { return Overlaps(filterBytes, "+/+/#") },
		"Share":             func() bool { _, _, shared := Share(sharedBytes); return shared },
	}
	for name, call := range calls {
		if !call() {
			t.Errorf("%s: false", name)
		}
		if n := testing.AllocsPerRun(100, func() { call() }); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

func BenchmarkMatch(b *testing.B) {
	for b.Loop() {
		if !Match(filterBytes, nameBytes) {
			b.Fatal("no match")
		}
	}
}

func BenchmarkMatchString(b *testing.B) {
	filter := string(filterBytes)
	for b.Loop() {
		if !Match(filter, nameBytes) {
			b.Fatal("no match")
		}
	}
}

func BenchmarkCovers(b *testing.B) {
	for b.Loop() {
		if !Covers("plant/+/line-7/#", filterBytes) {
			b.Fatal("not covered")
		}
	}
}

func BenchmarkOverlaps(b *testing.B) {
	for b.Loop() {
		if !Overlaps(filterBytes, "+/berlin/+/robot/12") {
			b.Fatal("no overlap")
		}
	}
}

func BenchmarkValidName(b *testing.B) {
	for b.Loop() {
		if !ValidName(nameBytes) {
			b.Fatal("not valid")
		}
	}
}
