package configs

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// decode reads the document in data over the defaults.
func (l *loader) decode(data []byte) {
	if len(data) > int(maxFileSize) {
		l.fail("", "is larger than %d MiB", maxFileSize/MiB)
		return
	}
	if root := l.document(data); root != nil {
		l.value("", root, reflect.ValueOf(&l.cfg).Elem(), "")
	}
}

// document returns the root of the only document in data; nil after an error.
func (l *loader) document(data []byte) *yaml.Node {
	var doc, second yaml.Node
	stream := yaml.NewDecoder(bytes.NewReader(data))
	err := stream.Decode(&doc)
	if errors.Is(err, io.EOF) || err == nil && len(doc.Content) == 0 {
		l.fail("", "is empty")
		return nil
	}
	if err == nil {
		err = stream.Decode(&second)
	}
	switch {
	case err == nil:
		l.cfg.places[""] = place{l.cfg.file, second.Line}
		l.fail("", "holds a second YAML document: one file is one configuration")
	case !errors.Is(err, io.EOF):
		l.syntax(err)
	default:
		return doc.Content[0]
	}
	return nil
}

// yamlError takes the line out of an error of the YAML library, which has no
// type for it. It matches every text.
var yamlError = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?`)

func (l *loader) syntax(err error) {
	text := err.Error()
	found := yamlError.FindStringSubmatch(text)
	line, _ := strconv.Atoi(found[1]) // no line: 0
	l.cfg.places[""] = place{l.cfg.file, line}
	l.fail("", "is not YAML: %s", text[len(found[0]):])
}

// value decodes n, which stands at path, into v. The words of oneOf, if there
// are any, are all that a scalar may be.
func (l *loader) value(path string, n *yaml.Node, v reflect.Value, oneOf string) {
	switch {
	case n.Kind == yaml.AliasNode:
		l.fail(path, "is a YAML alias: write the value itself")
	case n.Style&yaml.TaggedStyle != 0:
		l.fail(path, "has a YAML tag: write the value alone")
	case n.ShortTag() == "!!null":
		// A list whose entries are all commented out would otherwise mean the
		// opposite of what it says: "allow:" with nothing in it allows all.
		l.fail(path, "has no value: give one, or remove the key")
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		l.value(path, n, v.Elem(), oneOf)
	case isScalar(v):
		l.scalar(path, n, v, oneOf)
	case v.Kind() == reflect.Slice:
		l.list(path, n, v, oneOf)
	default:
		l.mapping(path, n, v)
	}
}

func (l *loader) scalar(path string, n *yaml.Node, v reflect.Value, oneOf string) {
	if n.Kind != yaml.ScalarNode {
		l.fail(path, "wants a single value, not a %s", kind(n))
		return
	}
	if err := setText(v, n.Value, oneOf); err != nil {
		l.fail(path, "%v", err)
	}
}

func (l *loader) list(path string, n *yaml.Node, v reflect.Value, oneOf string) {
	if n.Kind != yaml.SequenceNode {
		l.fail(path, "wants a list, not a %s", kind(n))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, entry := range n.Content {
		at := item(path, i)
		l.cfg.places[at] = place{l.cfg.file, entry.Line}
		l.value(at, entry, v.Index(i), oneOf)
	}
}

func (l *loader) mapping(path string, n *yaml.Node, v reflect.Value) {
	if rate := v.FieldByName("PerSecond"); rate.IsValid() && n.Kind == yaml.ScalarNode && n.Value == "0" {
		rate.SetZero() // "connect_rate: 0" is short for {rate: 0}
		return
	}
	if n.Kind != yaml.MappingNode {
		l.fail(path, "wants a mapping of keys to values, not a %s", kind(n))
		return
	}
	fields := fieldsOf(v.Type())
	lines := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		at := key(path, plain(name.Value))
		l.cfg.places[at] = place{l.cfg.file, name.Line}
		field, known := fields[name.Value]
		switch {
		case !known || name.Kind != yaml.ScalarNode:
			l.unknown(path, at, name.Value, fields)
		case lines[name.Value] > 0:
			l.fail(at, "stands here again: line %d has it already", lines[name.Value])
		default:
			lines[name.Value] = name.Line
			l.value(at, value, v.FieldByIndex(field.Index), field.Tag.Get("oneof"))
		}
	}
}

func (l *loader) unknown(path, at, name string, fields map[string]reflect.StructField) {
	guess := nearest(name, fields)
	if guess == "" {
		l.fail(at, "unknown key")
		return
	}
	l.meant[key(path, guess)] = true
	l.fail(at, "unknown key; did you mean %q?", guess)
}

// fieldsOf returns the fields of a struct, and of those embedded in it, by the keys
// of their values.
func fieldsOf(t reflect.Type) map[string]reflect.StructField {
	fields := map[string]reflect.StructField{}
	for _, f := range reflect.VisibleFields(t) {
		if name := f.Tag.Get("yaml"); name != "" && name != "-" && !f.Anonymous {
			fields[name] = f
		}
	}
	return fields
}

func kind(n *yaml.Node) string {
	switch n.Kind {
	case yaml.SequenceNode:
		return "list"
	case yaml.MappingNode:
		return "mapping"
	default:
		return "single value"
	}
}
