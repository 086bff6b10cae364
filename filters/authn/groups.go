package authn

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/mqttward/mqttward/filters"
)

const (
	maxGroupsFile    = 16 << 20 // bytes: half a million users
	maxGroupProblems = 100      // of one file, which may be a wrong one
)

// Groups are the groups of users as a file has them. They do not change.
type Groups struct {
	of map[string][]string // by user; each sorted, without repetition
}

// LoadGroups reads a file of groups. See ParseGroups.
func LoadGroups(path string) (*Groups, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxGroupsFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxGroupsFile {
		return nil, fmt.Errorf("%s: larger than %d MiB", path, maxGroupsFile>>20)
	}
	return ParseGroups(path, data)
}

// ParseGroups reads the text of a file of groups as Apache's AuthGroupFile has
// them. A line is "group: user user …"; a group may have several, and has the
// users of all. A line that begins with # is a comment, and one of blanks is
// passed over. Everything else is wrong, and so are names that no client and no
// topic could have; the error joins one error for each bad line, of the form
// "name:line: problem". That nobody has the name of a user is no mistake.
func ParseGroups(name string, data []byte) (*Groups, error) {
	var (
		groups   = &Groups{of: make(map[string][]string)}
		problems []error
		number   int
	)
	for line := range bytes.Lines(data) {
		number++
		if err := groups.add(strings.TrimSpace(string(line))); err != nil {
			problems = append(problems, fmt.Errorf("%s:%d: %w", name, number, err))
		}
		if len(problems) == maxGroupProblems {
			problems = append(problems, fmt.Errorf("%s: no further problems are shown", name))
			break
		}
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	for user, of := range groups.of {
		slices.Sort(of)
		groups.of[user] = slices.Compact(of)
	}
	return groups, nil
}

// add reads a line.
func (g *Groups) add(line string) error {
	if line == "" || line[0] == '#' {
		return nil
	}
	group, users, ok := strings.Cut(line, ":")
	if !ok {
		return errors.New(`no group: a line is "group: user user"`)
	}
	group = strings.TrimSpace(group)
	if len(strings.Fields(group)) > 1 {
		return errors.New("a blank in the name of a group: users stand behind the colon")
	}
	if !GroupName(group) {
		return fmt.Errorf("no name of a group: %q", group)
	}
	for user := range strings.FieldsSeq(users) {
		if !filters.PlainName(user) {
			return fmt.Errorf("no user name: %q", user)
		}
		g.of[user] = append(g.of[user], group)
	}
	return nil
}

// Of returns the groups of a user, sorted. The caller must not change them.
func (g *Groups) Of(user string) []string { return g.of[user] }

// GroupName reports whether name may be that of a group, which rules put into
// topics: it is not empty, is UTF-8, does not begin with $ and has no "/", "+",
// "#" or control character.
func GroupName(name string) bool { return filters.TopicLevel(name) }
