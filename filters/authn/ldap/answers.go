package ldap

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/mqttward/mqttward/filters/authn"
	"github.com/mqttward/mqttward/packets"
)

// request asks for the entries of a user: one too many, to see whether there is
// more than one.
func (a *Authenticator) request(ctx context.Context, username string) *ldap.SearchRequest {
	const most = 2
	base, scope, filter := a.options.dn(username), ldap.ScopeBaseObject, "(objectClass=*)"
	if a.options.searches() {
		base, scope, filter = a.options.BaseDN, ldap.ScopeWholeSubtree, a.options.filter(username)
	}
	seconds := 1
	if deadline, ok := ctx.Deadline(); ok {
		seconds = max(1, int(math.Ceil(time.Until(deadline).Seconds())))
	}
	r := ldap.NewSearchRequest(base, scope, ldap.NeverDerefAliases, most, seconds, false, filter, a.attributes(), nil)
	r.EnforceSizeLimit = true
	return r
}

// judge makes of the outcome of a search the entry of the user and its groups.
func (a *Authenticator) judge(ctx context.Context, username string, result *ldap.SearchResult, err error) (*ldap.Entry, []string, error) {
	byName := !a.options.searches() // the search was for a DN that the user name is in
	switch {
	case byName && ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject):
		return nil, nil, authn.ErrNotMine
	case byName && ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidDNSyntax):
		return nil, nil, illFormed()
	case ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded), errors.Is(err, ldap.ErrSizeLimitExceeded),
		err == nil && len(result.Entries) > 1:
		return nil, nil, refused(packets.NotAuthorized, "more than one entry of the directory matches the user name")
	case err != nil:
		return nil, nil, failure(ctx, "search", err)
	case len(result.Entries) == 0:
		return nil, nil, authn.ErrNotMine
	}
	entry := result.Entries[0]
	if entry.DN == "" {
		// To bind as nobody succeeds with any password.
		return nil, nil, failure(ctx, "search", errors.New("an entry without a name"))
	}
	if !a.named(entry, username) {
		return nil, nil, refused(packets.BadUserNameOrPassword, "the entry that the directory finds does not have the user name as it was written")
	}
	groups, err := a.groups(entry)
	if err != nil {
		return nil, nil, refused(packets.NotAuthorized, err.Error())
	}
	return entry, groups, nil
}

func (a *Authenticator) named(e *ldap.Entry, username string) bool {
	for _, n := range a.names {
		if n.holds(e, username) {
			return true
		}
	}
	return false
}

// judgeBind says what the outcome of binding as a user means. The codes that
// servers have for one account, such as one that is locked, are no failures of
// the directory: otherwise who knows such an account could lock out everybody.
func judgeBind(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidCredentials):
		return refused(packets.BadUserNameOrPassword, "wrong password, or no such user")
	case ldap.IsErrorAnyOf(err, ldap.LDAPResultConstraintViolation, ldap.LDAPResultInappropriateAuthentication,
		ldap.LDAPResultInsufficientAccessRights, ldap.LDAPResultUnwillingToPerform):
		return refused(packets.BadUserNameOrPassword, "the directory does not let the user log in: "+codeOf(err))
	case ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject):
		return authn.ErrNotMine
	case ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidDNSyntax):
		return illFormed()
	}
	return failure(ctx, "bind", err)
}

// illFormed is about a user name that the attribute in user_dn cannot have.
func illFormed() error {
	return refused(packets.BadUserNameOrPassword, "the directory finds the DN of the user ill-formed")
}

// codeOf names the result code of err, without what the server says with it.
func codeOf(err error) string {
	e, _ := errors.AsType[*ldap.Error](err)
	return ldap.LDAPResultCodeMap[e.ResultCode]
}

// failure is err as one of the directory: no code in it is one about a user.
func failure(ctx context.Context, what string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("ldap: %s: %w", what, ctx.Err())
	}
	return fmt.Errorf("ldap: %s: %s", what, err.Error())
}
