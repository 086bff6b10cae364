package admin

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"
)

const maxPage = 1000 // clients or bans in an answer

// Client is a client whose session runs. Texts that the client chose are as it
// chose them: they are not fit for a terminal.
type Client struct {
	Session  uint64    `json:"session"` // its number; those of later sessions are higher
	ClientID string    `json:"client_id"`
	Username string    `json:"username"`         // empty: anonymous
	Tenant   string    `json:"tenant,omitempty"` // that the user is one of
	Method   string    `json:"method"`           // that vouches for the client
	Remote   string    `json:"remote"`           // empty for a Unix socket
	Listener string    `json:"listener"`
	Backend  string    `json:"backend,omitempty"`
	Server   string    `json:"server,omitempty"` // of the backend
	Version  string    `json:"version"`          // of MQTT
	Since    time.Time `json:"connected_since"`
	Expires  time.Time `json:"identity_expires,omitzero"`
}

// Selection says whose sessions are meant: those for which all holds that is
// given.
type Selection struct {
	Session  *uint64 `json:"session,omitempty"`
	ClientID *string `json:"client_id,omitempty"`
	Username *string `json:"username,omitempty"`
	Tenant   *string `json:"tenant,omitempty"`
}

// Check refuses a selection of everybody. An empty text is refused too: what was
// meant is a variable that is set.
func (s Selection) Check() error {
	switch {
	case s == Selection{}:
		return errors.New("whom? a session, a client id, a user name or a tenant is needed")
	case s.ClientID != nil && *s.ClientID == "":
		return errors.New("the client id is empty; name the session")
	case s.Username != nil && *s.Username == "":
		return errors.New("the user name is empty; name the session or the client id")
	case s.Tenant != nil && *s.Tenant == "":
		return errors.New("the tenant is empty; name the session or the user")
	}
	return nil
}

func (s Selection) matches(c Client) bool {
	return (s.Session == nil || *s.Session == c.Session) &&
		(s.ClientID == nil || *s.ClientID == c.ClientID) &&
		(s.Username == nil || *s.Username == c.Username) &&
		(s.Tenant == nil || *s.Tenant == c.Tenant)
}

// clients answers with a page of the list: what comes after a session, which the
// last of the page before was. Sessions begin and end between two pages; none
// that lasts is left out or told twice.
func clients(list func() []Client) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		after, errAfter := number(q.Get("after"), 0)
		limit, errLimit := number(q.Get("limit"), maxPage)
		if errAfter != nil || errLimit != nil || limit < 1 || limit > maxPage {
			http.Error(w, "after wants the number of a session, limit one from 1 to "+strconv.Itoa(maxPage), http.StatusBadRequest)
			return
		}
		page := slices.DeleteFunc(list(), func(c Client) bool { return c.Session <= after })
		reply(w, page[:min(uint64(len(page)), limit)])
	}
}

func number(text string, absent uint64) (uint64, error) {
	if text == "" {
		return absent, nil
	}
	return strconv.ParseUint(text, 10, 64)
}

// Kicked is how many sessions were ended.
type Kicked struct {
	Kicked int `json:"kicked"`
}

// kick ends the sessions that the body selects.
func kick(end func(by string, match func(Client) bool) int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var who Selection
		if !body(w, r, &who) {
			return
		}
		if err := who.Check(); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		reply(w, Kicked{end(by(r), who.matches)})
	}
}
