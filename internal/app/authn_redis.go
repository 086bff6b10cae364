package app

import (
	"errors"
	"slices"

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/authn"
	"github.com/mqttward/mqttward/filters/authn/password"
	"github.com/mqttward/mqttward/filters/authn/redis"
)

func (b *builder) newRedis(path string, m configs.Method) (authn.Authenticator, error) {
	fail := func(key string, err error) (authn.Authenticator, error) {
		b.fail(path+key, err)
		return nil, err
	}
	o := redis.Options{URL: m.URL, Field: m.Field, Connections: m.MaxConnections, Timeout: m.Timeout}
	var err error
	if o.Password, err = secretIn(m.PasswordFile); err != nil {
		return fail(".password_file", err)
	}
	if o.CAs, err = poolIn(m.CA); err != nil {
		return fail(".ca", err)
	}
	if o.Key, err = userTemplate(m.Key); err != nil {
		return fail(".key", err)
	}
	if m.GroupsKey != "" {
		if o.GroupsKey, err = userTemplate(m.GroupsKey); err != nil {
			return fail(".groups_key", err)
		}
	}
	source, err := redis.New(o)
	if err != nil {
		return fail(".url", err)
	}
	b.closeLater(source)
	return authn.NewGuarded(m.Name, password.NewStored(m.Name, source, b.shared.pool), b.guard(m)), nil
}

// userTemplate reads a template that tells users apart by nothing but their name:
// nothing else of a client is believed before it is known.
func userTemplate(text string) (filters.Template, error) {
	t, err := filters.ParseTemplate(text)
	if err != nil {
		return t, err
	}
	names := t.Placeholders()
	if len(names) == 0 || slices.ContainsFunc(names, func(name string) bool { return name != "username" }) {
		return t, errors.New("wants ${username}, and no other placeholder")
	}
	return t, nil
}
