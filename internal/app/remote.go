package app

import (
	"os"

	"github.com/spf13/pflag"

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/internal/admin"
)

// OpenRemote returns the API of the instance that runs with the configuration at
// path. It asks nothing yet.
func OpenRemote(path string, flags *pflag.FlagSet) (*admin.Remote, error) {
	cfg, err := configs.Load(path, flags)
	if err != nil {
		return nil, err
	}
	if cfg.Admin.Address == "" {
		return nil, configs.Errors{cfg.Errorf("admin.address", "there is none, so nobody can ask what runs")}
	}
	var secret []byte
	if cfg.Admin.TokenFile != "" {
		if secret, err = os.ReadFile(cfg.Admin.TokenFile); err != nil {
			return nil, configs.Errors{cfg.Errorf("admin.token_file", "%v", err)}
		}
	}
	network, address := cfg.Admin.Address.Split()
	return admin.NewRemote(network, address, secret), nil
}
