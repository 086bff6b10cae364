package ocsp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
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

// network is a responder without sockets, whose time the test has in hand.
type network func(*http.Request) ([]byte, error)

func (n network) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := n(r)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(body))}, nil
}

func checkerOn(n network, hard bool) *Checker {
	c := NewChecker(CheckerOptions{Options: Options{Timeout: 2 * time.Second}, Hard: hard, Unanswered: func(error) {}})
	c.client.http.Transport = n
	return c
}

// TestRemembered: answers until they run out, an hour at most; what is unknown for a
// minute; failures never.
func TestRemembered(t *testing.T) {
	for _, tt := range []struct {
		name string
		edit func(*ocsp.Response)
		age  time.Duration // 0: not at all
	}{
		{"half an hour", func(r *ocsp.Response) { r.NextUpdate = time.Now().Add(30 * time.Minute) }, 30 * time.Minute},
		{"a week", func(r *ocsp.Response) { r.NextUpdate = time.Now().Add(7 * 24 * time.Hour) }, time.Hour},
		{"revoked", func(r *ocsp.Response) { revoked(r); r.NextUpdate = time.Now().Add(7 * 24 * time.Hour) }, time.Hour},
		{"unknown", unknown, time.Minute},
		{"over in the skew", func(r *ocsp.Response) { r.NextUpdate = time.Now().Add(-time.Minute) }, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ca := issue(t, nil, asCA("ca"))
				leaf, asked := issue(t, ca, naming("http://responder")), 0
				c := checkerOn(func(*http.Request) ([]byte, error) { asked++; return sign(t, leaf, ca, ca, tt.edit), nil }, true)
				expect := func(want int) {
					t.Helper()
					_ = c.Check(t.Context(), chain(leaf, ca)) // answered each time
					if asked != want {
						t.Fatalf("asked %d times, want %d", asked, want)
					}
				}
				expect(1)
				if tt.age == 0 {
					expect(2)
					return
				}
				time.Sleep(tt.age - 2*time.Second) // the times of answers are whole seconds
				expect(1)
				time.Sleep(4 * time.Second)
				expect(2)
			})
		})
	}
}

// TestBreaker: a responder that fails is left alone for a while, one of another
// address is not. Who is in haste, or asks about a certificate that it does not serve,
// cannot bring that about.
func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := issue(t, nil, asCA("ca"))
		leaf, elsewhere := issue(t, ca, naming("http://down")), issue(t, ca, naming("http://up"))
		asked, down := 0, false
		c := checkerOn(func(r *http.Request) ([]byte, error) {
			if r.URL.Host == "up" {
				return sign(t, elsewhere, ca, ca), nil
			}
			asked++
			if !down {
				return ocsp.UnauthorizedErrorResponse, nil
			}
			<-r.Context().Done()
			return nil, r.Context().Err()
		}, false)
		for range 2 * failures {
			if err := c.Check(t.Context(), chain(leaf, ca)); err != nil {
				t.Fatal(err)
			}
		}
		down = true
		for range 2 * failures {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if err := c.Check(ctx, chain(leaf, ca)); !errors.Is(err, ErrNoAnswer) {
				t.Errorf("who left no time gets %v", err)
			}
			cancel()
		}
		if asked != 4*failures {
			t.Errorf("asked %d times, want %d", asked, 4*failures)
		}
		start := time.Now()
		for range 2 * failures {
			if err := c.Check(t.Context(), chain(leaf, ca)); err != nil {
				t.Error(err)
			}
		}
		if asked != 5*failures || time.Since(start) != failures*2*time.Second {
			t.Errorf("asked %d times in %v, want %d", asked, time.Since(start), 5*failures)
		}
		if err := c.Check(t.Context(), chain(elsewhere, ca)); err != nil {
			t.Error(err)
		}
		time.Sleep(cooldown + time.Second)
		_ = c.Check(t.Context(), chain(leaf, ca)) // accepted, as before
		if asked != 5*failures+1 {
			t.Errorf("after a while it was asked %d times, want %d", asked, 5*failures+1)
		}
	})
}

// TestStorm: of many that come at once, no more ask than a responder bears, and those
// who waited for the same answer do not ask.
func TestStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := issue(t, nil, asCA("ca"))
		var mu sync.Mutex
		busy, most := 0, 0
		answers := map[string][]byte{}
		c := checkerOn(func(r *http.Request) ([]byte, error) {
			mu.Lock()
			busy++
			most = max(most, busy)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			defer mu.Unlock()
			busy--
			body, _ := io.ReadAll(r.Body)
			q, err := ocsp.ParseRequest(body)
			if err != nil {
				return nil, err
			}
			return answers[q.SerialNumber.String()], nil
		}, true)
		var leaves []*party
		for range 3*concurrent + 1 {
			leaf := issue(t, ca, naming("http://responder"))
			answers[leaf.SerialNumber.String()] = sign(t, leaf, ca, ca)
			leaves = append(leaves, leaf)
		}
		var wg sync.WaitGroup
		for _, leaf := range leaves[1:] {
			wg.Go(func() {
				if err := c.Check(t.Context(), chain(leaf, ca)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if most != concurrent {
			t.Errorf("asked %d at once, want %d", most, concurrent)
		}
		start := time.Now()
		for range 10 * concurrent {
			wg.Go(func() { _ = c.Check(t.Context(), chain(leaves[0], ca)) }) // answered each time
		}
		wg.Wait()
		if took := time.Since(start); took != time.Second {
			t.Errorf("the same question took %v", took)
		}
	})
}
