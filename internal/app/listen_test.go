package app

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/mqttward/mqttward/configs"
)

func TestUnixSocketOfTheDeadIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mqtt.sock")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	socket, err := listen(configs.Address("unix:"+path), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	if other, err := listen(configs.Address("unix:"+path), 0); err == nil {
		other.Close()
		t.Error("a socket that is served was taken over")
	}
}

func TestFileIsNoSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "precious")
	if err := os.WriteFile(path, []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}
	if socket, err := listen(configs.Address("unix:"+path), 0); err == nil {
		socket.Close()
		t.Fatal("a file was replaced by a socket")
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "data" {
		t.Errorf("the file is %q, %v", got, err)
	}
}
