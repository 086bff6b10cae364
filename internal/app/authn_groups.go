package app

import (
	"slices"

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/filters/authn"
)

// groupable are the methods whose users a file may put into groups. The others
// have their groups from where their users are, or have no users.
var groupable = []string{configs.MethodCertificate, configs.MethodPassword, configs.MethodSCRAM, configs.MethodHTTP}

// grouped adds the groups of the method's file, if there is one. Without one its
// clients lose those of a file that was there before a reload.
func (b *builder) grouped(path string, m configs.Method, method authn.Authenticator) authn.Authenticator {
	if !slices.Contains(groupable, m.Type) {
		return method
	}
	groups := &authn.Groups{}
	if m.GroupsFile != "" {
		var err error
		if groups, err = authn.LoadGroups(m.GroupsFile); err != nil {
			b.fail(path+".groups_file", err)
			return method
		}
	}
	return authn.NewGrouped(method, groups)
}
