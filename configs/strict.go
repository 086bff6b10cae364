package configs

import (
	"slices"
	"strings"
	"unicode"
)

// relaxable are the checks that can be logged only, or turned off.
var relaxable = strings.Fields("C2 C3 C4 C5 C6 C7 C8 C9 C10 C12 C13 C14 C15 C19")

// binding are the checks on which mqttward itself stands: without them it could
// not tell packets apart, or be brought down.
var binding = strings.Fields("C1 C11 C16 C17 C18 C20 C21")

func (l *loader) strict() {
	places := map[string]string{}
	l.cfg.Strict.each(func(path, check string) {
		first, twice := places[check]
		switch {
		case slices.Contains(binding, check):
			l.fail(path, "%s is always enforced", check)
		case !slices.Contains(relaxable, check):
			l.unknownCheck(path, check)
		case twice:
			l.fail(path, "%s stands in %s already", check, first)
		default:
			places[check] = path
		}
	})
}

// unknownCheck suggests by the number: "C22" is as near to C2 as a slip of the
// finger, and means another check.
func (l *loader) unknownCheck(path, name string) {
	l.fail(path, "wants %s, not %s%s", either(relaxable), quote(name), meantCheck(name))
}

func meantCheck(name string) string {
	notDigit := func(r rune) bool { return !unicode.IsDigit(r) }
	guess := "C" + strings.TrimLeft(strings.TrimLeftFunc(name, notDigit), "0")
	if !slices.Contains(relaxable, guess) {
		return ""
	}
	return "; did you mean " + quote(guess) + "?"
}

// each visits the checks that are not enforced, with the paths of their entries.
func (s Strict) each(visit func(path, check string)) {
	for i, check := range s.Log {
		visit(item("strict.log", i), check)
	}
	for i, check := range s.Off {
		visit(item("strict.off", i), check)
	}
}
