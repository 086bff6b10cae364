package filters

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Placeholders are the names that a Template knows.
var placeholders = []string{
	"username", "clientid",
	"cert.cn", "cert.subject", "cert.san.dns", "cert.san.uri", "cert.san.email", "cert.fingerprint",
	"claims.NAME", "group", "tenant",
	"ip", "listener",
}

// claimPrefix begins the placeholders of claims, whose names are the issuer's.
const claimPrefix = "claims."

func knownPlaceholder(name string) bool {
	claim, ok := strings.CutPrefix(name, claimPrefix)
	return ok && claim != "" || slices.Contains(placeholders, name)
}

// Lookup tells the value of a placeholder for one client; false means that
// the client has none.
type Lookup func(name string) (string, bool)

// Template is a text with placeholders, such as "line-a/${username}/#". The
// zero Template expands to nothing and so always fails.
type Template struct {
	source string
	parts  []part
}

// A part is a literal text, or the name of a placeholder.
type part struct {
	text        string
	placeholder bool
}

// escaped is the placeholder that stands for a "$", whatever follows it.
const escaped = "$"

// Escape returns a template of text and nothing else.
func Escape(text string) string { return strings.ReplaceAll(text, "${", "${$}{") }

// ParseTemplate reads a template. A placeholder that is unknown or not closed
// is an error, which gives its column in bytes, counted from 1. A "$" that no
// "{" follows stands for itself, and so does "${$}" for a "$".
func ParseTemplate(s string) (Template, error) {
	if s == "" {
		return Template{}, errors.New("empty template")
	}
	t := Template{source: s}
	for rest := s; rest != ""; {
		text, after, found := strings.Cut(rest, "${")
		if text != "" {
			t.parts = append(t.parts, part{text: text})
		}
		if !found {
			break
		}
		column := len(s) - len(after) - len("${") + 1
		name, tail, closed := strings.Cut(after, "}")
		if !closed {
			return Template{}, fmt.Errorf("column %d: placeholder without a closing }", column)
		}
		rest = tail
		if name == escaped {
			t.parts = append(t.parts, part{text: escaped})
			continue
		}
		if !knownPlaceholder(name) {
			return Template{}, fmt.Errorf("column %d: unknown placeholder ${%s}; known are ${%s}",
				column, name, strings.Join(placeholders, "}, ${"))
		}
		t.parts = append(t.parts, part{text: name, placeholder: true})
	}
	return t, nil
}

// String returns the template as it was written.
func (t Template) String() string { return t.source }

// Placeholders returns the names that the template uses, in order; none means
// that it expands to the same text for everybody.
func (t Template) Placeholders() []string {
	var names []string
	for _, p := range t.parts {
		if p.placeholder {
			names = append(names, p.text)
		}
	}
	return names
}

// Expand puts the values of one client in place of the placeholders, for an
// identity. It fails if a value is missing, empty, ill-formed UTF-8, or holds
// +, #, NUL or another control character: a name with a wildcard would speak
// for others wherever it becomes part of a topic filter [CVE-2017-7650].
func (t Template) Expand(lookup Lookup) (string, bool) {
	return t.expand(lookup, func(_, value string) bool {
		return plain(value)
	})
}

// TopicLevel reports whether ExpandTopic puts value in, wherever it stands.
func TopicLevel(value string) bool {
	return plain(value) && !strings.Contains(value, "/") && value[0] != '$'
}

// ExpandTopic is Expand for a topic or topic filter. It also fails if a value
// holds /, which would move what follows to another level, or if one that
// starts with $ would begin the topic, which would lead to the broker's own
// topics [MQTT-4.7.2-1].
func (t Template) ExpandTopic(lookup Lookup) (string, bool) {
	return t.expand(lookup, func(before, value string) bool {
		return plain(value) && !strings.Contains(value, "/") &&
			!(value[0] == '$' && beginsTopic(before))
	})
}

// expand fails unless safe accepts every value, given the text before it.
func (t Template) expand(lookup Lookup, safe func(before, value string) bool) (string, bool) {
	var b strings.Builder
	for _, p := range t.parts {
		text := p.text
		if p.placeholder {
			value, ok := lookup(p.text)
			if !ok || !safe(b.String(), value) {
				return "", false
			}
			text = value
		}
		b.WriteString(text)
	}
	return b.String(), b.Len() > 0
}

// plain reports whether value can be part of a name.
func plain(value string) bool {
	return value != "" && utf8.ValidString(value) && !strings.ContainsFunc(value, func(r rune) bool {
		return r == '+' || r == '#' || unicode.IsControl(r)
	})
}

// beginsTopic reports whether a topic starts right after before, which may be
// the head of a shared subscription, "$share/group/".
func beginsTopic(before string) bool {
	group, shared := strings.CutPrefix(before, "$share/")
	if !shared {
		return before == ""
	}
	return strings.IndexByte(group, '/') == len(group)-1
}

// CertificateValue is the Lookup of the placeholders that start with "cert.".
// The alternative names are the first of their kind; the fingerprint is the
// SHA-256 of the certificate in lower-case hexadecimal, the subject its
// distinguished name in the form of RFC 2253. c may be nil.
func CertificateValue(c *x509.Certificate, name string) (string, bool) {
	if c == nil {
		return "", false
	}
	var value string
	switch name {
	case "cert.cn":
		value = commonName(c)
	case "cert.san.dns":
		if len(c.DNSNames) > 0 {
			value = c.DNSNames[0]
		}
	case "cert.san.uri":
		if len(c.URIs) > 0 {
			value = c.URIs[0].String()
		}
	case "cert.san.email":
		if len(c.EmailAddresses) > 0 {
			value = c.EmailAddresses[0]
		}
	case "cert.subject":
		value = c.Subject.String()
	case "cert.fingerprint":
		sum := sha256.Sum256(c.Raw)
		value = hex.EncodeToString(sum[:])
	}
	return value, value != ""
}

var oidCommonName = asn1.ObjectIdentifier{2, 5, 4, 3}

// commonName returns "" for a subject with several common names: programs
// differ in which of them counts, so none can name a client.
func commonName(c *x509.Certificate) string {
	names := 0
	for _, attribute := range c.Subject.Names {
		if attribute.Type.Equal(oidCommonName) {
			names++
		}
	}
	if names > 1 {
		return ""
	}
	return c.Subject.CommonName
}
