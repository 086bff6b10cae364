package admin

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/netip"
)

const maxRequest = 4 << 10 // bytes of a body

// body decodes the body of a request, or answers it and returns false. A body that is
// no JSON by name is what a form of a web page can send, and refused.
func body(w http.ResponseWriter, r *http.Request, into any) bool {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		http.Error(w, "wants Content-Type: application/json", http.StatusUnsupportedMediaType)
		return false
	}
	err := decode(http.MaxBytesReader(w, r.Body, maxRequest), into)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
	return err == nil
}

// by says for the audit log who asks.
func by(r *http.Request) string {
	if _, err := netip.ParseAddrPort(r.RemoteAddr); err != nil { // a Unix socket
		return "the admin API"
	}
	return "the admin API, " + r.RemoteAddr
}

// decode reads one JSON value, which must be known whole, and nothing behind it.
func decode(r io.Reader, into any) error {
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	switch _, err := d.Token(); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return err
	}
	return errors.New("there is more than one value")
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // who asked has gone: nothing to do
}
