package configs

import (
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"github.com/spf13/viper"
)

// variablePrefix begins the environment variables that are ours: the rest is
// the path of a key with underscores for dots. A variable that is set but
// empty counts as not set.
const variablePrefix = "MQTTWARD_"

// Flags adds to fs flags for the keys that are worth changing for one run. The
// name of each is the path of its key; Load takes those that were set.
func Flags(fs *pflag.FlagSet) {
	d := defaults()
	fs.String("log.level", d.Log.Level, "what is logged: debug, info, warn or error")
	fs.String("log.format", d.Log.Format, "form of the log: auto, text or json")
	fs.String("admin.address", string(d.Admin.Address), `address of metrics and health; "" for none`)
}

// overlay lays the environment, and over it the flags, on the scalars that are
// not in a list. viper decides which of them speaks; it sees neither file nor
// data, since it changes the case of keys and splits them.
func (l *loader) overlay(flags *pflag.FlagSet) {
	const delimiter = "::" // viper's default, a dot, is in our flags
	v := viper.NewWithOptions(viper.KeyDelimiter(delimiter))
	variables := map[string]bool{}
	for _, leaf := range leaves(reflect.ValueOf(&l.cfg).Elem(), "") {
		viperKey := strings.ReplaceAll(leaf.path, ".", delimiter)
		source := variable(leaf.path)
		variables[strings.TrimPrefix(source, variablePrefix)] = true
		_ = v.BindEnv(viperKey, source) // fails only without a key
		if flag := lookup(flags, leaf.path); flag != nil {
			_ = v.BindPFlag(viperKey, flag) // fails only without a flag
			source = "--" + leaf.path
		}
		if !v.IsSet(viperKey) {
			continue
		}
		l.cfg.places[leaf.path] = place{source: source}
		if err := setText(leaf.value, v.GetString(viperKey), leaf.oneOf); err != nil {
			l.fail(leaf.path, "%v", err)
		}
	}
	l.checkEnvironment(variables)
}

func variable(path string) string {
	return variablePrefix + strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
}

// lookup returns the flag for the key at path if it was set.
func lookup(flags *pflag.FlagSet, path string) *pflag.Flag {
	if flags == nil || !flags.Changed(path) {
		return nil
	}
	return flags.Lookup(path)
}

// leaf is a scalar of the configuration that is not in a list.
type leaf struct {
	path  string
	value reflect.Value
	oneOf string
}

// leaves returns the leaves of the struct v, which stands at path, in the order
// of the schema.
func leaves(v reflect.Value, path string) []leaf {
	var found []leaf
	for i := range v.NumField() {
		tag, field := v.Type().Field(i).Tag, v.Field(i)
		name := tag.Get("yaml")
		if name == "" || name == "-" {
			continue
		}
		at := key(path, name)
		switch {
		case isScalar(field):
			found = append(found, leaf{at, field, tag.Get("oneof")})
		case field.Kind() == reflect.Struct:
			found = append(found, leaves(field, at)...)
		}
	}
	return found
}

// checkEnvironment refuses variables that look like ours and are not: they
// would be ignored where somebody relies on them.
func (l *loader) checkEnvironment(known map[string]bool) {
	environ := os.Environ()
	slices.Sort(environ)
	for _, entry := range environ {
		source, _, _ := strings.Cut(entry, "=")
		name, ours := strings.CutPrefix(source, variablePrefix)
		if !ours || known[name] || fromKubernetes(name) {
			continue
		}
		msg := "unknown variable"
		if guess := nearest(name, known); guess != "" {
			msg += "; did you mean " + variablePrefix + guess + "?"
		}
		l.errs = append(l.errs, Error{Source: source, Msg: msg})
	}
}

// fromKubernetes recognises what Kubernetes puts into the environment of every
// pod beside a service called mqttward: MQTTWARD_SERVICE_HOST and the like.
func fromKubernetes(name string) bool {
	return name == "PORT" || strings.HasPrefix(name, "PORT_") || strings.HasPrefix(name, "SERVICE_")
}
