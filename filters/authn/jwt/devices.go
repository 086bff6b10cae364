package jwt

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/authn"
)

// Devices are the keys of each device, by its name. Devices sign their own tokens.
type Devices map[string]Keys

// maxKeyFile bounds a file of keys, in bytes.
const maxKeyFile = 1 << 20

// LoadDevices reads a folder whole, of which each file NAME.pem holds the public
// keys of the device NAME: more than one while keys are replaced. What a client
// says of itself never becomes part of a path. There may be no device yet.
func LoadDevices(dir string) (Devices, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	devices := Devices{}
	for _, e := range entries {
		name, isKey := strings.CutSuffix(e.Name(), ".pem")
		if !isKey {
			continue
		}
		if name == "" || !filters.PlainName(name) {
			return nil, fmt.Errorf("%q cannot be the name of a device", name)
		}
		data, err := ReadKeyFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.Name(), err)
		}
		if devices[name], err = ParsePEM(data); err != nil {
			return nil, fmt.Errorf("%s: %w", e.Name(), err)
		}
	}
	return devices, nil
}

// ReadKeyFile reads a file of keys, 1 MiB at most.
func ReadKeyFile(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxKeyFile {
		return nil, fmt.Errorf("is no file of at most %d bytes", maxKeyFile)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was read
	return io.ReadAll(io.LimitReader(f, maxKeyFile))
}

// deviceOf is the last part of a client identifier such as
// projects/P/locations/L/registries/R/devices/D.
func deviceOf(clientID string) string { return clientID[strings.LastIndexByte(clientID, '/')+1:] }

// pick tries the keys of the device, whatever id the token names: a device has few.
func (d Devices) pick(ctx context.Context, clientID, _, alg string) ([]Key, error) {
	keys, known := d[deviceOf(clientID)]
	if !known {
		return nil, authn.ErrNotMine
	}
	return keys.pick(ctx, "", "", alg)
}
