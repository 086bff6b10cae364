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

	Check Check // the check that failed; zero: none of those with a number

	tolerable bool // a Reader that is lax about Check reads on
}

// Error returns Msg and the statement it rests on.
func (e *Error) Error() string {
	if e.Spec == "" {
		return e.Msg
	}
	return e.Msg + " [" + e.Spec + "]"
}

func malformed(c Check, spec, msg string) *Error {
	return &Error{Code: MalformedPacket, Check: c, Spec: spec, Msg: msg}
}

func protocolError(c Check, spec, msg string) *Error {
	return &Error{Code: ProtocolError, Check: c, Spec: spec, Msg: msg}
}

// tolerable marks a violation behind which the packet has still one reading.
func tolerable(e *Error) *Error {
	e.tolerable = true
	return e
}

// tolerate returns s with the check of err, and no error, if lax lets err
// through.
func (s Checks) tolerate(err error, lax Checks) (Checks, error) {
	e, ok := err.(*Error) //nolint:errorlint // nothing in this package wraps one
	if !ok || !e.tolerable || !lax.Has(e.Check) {
		return s, err
	}
	return s.With(e.Check), nil
}
