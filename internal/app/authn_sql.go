package app

import (
	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/filters/authn"
	"github.com/mqttward/mqttward/filters/authn/password"
	"github.com/mqttward/mqttward/filters/authn/sql"
)

// newSQL makes the method without connecting. What can be wrong is the DSN.
func (b *builder) newSQL(path string, m configs.Method) (authn.Authenticator, error) {
	dsn, err := secretIn(m.DSNFile)
	if err != nil {
		return nil, err
	}
	source, err := sql.Open(m.Driver, dsn, m.Query, m.GroupsQuery, m.MaxConnections)
	if err != nil {
		return nil, err
	}
	b.closeLater(source)
	if weak := source.Weak(); weak != "" {
		b.warnings = append(b.warnings, b.config.Errorf(path+".dsn_file", "%s", weak).Error())
	}
	return authn.NewGuarded(m.Name, password.NewStored(m.Name, source, b.shared.pool), b.guard(m)), nil
}
