package filters

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"math/big"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestParseTemplateErrors(t *testing.T) {
	tests := []struct {
		template string
		want     string // part of the error
	}{
		{"", "empty template"},
		{"${user}", "column 1: unknown placeholder ${user}; known are ${username}, ${clientid}, ${cert.cn}"},
		{"a/${username}/${Username}", "column 15: unknown placeholder ${Username}"},
		{"a/${username", "column 3: placeholder without a closing }"},
		{"${", "column 1: placeholder without"},
		{"${}", "column 1: unknown placeholder ${}"},
		{"${a${username}}", "column 1: unknown placeholder ${a${username}"},
		{"${claims.}", "column 1: unknown placeholder"},
		{"${username }", "column 1: unknown placeholder"},
	}
	for _, tt := range tests {
		_, err := ParseTemplate(tt.template)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("ParseTemplate(%q): error %v, want one with %q", tt.template, err, tt.want)
		}
	}
}

func TestTemplatePlaceholders(t *testing.T) {
	tests := []struct {
		template string
		want     []string
	}{
		{"data/#", nil},
		{"${$}{username}", nil},
		{"$SYS/$x}/{username}", nil},
		{"${username}", []string{"username"}},
		{"a${ip}b${cert.cn}${cert.cn}", []string{"ip", "cert.cn", "cert.cn"}},
		{"${claims.realm.role}/${group}", []string{"claims.realm.role", "group"}},
	}
	for _, tt := range tests {
		template, err := ParseTemplate(tt.template)
		if err != nil {
			t.Fatal(err)
		}
		if got := template.Placeholders(); !slices.Equal(got, tt.want) {
			t.Errorf("placeholders of %q: %q, want %q", tt.template, got, tt.want)
		}
		if got := template.String(); got != tt.template {
			t.Errorf("String of %q: %q", tt.template, got)
		}
	}
}

// refused is a value that makes an expansion fail.
const refused = "\xffrefused"

func TestExpand(t *testing.T) {
	tests := []struct {
		name     string
		template string
		value    string // of every placeholder but clientid, which has none
		identity string // or refused
		topic    string // or refused
	}{
		{"no placeholder", "data/+/#", "", "data/+/#", "data/+/#"},
		{"alone", "${username}", "bob", "bob", "bob"},
		{"within", "line/${username}/#", "bob", "line/bob/#", "line/bob/#"},
		{"side by side", "${username}${ip}", "x", "xx", "xx"},
		{"a value is not a template", "${username}", "${ip}", "${ip}", refused},
		{"not at the front", "a/${username}", "${ip}", "a/${ip}", "a/${ip}"},
		{"beyond ASCII", "a/${username}", "Jürgen 😀", "a/Jürgen 😀", "a/Jürgen 😀"},
		{"missing", "a/${clientid}", "x", refused, refused},
		{"one of two missing", "${username}/${clientid}", "x", refused, refused},
		{"empty", "a/${username}", "", refused, refused},
		{"plus", "${username}", "+", refused, refused},
		{"plus within", "a/${username}", "a+b", refused, refused},
		{"hash", "a/${username}", "#", refused, refused},
		{"NUL", "a/${username}", "a\x00b", refused, refused},
		{"line feed", "a/${username}", "a\n", refused, refused},
		{"delete", "a/${username}", "\x7f", refused, refused},
		{"control character of C1", "a/${username}", "\u0085", refused, refused},
		{"ill-formed UTF-8", "a/${username}", "a\xff", refused, refused},
		{"surrogate", "a/${username}", "\xed\xa0\x80", refused, refused},
		{"slash", "a/${username}", "spiffe://plant/plc", "a/spiffe://plant/plc", refused},
		{"slash alone", "${username}", "/", "/", refused},
		{"dollar at the front", "${username}/a", "$SYS", "$SYS/a", refused},
		{"dollar behind", "a/${username}", "$SYS", "a/$SYS", "a/$SYS"},
		{"dollar at the front of the shared filter", "$share/g/${username}/#", "$SYS", "$share/g/$SYS/#", refused},
		{"dollar further in the shared filter", "$share/g/a/${username}", "$SYS", "$share/g/a/$SYS", "$share/g/a/$SYS"},
		{"dollar as group and filter", "$share/${username}/${username}", "$x", "$share/$x/$x", refused},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			template, err := ParseTemplate(tt.template)
			if err != nil {
				t.Fatal(err)
			}
			lookup := func(name string) (string, bool) { return tt.value, name != "clientid" }
			check := func(kind, got string, ok bool, want string) {
				t.Helper()
				if !ok && got != "" {
					t.Errorf("%s: %q with a refusal", kind, got)
				}
				if !ok {
					got = refused
				}
				if got != want {
					t.Errorf("%s: %q, want %q", kind, got, want)
				}
			}
			got, ok := template.Expand(lookup)
			check("Expand", got, ok, tt.identity)
			got, ok = template.ExpandTopic(lookup)
			check("ExpandTopic", got, ok, tt.topic)
		})
	}
}

