package main

import (
	"context"
	"encoding/json"
	"net"
	"strings"
	"testing"
	"time"
)

// TestAttacks: each attack does to a victim what its name says, and ends when
// it is told to.
func TestAttacks(t *testing.T) {
	want := map[string]string{
		"TCP, then silence":                       accepted,
		"ClientHello, then silence":               accepted,
		"ClientHello, a byte a second":            accepted,
		"TLS, then silence":                       secured,
		"CONNECT, a byte a second":                secured,
		"connect flood":                           unsecured,
		"TLS handshake flood":                     secured,
		"malformed, no TLS":                       unsecured,
		"malformed CONNECT":                       unread,
		"user property bomb in CONNECT":           "CONNECT",
		"brute force, one user, many addresses":   "CONNECT",
		"brute force, many users, many addresses": "CONNECT",
		"brute force, one address":                "CONNECT",
		"SlowITe: keep-alive 65535, silence":      "CONNECT",
		"SlowTT: PINGREQ only":                    "PINGREQ",
		"takeover ping-pong":                      "CONNECT",
		"session hoarding":                        "DISCONNECT",
		"PINGREQ flood":                           "PINGREQ",
		"PUBLISH flood, QoS 0":                    "PUBLISH",
		"PUBLISH flood, QoS 1":                    "PUBLISH",
		"payloads of 255 KiB":                     "PUBLISH",
		"payloads of 1 MiB":                       "PUBLISH",
		"SUBSCRIBE churn":                         "UNSUBSCRIBE",
		"wildcard storm":                          "SUBSCRIBE",
		"retained flood":                          "PUBLISH",
		"QoS 2 without PUBREL":                    "PUBLISH",
		"topic alias bomb":                        "PUBLISH",
		"user property bomb in PUBLISH":           "PUBLISH",
		"slow reader":                             "PUBLISH",
	}
	if len(want) != len(attacks) {
		t.Errorf("%d attacks are expected, there are %d", len(want), len(attacks))
	}
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			v := newVictim(t)
			a.connections = min(a.connections, 20)
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan tally)
			go func() {
				done, err := besiege(ctx, &a, plan{Address: v.address, Authority: string(v.authority), Duration: time.Hour})
				if err != nil {
					t.Error(err)
				}
				ended <- done
			}()
			for saw := ""; saw != want[a.name]; {
				saw = <-v.saw
			}
			stop()
			for {
				select {
				case <-v.saw:
					continue
				case done := <-ended:
					if done.Attempts == 0 {
						t.Errorf("%+v", done)
					}
					if a.from == afterLogin && done.Logins == 0 {
						t.Errorf("nobody has logged in: %+v", done)
					}
				}
				return
			}
		})
	}
}

// TestBounds: no attack is without bounds, and all stay at home.
func TestBounds(t *testing.T) {
	seen := map[string]bool{}
	for _, a := range attacks {
		if a.connections <= 0 || a.connections > crowd || a.opens <= 0 || a.opens > 5000 || a.packets > 100_000 {
			t.Errorf("%s is without bounds", a.name)
		}
		if a.sources <= 0 || a.sources > manySources || a.quota == nil || seen[a.name] {
			t.Errorf("%s: %d sources, or no quota, or not the only one", a.name, a.sources)
		}
		seen[a.name] = true
	}
	sources := map[string]bool{}
	for n := range manySources {
		ip := source(n)
		if !ip.IsLoopback() || ip.Equal(home(n)) || ip[13] < 16 {
			t.Errorf("%v is somebody else's", ip)
		}
		sources[ip.String()] = true
	}
	for n := range 1000 {
		if !home(n).IsLoopback() || !abroad(n).IsLoopback() || sources[home(n).String()] || sources[abroad(n).String()] {
			t.Errorf("%v and %v are no addresses for honest clients", home(n), abroad(n))
		}
	}
	if len(sources) != manySources {
		t.Errorf("%d sources", len(sources))
	}
}

// TestSourceOfConnections: attackers come from their own addresses.
func TestSourceOfConnections(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = besiege(ctx, attackNamed("TCP, then silence"), plan{Address: l.Addr().String(), Duration: time.Hour})
	}()
	var all []net.Conn
	from := map[string]bool{}
	for range 20 {
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
		host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
		from[host] = true
	}
	stop()
	<-ended
	for _, c := range all {
		c.Close()
	}
	if len(from) != 20 {
		t.Errorf("20 connections come from %v", from)
	}
}

func TestOrders(t *testing.T) {
	var out strings.Builder
	if err := attackOrders(t.Context(), strings.NewReader(`{"Attack":"none"}`), &out); err == nil {
		t.Error("an attack that there is not")
	}
	if err := attackOrders(t.Context(), strings.NewReader(`x`), &out); err == nil {
		t.Error("orders that cannot be read")
	}
	if err := attackOrders(t.Context(), strings.NewReader(`{"Attack":"connect flood","Address":"127.0.0.1:1","Duration":1}`), &out); err != nil {
		t.Fatal(err)
	}
	var done tally
	if err := json.Unmarshal([]byte(out.String()), &done); err != nil || done.Opened > 0 {
		t.Errorf("%v, %+v", err, done)
	}
}

func TestChosen(t *testing.T) {
	if got := chosen("brute force"); len(got) != 3 {
		t.Errorf("%d attacks are brute force", len(got))
	}
	if got := chosen(""); len(got) != len(attacks) {
		t.Errorf("%d attacks of %d", len(got), len(attacks))
	}
}
