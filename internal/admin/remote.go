package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/mqttward/mqttward/ratelimit"
)

const (
	remoteTimeout = 30 * time.Second // for one request
	maxReply      = 64 << 20         // bytes: a page of the longest texts, escaped
	maxComplaint  = 64 << 10         // bytes: all that is wrong with a configuration
	maxQuoted     = 1 << 10          // bytes of a complaint in a line
)

// Remote is the API of an instance that runs, perhaps on another machine.
type Remote struct {
	http  http.Client
	token string
}

// NewRemote returns the API at an address as net.Dial has it. The secret is the
// content of a token file, empty for none; it goes to that address and no other.
func NewRemote(network, address string, secret []byte) *Remote {
	transport := &http.Transport{ // without the proxies that the environment names
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}
	follow := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Remote{
		http:  http.Client{Transport: transport, Timeout: remoteTimeout, CheckRedirect: follow},
		token: strings.TrimSpace(string(secret)),
	}
}

// Clients returns the clients whose sessions run, the oldest session first.
func (r *Remote) Clients(ctx context.Context) ([]Client, error) {
	all := []Client{}
	for after := uint64(0); ; {
		var page []Client
		if err := r.do(ctx, http.MethodGet, fmt.Sprintf("clients?after=%d", after), nil, &page); err != nil {
			return nil, err
		}
		all = append(all, page...)
		if len(page) < maxPage {
			return all, nil
		}
		last := page[len(page)-1].Session
		if last <= after {
			return nil, errors.New("the list of clients does not end: is this mqttward?")
		}
		after = last
	}
}

// Kick ends the sessions that are selected and returns how many these are.
func (r *Remote) Kick(ctx context.Context, who Selection) (int, error) {
	body, err := json.Marshal(who)
	if err != nil {
		return 0, err
	}
	var k Kicked
	err = r.do(ctx, http.MethodPost, "kick", body, &k)
	return k.Kicked, err
}

// Bans returns the bans in force.
func (r *Remote) Bans(ctx context.Context) ([]ratelimit.Ban, error) {
	all := []ratelimit.Ban{}
	for after := (ratelimit.Subject{}); ; {
		var page []ratelimit.Ban
		if err := r.do(ctx, http.MethodGet, "bans?after="+url.QueryEscape(string(after.Kind)+"/"+after.Value), nil, &page); err != nil {
			return nil, err
		}
		all = append(all, page...)
		if len(page) < maxPage {
			return all, nil
		}
		last := page[len(page)-1].Subject
		if last.Compare(after) <= 0 {
			return nil, errors.New("the list of bans does not end: is this mqttward?")
		}
		after = last
	}
}

// Ban bans, and returns how many sessions that has ended.
func (r *Remote) Ban(ctx context.Context, request BanRequest) (int, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return 0, err
	}
	var b Banned
	err = r.do(ctx, http.MethodPost, "ban", body, &b)
	return b.Kicked, err
}

// Unban reports whether there was a ban of s to lift.
func (r *Remote) Unban(ctx context.Context, s ratelimit.Subject) (bool, error) {
	body, err := json.Marshal(s)
	if err != nil {
		return false, err
	}
	var l Lifted
	err = r.do(ctx, http.MethodPost, "unban", body, &l)
	return l.Lifted, err
}

// Report decodes the report of this name into a value.
func (r *Remote) Report(ctx context.Context, name string, into any) error {
	return r.do(ctx, http.MethodGet, name, nil, into)
}

// refusal is the answer no of an instance.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string {
	return fmt.Sprintf("the instance answers %d: %q", r.status, r.text[:min(len(r.text), maxQuoted)])
}

// do sends a request of the API and decodes what is answered.
func (r *Remote) do(ctx context.Context, method, path string, body []byte, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://localhost/api/v1/"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.token != "" {
		req.Header.Set("Authorization", "Bearer "+r.token)
	}
	resp, err := r.http.Do(req)
	var failed *url.Error
	if errors.As(err, &failed) {
		return failed.Err // which tells the address; the URL is none of the user's
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // it was read
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, maxComplaint))
		return &refusal{resp.StatusCode, string(bytes.TrimSpace(text))}
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxReply)).Decode(into); err != nil {
		return fmt.Errorf("the answer makes no sense: %w", err)
	}
	return nil
}
