// Package backend knows the brokers that stand behind the proxy: pools of servers,
// which of them can be used, and to which a session goes.
//
// It opens connections up to where the CONNECT is due: the socket, a PROXY header,
// TLS. MQTT it speaks only for itself, to find out whether a server answers and what
// it is. It tries the next server when a connection cannot be opened, and never
// after: who has sent a CONNECT has begun a session. A pool without a server that
// can be used is an error at once, not a wait.
package backend

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Options are what a pool is made of.
type Options struct {
	Name          string
	Servers       []Spec
	Balance       Balance
	Sources       []netip.Addr // that servers are dialled from, in turn; none: the kernel chooses
	TLS           *tls.Config  // nil: plaintext; without a ServerName the host of each server is verified
	ProxyProtocol byte         // the version of the PROXY header that servers want; 0: none
	Login         Login        // of the proxy itself

	Health    Health
	Outlier   Outlier
	SlowStart time.Duration // in which a server that is back comes to its weight; 0: at once

	Resolver *Resolver     // nil: a name is one server, looked up by each dial
	Resolve  time.Duration // after which names are looked up again

	// Seats returns what bounds the connections to one server. Nil: nothing does.
	Seats func() Seats

	// Dial opens sockets. Nil: the kernel does.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// Changed is told when a server, or with none the names of the pool, cannot be
	// used any more, and why, or with nil that it can again. Nil: nobody is.
	Changed func(server string, why error)
}

// Spec is a server as it is configured, or a name that servers are found by.
type Spec struct {
	Address        string // "host:port", "unix:/path"; "" with SRV
	SRV            string // the full name of the records, such as _mqtt._tcp.plant.example
	Weight         int    // of its share of sessions; at least 1
	MaxConnections int    // 0: any number
	Maintenance    bool   // it takes no new sessions
	Reference      string // where its clients are to go when it loses them, as Server Reference; "": nowhere
}

// Seats bound the connections to a server. Higher ranks go first.
type Seats interface {
	Try(rank int) bool
	Give()
	Resize(n int)
}

// Client is for whom a connection is opened.
type Client struct {
	ID   string // the client identifier, as the broker knows it
	Rank int    // where clients compete for seats: the higher go first

	// Header is written to the socket first. Nil: nothing is.
	Header []byte

	// Wrap returns what is between the socket and TLS, if there is any. Nil: nothing.
	Wrap func(socket net.Conn, tls bool) net.Conn
}

var (
	// ErrFull says that all servers that can be used have as many connections as
	// they take.
	ErrFull = errors.New("backends[].max_connections is reached")

	// ErrDown says that there is no server that can be used.
	ErrDown = errors.New("no server of the backend can be used")
)

// tries is how many servers are dialled for one session.
const tries = 3

// Pool is the servers of one backend. Its methods may be called from many
// goroutines.
type Pool struct {
	options Options
	sources sources

	mu      sync.Mutex              // one change of the servers at a time
	found   map[string][]Location   // by the name that led there
	gone    map[string]*state       // of servers that may come back, and are not forgotten
	servers atomic.Pointer[servers] // never nil

	located chan struct{} // closed when names have been looked up once
	news    chan struct{} // there are servers that nobody has asked yet

	life context.Context
	end  context.CancelFunc
	wg   sync.WaitGroup
}

// servers are those of a pool at one moment.
type servers struct {
	list  []*Server
	turns *turns // of round robin
}

// New returns a pool. What is known of servers that last, which may be nil, has too
// stays known: their sessions, their health, that they are drained.
func New(o Options, last *Pool) *Pool {
	p := &Pool{
		options: o, sources: sources{list: o.Sources},
		found: map[string][]Location{}, located: make(chan struct{}), news: make(chan struct{}, 1),
	}
	p.life, p.end = context.WithCancel(context.Background())
	known := map[string]*state{}
	if last != nil {
		last.mu.Lock()
		p.found, known = maps.Clone(last.found), last.known()
		last.mu.Unlock()
	}
	p.arrange(known)
	if !p.looksUp() || len(p.servers.Load().list) > 0 {
		close(p.located)
	}
	return p
}

// Name returns the name of the backend.
func (p *Pool) Name() string { return p.options.Name }

// ProxyProtocol returns the version of the PROXY header that the servers want, 0 if
// they want none.
func (p *Pool) ProxyProtocol() byte { return p.options.ProxyProtocol }

// Servers returns the servers of now.
func (p *Pool) Servers() []*Server { return slices.Clone(p.servers.Load().list) }

// Start begins to look up names and to ask servers how they are. It is for pools that
// are in force.
func (p *Pool) Start() {
	for _, s := range p.servers.Load().list {
		s.follow()
	}
	if p.looksUp() {
		p.wg.Go(p.lookUp)
	}
	if p.options.Health.Interval > 0 {
		p.wg.Go(p.watch)
	}
}

// Close ends what Start has begun. Connections stay.
func (p *Pool) Close() error {
	p.end()
	p.wg.Wait()
	return nil
}

// Ready returns an error if no session could be served. It asks all servers at once:
// one that does not answer takes no time from the others.
func (p *Pool) Ready(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	now, asked := time.Now(), 0
	servers := p.Servers()
	answers := make(chan error, len(servers)) // who answers late waits for nobody
	for _, s := range servers {
		if s.usable(now) {
			asked++
			go func() { answers <- s.check(ctx) }()
		}
	}
	errs := []error{ErrDown}
	for range asked {
		err := <-answers
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Open opens a connection to the server that is the client's by the balance, or, if
// that takes none, to the next. Its error is ErrFull, ErrDown, or what went wrong
// with each server.
func (p *Pool) Open(ctx context.Context, c Client) (*Leg, error) {
	select {
	case <-p.located:
	case <-ctx.Done():
		return nil, fmt.Errorf("the names of the backend's servers are looked up: %w", ctx.Err())
	}
	order := p.order(time.Now(), c.ID)
	none := ErrDown
	var errs []error
	for i, s := range order {
		leg, err := s.sit(c.Rank)
		if err != nil {
			none = err
			continue
		}
		leg.Conn, err = s.openFor(ctx, c, i < len(order)-1)
		if err == nil {
			return leg, nil
		}
		leg.failed(ctx, err)
		leg.Leave()
		if errs = append(errs, fmt.Errorf("%s: %w", s.Name(), err)); len(errs) == tries || ctx.Err() != nil {
			break
		}
	}
	if len(errs) == 0 {
		return nil, none
	}
	return nil, errors.Join(errs...)
}

// openFor opens a connection in the time of ctx or, if there are others to be tried,
// in half of that.
func (s *Server) openFor(ctx context.Context, c Client, others bool) (net.Conn, error) {
	if deadline, ok := ctx.Deadline(); ok && others {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
	}
	return s.open(ctx, c.Header, c.Wrap)
}
