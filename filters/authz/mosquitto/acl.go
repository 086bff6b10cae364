package mosquitto

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/authz"
	"github.com/mqttward/mqttward/packets/topics"
)

// Bounds of an acl_file.
const (
	maxSeparators = 200 // in a filter, as Mosquitto has it
	maxErrors     = 100 // that are reported of one file
)

// blanks is what C's isspace holds.
const blanks = " \t\n\v\f\r"

// ParseACL reads an acl_file. name is what the places of its rules begin with,
// as "name:12" for line 12; errors, all of them joined, and warnings begin with
// "line 12: ".
//
// A read line allows a client to receive and to subscribe to what it covers. In
// Mosquitto every subscription is granted: authz.Options.FilterDeliveries does
// that.
func ParseACL(data []byte, name string) (rules []authz.Rule, warnings []string, err error) {
	f := &aclFile{name: name, users: make(map[string]*block)}
	var errs []error
	for text := range strings.Lines(string(data)) {
		f.number++
		if err := f.read(text); err != nil {
			errs = append(errs, fmt.Errorf("line %d: %w", f.number, err))
		}
		if len(errs) == maxErrors {
			break
		}
	}
	if errs != nil {
		return nil, f.warnings, errors.Join(errs...)
	}
	if f.empty() {
		f.warnings = append(f.warnings, "no line allows anything: nobody may publish or receive")
	}
	return f.rules(), f.warnings, nil
}

// aclFile is what has been read of a file.
type aclFile struct {
	name     string
	number   int // of the line
	warnings []string

	current   *block // of the last user line; nil: there was none
	anonymous block
	users     map[string]*block
	order     []string // of users, by their first line
	patterns  block
}

// block is the lines about the same clients. Mosquitto asks those that deny
// first.
type block struct{ denies, others []authz.Rule }

func (f *aclFile) warn(format string, args ...any) {
	f.warnings = append(f.warnings, fmt.Sprintf("line %d: ", f.number)+fmt.Sprintf(format, args...))
}

func (f *aclFile) empty() bool {
	lines := len(f.anonymous.others) + len(f.patterns.others)
	for _, b := range f.users {
		lines += len(b.others)
	}
	return lines == 0
}

// read takes in one line. Only a space separates words; "#" is a comment in the
// first column.
func (f *aclFile) read(text string) error {
	text = strings.TrimRight(text, blanks)
	if strings.HasPrefix(text, "#") || text == "" {
		return nil
	}
	if !utf8.ValidString(text) || strings.Contains(text, "\x00") {
		return errors.New("is not text in UTF-8: nothing could match it")
	}
	word, rest, _ := strings.Cut(strings.TrimLeft(text, " "), " ")
	switch word {
	case "user":
		return f.user(strings.Trim(rest, blanks))
	case "topic", "pattern":
		return f.topic(word == "pattern", strings.TrimLeft(rest, " "))
	}
	return fmt.Errorf("begins with %q, and not with user, topic, pattern or, in its first column, #", shorten(word))
}

func (f *aclFile) user(name string) error {
	if name == "" {
		return errors.New("user without a name")
	}
	if f.users[name] == nil {
		f.users[name] = &block{}
		f.order = append(f.order, name)
	}
	f.current = f.users[name]
	return nil
}

// topic reads what is behind "topic" or "pattern". A single word is the filter, to
// the letter: a tab before it is part of it. Before one that holds spaces stands
// the access.
func (f *aclFile) topic(pattern bool, rest string) error {
	access, filter := "readwrite", rest
	if word, behind, two := strings.Cut(rest, " "); two {
		access, filter = word, strings.Trim(behind, blanks)
	}
	rule := authz.Rule{Place: fmt.Sprintf("%s:%d", f.name, f.number), Exact: true}
	if err := grant(&rule, access); err != nil {
		return err
	}
	if err := checkFilter(filter); err != nil {
		return err
	}
	f.doubt(pattern, filter)
	if strings.HasPrefix(filter, "$share") {
		f.warn("decides nothing: no message is about %s", shorten(filter))
		return nil
	}
	b := f.block(pattern)
	rule.Topics = []authz.Topic{{Pattern: filters.Escape(filter)}}
	if pattern {
		rule.Topics[0].Pattern = template(filter)
	}
	if pattern && strings.Contains(filter, "%u") {
		rule.Users = authz.Globs([]string{"*"}) // it is skipped for clients without a name, even where it is text
	}
	if rule.Deny {
		b.denies = append(b.denies, rule)
	} else {
		b.others = append(b.others, rule)
	}
	return nil
}

