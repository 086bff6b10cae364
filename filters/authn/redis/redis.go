// Package redis knows users from Redis or Valkey: a password hash under a key of
// each user, and a set of groups.
//
// It is a source for the password method, and only reads. It does not hash,
// cache or count failures: that is for the method and its Guard. A user name is
// data: it stands in the key as it is, cannot add a command, and what the key
// template has around it stays around it.
//
// A server that does not answer, or refuses us, is a failure of the source. So is
// what lies there and can be no user, such as a key of another type; but that is
// said of this user alone, so that nobody who picks user names can make the
// server look broken for all.
package redis

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

const (
	maxName   = 256  // of a user, in bytes
	maxHash   = 1024 // in bytes; the longest that we write is far shorter
	maxGroups = 100  // of a user
)

// Options say where the server is and what lies there.
type Options struct {
	URL         string // redis://[user@]host[:port][/db], or rediss:// for TLS
	Password    string // of ours; "": none
	CAs         *x509.CertPool
	Key         filters.Template // of ${username} alone, as GroupsKey
	Field       string           // of the hash at Key; "": Key is a string
	GroupsKey   filters.Template // the zero Template: no groups
	Connections int
	Timeout     time.Duration // of one question
}

// Source is a password.Source.
type Source struct {
	options Options
	client  *redis.Client
}

// silence keeps the library from writing to stderr what the Guard tells once.
var silence = sync.OnceFunc(logging.Disable)

// New returns a source that connects when it is asked. The error is about the
// URL, and does not repeat it: it may hold what should not be there.
func New(o Options) (*Source, error) {
	silence()
	settings, err := connection(o)
	if err != nil {
		return nil, err
	}
	return &Source{options: o, client: redis.NewClient(settings)}, nil
}

// connection makes the library keep to the context: by itself it would try
// again, and wait for seconds beyond the deadline.
func connection(o Options) (*redis.Options, error) {
	u, err := parse(o.URL)
	if err != nil {
		return nil, err
	}
	db, err := strconv.Atoi(cmp.Or(strings.TrimPrefix(u.Path, "/"), "0"))
	if err != nil || db < 0 {
		return nil, errors.New("wants the number of a database after the host, as in redis://host:6379/0")
	}
	settings := &redis.Options{
		Addr:     net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "6379")),
		Username: u.User.Username(),
		Password: o.Password,
		DB:       db,
		Protocol: 2, // RESP3 has only what we do not use

		PoolSize:       o.Connections,
		MaxActiveConns: o.Connections,

		ContextTimeoutEnabled: true,
		MaxRetries:            -1,
		DialerRetries:         1,
		DialTimeout:           o.Timeout,
		ReadTimeout:           o.Timeout,
		WriteTimeout:          o.Timeout,
		PoolTimeout:           o.Timeout,

		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if u.Scheme == "rediss" {
		settings.TLSConfig = &tls.Config{RootCAs: o.CAs, ServerName: u.Hostname(), MinVersion: tls.VersionTLS12}
	}
	return settings, nil
}

func parse(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "redis" && u.Scheme != "rediss" || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("wants redis://[user@]host:port/db, or rediss:// for TLS")
	}
	if _, has := u.User.Password(); has {
		return nil, errors.New("must not hold the password, which belongs in the file of password_file")
	}
	return u, nil
}

// Close closes the connections.
func (s *Source) Close() error { return s.client.Close() }

// User is that of password.Source.
func (s *Source) User(ctx context.Context, username string) (hash string, groups []string, err error) {
	key, ok := expand(s.options.Key, username)
	if !ok {
		return "", nil, nil // nobody can have the name
	}
	if hash, err = s.hash(ctx, key); err != nil || hash == "" {
		return "", nil, err
	}
	if s.options.GroupsKey.String() == "" {
		return hash, nil, nil
	}
	if key, ok = expand(s.options.GroupsKey, username); !ok {
		return "", nil, nil
	}
	groups, err = s.groups(ctx, key)
	return hash, groups, err
}

func expand(t filters.Template, username string) (string, bool) {
	if len(username) > maxName {
		return "", false
	}
	return t.Expand(func(name string) (string, bool) { return username, name == "username" })
}

// hash returns "" if there is no such key. Of a string it asks for no more than
// a hash can have: who picks user names may lead us to a key that is none of a
// user, and of any size.
func (s *Source) hash(ctx context.Context, key string) (hash string, err error) {
	if s.options.Field == "" {
		hash, err = s.client.GetRange(ctx, key, 0, maxHash).Result()
	} else {
		hash, err = s.client.HGet(ctx, key, s.options.Field).Result()
	}
	switch {
	case errors.Is(err, redis.Nil):
		return "", nil
	case err != nil:
		return "", failure(err)
	case len(hash) > maxHash:
		return "", unusable("the stored password of the user has more than %d bytes", maxHash)
	}
	return hash, nil
}

// groups returns the members of a set, all of them. SRANDMEMBER gives all of a
// small set and no more than we want of a large one; SMEMBERS knows no limit.
func (s *Source) groups(ctx context.Context, key string) ([]string, error) {
	groups, err := s.client.SRandMemberN(ctx, key, maxGroups+1).Result()
	switch {
	case err != nil:
		return nil, failure(err)
	case len(groups) > maxGroups:
		// To leave some out could be to leave out the one that a rule denies.
		return nil, unusable("the user is in more than %d groups", maxGroups)
	}
	slices.Sort(groups)
	return groups, nil
}

// failure is an error of the server, without the arguments that it may repeat of
// a command that it does not know: AUTH has our password.
func failure(err error) error {
	reply, ok := errors.AsType[redis.Error](err)
	if !ok {
		return fmt.Errorf("redis: %w", err)
	}
	text, _, _ := strings.Cut(reply.Error(), " with args")
	if strings.HasPrefix(text, "WRONGTYPE ") {
		return unusable("the key of the user is of another type")
	}
	return errors.New("redis: " + text)
}

// unusable is the answer about a user who cannot be judged by what is stored.
func unusable(format string, args ...any) error {
	return &packets.Error{Code: packets.ServerUnavailable, Msg: fmt.Sprintf(format, args...)}
}
