package webauth

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/authn"
	"github.com/mqttward/mqttward/packets"
)

// vernemq is the contract of VerneMQ's webhooks auth_on_register and
// auth_on_register_m5. There are no mountpoints here, and of the client's address
// no port.
type vernemq struct{}

func (vernemq) question(c filters.Credentials) (question, filters.Identity, error) {
	password, err := passwordOf(c)
	q := question{
		fields: map[string]any{
			"peer_addr": nil, "peer_port": 0, "mountpoint": "", "client_id": c.ClientID,
			"username": c.Username, "password": password,
		},
		header: map[string]string{"vernemq-hook": "auth_on_register"},
	}
	if c.RemoteAddr.IsValid() { // not on a Unix socket
		q.fields["peer_addr"] = c.RemoteAddr.Unmap().String()
	}
	if c.Version == packets.V5 {
		q.header["vernemq-hook"] = "auth_on_register_m5"
		q.fields["clean_start"], q.fields["properties"] = c.CleanStart, struct{}{}
	} else {
		q.fields["clean_session"] = c.CleanStart
	}
	return q, filters.Identity{Username: c.Username}, err
}

func (vernemq) answer(ctx context.Context, r authn.Reply, c filters.Credentials, id *filters.Identity) error {
	if r.Status != http.StatusOK {
		return status(r)
	}
	o, err := parseObject(r.Body)
	if err != nil {
		return err
	}
	if age, ok := maxAge(r.Header); ok {
		authn.ForgetAfter(ctx, time.Now().Add(age))
	}
	if isObject(o["result"]) { // with the key error, whose text is for nobody
		return wrong("the service refuses")
	}
	var result string
	if _, err := o.read("result", &result); err != nil {
		return errors.New("the service's result is neither a text nor an error")
	}
	switch result {
	case "ok":
		return modify(o, c, id)
	case "next":
		return authn.ErrNotMine
	}
	return errors.New("the service's result is none of ok, next and an error")
}

func isObject(raw []byte) bool { return len(raw) > 0 && raw[0] == '{' }

// modify takes over the modifiers of an answer that a client is not to be admitted
// without. Others, which set VerneMQ's queues and limits, do nothing.
func modify(o object, c filters.Credentials, id *filters.Identity) error {
	mods := object{}
	if raw, given := o["modifiers"]; given && string(raw) != "[]" { // no modifiers, as Erlang may write it
		if !isObject(raw) {
			return unusable("modifiers are no object")
		}
		if _, err := o.read("modifiers", &mods); err != nil {
			return unusable("modifiers are no object")
		}
	}
	if _, given := mods["subscriber_id"]; given {
		return unusable("the modifier subscriber_id would make another client of it")
	}
	for name, own := range map[string]string{"username": c.Username, "client_id": c.ClientID, "mountpoint": ""} {
		var text string
		if given, err := mods.read(name, &text); err != nil || given && text != own {
			return unusable("the modifier %s would make another client of it", name)
		}
	}
	for _, name := range []string{"allow_register", "allow_publish", "allow_subscribe", "allow_unsubscribe"} {
		var allow bool
		if given, err := mods.read(name, &allow); err != nil || given && !allow {
			return unusable("the modifier %s takes away what cannot be taken away here", name)
		}
	}
	var lifetime int64 // in seconds; 0: any
	switch _, err := mods.read("max_connection_lifetime", &lifetime); {
	case err != nil || lifetime < 0 || lifetime > lastDate:
		return unusable("the modifier max_connection_lifetime is no number of seconds")
	case lifetime > 0:
		id.Expires = time.Unix(time.Now().Unix()+lifetime, 0)
	}
	return nil
}

// maxAge returns how long an answer may be remembered, if it says so.
func maxAge(h http.Header) (age time.Duration, ok bool) {
	var directives []string
	for _, line := range h.Values("Cache-Control") {
		for d := range strings.SplitSeq(line, ",") {
			directives = append(directives, strings.ToLower(strings.TrimSpace(d)))
		}
	}
	if slices.Contains(directives, "no-store") || slices.Contains(directives, "no-cache") {
		return 0, true
	}
	for _, d := range directives {
		text, isAge := strings.CutPrefix(d, "max-age=")
		if !isAge {
			continue
		}
		seconds, err := strconv.ParseUint(strings.Trim(text, `"`), 10, 31) // what is no number is no permission
		if err != nil {
			seconds = 0
		}
		if one := time.Duration(seconds) * time.Second; !ok || one < age {
			age, ok = one, true
		}
	}
	return age, ok
}
