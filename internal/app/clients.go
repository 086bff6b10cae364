package app

import (
	"github.com/mqttward/mqttward/internal/admin"
	"github.com/mqttward/mqttward/proxy"
)

// clients are those of the running sessions, as the API tells of them.
func (a *App) clients() []admin.Client {
	running := a.server.Clients()
	list := make([]admin.Client, 0, len(running))
	for _, c := range running {
		list = append(list, apiClient(c))
	}
	return list
}

func (a *App) kick(by string, match func(admin.Client) bool) int {
	return a.server.Kick(by, func(c proxy.ClientInfo) bool { return match(apiClient(c)) })
}

func apiClient(c proxy.ClientInfo) admin.Client {
	out := admin.Client{
		Session: c.Session, ClientID: c.ClientID, Username: c.Username, Tenant: c.Tenant, Method: c.Method,
		Listener: c.Listener, Backend: c.Backend, Server: c.Server, Version: c.Version.String(), Since: c.Since.UTC(), Expires: c.Expires.UTC(),
	}
	if c.Remote.IsValid() {
		out.Remote = c.Remote.String()
	}
	return out
}
