package app

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"os"

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/proxy"
)

const (
	// minTicketSecret is as strong as the keys made of it, in bytes.
	minTicketSecret = 32

	// maxTicketSecrets is the one in use, the next and the last, and one more. Each
	// costs a check for a ticket that none has made.
	maxTicketSecrets = 4
)

// tickets says who opens the session tickets of a listener.
func (b *builder) tickets(path string, l *configs.Listener) proxy.Tickets {
	t := &l.TLS.SessionTickets
	if t.KeyFile == "" {
		return proxy.Tickets{Disabled: t.Disabled}
	}
	data, err := os.ReadFile(t.KeyFile)
	if err != nil {
		b.fail(path+".session_tickets.key_file", err)
		return proxy.Tickets{Disabled: true}
	}
	secrets, err := ticketSecrets(data)
	if err != nil {
		b.fail(path+".session_tickets.key_file", err)
		return proxy.Tickets{Disabled: true}
	}
	return proxy.Tickets{Secrets: secrets, Listener: l.Name, Lifetime: t.Lifetime}
}

// ticketSecrets returns the secrets in data, each in base64 on a line of its own. Empty
// lines and those that begin with # are passed over. An error names the line and
// nothing of what is in it.
func ticketSecrets(data []byte) ([]filters.Secret, error) {
	var secrets []filters.Secret
	number := 0
	for line := range bytes.Lines(data) {
		number++
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		if len(secrets) == maxTicketSecrets {
			return nil, fmt.Errorf("line %d: %d secrets are the most", number, maxTicketSecrets)
		}
		secret, err := base64.StdEncoding.AppendDecode(nil, line)
		switch {
		case err != nil:
			return nil, fmt.Errorf("line %d: is not base64, as openssl rand -base64 48 makes it", number)
		case len(secret) < minTicketSecret:
			return nil, fmt.Errorf("line %d: has %d bytes, and %d are the least", number, len(secret), minTicketSecret)
		}
		secrets = append(secrets, secret)
	}
	if secrets == nil {
		return nil, errors.New("no secret in it: openssl rand -base64 48 makes one")
	}
	return secrets, nil
}
