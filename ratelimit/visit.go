package ratelimit

import (
	"net/netip"
	"time"
)

// Visit is a connection that a Gate has admitted. It goes on to Claim and Enter,
// in this order, as far as it comes, and ends with Leave. Its methods are called by
// one goroutine at a time.
type Visit struct {
	gate            *Gate
	prefix, network netip.Prefix // of where it comes from; invalid for a Unix socket
	rank            int
	stranger        bool    // it counts as one: nobody has logged in from there, nor has it
	banned          bool    // the prefix, when it came
	user            string  // who it claims to be
	guess           *Bucket // of that login, from which a token was taken; nil: none
	claims          bool    // it is being found out whether that is true
	in              bool    // it has logged in,
	entered         Entry   // as this
}

// login is who logs in from where.
type login struct {
	user   string
	prefix netip.Prefix
}

// claim is a login in progress. What strangers claim is not in the way of the user.
type claim struct {
	user  string
	known bool
}

// maxClaims is how many logins of one user may be in progress. Who is refused then has
// cost nothing yet, and the next has not long to wait.
const maxClaims = 8

// Entry is somebody who has logged in.
type Entry struct {
	Identity string // whose connections count together, and as operators call it; "": nobody in particular
	ClientID string // as the broker knows it; "": it is somebody else's
	Taken    bool   // another connection has the client identifier
}

// The parts of the memory up to which there is some for strangers, for the known,
// and for anybody at all. There is a warning to be given at the second: what comes
// in between can be told.
const (
	memoryForStrangers = 0.80
	memoryForKnown     = 0.90
	memoryForNone      = 0.95
)

// Rank is that of the visit where connections wait. It is Known if somebody has logged
// in from the same prefix or, once that is claimed, the same user has.
func (v *Visit) Rank() int { return v.rank }

func (v *Visit) known() bool { return v.rank == Known }

// Claim looks at who the visitor claims to be, before anything is spent on whether
// that is true. Certified says that it has shown a certificate that is.
//
// A user name that is locked, since too many have guessed, is locked to those who
// come from where the user has never been: guessing must not keep the user out. In
// the same way a banned prefix stays open to those who have been there before. They
// have as many guesses as lock a name, and no more.
func (v *Visit) Claim(now time.Time, user string, certified bool) Refusal {
	g := v.gate
	v.user = user
	from := login{user, v.prefix}
	if certified || g.usual.has(now, from) {
		v.rank = Known
	} else {
		v.rank = min(v.rank, Stranger)
	}
	ban, locked := g.bans.Find(now, Subject{User, user})
	most := memoryForStrangers
	if v.known() {
		most = memoryForKnown
	}
	switch {
	case locked && (ban.Manual || !v.known()), v.banned && !v.known():
		return Banned
	case g.memory() > most:
		return Busy
	case v.known() && !certified && !v.takeGuess(now, from):
		return Banned
	case !g.claim(v):
		return Busy
	}
	return ""
}

// claim counts a login in progress, if there are not too many of the user.
func (g *Gate) claim(v *Visit) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := claim{v.user, v.known()}
	if c.user != "" && g.claims[c] >= maxClaims {
		return false
	}
	g.claims[c]++
	v.claims = true
	return true
}

// decided is called when the login is over. The caller holds g.mu.
func (g *Gate) decided(v *Visit) {
	if v.claims {
		v.claims = false
		less(g.claims, claim{v.user, v.known()})
	}
}

// takeGuess takes what Enter gives back.
func (v *Visit) takeGuess(now time.Time, from login) bool {
	g := v.gate
	g.mu.Lock()
	guesses := g.guesses
	g.mu.Unlock()
	b := guesses.Acquire(now, from)
	if !b.Take(now, 1) {
		b.Release()
		return false
	}
	v.guess = b
	return true
}

// Enter says that the visitor has logged in. A Refusal is for what the visitor does
// now; that it is known stays.
func (v *Visit) Enter(now time.Time, e Entry) Refusal {
	g := v.gate
	if v.guess != nil {
		v.guess.Put(1)
	}
	g.known.note(now, v.prefix)
	g.usual.note(now, login{v.user, v.prefix})
	client, user := Subject{Client, e.ClientID}, Subject{User, e.Identity}
	switch {
	case g.bans.shuts(now, client), g.bans.shuts(now, user),
		g.bans.leads(now, client, Flapping), e.Taken && g.bans.leads(now, client, Takeover),
		g.bans.leads(now, user, UserFlapping):
		return Banned
	}
	return g.enter(v, e)
}

// shuts reports whether s, who has a name, is kept out even having proved who it is:
// guesses that failed were not its own.
func (b *Bans) shuts(now time.Time, s Subject) bool {
	ban, ok := b.Find(now, s)
	return ok && (ban.Manual || ban.Reason != string(AuthFailure))
}

// leads reports whether an offence of s, if s has a name, leads to a ban.
func (b *Bans) leads(now time.Time, s Subject, o Offence) bool {
	if s.Value == "" {
		return false
	}
	_, banned := b.Offend(now, s, o)
	return banned
}

// enter counts the identity. Who takes the place of a connection of its own may be
// one too many until that one has gone.
func (g *Gate) enter(v *Visit, e Entry) Refusal {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.acquaint(v)
	g.decided(v)
	if e.Identity != "" && !e.Taken && reached(g.limits.PerIdentity, g.identities[e.Identity]) {
		return MaxConnectionsPerIdentity
	}
	g.identities[e.Identity]++
	v.entered, v.in = e, true
	return ""
}

// acquaint makes v no stranger any more. The caller holds g.mu.
func (g *Gate) acquaint(v *Visit) {
	if v.stranger {
		v.stranger = false
		g.strangers--
		less(g.networks, v.network)
	}
}

// Leave ends the visit. The offence, if there was one, counts against who has
// logged in or, before that, where the visitor has come from and whom it claimed to be.
func (v *Visit) Leave(now time.Time, o Offence) {
	g := v.gate
	g.leave(v)
	if v.guess != nil {
		v.guess.Release()
	}
	switch {
	case o == "":
	case v.in && o == ProtocolError:
		g.bans.leads(now, Subject{Client, v.entered.ClientID}, o)
	default:
		if v.prefix.IsValid() {
			g.bans.Offend(now, Subject{Network, v.prefix.String()}, o)
		}
		if o == AuthFailure && !v.known() {
			g.bans.leads(now, Subject{User, v.user}, o)
		}
	}
}

func (g *Gate) leave(v *Visit) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open--
	if v.prefix.IsValid() {
		less(g.prefixes, v.prefix)
	}
	g.acquaint(v)
	g.decided(v)
	if v.in {
		less(g.identities, v.entered.Identity)
	}
}
