package webauth

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/authn"
	"github.com/mqttward/mqttward/packets"
)

// goAuthJWT is the contract of mosquitto-go-auth's remote JWT mode: the user name
// is a token, which the service judges, and the password does not count.
//
// A token is no name: it is secret. The user is whom the token's claim sub names,
// which is part of what the service has judged; the service gets that name too, as
// with jwt_parse_token. A claim exp can only end the session sooner. Nothing else
// of the token is believed.
type goAuthJWT struct{ goAuth }

func (goAuthJWT) question(c filters.Credentials) (question, filters.Identity, error) {
	claims, ok := payload(c.Username)
	if !ok {
		return question{}, filters.Identity{}, authn.ErrNotMine
	}
	id := filters.Identity{}
	if given, err := claims.read("sub", &id.Username); err != nil || !given || id.Username == "" {
		return question{}, filters.Identity{}, authn.ErrNotMine
	}
	if !filters.PlainName(id.Username) {
		return question{}, filters.Identity{}, refusedToken("names somebody with a wildcard or control character")
	}
	var exp json.Number
	given, err := claims.read("exp", &exp)
	if err != nil {
		return question{}, filters.Identity{}, refusedToken("does not say when it expires")
	}
	if given {
		seconds, err := exp.Float64()
		if err != nil || seconds < 0 || seconds > lastDate {
			return question{}, filters.Identity{}, refusedToken("does not say when it expires")
		}
		id.Expires = time.Unix(int64(seconds), 0)
		if !time.Now().Before(id.Expires) {
			return question{}, filters.Identity{}, refusedToken("has expired")
		}
	}
	return question{
		fields: map[string]any{"username": id.Username},
		header: map[string]string{"Authorization": "Bearer " + c.Username},
	}, id, nil
}

func refusedToken(why string) error {
	return &packets.Error{Code: packets.NotAuthorized, Msg: "the token " + why}
}

// maxToken is what many services take as a header.
const maxToken = 8 << 10

// payload returns the claims of a JSON Web Token in the compact form, unverified;
// false says that it is none.
func payload(token string) (object, bool) {
	parts := strings.SplitN(token, ".", 4)
	// A header that does not begin so, though it may, would not be seen to be one by
	// who keeps tokens out of logs.
	if len(token) > maxToken || len(parts) != 3 || !strings.HasPrefix(token, "eyJ") {
		return nil, false
	}
	for _, p := range parts {
		if p == "" || strings.ContainsFunc(p, notBase64URL) {
			return nil, false
		}
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(parts[1])
	if err != nil {
		return nil, false
	}
	claims, err := parseObject(data)
	return claims, err == nil
}

// notBase64URL is also of the line ends that the decoder passes over.
func notBase64URL(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
}
