//go:build !unix

package handover

import (
	"context"
	"errors"
)

// Program, Successor and predecessor are nothing where descriptors are not passed on.
type (
	Program     struct{}
	Successor   struct{ PID int }
	predecessor struct{}
)

func (*predecessor) await() {}

// Begin does nothing: there is no Successor.
func (*Successor) Begin() {}

// Abandon does nothing either.
func (*Successor) Abandon() {}

// Inherit returns nil: a process is started without sockets.
func Inherit() (*Sockets, error) { return nil, nil }

// ThisProgram returns nothing of use.
func ThisProgram() Program { return Program{} }

// Start fails.
func Start(context.Context, Program, []*Socket) (*Successor, error) {
	return nil, errors.ErrUnsupported
}
