//go:build !linux

package backend

import (
	"context"
	"syscall"
)

// portPerPeer is for Linux: elsewhere bind chooses the port, without knowing the peer.
func portPerPeer(context.Context, string, string, syscall.RawConn) error { return nil }
