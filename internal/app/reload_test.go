package app

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// startApp runs an App with a configuration, beside files that more may put there.
func startApp(t *testing.T, config string, more ...func(dir string)) (a *App, path string) {
	t.Helper()
	path = write(t, config)
	for _, f := range more {
		f(filepath.Dir(path))
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "token"), []byte("the first token of many"), 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := Start(path, nil, Build{Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Shutdown(); err != nil {
			t.Error(err)
		}
	})
	return a, path
}

const withToken = policy + `
admin: {address: "127.0.0.1:0", token_file: token}
log: {audit: audit.log}
`

// scrape returns the status of a scrape with token.
func scrape(t *testing.T, a *App, token string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+a.AdminAddr().String()+"/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	reply, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	reply.Body.Close()
	return reply.StatusCode
}

func TestTokenIsReloaded(t *testing.T) {
	a, path := startApp(t, withToken)
	const first, second = "the first token of many", "the second token of many"
	if got := scrape(t, a, first); got != http.StatusOK {
		t.Fatalf("with the token: %d", got)
	}
	file := filepath.Join(filepath.Dir(path), "token")
	if err := os.WriteFile(file, []byte(second), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := a.Reload(); err != nil {
		t.Fatal(err)
	}
	if scrape(t, a, first) != http.StatusUnauthorized || scrape(t, a, second) != http.StatusOK {
		t.Error("the token of before the reload is still asked for")
	}
	if err := os.WriteFile(file, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if a.Reload() == nil || scrape(t, a, second) != http.StatusOK {
		t.Error("a token that is too short is taken")
	}
}

// TestTokenOfAnotherAddress: an address that stays served until a restart stays
// behind its token, however often a configuration with another one is loaded.
func TestTokenOfAnotherAddress(t *testing.T) {
	a, path := startApp(t, withToken)
	elsewhere := strings.Replace(withToken, `{address: "127.0.0.1:0", token_file: token}`, `{address: "127.0.0.1:9883"}`, 1)
	if err := os.WriteFile(path, []byte(elsewhere), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := a.Reload(); err != nil {
			t.Fatal(err)
		}
		if got := scrape(t, a, ""); got != http.StatusUnauthorized {
			t.Errorf("without a token: %d", got)
		}
	}
	if got := scrape(t, a, "the first token of many"); got != http.StatusOK {
		t.Errorf("with the token: %d", got)
	}
}

// TestAuditLogGone: rules that are in force are no failed reload.
func TestAuditLogGone(t *testing.T) {
	a, path := startApp(t, withToken)
	audit := filepath.Join(filepath.Dir(path), "audit.log")
	if err := os.Rename(audit, audit+".1"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(filepath.Dir(path), "no", "folder"), audit); err != nil {
		t.Fatal(err)
	}
	if err := a.Reload(); err != nil {
		t.Errorf("the reload is said to have failed: %v", err)
	}
}
