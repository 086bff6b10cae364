package jwt

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/golang-jwt/jwt/v5"

	"github.com/mqttward/mqttward/filters/authn"
)

// parser is strict: one token has one spelling.
var parser = jwt.NewParser(jwt.WithStrictDecoding())

// verify returns the claims of a token whose signature is good. Nothing else of
// them is checked yet.
func (a *Authenticator) verify(ctx context.Context, clientID, text string) (claims, error) {
	if !compact(text) {
		return nil, authn.ErrNotMine
	}
	if len(text) > maxToken {
		return nil, errTooLong
	}
	var payload payload
	token, parts, err := parser.ParseUnverified(text, &payload)
	if payload.MapClaims == nil {
		return nil, authn.ErrNotMine // three words with dots between them
	}
	// Believed so far as to leave the token to the method that it is for.
	if issuer, _ := payload.GetIssuer(); a.Issuer != "" && issuer != a.Issuer {
		return nil, authn.ErrNotMine
	}
	switch {
	case errors.Is(err, jwt.ErrTokenUnverifiable):
		return nil, refused("the token's algorithm is unknown")
	case err != nil:
		return nil, refused("the token is malformed")
	}
	// RFC 7515, section 4.1.11: what is critical is to be understood, and nothing is.
	if _, critical := token.Header["crit"]; critical {
		return nil, refused("the token has a critical header")
	}
	keys, err := a.keysOf(ctx, clientID, token)
	if err != nil {
		return nil, err
	}
	signed := text[:len(parts[0])+1+len(parts[1])]
	if !slices.ContainsFunc(keys, func(k Key) bool { return k.verifies(token.Method.Alg(), signed, token.Signature) }) {
		return nil, refused("the token's signature is wrong")
	}
	return claims(payload.MapClaims), nil
}

// keysOf returns the keys that fit the algorithm of a token, which is not believed.
func (a *Authenticator) keysOf(ctx context.Context, clientID string, token *jwt.Token) ([]Key, error) {
	alg := token.Method.Alg()
	if alg == jwt.SigningMethodNone.Alg() || a.Algorithms != nil && !slices.Contains(a.Algorithms, alg) {
		return nil, refused("the token's algorithm %s is not allowed", alg)
	}
	var kid string
	if raw, given := token.Header["kid"]; given {
		text, ok := raw.(string)
		if !ok {
			return nil, refused("the token's key id is no text")
		}
		kid = text
	}
	return a.Source.pick(ctx, clientID, kid, alg)
}

// payload is the claims as the library reads them: with numbers as they were
// written, and nothing behind them.
type payload struct{ jwt.MapClaims }

// UnmarshalJSON takes nothing but an object.
func (p *payload) UnmarshalJSON(data []byte) (err error) {
	p.MapClaims, err = decodeObject(data)
	return err
}

func decodeObject(data []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var object map[string]any
	if err := d.Decode(&object); err != nil {
		return nil, err
	}
	if object == nil || strings.TrimSpace(string(data[d.InputOffset():])) != "" {
		return nil, errors.New("not one JSON object")
	}
	return object, nil
}
