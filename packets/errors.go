package packets

import "errors"

// ErrShort says that the buffered bytes end before the packet does: Fill the
// Reader and ask again.
var ErrShort = errors.New("packets: more bytes needed")

// Error says which rule of MQTT a peer broke, or why it is refused.
type Error struct {
	Code ReasonCode // for the peer
	Spec string     // the normative statement, such as "MQTT-3.3.1-4", or the section
	Msg  string     // for our log; holds nothing that the peer sent

	Check Check // which check it is of; zero: of none, or of one beyond this package
	soft  bool  // a Reader that is lax about the check goes on
}

// Error returns Msg and the statement it rests on.
func (e *Error) Error() string {
	if e.Spec == "" {
		return e.Msg
	}
	return e.Msg + " [" + e.Spec + "]"
}

func malformed(c Check, spec, msg string) error {
	return &Error{Code: MalformedPacket, Spec: spec, Msg: msg, Check: c}
}

func protocolError(c Check, spec, msg string) error {
	return &Error{Code: ProtocolError, Spec: spec, Msg: msg, Check: c}
}

// soft marks an error after which the rest of the packet can still be read in one
// way only.
func soft(err error) error {
	if e, ok := err.(*Error); ok { //nolint:errorlint // it comes from the functions above
		e.soft = true
	}
	return err
}

// tolerate returns nil for an error that lax allows, and notes it in broken.
func tolerate(err error, lax Checks, broken *Checks) error {
	if err == nil || lax == 0 {
		return err
	}
	if e, ok := err.(*Error); ok && e.soft && lax.Has(e.Check) { //nolint:errorlint // parsers return it bare
		*broken = broken.With(e.Check)
		return nil
	}
	return err
}

func (p *Packet) tolerate(err error) error { return tolerate(err, p.lax, &p.Broken) }
