package webauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/authn"
)

// goAuth is the contract of the HTTP backend of mosquitto-go-auth: of its three
// questions that about the user.
type goAuth struct{ form string }

func (goAuth) question(c filters.Credentials) (question, filters.Identity, error) {
	password, err := passwordOf(c)
	fields := map[string]any{"username": c.Username, "password": password, "clientid": c.ClientID}
	return question{fields: fields}, filters.Identity{Username: c.Username}, err
}

func (g goAuth) answer(_ context.Context, r authn.Reply, _ filters.Credentials, _ *filters.Identity) error {
	switch {
	case r.Status == http.StatusRequestTimeout || r.Status == http.StatusTooManyRequests: // nothing of the client
		return status(r)
	case r.Status >= 400 && r.Status < 500:
		return wrong("the service refuses")
	case r.Status < 200 || r.Status > 299:
		return status(r)
	}
	switch g.form {
	case "status":
		return nil
	case "text":
		if string(r.Body) != "ok" {
			return wrong("the service does not say ok")
		}
		return nil
	case "json":
		return confirmed(r.Body)
	}
	return fmt.Errorf("no answers of the form %q", g.form)
}

// confirmed reads {"Ok":bool,"Error":""}. Error is for nobody.
func confirmed(body []byte) error {
	o, err := parseObject(body)
	if err != nil {
		return err
	}
	name := "Ok"
	if _, small := o["ok"]; small { // mosquitto-go-auth takes both; both at once are ambiguous
		name = "ok"
	}
	var ok bool
	if given, err := o.read(name, &ok); err != nil || !given {
		return errors.New("the service does not answer with Ok: true or false")
	}
	if !ok {
		return wrong("the service refuses")
	}
	return nil
}
