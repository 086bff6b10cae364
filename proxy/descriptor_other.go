//go:build !linux

package proxy

// descriptor is not used where the system is not Linux: sockets are net.Conns.
type descriptor struct{ raw *struct{} }

func (w *wire) open() {}

func (w *wire) readDescriptor([]byte) (int, error) { panic("no descriptor") }

func (w *wire) left() bool { return false }

func (w *wire) writeDescriptor([]byte) (int, error) { panic("no descriptor") }
