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
	b.upstream = filters.Chain{n.Up()}
	b.downstream = filters.Chain{n.Down()}
}

// namespace is nil where there are none.
func (b *builder) namespace() func(*filters.Session) (filters.Namespace, error) {
	if b.namespaces == nil {
		return nil
	}
	return b.namespaces.Of
}

func (b *builder) buildClientIDs() {
	for i, pattern := range b.config.ClientID.Match {
		ids, err := filters.ParseClientIDs([]string{pattern})
		if err != nil {
			b.fail(fmt.Sprintf("client_id.match[%d]", i), err)
			continue
		}
		b.clientIDs = append(b.clientIDs, ids...)
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
