package admin

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mqttward/mqttward/ratelimit"
)

// Bans are those of a running instance. Its methods are called from any goroutine;
// by says on whose behalf.
type Bans interface {
	// List returns those in force, ordered by subject. The list is the caller's.
	List() []ratelimit.Ban
	// Ban puts a manual ban in force, and returns how many sessions it has ended. The
	// subject is well-formed.
	Ban(by string, b ratelimit.Ban) (kicked int, err error)
	// Unban reports whether there was a ban of s.
	Unban(by string, s Subject) bool
}

// Subject is whom a ban is about.
type Subject = ratelimit.Subject

// Kinds are those of subjects: networks, users and client identifiers.
var Kinds = [...]ratelimit.Kind{ratelimit.Network, ratelimit.User, ratelimit.Client}

const maxReason = 200 // bytes

// BanRequest asks for a ban.
type BanRequest struct {
	Subject
	For    string `json:"for,omitempty"` // a duration such as 10m; empty: until it is lifted
	Reason string `json:"reason,omitempty"`
}

// Ban returns the ban that is asked for, or what is wrong with it.
func (r BanRequest) Ban(now time.Time) (ratelimit.Ban, error) {
	subject, err := r.Canonical()
	if err != nil {
		return ratelimit.Ban{}, err
	}
	ban := ratelimit.Ban{Subject: subject, Reason: r.Reason}
	if len(r.Reason) > maxReason || !utf8.ValidString(r.Reason) {
		return ratelimit.Ban{}, errors.New("the reason has more than " + strconv.Itoa(maxReason) + " bytes, or is no UTF-8")
	}
	if r.For != "" {
		d, err := time.ParseDuration(r.For)
		if err != nil || d <= 0 {
			return ratelimit.Ban{}, errors.New("for wants a duration such as 10m or 24h")
		}
		ban.Until = now.Add(d)
	}
	return ban, nil
}

// Banned is how many sessions a ban has ended.
type Banned struct {
	Kicked int `json:"kicked"`
}

// Lifted is whether there was a ban to lift.
type Lifted struct {
	Lifted bool `json:"lifted"`
}

// listBans answers with a page of the list: what comes after a subject, which the last
// of the page before was, written kind/value.
func listBans(bans Bans) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		kind, value, _ := strings.Cut(q.Get("after"), "/")
		after := Subject{Kind: ratelimit.Kind(kind), Value: value}
		limit, err := number(q.Get("limit"), maxPage)
		if err != nil || limit < 1 || limit > maxPage {
			http.Error(w, "limit wants a number from 1 to "+strconv.Itoa(maxPage), http.StatusBadRequest)
			return
		}
		page := slices.DeleteFunc(bans.List(), func(b ratelimit.Ban) bool { return b.Compare(after) <= 0 })
		reply(w, page[:min(uint64(len(page)), limit)])
	}
}

func ban(bans Bans) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var request BanRequest
		if !body(w, r, &request) {
			return
		}
		b, err := request.Ban(time.Now())
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		kicked, err := bans.Ban(by(r), b)
		if err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
			return
		}
		reply(w, Banned{kicked})
	}
}

func unban(bans Bans) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var whom Subject
		if !body(w, r, &whom) {
			return
		}
		subject, err := whom.Canonical()
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		reply(w, Lifted{bans.Unban(by(r), subject)})
	}
}
