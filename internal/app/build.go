package app

import (
	"crypto/sha256"
	"errors"
	"io"
	"strings"

	"github.com/spf13/pflag"

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/authn"
	"github.com/mqttward/mqttward/filters/authn/jwt"
	"github.com/mqttward/mqttward/filters/authn/password"
	"github.com/mqttward/mqttward/filters/authz"
	"github.com/mqttward/mqttward/filters/quota"
	"github.com/mqttward/mqttward/filters/rewrite"
	"github.com/mqttward/mqttward/internal/ocsp"
	"github.com/mqttward/mqttward/proxy"
	"github.com/mqttward/mqttward/proxy/backend"
	"github.com/mqttward/mqttward/ratelimit"
)

// built is what a configuration becomes: a policy per listener, and the parts
// that they share. It does not change.
type built struct {
	config     *configs.Config
	policies   []*proxy.Policy // as config.Listeners
	retired    *proxy.Policy   // of the sessions of listeners that are gone
	methods    map[string]authn.Authenticator
	authz      *authz.Policy
	quota      *quota.Quota
	pools      []*backend.Pool  // as config.Backends
	handshakes *ratelimit.Turns // nil: any number
	clientIDs  filters.ClientIDs
	upstream   filters.Chain       // what makes the broker's names of the client's
	downstream filters.Chain       // and the client's of the broker's
	payload    filters.Chain       // the checks of payloads, if there are any
	namespaces *rewrite.Namespaces // nil: all clients have all names
	tenants    tenants             // of the clients of methods
	bans       []ratelimit.Ban     // of the file, at start
	staples    []*ocsp.Staple
	files      []string          // that it is made of
	digest     [sha256.Size]byte // of these, before they were read; see Watch
	closers    []io.Closer       // what methods hold open
	warnings   []string          // of what is allowed and weak, and shows only when it is built
	keySets    map[keySource]*jwt.KeySet
}

// close lets go of what the methods hold, but for what other, which may be nil,
// has in common with b.
func (b *built) close(other *built) {
	for _, c := range b.closers {
		_ = c.Close() // nothing was written
	}
	for source, set := range b.keySets {
		if other == nil || other.keySets[source] != set {
			_ = set.Close()
		}
	}
}

// shared is what outlives a reload: counts of what is running.
type shared struct {
	budget    *budget
	bans      *ratelimit.Bans
	gate      *ratelimit.Gate
	pool      *password.Pool
	computing *ratelimit.Turns
	sessions  *filters.Store
	retained  *authz.Retained
	recorder  *authz.Recorder
	brokers   *brokers

	// sourceChanged returns what is told when the source of a method fails, or
	// answers again.
	sourceChanged func(method string) func(failure error)

	// serverChanged returns what is told when a server of a backend fails, or is back.
	serverChanged func(backend string) func(server string, failure error)

	unanswered func(error) // see App.unanswered
}

// What is remembered: sessions whose clients are away, who set retained messages,
// and what monitored clients do.
const (
	maxAway     = 10_000
	maxRetained = 10_000
	maxActs     = 100_000
)

func newShared() shared {
	b, bans := &budget{}, ratelimit.NewBans()
	return shared{
		budget:    b,
		bans:      bans,
		gate:      ratelimit.NewGate(ratelimit.Limits{}, bans, b.share),
		pool:      password.NewPool(halfOfProcessors()),
		computing: ratelimit.NewTurns(halfOfProcessors()),
		sessions:  filters.NewStore(maxAway),
		retained:  authz.NewRetained(maxRetained),
		recorder:  authz.NewRecorder(maxActs),
		brokers:   newBrokers(),

		sourceChanged: func(string) func(error) { return nil },
		serverChanged: func(string) func(string, error) { return nil },
		unanswered:    func(error) {},
	}
}

// builder makes a built and collects what is wrong with the configuration.
type builder struct {
	*built
	shared shared
	last   *built       // the configuration in force; nil: none
	tls    []*proxy.TLS // as config.Listeners; nil: plaintext
	errs   configs.Errors

	backends      []backend.Options // as config.Backends
	credentialsOf []filters.Chain   // as config.Backends: that the broker gets instead of the client's
}

// load reads the configuration at path and builds it. Parts whose configuration
// is that of last, which may be nil, are taken over with their state. The error
// is a configs.Errors with all that is wrong, whether it shows when the file is
// read or only when something is made of it.
func load(path string, flags *pflag.FlagSet, sh shared, last *built) (*built, error) {
	b := &builder{shared: sh, last: last}
	cfg, err := configs.Load(path, flags)
	if err != nil && !errors.As(err, &b.errs) {
		return nil, err
	}
	b.built = &built{config: cfg, methods: map[string]authn.Authenticator{}, keySets: map[keySource]*jwt.KeySet{}}
	b.files = append(append(cfg.Files(), path), b.schemaFiles()...)
	b.digest = digest(b.files, false)
	b.buildTLS()
	b.buildAuthn()
	b.buildAuthz()
	b.buildTenants()
	b.buildClientIDs()
	b.buildBackends()
	b.buildRewrite()
	b.buildPayload()
	b.buildQuota()
	b.buildBans()
	if len(b.errs) > 0 {
		b.errs.Sort()
		b.close(last)
		return nil, b.errs
	}
	b.keepOrMake(last)
	for i := range cfg.Listeners {
		b.policies = append(b.policies, b.policy(i))
	}
	b.retired = b.retiredPolicy()
	return b.built, nil
}

// fail notes what is wrong at path, a line for each mistake, unless a mistake
// that was found before explains it.
func (b *builder) fail(path string, err error) {
	if b.errs.Knows(path) {
		return
	}
	for mistake := range strings.SplitSeq(err.Error(), "\n") {
		b.errs = append(b.errs, b.config.Errorf(path, "%s", mistake))
	}
}

// keepOrMake takes over the parts of last that have not changed.
func (b *builder) keepOrMake(last *built) {
	limits := &b.config.Limits
	b.makePools(last)
	if last != nil {
		if last.config.Limits.MaxHandshakes == limits.MaxHandshakes {
			b.handshakes = last.handshakes
		}
		b.inheritStaples(last)
	}
	if b.handshakes == nil && limits.MaxHandshakes > 0 {
		b.handshakes = ratelimit.NewTurns(limits.MaxHandshakes)
	}
}
