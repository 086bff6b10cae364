package configs

import "strings"

// sql refuses queries that do not have the user name as their only
// parameter, such as one with a placeholder of another database or of this
// configuration, which nobody would replace.
func (l *loader) sql(path string, m *Method) {
	if m.Driver == "" {
		return // said already
	}
	check := func(name, query string) {
		one := strings.Count(query, "?") == 1
		want := "?"
		if m.Driver == "postgres" {
			one, want = strings.Contains(query, "$1") && !strings.Contains(query, "$2"), "$1"
		}
		if query != "" && !one {
			l.fail(key(path, name), "wants the user name as its only parameter, which %s writes %s", m.Driver, want)
		}
	}
	check("query", m.Query)
	check("groups_query", m.GroupsQuery)
}
