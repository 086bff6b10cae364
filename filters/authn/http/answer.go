package webauth

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"unicode/utf8"

	"github.com/mqttward/mqttward/filters/authn"
)

// status makes of a status that gives no answer the refusal or the failure that it
// stands for.
func status(r authn.Reply) error {
	if r.Status == http.StatusUnauthorized || r.Status == http.StatusForbidden {
		return wrong("the service refuses")
	}
	if r.Blames() {
		return wrong(fmt.Sprintf("the service answers with status %d", r.Status))
	}
	return fmt.Errorf("the service answers with status %d", r.Status)
}

// object is a JSON object. Names are compared letter by letter.
type object map[string]json.RawMessage

// parseObject reads an object in which, at any depth, no name stands twice.
func parseObject(data []byte) (object, error) {
	var o object
	if err := json.Unmarshal(data, &o); err != nil || o == nil || !utf8.Valid(data) {
		return nil, errors.New("the service does not answer with a JSON object")
	}
	if err := authn.Unambiguous(data); err != nil {
		return nil, fmt.Errorf("the service's answer: %w", err)
	}
	return o, nil
}

// read decodes the value of name into v; false says that there is none.
func (o object) read(name string, v any) (bool, error) {
	raw, ok := o[name]
	if !ok || string(raw) == "null" {
		return false, nil
	}
	return true, json.Unmarshal(raw, v)
}
