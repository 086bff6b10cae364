package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"unicode"
)

// Mistakes are those of a configuration that is not loaded, a line each.
type Mistakes string

func (m Mistakes) Error() string { return string(m) }

// Reloaded is the answer to a reload that went well.
type Reloaded struct {
	Reloaded bool `json:"reloaded"`
}

// reload answers 422 with the mistakes, and 500 with what else is in the way.
func reload(load func(by string) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !body(w, r, &struct{}{}) {
			return
		}
		err := load(by(r))
		var wrong Mistakes
		switch {
		case errors.As(err, &wrong):
			http.Error(w, wrong.Error(), http.StatusUnprocessableEntity)
		case err != nil:
			http.Error(w, err.Error(), http.StatusInternalServerError)
		default:
			reply(w, Reloaded{true})
		}
	}
}

// Reload puts the configuration in force as it is now. The error is Mistakes, fit
// for a terminal, if it is wrong.
func (r *Remote) Reload(ctx context.Context) error {
	body, err := json.Marshal(struct{}{})
	if err != nil {
		return err
	}
	var answer Reloaded
	err = r.do(ctx, http.MethodPost, "reload", body, &answer)
	var refused *refusal
	if errors.As(err, &refused) && refused.status == http.StatusUnprocessableEntity {
		return Mistakes(strings.Map(func(c rune) rune {
			if c != '\n' && !unicode.IsPrint(c) {
				return unicode.ReplacementChar
			}
			return c
		}, refused.text))
	}
	return err
}

// Status returns how the instance does.
func (r *Remote) Status(ctx context.Context) (s Status, err error) {
	err = r.do(ctx, http.MethodGet, "status", nil, &s)
	return s, err
}
