package app

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/ratelimit"
)

const goodBans = `{"version":1,"bans":[
 {"kind":"network","value":"192.0.2.0/24","reason":"why","since":"2026-01-02T03:04:05Z","manual":true},
 {"kind":"user","value":"eve","reason":"auth_failures","since":"2026-01-02T03:04:05Z","until":"2126-01-02T03:04:05Z","times":2}]}
`

func TestParseBans(t *testing.T) {
	for _, tt := range []struct{ name, data, want string }{
		{"as saved", goodBans, ""},
		{"none", `{"version":1,"bans":[]}`, ""},
		{"empty", "", "is no list of bans: EOF"},
		{"cut off", goodBans[:len(goodBans)-5], "is no list of bans: unexpected EOF"},
		{"another file", `{"users":[]}`, `is no list of bans: json: unknown field "users"`},
		{"more", goodBans + "{}", "is no list of bans: there is more behind it"},
		{"of a later version", `{"version":2,"bans":[]}`, "is of version 2, and this program knows 1"},
		{"an unknown key", strings.Replace(goodBans, "manual", "by_hand", 1), `is no list of bans: json: unknown field "by_hand"`},
		{"no network", strings.Replace(goodBans, "192.0.2.0/24", "192.0.2.1/24", 1), "bans[0]: the network has bits beyond its mask: 192.0.2.0/24 is meant, or another mask"},
		{"nobody", strings.Replace(goodBans, "eve", "", 1), "bans[1]: the user is empty"},
		{"for ever", strings.Replace(goodBans, `"until":"2126-01-02T03:04:05Z",`, "", 1), "bans[1]: an automatic ban has no end"},
		{"no time", strings.Replace(goodBans, "2126-01-02T03:04:05Z", "tomorrow", 1), "is no list of bans: parsing time"},
	} {
		list, err := parseBans([]byte(tt.data))
		if (err == nil) != (tt.want == "") || err != nil && (!strings.HasPrefix(err.Error(), tt.want) || list != nil) {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
}

// FuzzParseBans: what can be read is in force or over, and what is in force can be
// saved and read again.
func FuzzParseBans(f *testing.F) {
	for _, seed := range []string{"", goodBans, `{"version":1,"bans":[{"kind":"user","value":"a","since":"0000-01-01T00:00:00+23:59","until":"9999-12-31T23:59:59-23:59","times":-1}]}`} {
		f.Add([]byte(seed))
	}
	now := time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, data []byte) {
		read, err := parseBans(data)
		if err != nil {
			return
		}
		bans := ratelimit.NewBans()
		bans.Restore(now, read)
		list := bans.List(now)
		if len(list) > len(read) {
			t.Fatalf("%d bans of %d", len(list), len(read))
		}
		for _, ban := range list {
			if !ban.Manual && ban.Until.Sub(now) > 24*time.Hour || ban.Since.After(now) || ban.Until.IsZero() && !ban.Manual {
				t.Fatalf("%+v", ban)
			}
		}
		saved, err := json.Marshal(banFile{banFileVersion, list})
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseBans(saved)
		if err != nil || len(again) != len(list) {
			t.Fatalf("%d bans of %d: %v", len(again), len(list), err)
		}
		restored := ratelimit.NewBans()
		restored.Restore(now, again)
		for i, ban := range restored.List(now) {
			if !ban.Since.Equal(list[i].Since) || !ban.Until.Equal(list[i].Until) || ban.Subject != list[i].Subject || ban.Reason != list[i].Reason || ban.Times != list[i].Times {
				t.Fatalf("%+v was %+v", ban, list[i])
			}
		}
	})
}

