package jwt

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"
)

// claims are what a token or an authorization server says, with numbers as
// json.Number.
type claims map[string]any

// at returns the claim at a path. Names may hold dots themselves, as those with
// an address do.
func (c claims) at(path string) (any, bool) {
	if v, ok := c[path]; ok {
		return v, true
	}
	for i, r := range path {
		if r != '.' {
			continue
		}
		if inner, ok := c[path[:i]].(map[string]any); ok {
			if v, ok := claims(inner).at(path[i+1:]); ok {
				return v, true
			}
		}
	}
	return nil, false
}

// text returns a claim that is a single value as text.
func text(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		if v {
			return "true", true
		}
		return "false", true
	}
	return "", false
}

// What Identity.Claims hold at most: the rest is left out.
const (
	maxClaims     = 64
	maxClaimDepth = 8
	maxClaimSize  = 1 << 10
)

// flat returns the single values, those within others as a.b: of too many the
// first by name, so that the same token gives the same claims.
func (c claims) flat() map[string]string {
	all := map[string]string{}
	c.flatten("", maxClaimDepth, all)
	for name := range c {
		if strings.Contains(name, ".") { // it hides what is within others, as in at
			delete(all, name)
			claims{name: c[name]}.flatten("", 1, all)
		}
	}
	if len(all) > maxClaims {
		for _, name := range slices.Sorted(maps.Keys(all))[maxClaims:] {
			delete(all, name)
		}
	}
	return all
}

func (c claims) flatten(prefix string, depth int, into map[string]string) {
	for name, v := range c {
		name = prefix + name
		if inner, ok := v.(map[string]any); ok && depth > 1 {
			claims(inner).flatten(name+".", depth-1, into)
		} else if value, ok := text(v); ok && len(name)+len(value) <= maxClaimSize {
			into[name] = value
		}
	}
}

// list returns the texts of a claim that is a list of them, or one text, which any
// of the separators divide.
func list(v any, separators string) ([]string, bool) {
	switch v := v.(type) {
	case string:
		if separators == "" {
			return []string{v}, true
		}
		return strings.FieldsFunc(v, func(r rune) bool { return strings.ContainsRune(separators, r) }), true
	case []any:
		texts := make([]string, len(v))
		for i, item := range v {
			t, ok := item.(string)
			if !ok {
				return nil, false
			}
			texts[i] = t
		}
		return texts, true
	}
	return nil, false
}

// lastDate is the end of the year 9999: what is beyond is no date, and what is far
// beyond would overflow.
const lastDate = 253402300799

// date returns a date claim (RFC 7519, section 2, NumericDate), zero if there is
// none.
func (c claims) date(name string) (time.Time, error) {
	v, given := c[name]
	if !given {
		return time.Time{}, nil
	}
	number, _ := v.(json.Number)
	seconds, err := number.Float64()
	if err != nil || seconds < 0 || seconds > lastDate {
		return time.Time{}, refused("the token's claim %s is no date", name)
	}
	return time.Unix(int64(seconds), 0), nil
}

// check returns when the claims expire, or why they are not to be accepted now.
func (a *Authenticator) check(c claims, now time.Time) (expires time.Time, err error) {
	var dates [3]time.Time
	for i, name := range []string{"exp", "nbf", "iat"} {
		if dates[i], err = c.date(name); err != nil {
			return time.Time{}, err
		}
	}
	exp, nbf, iat := dates[0], dates[1], dates[2]
	latest := now.Add(a.Leeway)
	from := latest
	if !iat.IsZero() {
		from = iat
	}
	switch audience, ok := list(c["aud"], ""); {
	case exp.IsZero() && a.Introspection == nil:
		return exp, refused("the token does not say when it expires")
	case !exp.IsZero() && !now.Before(exp):
		return exp, refused("the token has expired")
	case nbf.After(latest):
		return exp, refused("the token is not valid yet")
	case iat.After(latest):
		return exp, refused("the token was issued in the future")
	case a.Issuer != "" && c["iss"] != a.Issuer:
		return exp, refused("the token is of another issuer")
	case a.Audience != "" && (!ok || !slices.Contains(audience, a.Audience)):
		return exp, refused("the token is for another audience")
	case a.MaxLifetime > 0 && exp.IsZero():
		return now.Add(a.MaxLifetime), nil
	case a.MaxLifetime > 0 && exp.Sub(from) > a.MaxLifetime:
		return exp, refused("the token is valid for longer than %s", a.MaxLifetime)
	}
	return exp, nil
}
