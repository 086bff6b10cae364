package packets

import "errors"

// ErrShort says that the buffered bytes end before the packet does: Fill the
// Reader and ask again.
var ErrShort = errors.New("packets: more bytes needed")

// Error says which rule of MQTT a peer broke, or why it is refused.
type Error struct {
	Code  ReasonCode // for the peer
	Spec  string     // the normative statement, such as "MQTT-3.3.1-4", or the section
	Msg   string     // for our log; holds nothing that the peer sent
	Check Check
}

// Error returns Msg and the statement it rests on.
func (e *Error) Error() string {
	if e.Spec == "" {
		return e.Msg
	}
	return e.Msg + " [" + e.Spec + "]"
}

func malformed(spec, msg string) error {
	return &Error{Code: MalformedPacket, Spec: spec, Msg: msg}
}

func protocolError(spec, msg string) error {
	return &Error{Code: ProtocolError, Spec: spec, Msg: msg}
}