// block returns that of the line.
func (f *aclFile) block(pattern bool) *block {
	switch {
	case pattern:
		return &f.patterns
	case f.current == nil:
		return &f.anonymous
	}
	return f.current
}

func grant(r *authz.Rule, access string) error {
	switch access {
	case "read":
		r.Subscribe, r.Receive = true, true
	case "write":
		r.Publish = true
	case "readwrite", "deny":
		r.Deny = access == "deny"
		r.Publish, r.Subscribe, r.Receive = true, true, true
	default:
		return fmt.Errorf("no access: %q; there are read, write, readwrite and deny", shorten(access))
	}
	return nil
}

// checkFilter refuses what Mosquitto does. To it $share is a level as others.
func checkFilter(filter string) error {
	switch {
	case filter == "":
		return errors.New("no topic filter")
	case len(filter) > 65535:
		return fmt.Errorf("a topic filter of %d bytes; there may be 65535", len(filter))
	case strings.Count(filter, "/") > maxSeparators:
		return fmt.Errorf("a topic filter with more than %d separators", maxSeparators)
	case !topics.ValidFilter(strings.TrimPrefix(filter, "$share/")):
		return fmt.Errorf("no topic filter: %q", shorten(filter))
	}
	return nil
}

// doubt warns of what is taken otherwise than it may be meant.
func (f *aclFile) doubt(pattern bool, filter string) {
	part := partly(filter)
	filled := template(filter) != filters.Escape(filter)
	switch {
	case strings.ContainsFunc(filter, unicode.IsControl):
		f.warn("a control character is part of the topic filter, and only a space separates words: nothing can match it")
	case !pattern && (filled || part != ""):
		f.warn("%%c and %%u are text in a topic line; those of a pattern line stand for a client")
	case pattern && part != "":
		f.warn("%s is text, as it is not a whole level; Mosquitto before 2.1 puts the client's name in", part)
	case pattern && !filled:
		f.warn("a pattern without %%c and %%u is for every client")
	}
}

// rules returns all in the order in which Mosquitto asks them.
func (f *aclFile) rules() []authz.Rule {
	rules := reserved(f.name)
	rules = f.anonymous.appendTo(rules, authz.Subjects{Anonymous: true})
	for _, name := range f.order {
		rules = f.users[name].appendTo(rules, authz.Subjects{Users: []authz.Name{authz.Exactly(name)}})
	}
	if len(f.patterns.denies)+len(f.patterns.others) == 0 {
		return rules
	}
	for _, who := range []authz.Subjects{{Users: wild}, {ClientIDs: wild}} {
		rules = append(rules, authz.Rule{
			Place: f.name + ": names with + or # get nothing from patterns", Subjects: who, Exact: true, Deny: true,
			Publish: true, Subscribe: true, Receive: true, Topics: []authz.Topic{{Kind: authz.Every}},
		})
	}
	rules = append(rules, f.patterns.denies...)
	return append(rules, f.patterns.others...)
}

// wild are the names with a wildcard in them [CVE-2017-7650].
var wild = []authz.Name{authz.Matching(regexp.MustCompile(`[+#]`))}

func (b *block) appendTo(rules []authz.Rule, who authz.Subjects) []authz.Rule {
	for _, list := range [][]authz.Rule{b.denies, b.others} {
		for _, r := range list {
			r.Subjects = who
			rules = append(rules, r)
		}
	}
	return rules
}

// shorten makes text fit an error.
func shorten(text string) string {
	const enough = 60
	if len(text) <= enough {
		return text
	}
	return strings.ToValidUTF8(text[:enough], "") + "..."
}