func TestReadBans(t *testing.T) {
	dir := t.TempDir()
	if list, err := readBans(filepath.Join(dir, "none")); list != nil || err != nil {
		t.Errorf("a file that is not there: %v, %v", list, err)
	}
	if _, err := readBans(dir); err == nil || err.Error() != "not a regular file" {
		t.Errorf("a folder: %v", err)
	}
	large := filepath.Join(dir, "large")
	if err := os.WriteFile(large, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, maxBanFile+1); err != nil { // sparse
		t.Fatal(err)
	}
	if _, err := readBans(large); err == nil || err.Error() != "has more than 128 MiB" {
		t.Errorf("a large one: %v", err)
	}
}

// kept is an App that does nothing but keep bans, in path.
func kept(path string, log *bytes.Buffer) *App {
	a := &App{shared: newShared(), logs: &Logs{Log: slog.New(slog.NewTextHandler(log, nil))}}
	a.current.Store(&built{config: &configs.Config{Bans: configs.Bans{File: path}}})
	return a
}

func manual(user string) ratelimit.Ban {
	return ratelimit.Ban{Subject: ratelimit.Subject{Kind: ratelimit.User, Value: user}}
}

// TestKeepBans: a change is in the file after a second, with nothing beside it, and
// the last one when the process ends.
func TestKeepBans(t *testing.T) {
	dir := t.TempDir()
	path, log := filepath.Join(dir, "bans.json"), &bytes.Buffer{}
	synctest.Test(t, func(t *testing.T) {
		a := kept(path, log)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { a.keepBans(ctx); close(ended) }()
		names := func() (names []string) {
			saved, err := readBans(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, ban := range saved {
				names = append(names, ban.Value)
			}
			return names
		}
		time.Sleep(10 * time.Second)
		if _, err := os.Stat(path); err == nil {
			t.Error("a file was made for no bans")
		}
		if err := a.shared.bans.Put(time.Now(), manual("a")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(saveEvery + time.Millisecond)
		if got := names(); len(got) != 1 {
			t.Errorf("saved %v", got)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
		time.Sleep(time.Minute)
		if again, _ := os.Stat(path); !os.SameFile(info, again) {
			t.Error("saved again without a change")
		}

		next := filepath.Join(dir, "next.json")
		a.current.Store(&built{config: &configs.Config{Bans: configs.Bans{File: next}}})
		time.Sleep(saveEvery + time.Millisecond)
		path = next
		if got := names(); len(got) != 1 {
			t.Errorf("saved %v under another name", got)
		}
		a.shared.bans.Lift(manual("a").Subject)
		if err := a.shared.bans.Put(time.Now(), manual("b")); err != nil {
			t.Fatal(err)
		}
		stop()
		<-ended
		if got := names(); len(got) != 1 || got[0] != "b" {
			t.Errorf("at the end there is %v", got)
		}
	})
	if files, _ := os.ReadDir(dir); len(files) != 2 || log.Len() > 0 {
		t.Errorf("%v are there; logged %s", files, log)
	}
}

// TestBansSwept: what is over is not counted for ever.
func TestBansSwept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := kept("", &bytes.Buffer{})
		go a.keepBans(t.Context())
		ban := manual("a")
		ban.Until = time.Now().Add(time.Minute)
		if err := a.shared.bans.Put(time.Now(), ban); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute + saveEvery)
		if n := a.shared.bans.Tally().InForce[ratelimit.User]; n != 0 {
			t.Errorf("%d are counted", n)
		}
	})
}

// TestSaveFails: it is said once a minute, and tried until it works.
func TestSaveFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dir")
	path, log := filepath.Join(dir, "bans.json"), &bytes.Buffer{}
	synctest.Test(t, func(t *testing.T) {
		a := kept(path, log)
		if err := a.shared.bans.Put(time.Now(), manual("a")); err != nil {
			t.Fatal(err)
		}
		go a.keepBans(t.Context())
		time.Sleep(warnEvery + 10*saveEvery + time.Millisecond)
		synctest.Wait()
		if n := strings.Count(log.String(), "level=WARN msg=\"bans could not be saved: a restart would forget some\""); n != 2 {
			t.Errorf("%d warnings in a minute and a bit:\n%s", n, log)
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		time.Sleep(saveEvery)
		synctest.Wait()
		if saved, err := readBans(path); len(saved) != 1 || err != nil {
			t.Errorf("saved %v, %v", saved, err)
		}
	})
}

