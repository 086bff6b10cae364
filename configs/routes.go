package configs

import (
	"fmt"
	"slices"
)

// Route sends some clients to a backend of their own. The first that a client fits
// decides; who fits none goes where its listener says. All that is given must hold.
type Route struct {
	Name        string   `yaml:"name"`
	Listeners   []string `yaml:"listeners"`    // names
	ServerNames []string `yaml:"server_names"` // of TLS (SNI), or as a balancer says, as they were sent; globs, as the next three
	ClientIDs   []string `yaml:"client_ids"`
	Users       []string `yaml:"users"`
	Groups      []string `yaml:"groups"`
	Tenants     []string `yaml:"tenants"`
	Versions    []string `yaml:"versions"` // of MQTT
	Backend     string   `yaml:"backend"`
}

// Subject is a list of a Route, and what it lists.
type Subject struct {
	Key    string
	Values []string
}

// Subjects returns the lists that clients are told apart by.
func (r *Route) Subjects() []Subject {
	return []Subject{
		{"listeners", r.Listeners},
		{"server_names", r.ServerNames},
		{"client_ids", r.ClientIDs},
		{"users", r.Users},
		{"groups", r.Groups},
		{"tenants", r.Tenants},
		{"versions", r.Versions},
	}
}

// mqttVersions are those that a Route can name.
var mqttVersions = []string{"3.1", "3.1.1", "5.0"}

func (l *loader) routes(listeners, backends []string) {
	for i := range l.cfg.Routes {
		r, path := &l.cfg.Routes[i], item("routes", i)
		if r.Backend == "" {
			l.missing(key(path, "backend"), "is required: the name of the backend")
		} else {
			l.refer(key(path, "backend"), "backend", r.Backend, backends)
		}
		if all := slices.IndexFunc(l.cfg.Routes[:i], Route.all); all >= 0 {
			l.fail(path, "has no effect: all clients take %s", item("routes", all))
		}
		for _, s := range r.Subjects() {
			if s.Values != nil && len(s.Values) == 0 {
				l.fail(key(path, s.Key), "is an empty list, which nobody fits: remove the key")
			}
			for j, value := range s.Values {
				at := item(key(path, s.Key), j)
				switch {
				case value == "":
					l.fail(at, "is empty, which nothing is")
				case s.Key == "listeners":
					l.refer(at, "listener", value, listeners)
				case s.Key == "versions" && !slices.Contains(mqttVersions, value):
					l.fail(at, "wants 3.1, 3.1.1 or 5.0, not %s", quote(value))
				}
			}
		}
	}
}

// all reports whether the route is for all clients.
func (r Route) all() bool {
	return !slices.ContainsFunc(r.Subjects(), func(s Subject) bool { return s.Values != nil })
}

// routed reports whether a route catches every client of a listener.
func (c *Config) routed(listener string) bool {
	return slices.ContainsFunc(c.Routes, func(r Route) bool {
		for _, s := range r.Subjects() {
			if len(s.Values) > 0 && (s.Key != "listeners" || !slices.Contains(s.Values, listener)) {
				return false
			}
		}
		return true
	})
}

// backendOf checks where the clients of a listener go that fit no route.
func (l *loader) backendOf(path string, s Listener, backends []string) {
	switch at := key(path, "backend"); {
	case s.Backend != "":
		l.refer(at, "backend", s.Backend, backends)
	case len(backends) > 1 && !l.cfg.routed(s.Name):
		l.missing(at, "is required: there are %s, and no route for all clients", fmt.Sprintf("%d backends", len(backends)))
	}
}
