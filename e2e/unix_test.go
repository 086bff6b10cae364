package e2e

import (
	"path/filepath"
	"testing"
)

// Sockets of the file system on both sides, as in the factory example.
func TestUnixSockets(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	front, back := filepath.Join(dir, "front.sock"), filepath.Join(dir, "back.sock")
	b := &broker{config: brokerConfig(t, "listener 0 "+back)}
	if !b.start(t) {
		t.Fatal("mosquitto does not run")
	}
	p := startProxy(t, settings{
		broker:    "unix:" + back,
		listeners: `[{name: local, address: "unix:` + front + `", allow: [192.0.2.0/24]}]`, // networks are not asked for a socket
		rules:     []string{`{listeners: [local], allow: [publish, subscribe], topics: ["${listener}/#"]}`},
	})
	through := []string{"--unix", front, "-u", "alice", "-P", password("alice")}
	s := subscribe(t, through, "-q", "1", "-t", "local/#")
	publish(t, through, "-q", "1", "-t", "other/a", "-m", payload("denied"))
	publish(t, through, "-q", "1", "-t", "local/a", "-m", payload("x"))
	equal(t, "messages", messages(s.await(t, payload("x"))), []string{"local/a"})
	p.awaitEvent(t, event{"msg": "publish denied", "listener": "local", "topic": "other/a"})
}