func TestZeroTemplateFails(t *testing.T) {
	lookup := func(string) (string, bool) { return "x", true }
	if got, ok := (Template{}).Expand(lookup); ok {
		t.Errorf("the zero Template expands to %q", got)
	}
	if got, ok := (Template{}).ExpandTopic(lookup); ok {
		t.Errorf("the zero Template expands to the topic %q", got)
	}
}

func FuzzTemplate(f *testing.F) {
	f.Add("a/${username}/#", "bob")
	f.Add("$share/${cert.cn}/${ip}", "$SYS")
	f.Add("${", "+")
	f.Add("${$}{username}", "x")
	f.Fuzz(func(t *testing.T, source, value string) {
		template, err := ParseTemplate(source)
		if err != nil {
			return
		}
		// The parts say what the source says.
		rebuilt, literal := "", ""
		for _, p := range template.parts {
			if p.placeholder {
				rebuilt += "${" + p.text + "}"
				continue
			}
			rebuilt += p.text
			literal += p.text
		}
		if strings.ReplaceAll(source, "${$}", "$") != rebuilt {
			t.Errorf("the parts of %q make %q", source, rebuilt)
		}
		// A value adds nothing that has a meaning in a topic.
		topic, ok := template.ExpandTopic(func(string) (string, bool) { return value, true })
		if !ok {
			return
		}
		for _, meaning := range []string{"+", "#", "/", "\x00"} {
			if strings.Count(topic, meaning) != strings.Count(literal, meaning) {
				t.Errorf("%q with %q makes %q: another count of %q", source, value, topic, meaning)
			}
		}
		if utf8.ValidString(source) && !utf8.ValidString(topic) {
			t.Errorf("%q with %q makes ill-formed UTF-8", source, value)
		}
		if strings.HasPrefix(topic, "$") && !strings.HasPrefix(literal, "$") {
			t.Errorf("%q with %q makes %q: a topic of the broker", source, value, topic)
		}
	})
}

func TestCertificateValue(t *testing.T) {
	full := certificate(t, &x509.Certificate{
		Subject:  pkix.Name{CommonName: "plc-7"},
		DNSNames: []string{"plc-7.plant.example", "other.example"},
		URIs:     []*url.URL{parseURL(t, "spiffe://plant/line-a/plc-7"), parseURL(t, "spiffe://plant/other")},
	})
	sum := sha256.Sum256(full.Raw)
	bare := certificate(t, &x509.Certificate{})
	twoNames := certificate(t, &x509.Certificate{Subject: pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{
		{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "plc-7"},
		{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "admin"},
	}}})

	tests := []struct {
		name        string
		certificate *x509.Certificate
		value       string
		want        string // empty: none
	}{
		{"common name", full, "cert.cn", "plc-7"},
		{"first DNS name", full, "cert.san.dns", "plc-7.plant.example"},
		{"first URI", full, "cert.san.uri", "spiffe://plant/line-a/plc-7"},
		{"fingerprint", full, "cert.fingerprint", hex.EncodeToString(sum[:])},
		{"unknown name", full, "cert.serial", ""},
		{"another placeholder", full, "username", ""},
		{"no common name", bare, "cert.cn", ""},
		{"no DNS name", bare, "cert.san.dns", ""},
		{"no URI", bare, "cert.san.uri", ""},
		{"two common names", twoNames, "cert.cn", ""},
		{"no certificate", nil, "cert.cn", ""},
		{"fingerprint of no certificate", nil, "cert.fingerprint", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := CertificateValue(tt.certificate, tt.value)
			if got != tt.want || ok != (tt.want != "") {
				t.Errorf("got %q, %v; want %q", got, ok, tt.want)
			}
		})
	}
}

// certificate signs template with its own key and parses the result.
func certificate(t *testing.T, template *x509.Certificate) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(1)
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func parseURL(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// TestEscape: a text that looks like a template stands for itself.
func TestEscape(t *testing.T) {
	for _, text := range []string{"data/#", "$SYS/${username}", "${", "${$}", "$${x}$"} {
		template, err := ParseTemplate(Escape(text))
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		got, ok := template.Expand(func(string) (string, bool) { return "value", true })
		if !ok || got != text {
			t.Errorf("%q expands to %q", text, got)
		}
	}
}
