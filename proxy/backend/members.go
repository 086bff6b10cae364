package backend

import (
	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"strings"
	"time"
)

// looksUp reports whether names stand for servers that come and go.
func (p *Pool) looksUp() bool {
	return p.options.Resolver != nil && slices.ContainsFunc(p.options.Servers, Spec.named)
}

// named reports whether the server is found by a name.
func (s Spec) named() bool {
	if s.SRV != "" {
		return true
	}
	host, _, err := net.SplitHostPort(s.Address)
	return err == nil && !strings.HasPrefix(s.Address, "unix:") && !isAddress(host)
}

// name is what is looked up of it.
func (s Spec) name() string {
	if s.SRV != "" {
		return s.SRV
	}
	return s.Address
}

// arrange makes the list of servers of what is configured and what was found. States
// of servers that are known already are taken from known. The caller holds p.mu, or
// nobody else has p yet.
func (p *Pool) arrange(known map[string]*state) {
	next := &servers{turns: &turns{}}
	add := func(s *Server) {
		same := func(other *Server) bool { return other.Name() == s.Name() }
		if slices.ContainsFunc(next.list, same) {
			return // two names of one server
		}
		if s.state = known[s.Name()]; s.state == nil {
			s.state = p.newState()
			s.resize()
		}
		delete(known, s.Name())
		next.list = append(next.list, s)
	}
	for _, spec := range p.options.Servers {
		s := Server{pool: p, network: "tcp", address: spec.Address, spec: spec}
		path, unix := strings.CutPrefix(spec.Address, "unix:")
		switch {
		case unix:
			s.network, s.address = "unix", path
			add(&s)
		case p.options.Resolver == nil || !spec.named():
			s.host, _, _ = net.SplitHostPort(spec.Address)
			add(&s)
		default:
			for _, l := range p.found[spec.name()] {
				one := s
				one.address, one.host, one.priority = l.Address.String(), l.Host, l.Priority
				if spec.SRV != "" {
					one.spec.Weight = spec.Weight * max(1, int(l.Weight))
				}
				add(&one)
			}
		}
	}
	maps.DeleteFunc(known, func(_ string, s *state) bool { return s.active.Load() == 0 && !s.drained.Load() })
	p.gone = known
	p.servers.Store(next)
}

// known returns the states of the servers of now, and of those that are gone and still
// have sessions, or the word of an operator. The caller holds p.mu.
func (p *Pool) known() map[string]*state {
	known := maps.Clone(p.gone)
	for _, s := range p.servers.Load().list {
		known[s.Name()] = s.state
	}
	return known
}

// lookUp looks names up again and again.
func (p *Pool) lookUp() {
	first, failing := true, false
	for {
		err := p.locate(p.life)
		if !isClosed(p.located) {
			close(p.located) // at the end of the pool too: nobody else will
		}
		if failing != (err != nil) || first && err != nil {
			p.tell("", err)
		}
		first, failing = false, err != nil
		select {
		case <-p.life.Done():
			return
		case <-time.After(p.options.Resolve):
		}
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// Locate looks names up once, for who asks about a pool that is not in force.
func (p *Pool) Locate(ctx context.Context) error {
	if !p.looksUp() {
		return nil
	}
	return p.locate(ctx)
}

// maxLookUp bounds the time for all names.
const maxLookUp = 10 * time.Second

// locate looks up all names once. Where that fails what was found before holds.
func (p *Pool) locate(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, maxLookUp)
	defer cancel()
	found := map[string][]Location{}
	var errs []error
	for _, spec := range p.options.Servers {
		if !spec.named() {
			continue
		}
		list, err := p.look(ctx, spec)
		if err != nil {
			errs = append(errs, err)
		}
		if len(list) > 0 {
			found[spec.name()] = list
		}
	}
	if p.life.Err() == nil {
		p.move(found)
	}
	return errors.Join(errs...)
}

func (p *Pool) look(ctx context.Context, spec Spec) ([]Location, error) {
	if spec.SRV != "" {
		return p.options.Resolver.Services(ctx, spec.SRV)
	}
	host, port, err := net.SplitHostPort(spec.Address)
	if err != nil {
		return nil, err
	}
	return p.options.Resolver.Hosts(ctx, host, port)
}

// move puts what was found in the place of what was found before. Sessions of
// servers that are gone go on.
func (p *Pool) move(found map[string][]Location) {
	p.mu.Lock()
	defer p.mu.Unlock()
	changed := false
	for name, list := range found {
		changed = changed || !slices.Equal(p.found[name], list)
		p.found[name] = list
	}
	if !changed {
		return
	}
	p.arrange(p.known())
	for _, s := range p.servers.Load().list {
		s.follow() // what it says of one that is back may be of another configuration
	}
	select {
	case p.news <- struct{}{}:
	default:
	}
}

func (p *Pool) tell(server string, why error) {
	if p.options.Changed != nil && p.life.Err() == nil {
		p.options.Changed(server, why)
	}
}
