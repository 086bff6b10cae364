package packets

import "testing"

func TestChecks(t *testing.T) {
	s := Checks(0).With(CheckFlags).With(CheckServer)
	for c := range Check(NumChecks) {
		if want := c == 3 || c == 19; s.Has(c) != want {
			t.Errorf("%v: %v, want %v", c, s.Has(c), want)
		}
	}
}

func TestParseCheck(t *testing.T) {
	for c := Check(1); c <= 21; c++ {
		if got, ok := ParseCheck(c.String()); got != c || !ok {
			t.Errorf("%v: %v, %v", c, got, ok)
		}
	}
	for _, s := range []string{"", "C", "C0", "C22", "C28", "C29", "C257", "C03", "c3", "3", "C3 ", "C-1"} {
		if c, ok := ParseCheck(s); ok || c != 0 {
			t.Errorf("%q is %v", s, c)
		}
	}
}

func TestDescribe(t *testing.T) {
	seen := map[string]Check{}
	for c := range Check(255) {
		text := c.Describe()
		if (text != "") != (c >= 1 && c <= 21) {
			t.Errorf("%v: %q", c, text)
		}
		if other, ok := seen[text]; ok && text != "" {
			t.Errorf("%v is described as %v", c, other)
		}
		seen[text] = c
	}
	if got, want := Check(16).Describe(), "the broker is dialled after authentication"; got != want {
		t.Errorf("C16: %s, want %s", got, want)
	}
}

func TestRelaxable(t *testing.T) {
	never := map[Check]bool{1: true, 11: true, 16: true, 17: true, 18: true, 20: true, 21: true}
	for c := range Check(255) {
		want := c >= 1 && c <= 21 && !never[c]
		if c.Relaxable() != want {
			t.Errorf("%v: %v, want %v", c, c.Relaxable(), want)
		}
	}
	// What a Reader tolerates, a configuration may tolerate.
	for _, o := range tolerated {
		if !o.check.Relaxable() {
			t.Errorf("%s is tolerated with %v", o.name, o.check)
		}
	}
}
