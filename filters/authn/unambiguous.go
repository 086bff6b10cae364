package authn

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
)

// Unambiguous returns an error if in an object within a JSON document, which must
// be well-formed, a name stands twice, in whatever case: the decoder takes the last
// of them, and who wrote or checked the document may have meant the first.
func Unambiguous(document []byte) error {
	return unambiguous(json.NewDecoder(bytes.NewReader(document)))
}

var errTwice = errors.New("a name stands twice in an object")

// unambiguous reads one value. How deep it goes, the check of the form has bounded.
func unambiguous(d *json.Decoder) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	open, composed := token.(json.Delim)
	if !composed {
		return nil
	}
	seen := map[string]bool{}
	for d.More() {
		if open == '{' {
			name, err := d.Token()
			if err != nil {
				return err
			}
			text, _ := name.(string)
			folded := strings.ToLower(strings.ToUpper(text)) // as encoding/json does, ſ and the sign for kelvin too
			if seen[folded] {
				return errTwice
			}
			seen[folded] = true
		}
		if err := unambiguous(d); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}
