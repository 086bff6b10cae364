package configs

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"
)

// isScalar reports whether v is read from a single text.
func isScalar(v reflect.Value) bool {
	_, text := v.Addr().Interface().(encoding.TextUnmarshaler)
	return text || v.Kind() != reflect.Struct && v.Kind() != reflect.Slice && v.Kind() != reflect.Pointer
}

// setText sets a scalar from its text. The text decides, not its YAML type, so
// that file, environment and flags are read alike, and a user called 007 or
// true keeps the name.
func setText(v reflect.Value, text, oneOf string) (err error) {
	if words := strings.Fields(oneOf); len(words) > 0 && !slices.Contains(words, text) {
		return fmt.Errorf("wants %s, not %s", either(words), quote(text))
	}
	switch p := v.Addr().Interface().(type) {
	case *string:
		*p = text
	case *Address:
		*p, err = parseAddress(text)
	case *Size:
		*p, err = parseSize(text)
	case *time.Duration:
		*p, err = parseDuration(text)
	case *netip.Addr:
		*p, err = parseSource(text)
	case *netip.Prefix:
		*p, err = parsePrefix(text)
	case *float64:
		*p, err = parseRate(text)
	case *bool:
		if *p = text == "true"; !*p && text != "false" {
			err = errors.New("wants true or false, not " + quote(text))
		}
	case *int:
		var n int64
		n, err = parseCount(text, math.MaxInt32)
		*p = int(n)
	case *uint16:
		var n int64
		n, err = parseCount(text, math.MaxUint16)
		*p = uint16(n) //nolint:gosec // parseCount bounds it
	case encoding.TextUnmarshaler:
		err = p.UnmarshalText([]byte(text))
	default:
		panic("configs: no scalar of the schema is a " + v.Type().String())
	}
	return err
}
