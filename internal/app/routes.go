package app

import (
	"slices"
	"strings"

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/proxy/backend"
)

// route is a configs.Route with its backend.
type route struct {
	*configs.Route
	pool *backend.Pool
}

// route returns what finds the backends of the clients of a listener.
func (b *builder) route(l *configs.Listener) func(*filters.Session) *backend.Pool {
	var routes []route
	for i := range b.config.Routes {
		r := &b.config.Routes[i]
		for j, name := range r.ServerNames { // names of hosts have no case (RFC 4343)
			r.ServerNames[j] = strings.ToLower(name)
		}
		routes = append(routes, route{r, b.pool(r.Backend)})
	}
	rest := b.pool(l.Backend)
	return func(s *filters.Session) *backend.Pool {
		for _, r := range routes {
			if r.fits(s) {
				return r.pool
			}
		}
		return rest
	}
}

// fits reports whether all that the route wants holds of a client.
func (r route) fits(s *filters.Session) bool {
	return wants(r.Listeners, s.Listener) &&
		wants(r.ServerNames, strings.ToLower(s.ServerName)) &&
		wants(r.ClientIDs, s.ClientID) &&
		wants(r.Users, s.Identity.Username) &&
		wants(r.Tenants, s.Identity.Tenant) &&
		wants(r.Versions, s.Version.String()) &&
		(r.Groups == nil || slices.ContainsFunc(s.Identity.Groups, func(g string) bool { return wants(r.Groups, g) }))
}

// wants reports whether one of the patterns fits the value, which nobody's does that is
// empty, or there are none.
func wants(patterns []string, value string) bool {
	return patterns == nil || value != "" && slices.ContainsFunc(patterns, func(p string) bool { return filters.Glob(p, value) })
}
