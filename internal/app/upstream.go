package app

import (
	"errors"
	"fmt"
	"slices"

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/rewrite"
)

// buildRewrite makes what gives clients names of their own. It comes first on the way
// to the broker, so that all filters judge what the broker gets, and last on the way
// back.
func (b *builder) buildRewrite() {
	r := b.config.Rewrite
	if r == (configs.Rewrite{}) {
		return
	}
	n, topicErr, clientIDErr := rewrite.NewNamespaces(r.TopicPrefix, r.ClientIDPrefix)
	if topicErr != nil {
		b.fail("rewrite.topic_prefix", topicErr)
	}
	if clientIDErr != nil {
		b.fail("rewrite.client_id_prefix", clientIDErr)
	}
	b.namespaces = n
	b.upstream = append(filters.Chain{n.Up()}, b.upstream...)
	b.downstream = filters.Chain{n.Down()}
}

// namespace is nil where there are none.
func (b *builder) namespace() func(*filters.Session) (filters.Namespace, error) {
	if b.namespaces == nil {
		return nil
	}
	return b.namespaces.Of
}

var proxyProtocol = map[string]byte{"off": 0, "v1": 1, "v2": 2}

// buildUpstream makes what the broker is told of clients.
func (b *builder) buildUpstream() {
	for i, pattern := range b.config.ClientID.Match {
		ids, err := filters.ParseClientIDs([]string{pattern})
		if err != nil {
			b.fail(fmt.Sprintf("client_id.match[%d]", i), err)
			continue
		}
		b.clientIDs = append(b.clientIDs, ids...)
	}
	if len(b.config.Backends) > 0 && b.config.Backends[0].Credentials.Mode != configs.CredentialsPass {
		b.upstream = filters.Chain{b.credentials("backends[0].credentials", b.config.Backends[0].Credentials)}
	}
}

func (b *builder) credentials(path string, c configs.Credentials) *rewrite.Credentials {
	own := &rewrite.Credentials{Replace: c.Mode == configs.CredentialsReplace}
	if !own.Replace || c.Username == "" {
		return own
	}
	var err error
	if own.Username, err = filters.ParseTemplate(c.Username); err != nil {
		b.fail(path+".username", err)
	}
	if slices.Contains(own.Username.Placeholders(), "clientid") {
		b.fail(path+".username", errors.New("${clientid} is chosen by the client and proves nothing"))
	}
	if c.PasswordFile == "" {
		return own
	}
	password, err := secretIn(c.PasswordFile)
	if err != nil {
		b.fail(path+".password_file", err)
	}
	own.Password = filters.Secret(password)
	return own
}
