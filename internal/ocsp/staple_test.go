package ocsp

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ocsp"
)

func pair(leaf *party, behind ...*party) *tls.Certificate {
	p := &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: leaf.key, Leaf: leaf.Certificate}
	for _, b := range behind {
		p.Certificate = append(p.Certificate, b.Raw)
	}
	return p
}

func TestNewStaple(t *testing.T) {
	ca := issue(t, nil, asCA("ca"))
	leaf, mute := issue(t, ca, naming("http://responder")), issue(t, ca)
	for _, tt := range []struct {
		name, url string
		pair      *tls.Certificate
		want      string // of the error
	}{
		{"sound", "", pair(leaf, ca), ""},
		{"alone", "", pair(leaf), "wants the certificate of its issuer behind it"},
		{"another authority behind it", "", pair(leaf, issue(t, nil, asCA("ca"))), "is not that of its issuer"},
		{"no responder", "", pair(mute, ca), "names no OCSP responder"},
		{"a configured one", "http://responder", pair(mute, ca), ""},
	} {
		_, err := NewStaple(Options{URL: tt.url}, tt.pair)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

// TestStaple follows a Staple through its days: an answer is renewed at half of its
// life, kept while the responder is down until it runs out, and dropped when it has
// become false.
func TestStaple(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := issue(t, nil, asCA("ca"))
		leaf := issue(t, ca, naming("http://responder"))
		var log bytes.Buffer
		var asked atomic.Int32
		var down, bad atomic.Bool
		s, err := NewStaple(Options{Timeout: time.Second}, pair(leaf, ca))
		if err != nil {
			t.Fatal(err)
		}
		s.client.http.Transport = network(func(*http.Request) ([]byte, error) {
			asked.Add(1)
			if down.Load() {
				return nil, errors.New("down")
			}
			return sign(t, leaf, ca, ca, func(r *ocsp.Response) {
				r.ThisUpdate, r.NextUpdate = time.Now(), time.Now().Add(8*time.Hour)
				if bad.Load() {
					revoked(r)
				}
			}), nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); s.Run(ctx, slog.New(slog.NewTextHandler(&log, nil))) }()
		expect := func(what string, times int32, answered bool) {
			t.Helper()
			synctest.Wait()
			if asked.Load() != times || (s.Answer() != nil) != answered {
				t.Fatalf("%s: asked %d times, want %d; an answer of %d bytes, want one: %v", what, asked.Load(), times, len(s.Answer()), answered)
			}
		}
		expect("the first answer", 1, true)
		first := s.Answer()
		time.Sleep(4*time.Hour - time.Minute)
		expect("before its half", 1, true)
		time.Sleep(2 * time.Minute)
		expect("after its half", 2, true)
		if bytes.Equal(first, s.Answer()) {
			t.Error("the answer is the first still")
		}
		down.Store(true)
		time.Sleep(4 * time.Hour)
		synctest.Wait()
		if s.Answer() == nil || asked.Load() < 3 {
			t.Error("the answer is gone while it holds")
		}
		time.Sleep(4 * time.Hour)
		if s.Answer() != nil {
			t.Error("there is an answer after its end")
		}
		synctest.Wait()
		before := asked.Load()
		time.Sleep(retry)
		expect("the responder is down", before+1, false)
		down.Store(false)
		time.Sleep(retry)
		expect("it is up again", before+2, true)
		bad.Store(true)
		time.Sleep(5 * time.Hour)
		synctest.Wait()
		if s.Answer() != nil {
			t.Error("an answer says good of what is revoked")
		}
		cancel()
		<-done
		text := log.String()
		if strings.Count(text, "level=WARN") != 2 || strings.Count(text, "sent along again") != 1 || !strings.Contains(text, "is revoked") {
			t.Errorf("log:\n%s", text)
		}
	})
}

// TestInherit: an answer goes on over a reload, for the same certificate only.
func TestInherit(t *testing.T) {
	ca := issue(t, nil, asCA("ca"))
	leaf, other := issue(t, ca, naming("http://responder")), issue(t, ca, naming("http://responder"))
	staple := func(p *party) *Staple {
		s, err := NewStaple(Options{}, pair(p, ca))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	last := staple(leaf)
	last.answer.Store(&stapled{raw: []byte("answer"), until: time.Now().Add(time.Hour)})
	same, another := staple(leaf), staple(other)
	same.Inherit(last)
	another.Inherit(last)
	if string(same.Answer()) != "answer" || another.Answer() != nil {
		t.Errorf("the same has %q, another %q", same.Answer(), another.Answer())
	}
}
