package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/time/rate"

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/ratelimit"
)

const (
	banFileVersion = 1
	maxBanFile     = 128 << 20 // bytes; as many as there can be, escaped, take less

	saveEvery = time.Second
	// saveShare is which part of the time saving may take, when there are so many
	// bans that it takes long.
	saveShare = 20
	warnEvery = time.Minute
)

// banFile is what the file of bans holds.
type banFile struct {
	Version int             `json:"version"`
	Bans    []ratelimit.Ban `json:"bans"`
}

func banRules(cfg *configs.Config) (map[ratelimit.Offence]ratelimit.BanRule, ratelimit.Exempt) {
	l, e := &cfg.Limits, &cfg.Bans.Exempt
	return map[ratelimit.Offence]ratelimit.BanRule{
		ratelimit.AuthFailure:   ratelimit.BanRule(l.AuthFailures),
		ratelimit.ProtocolError: ratelimit.BanRule(l.ProtocolErrors),
		ratelimit.Flapping:      ratelimit.BanRule(l.Flapping),
		ratelimit.UserFlapping:  ratelimit.BanRule(l.UserFlapping),
		ratelimit.Takeover:      ratelimit.BanRule(l.Takeovers),
	}, ratelimit.Exempt(*e)
}

// buildBans reads the file of bans at start. Later the process knows better.
func (b *builder) buildBans() {
	if b.last != nil || b.config.Bans.File == "" {
		return
	}
	var err error
	if b.bans, err = readBans(b.config.Bans.File); err != nil {
		b.fail("bans.file", err)
	}
}

// readBans takes a file that is not there for no bans.
func readBans(path string) ([]ratelimit.Ban, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular(): // to open a pipe is to wait
		return nil, errors.New("not a regular file")
	case info.Size() > maxBanFile:
		return nil, fmt.Errorf("has more than %d MiB", maxBanFile>>20)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parseBans(data)
}

// parseBans refuses what saving cannot have written: half a list would let in who is
// on the other half.
func parseBans(data []byte) ([]ratelimit.Ban, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	var file banFile
	if err := d.Decode(&file); err != nil {
		return nil, fmt.Errorf("is no list of bans: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("is no list of bans: there is more behind it")
	}
	if file.Version != banFileVersion {
		return nil, fmt.Errorf("is of version %d, and this program knows %d", file.Version, banFileVersion)
	}
	for i, ban := range file.Bans {
		if _, err := ban.Canonical(); err != nil {
			return nil, fmt.Errorf("bans[%d]: %w", i, err)
		}
		if !ban.Manual && ban.Until.IsZero() {
			return nil, fmt.Errorf("bans[%d]: an automatic ban has no end", i)
		}
	}
	return file.Bans, nil
}

// saveBans replaces the file: whoever reads it, after a crash too, finds the old
// list or the new one.
func saveBans(path string, list []ratelimit.Ban) error {
	data, err := json.MarshalIndent(banFile{banFileVersion, list}, "", " ")
	if err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temp.Name()) }() // fails once it has its new name
	_, err = temp.Write(append(data, '\n'))
	if err := errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	return os.Rename(temp.Name(), path)
}

// keepBans sweeps the bans and saves them when they have changed, until ctx ends and
// once more then.
func (a *App) keepBans(ctx context.Context) {
	k := banKeeper{bans: a.shared.bans, list: a.shared.gate.Lasting}
	failed := rate.Sometimes{Interval: warnEvery}
	next := time.NewTimer(saveEvery)
	defer next.Stop()
	for last := false; !last; {
		select {
		case <-ctx.Done():
			last = true
		case <-next.C:
		}
		begun := time.Now()
		a.shared.bans.Sweep(begun)
		if err := k.save(begun, a.current.Load().config.Bans.File); err != nil {
			failed.Do(func() { a.logs.Log.Warn("bans could not be saved: a restart would forget some", "error", err) })
		}
		next.Reset(max(saveEvery, saveShare*time.Since(begun)))
	}
}

// banKeeper knows what was saved.
type banKeeper struct {
	bans    *ratelimit.Bans
	list    func(now time.Time) []ratelimit.Ban
	path    string
	version uint64
}

// save saves to path, "" for nowhere, if that has not what the bans are.
func (k *banKeeper) save(now time.Time, path string) error {
	version := k.bans.Version()
	if path == "" || path == k.path && version == k.version || k.path == "" && version == 0 {
		return nil
	}
	if err := saveBans(path, k.list(now)); err != nil {
		return err
	}
	k.path, k.version = path, version
	return nil
}
