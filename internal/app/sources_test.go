package app

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestSourcesByReload: other addresses towards the broker hold from a reload on.
func TestSourcesByReload(t *testing.T) {
	path := write(t, policy)
	build := func(last *built, sources string) *built {
		t.Helper()
		put(t, filepath.Dir(path), filepath.Base(path), strings.Replace(policy, "{name: broker,", "{name: broker, "+sources, 1))
		b, err := load(path, nil, newShared(), last)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	first := build(nil, "source_addresses: [127.0.0.2],")
	if same := build(first, "source_addresses: [127.0.0.2],"); same.broker != first.broker {
		t.Error("the same addresses make another broker")
	}
	if other := build(first, "source_addresses: [127.0.0.3],"); other.broker == first.broker {
		t.Error("other addresses do not hold")
	}
	if none := build(first, ""); none.broker == first.broker {
		t.Error("addresses that are gone still hold")
	}
}
