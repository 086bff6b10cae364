package ocsp

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"
)

const timeout = 10 * time.Second // far beyond what a responder in this process takes

// TestCheck shows what becomes of a client by what its responder does, where an
// answer is wanted and where one is insisted on.
func TestCheck(t *testing.T) {
	ca, other := issue(t, nil, asCA("ca")), issue(t, nil, asCA("ca"))
	r := newTestResponder(t)
	r.says(nil)
	leaf, quiet := issue(t, ca, naming(r.URL)), issue(t, ca)
	fails := func(status int) func(http.ResponseWriter, *ocsp.Request) {
		return func(w http.ResponseWriter, _ *ocsp.Request) { w.WriteHeader(status) }
	}
	says := func(body []byte) func(http.ResponseWriter, *ocsp.Request) {
		return func(w http.ResponseWriter, _ *ocsp.Request) { _, _ = w.Write(body) }
	}
	const accepted, refused, missing = "", "refused", "missing"
	for _, tt := range []struct {
		name       string
		cert       *party
		answer     func(http.ResponseWriter, *ocsp.Request)
		soft, hard string
		why        string
	}{
		{"good", leaf, says(sign(t, leaf, ca, ca)), accepted, accepted, ""},
		{"revoked", leaf, says(sign(t, leaf, ca, ca, revoked)), refused, refused, "is revoked since"},
		{"unknown", leaf, says(sign(t, leaf, ca, ca, unknown)), refused, refused, "is unknown to its OCSP responder"},
		{"lie", leaf, says(sign(t, leaf, ca, issue(t, other, asSigner))), accepted, missing, "does not know"},
		{"lie that says revoked", leaf, says(sign(t, leaf, ca, issue(t, other, asSigner), revoked)), accepted, missing, "does not know"},
		{"unauthorized", leaf, says(ocsp.UnauthorizedErrorResponse), accepted, missing, "unauthorized"},
		{"try later", leaf, says(ocsp.TryLaterErrorResponse), accepted, missing, "try later"},
		{"broken", leaf, fails(http.StatusInternalServerError), accepted, missing, "status 500"},
		{"too long", leaf, says(make([]byte, maxAnswer+1)), accepted, missing, "larger than"},
		{"goes elsewhere", leaf, func(w http.ResponseWriter, _ *ocsp.Request) {
			w.Header().Set("Location", r.URL)
			w.WriteHeader(http.StatusTemporaryRedirect)
		}, accepted, missing, "status 307"},
		{"says nothing", leaf, func(http.ResponseWriter, *ocsp.Request) { panic(http.ErrAbortHandler) }, accepted, missing, "EOF"},
		{"no responder", quiet, says(nil), accepted, refused, "names no OCSP responder"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r.set(tt.answer)
			for mode, want := range map[bool]string{false: tt.soft, true: tt.hard} {
				var unanswered error
				c := NewChecker(CheckerOptions{Options: Options{Timeout: timeout}, Hard: mode, Unanswered: func(err error) { unanswered = err }})
				err := c.Check(t.Context(), chain(tt.cert, ca))
				got := accepted
				switch {
				case errors.Is(err, ErrNoAnswer):
					got = missing
				case err != nil:
					got = refused
				}
				if got != want {
					t.Errorf("hard %v: %v, want %s", mode, err, want)
				}
				if told := unanswered != nil; told != (want == accepted && tt.why != "") {
					t.Errorf("hard %v: without an answer: %v", mode, unanswered)
				}
				if err = errors.Join(err, unanswered); err != nil && !strings.Contains(err.Error(), tt.why) {
					t.Errorf("hard %v: %v, want %q", mode, err, tt.why)
				}
			}
		})
	}
}

// TestIntermediates: an authority between is asked about if it names a responder, and
// the last of the chain never.
func TestIntermediates(t *testing.T) {
	r := newTestResponder(t)
	root := issue(t, nil, asCA("root"), naming(r.URL))
	line, mute := issue(t, root, asCA("line"), naming(r.URL)), issue(t, root, asCA("mute"))
	leaf, other := issue(t, line, naming(r.URL)), issue(t, mute, naming(r.URL))
	down := map[string]bool{}
	r.set(func(w http.ResponseWriter, q *ocsp.Request) {
		switch {
		case down[q.SerialNumber.String()]:
			w.WriteHeader(http.StatusServiceUnavailable)
		case q.SerialNumber.Cmp(leaf.SerialNumber) == 0:
			_, _ = w.Write(sign(t, leaf, line, line))
		case q.SerialNumber.Cmp(other.SerialNumber) == 0:
			_, _ = w.Write(sign(t, other, mute, mute))
		default:
			_, _ = w.Write(sign(t, line, root, root, revoked))
		}
	})
	soft := func() *Checker {
		return NewChecker(CheckerOptions{Options: Options{Timeout: timeout}, Unanswered: func(error) {}})
	}
	if err := soft().Check(t.Context(), chain(leaf, line, root)); err == nil || !strings.Contains(err.Error(), "is revoked") {
		t.Errorf("its authority is revoked: %v", err)
	}
	if err := soft().Check(t.Context(), chain(leaf, line)); err != nil {
		t.Errorf("the authority is trusted itself: %v", err)
	}
	hard := NewChecker(CheckerOptions{Options: Options{Timeout: timeout}, Hard: true})
	if err := hard.Check(t.Context(), chain(other, mute, root)); err != nil {
		t.Errorf("the authority names no responder: %v", err)
	}
	if err := hard.Check(t.Context(), chain(leaf)); err == nil || errors.Is(err, ErrNoAnswer) {
		t.Errorf("trusted without its issuer: %v", err)
	}
	down[leaf.SerialNumber.String()] = true
	if err := soft().Check(t.Context(), chain(leaf, line, root)); err == nil || errors.Is(err, ErrNoAnswer) {
		t.Errorf("no answer about the one, revoked the other: %v", err)
	}
}

// TestOverride: the configured responder stands in for the one that a certificate
// names, and for one that it does not.
func TestOverride(t *testing.T) {
	ca, r := issue(t, nil, asCA("ca")), newTestResponder(t)
	for _, leaf := range []*party{issue(t, ca), issue(t, ca, naming("http://127.0.0.1:1/")), issue(t, ca, naming("ldap://x"))} {
		r.says(sign(t, leaf, ca, ca))
		c := NewChecker(CheckerOptions{Options: Options{URL: r.URL, Timeout: timeout}, Hard: true})
		if err := c.Check(t.Context(), chain(leaf, ca)); err != nil {
			t.Error(err)
		}
	}
}