const withBans = policy + `
admin: {address: ""}
log: {audit: audit.log}
limits: {flapping: {max: 1, window: 1m, ban: 1h}}
bans: {file: bans.json, exempt: {networks: [10.0.0.0/8], users: [admin]}}
`

// TestBansRestart: bans outlast a restart, but for those of who is exempt now, and of names
// that others have guessed at: their owners would not be known after it.
func TestBansRestart(t *testing.T) {
	path := write(t, withBans)
	file := filepath.Join(filepath.Dir(path), "bans.json")
	var until time.Time
	for i, config := range []string{withBans, withBans, strings.Replace(withBans, "admin]", "admin, eve]", 1)} {
		if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		a, err := Start(path, nil, Build{})
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			if err := a.shared.bans.Put(time.Now(), manual("eve")); err != nil {
				t.Error(err)
			}
			mallory := ratelimit.Subject{Kind: ratelimit.Client, Value: "mallory"}
			a.shared.bans.Offend(time.Now(), mallory, ratelimit.Flapping)
			ban, ok := a.shared.bans.Offend(time.Now(), mallory, ratelimit.Flapping)
			if until = ban.Until; !ok {
				t.Error("the rule of the configuration is not in force")
			}
			for range 6 {
				a.shared.bans.Offend(time.Now(), ratelimit.Subject{Kind: ratelimit.User, Value: "bob"}, ratelimit.AuthFailure)
			}
			if a.shared.bans.Put(time.Now(), manual("admin")) == nil {
				t.Error("who is exempt by the configuration was banned")
			}
		}
		list := a.shared.bans.List(time.Now())
		if want := []int{3, 2, 1}[i]; len(list) != want || list[0].Value != "mallory" || !list[0].Until.Equal(until) {
			t.Errorf("start %d: %+v, until %v", i, list, until)
		}
		if err := a.Shutdown(); err != nil {
			t.Error(err)
		}
	}
	if saved, err := readBans(file); err != nil || len(saved) != 1 {
		t.Errorf("saved %v, %v", saved, err)
	}
}

// TestBansReload: rules and exemptions are those of now; the file is not read again.
func TestBansReload(t *testing.T) {
	a, path := startApp(t, withBans)
	if err := a.shared.bans.Put(time.Now(), manual("eve")); err != nil {
		t.Fatal(err)
	}
	if err := a.shared.bans.Put(time.Now(), manual("bob")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "bans.json"), []byte("not ours"), 0o600); err != nil {
		t.Fatal(err)
	}
	config := strings.NewReplacer("admin]", "admin, eve]", "{max: 1,", "{max: 2,").Replace(withBans)
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := a.Reload(); err != nil {
		t.Fatal(err)
	}
	if list := a.shared.bans.List(time.Now()); len(list) != 1 || list[0].Value != "bob" {
		t.Errorf("%+v", list)
	}
	for i := range 3 {
		_, banned := a.shared.bans.Offend(time.Now(), ratelimit.Subject{Kind: ratelimit.Client, Value: "c"}, ratelimit.Flapping)
		if banned != (i == 2) {
			t.Errorf("offence %d: banned %v", i, banned)
		}
	}
}

// TestBansMalformed: half a list is no start, and check says so.
func TestBansMalformed(t *testing.T) {
	path := write(t, withBans)
	file := filepath.Join(filepath.Dir(path), "bans.json")
	if err := os.WriteFile(file, []byte(goodBans[:100]), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(path, nil, Build{}); err == nil || !strings.Contains(err.Error(), ": bans.file: is no list of bans: unexpected EOF") {
		t.Errorf("%v", err)
	}
}
