package payload

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// document is a payload that is looked at once by all checks.
type document struct {
	text    []byte
	formed  bool // why is known
	why     string
	decoded bool // root is known
	root    any
}

// form says why the payload is no JSON to be passed on; "" if it is: it is
// ill-formed, not UTF-8 (RFC 8259 section 8.1), too expensive, or has a name twice
// in one object, of which one reader takes the first and another the last.
func (d *document) form() string {
	if d.formed {
		return d.why
	}
	d.formed = true
	switch {
	case !utf8.Valid(d.text):
		d.why = "payload is not UTF-8"
	case !json.Valid(d.text):
		d.why = "payload is not JSON"
	default:
		d.why = outline(d.text)
	}
	return d.why
}

// value returns the value of a payload whose form is right, with numbers as
// json.Number.
func (d *document) value() any {
	if !d.decoded {
		d.decoded = true
		d.root, _ = jsonschema.UnmarshalJSON(bytes.NewReader(d.text)) // no error: it is well-formed
	}
	return d.root
}
