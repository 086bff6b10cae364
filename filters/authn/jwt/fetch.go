package jwt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/mqttward/mqttward/filters/authn"
)

// fetch returns the keys of now, and after which time to fetch them again.
func (s *KeySet) fetch(ctx context.Context) (Keys, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	at, err := s.options.URL, error(nil)
	if at == "" {
		if at, err = s.discover(ctx); err != nil {
			return nil, 0, err
		}
	}
	reply, err := s.get(ctx, at)
	if err != nil {
		return nil, 0, err
	}
	keys, err := ParseJWKS(reply.Body)
	if err != nil {
		return nil, 0, fmt.Errorf("the key set %w", err)
	}
	return keys, maxAge(reply.Header), nil
}

// discover asks the issuer where its keys are (OpenID Connect Discovery 1.0,
// section 4).
func (s *KeySet) discover(ctx context.Context) (string, error) {
	reply, err := s.get(ctx, strings.TrimSuffix(s.options.Issuer, "/")+"/.well-known/openid-configuration")
	if err != nil {
		return "", err
	}
	var document struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	switch err := json.Unmarshal(reply.Body, &document); {
	case err != nil:
		return "", errors.New("the discovery document is no JSON object")
	case document.Issuer != s.options.Issuer:
		return "", errors.New("the discovery document is of another issuer")
	case !secure(document.JWKSURI):
		return "", errors.New("the discovery document has no jwks_uri with https")
	}
	return document.JWKSURI, nil
}

func (s *KeySet) get(ctx context.Context, at string) (authn.Reply, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at, http.NoBody)
	if err != nil {
		return authn.Reply{}, errors.New("no request can be made for the URL")
	}
	r.Header.Set("Accept", "application/json, application/jwk-set+json")
	reply, err := authn.Send(ctx, s.options.Client, r)
	if err != nil {
		return authn.Reply{}, err
	}
	if reply.Status != http.StatusOK {
		return authn.Reply{}, fmt.Errorf("GET %s: the server answers %d", r.URL.Host, reply.Status)
	}
	return reply, nil
}

// secure reports whether what comes from the URL is who it says: with https, or
// from this machine.
func secure(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback())
}

// maxAge is for how long an answer may be used (RFC 9111, section 5.2.2.1).
func maxAge(h http.Header) time.Duration {
	for directive := range strings.SplitSeq(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		if !strings.EqualFold(name, "max-age") {
			continue
		}
		seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31)
		if err != nil {
			break
		}
		return min(max(time.Duration(seconds)*time.Second, refreshAtLeast), refreshAtMost)
	}
	return refreshAfter
}
