package ocsp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ocsp"
)

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
