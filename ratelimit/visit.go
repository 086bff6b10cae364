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
	stranger        bool  // it counts as one: nobody has logged in from there, nor has it
	banned          bool  // the prefix, when it came
	login           login // who it claims to be, and how
	claims          bool  // it is being found out whether that is true
	in              bool  // it has logged in,
	entered         Entry // as this
}

// login is who logs in from where.
type login struct {
	user        string
	prefix      netip.Prefix
	certificate string // in the hands of who claims to be the user; "": none
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

// The parts of the memory up to which there is some for strangers, for the known, and
// for anybody at all. Up to the last, who is refused is told so, which takes a handshake.
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
// that is true. The certificate is the fingerprint of one that it has shown and that
// is; "" is none.
//
// A user name that is locked, since too many have guessed, is locked to those who
// come from where the user has never been: guessing must not keep the user out. In
// the same way a banned prefix stays open to those who have been there before. They
// have as many guesses as lock a name, and no more; so has a certificate for each name.
func (v *Visit) Claim(now time.Time, user, certificate string) Refusal {
	g := v.gate
	v.login = login{user, v.prefix, certificate}
	if certificate != "" || g.usual.has(now, login{user: user, prefix: v.prefix}) {
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
	case v.known() && !g.guessesLeft().Has(now, v.login):
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
	c := claim{v.login.user, v.known()}
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
		less(g.claims, claim{v.login.user, v.known()})
	}
}

// guessesLeft are those of the limits of now. A guess is paid for when it has failed:
// many devices of one user may log in at once.
func (g *Gate) guessesLeft() *Keyed[login] {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.guesses
}

// Enter says that the visitor has logged in. A Refusal is for what the visitor does
// now; that it is known stays.
func (v *Visit) Enter(now time.Time, e Entry) Refusal {
	g := v.gate
	g.meet(now, v)
	client, user := Subject{Client, e.ClientID}, Subject{User, e.Identity}
	switch {
	case g.bans.shuts(now, client, e.Identity), g.bans.shuts(now, user, ""),
		g.bans.leads(now, client, e.Identity, Flapping), e.Taken && g.bans.leads(now, client, e.Identity, Takeover),
		g.bans.leads(now, user, "", UserFlapping):
		return Banned
	}
	return g.enter(v, e)
}

// meet remembers who has proved who it is.
func (g *Gate) meet(now time.Time, v *Visit) {
	g.known.note(now, v.prefix)
	g.usual.note(now, login{user: v.login.user, prefix: v.prefix})
}

// shuts reports whether s, who has a name or is in the hands of user, is kept out even
// having proved who it is: guesses that failed were not its own.
func (b *Bans) shuts(now time.Time, s Subject, user string) bool {
	ban, ok := b.Find(now, s)
	return ok && ban.of(user) && (ban.Manual || ban.Reason != string(AuthFailure))
}

// leads reports whether an offence of s, if s has a name, leads to a ban.
func (b *Bans) leads(now time.Time, s Subject, user string, o Offence) bool {
	if s.Value == "" {
		return false
	}
	_, banned := b.offend(now, s, user, o)
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

// Unserved says that there was no broker for the visitor: that it came is no offence.
// Who waits for a broker to come back tries again and again.
func (v *Visit) Unserved() {
	if !v.in {
		return
	}
	b, user, client := v.gate.bans, v.entered.Identity, Subject{Client, v.entered.ClientID}
	b.forgive(client, user, Flapping)
	b.forgive(Subject{User, user}, "", UserFlapping)
	if v.entered.Taken {
		b.forgive(client, user, Takeover)
	}
}

// Leave ends the visit. The offence, if there was one, counts against who has
// logged in or, before that, where the visitor has come from and whom it claimed to be.
func (v *Visit) Leave(now time.Time, o Offence) {
	g := v.gate
	g.leave(v)
	if v.in { // who stays for weeks comes back as known, too
		g.meet(now, v)
	}
	switch {
	case o == "":
	case v.in && o == ProtocolError:
		g.bans.leads(now, Subject{Client, v.entered.ClientID}, v.entered.Identity, o)
	default:
		if v.prefix.IsValid() {
			g.bans.Offend(now, Subject{Network, v.prefix.String()}, o)
		}
		switch {
		case o != AuthFailure:
		case v.known():
			g.guessesLeft().Charge(now, v.login)
		default:
			g.bans.leads(now, Subject{User, v.login.user}, "", o)
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
