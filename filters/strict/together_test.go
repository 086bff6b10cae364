package strict_test

import (
	"reflect"
	"testing"

	"github.com/mqttward/mqttward/filters/strict"
)

// TestTogether: what one of the brokers does not bear is kept from all, whichever it is.
func TestTogether(t *testing.T) {
	fields := reflect.VisibleFields(reflect.TypeFor[strict.Profile]())
	for _, f := range fields {
		one := strict.Profile{Name: "one"}
		switch v := reflect.ValueOf(&one).Elem().FieldByIndex(f.Index); v.Kind() {
		case reflect.Bool:
			v.SetBool(true)
		case reflect.Int:
			v.SetInt(7)
		case reflect.String:
		default:
			t.Fatalf("%s is of a kind that this test does not know", f.Name)
		}
		other := strict.Profile{Name: "two"}
		want := one
		want.Name = "one+two"
		if got := strict.Together([]strict.Profile{one, other, one}); got != want {
			t.Errorf("%s: %+v", f.Name, got)
		}
		want.Name = "two+one"
		if got := strict.Together([]strict.Profile{other, one}); got != want {
			t.Errorf("%s of the second: %+v", f.Name, got)
		}
	}
	few, many := strict.Profile{MaxLevels: 10}, strict.Profile{MaxLevels: 100}
	for _, list := range [][]strict.Profile{{few, many}, {many, few}} {
		if got := strict.Together(list).MaxLevels; got != 10 {
			t.Errorf("%d levels, want the fewest", got)
		}
	}
}
