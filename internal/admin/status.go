package admin

import "time"

// Status is how an instance does.
type Status struct {
	Version   string           `json:"version"`
	Commit    string           `json:"commit,omitempty"`
	Started   time.Time        `json:"started"`
	Uptime    int64            `json:"uptime_seconds"`
	Ready     bool             `json:"ready"`
	NotReady  string           `json:"not_ready,omitempty"` // why
	Draining  bool             `json:"draining"`
	Sessions  int              `json:"sessions"` // that run
	Listeners []ListenerStatus `json:"listeners"`
	Backends  []ServerStatus   `json:"backends"`
	Reload    *Reload          `json:"last_reload,omitempty"` // nil: none yet
}

// ListenerStatus is a listener that is open or, while the instance is draining, was.
type ListenerStatus struct {
	Name        string `json:"name"`
	Address     string `json:"address"`
	Transport   string `json:"transport"` // tcp or websocket, as in the configuration
	TLS         bool   `json:"tls"`
	Connections int    `json:"connections"` // sessions, and those in their handshakes
}

// Reload is how a reload of the configuration went.
type Reload struct {
	At    time.Time `json:"at"`
	Error string    `json:"error,omitempty"` // "": it is in force
}
