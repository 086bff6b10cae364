package app

import (
	"errors"

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/filters/authn"
	"github.com/mqttward/mqttward/filters/authn/ldap"
)

func (b *builder) newLDAP(path string, m configs.Method) (authn.Authenticator, error) {
	fail := func(key string, err error) (authn.Authenticator, error) {
		b.fail(path+key, err)
		return nil, err
	}
	o := ldap.Options{
		Name: m.Name, URL: m.URL, StartTLS: m.StartTLS,
		BindDN: m.BindDN, BaseDN: m.BaseDN, GroupAttribute: m.GroupAttribute,
		Connections: m.MaxConnections,
	}
	var err error
	if o.Password, err = secretIn(m.PasswordFile); err != nil {
		return fail(".password_file", err)
	}
	if m.BindDN != "" && o.Password == "" {
		return fail(".password_file", errors.New("is empty: it would be an anonymous bind"))
	}
	if o.CAs, err = poolIn(m.CA); err != nil {
		return fail(".ca", err)
	}
	if m.UserDN != "" {
		if o.UserDN, err = userTemplate(m.UserDN); err != nil {
			return fail(".user_dn", err)
		}
	} else if o.UserFilter, err = userTemplate(m.UserFilter); err != nil {
		return fail(".user_filter", err)
	}
	method, err := ldap.New(o)
	if err != nil {
		return fail("", err)
	}
	b.closeLater(method)
	return authn.NewGuarded(m.Name, method, b.guard(m)), nil
}
