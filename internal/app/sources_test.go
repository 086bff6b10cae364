package app

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
)

// TestSourcesByReload: other addresses towards the broker hold from a reload on.
func TestSourcesByReload(t *testing.T) {
	broker, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	path := write(t, policy)
	var last *built
	for _, want := range []string{"127.0.0.2", "127.0.0.3", "127.0.0.1"} {
		text := strings.Replace(policy, "127.0.0.1:1883", broker.Addr().String(), 1)
		if want != "127.0.0.1" {
			text = strings.Replace(text, "{name: broker,", "{name: broker, source_addresses: ["+want+"],", 1)
		}
		put(t, filepath.Dir(path), filepath.Base(path), text)
		b, err := load(path, nil, newShared(), last)
		if err != nil {
			t.Fatal(err)
		}
		last = b
		conn, err := b.pools[0].Servers()[0].Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		host, _, _ := net.SplitHostPort(conn.LocalAddr().String())
		conn.Close()
		if host != want {
			t.Errorf("dialled from %s, want %s", host, want)
		}
	}
}
