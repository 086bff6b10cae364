package scram

import (
	"context"
	"errors"
	"strings"

	"github.com/xdg-go/scram"
	"github.com/xdg-go/stringprep"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

// maxMessage bounds a message of a client, in bytes.
const maxMessage = 4 << 10

// dialogue is one conversation: client-first, server-first, client-final and
// server-final.
type dialogue struct {
	method       string
	mechanism    mechanism
	conversation *scram.ServerConversation
	username     string // as the client gave it, prepared
	known        bool
	over         bool
}

// Next answers a message of the client. The errors are our own, since those of
// the library repeat what the client sent.
func (d *dialogue) Next(_ context.Context, data filters.Secret) ([]byte, *filters.Identity, error) {
	if d.over {
		return nil, nil, refused("the conversation is over")
	}
	d.over = true // unless it turns out to go on
	message := string(data)
	switch {
	case len(message) > maxMessage:
		return nil, nil, refused("the message is too large")
	case strings.Contains(message, ",m="): // RFC 5802, section 5.1
		return nil, nil, refused("the message has a mandatory extension")
	}
	answer, err := d.conversation.Step(message)
	switch {
	case answer == scram.ErrInvalidProof:
		return nil, nil, &packets.Error{Code: packets.BadUserNameOrPassword, Msg: "unknown user or wrong password"}
	case err != nil:
		return nil, nil, refused("the message is malformed or asks for what is not offered")
	}
	if authzID := d.conversation.AuthzID(); authzID != "" && authzID != d.conversation.Username() {
		return nil, nil, refused("the client wants to be somebody else than it proves to be")
	}
	if !d.conversation.Done() {
		d.over = false
		return []byte(answer), nil, nil
	}
	// No proof fits the keys of an unknown user. Nobody depends on that.
	if !d.conversation.Valid() || !d.known {
		return nil, nil, refused("the conversation did not end in a proof")
	}
	return []byte(answer), &filters.Identity{Username: d.username, Method: d.method}, nil
}

// lookup returns the keys to prove a password with: for an unknown user, some
// that have none. An error is about the form of the name.
func (d *dialogue) lookup(username string) (keys scram.StoredCredentials, err error) {
	d.username, err = stringprep.SASLprep.Prepare(username)
	if err != nil || d.username == "" || !filters.PlainName(d.username) {
		return scram.StoredCredentials{}, errors.New("no user name")
	}
	decoy := d.mechanism.decoy(d.username) // for known users too: it takes time
	keys, d.known = d.mechanism.keys[d.username]
	if !d.known {
		return decoy, nil
	}
	return keys, nil
}

// refused is the answer to what no well-behaved client sends.
func refused(why string) *packets.Error {
	return &packets.Error{Code: packets.NotAuthorized, Msg: why}
}
