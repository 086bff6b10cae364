package app

import (
	"errors"
	"strings"

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/filters/authn"
	webauth "github.com/mqttward/mqttward/filters/authn/http"
)

// newHTTP makes a method that asks an HTTP service. It does not ask it yet.
func (b *builder) newHTTP(path string, m configs.Method) authn.Authenticator {
	token, err := secretIn(m.TokenFile)
	if err == nil && m.TokenFile != "" {
		err = checkBearer(token)
	}
	if err != nil {
		b.fail(path+".token_file", err)
	}
	pool, _ := b.trusted(path, m)
	method := webauth.New(webauth.Options{
		Name: m.Name, URL: m.URL, Contract: m.Contract, Form: m.Body == "form", Answer: m.Answer, Token: token,
		Client: authn.NewHTTPClient(pool, m.MaxConnections, m.Timeout),
	})
	return authn.NewGuarded(m.Name, method, b.guard(m))
}

// checkBearer refuses what no request could carry in a header.
func checkBearer(token string) error {
	switch {
	case token == "":
		return errors.New("is empty")
	case strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("holds more than one token: spaces, lines or other characters")
	}
	return nil
}
