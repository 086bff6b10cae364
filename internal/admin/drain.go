package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
)

// Drainer empties what a DrainRequest names.
type Drainer interface {
	// Drain begins to end the sessions, or leaves them with Undo, and returns how many
	// these are; by says on whose behalf. It does not wait for their end. The error is
	// ErrNoServer if the request names a server that there is not.
	Drain(by string, what DrainRequest) (sessions int, err error)
}

// ErrNoServer says that a request names a server that there is not.
var ErrNoServer = errors.New("no such server")

// DrainRequest says what is to be emptied: one server of a backend, which gets no new
// sessions until that is undone, or, if it names none, the instance, which ends.
type DrainRequest struct {
	Backend *string `json:"backend,omitempty"`
	Server  *string `json:"server,omitempty"`
	Undo    bool    `json:"undo,omitempty"` // let the server have sessions again
}

// Whole reports whether the whole instance is meant.
func (d DrainRequest) Whole() bool { return d.Backend == nil && d.Server == nil }

// Check refuses half of a name and an empty one, so that nobody who means a server
// ends everything.
func (d DrainRequest) Check() error {
	switch {
	case d.Whole() && !d.Undo:
		return nil
	case d.Whole():
		return errors.New("the end of the instance cannot be undone; undo wants a backend and a server")
	case d.Backend == nil || d.Server == nil:
		return errors.New("which server? both its backend and the server are needed")
	case *d.Backend == "" || *d.Server == "":
		return errors.New("the name of the backend or of the server is empty")
	}
	return nil
}

// Draining is how many sessions are about to end.
type Draining struct {
	Sessions int `json:"sessions"`
}

func drain(drainer Drainer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var what DrainRequest
		if !body(w, r, &what) {
			return
		}
		if err := what.Check(); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		n, err := drainer.Drain(by(r), what)
		switch {
		case errors.Is(err, ErrNoServer):
			http.Error(w, err.Error(), http.StatusNotFound)
		case err != nil:
			http.Error(w, err.Error(), http.StatusConflict)
		default:
			reply(w, Draining{n})
		}
	}
}

// Drain begins to empty what is named and returns how many sessions are about to end.
func (r *Remote) Drain(ctx context.Context, what DrainRequest) (int, error) {
	body, err := json.Marshal(what)
	if err != nil {
		return 0, err
	}
	var d Draining
	err = r.do(ctx, http.MethodPost, "drain", body, &d)
	return d.Sessions, err
}
