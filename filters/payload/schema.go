package payload

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// maxSchema bounds a file of a schema, in bytes.
const maxSchema = 1 << 20

// Schema is a JSON Schema: draft 2020-12, unless its $schema names another. It
// is used by many sessions at once.
type Schema struct {
	compiled *jsonschema.Schema
	base     string // what the URLs of its files begin with
}

// LoadSchema compiles the schema in file. The files that it refers to have to
// lie in the folder dir, as it has itself, or below: nothing is fetched, and
// links do not lead out. files are all that were read, or that could not be, also
// after an error.
func LoadSchema(dir, file string) (s *Schema, files []string, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, nil, err
	}
	defer root.Close() //nolint:errcheck // it was only read
	l := &loader{dir: dir, root: root}
	c := jsonschema.NewCompiler()
	c.UseLoader(l)
	compiled, err := c.Compile(fileURL(file))
	base := fileURL(dir) + "/"
	if err != nil {
		// The library's errors have a line for each mistake.
		text := strings.ReplaceAll(strings.ReplaceAll(err.Error(), base, ""), "\n", "; ")
		return nil, l.files, errors.New(text)
	}
	return &Schema{compiled, base}, l.files, nil
}

func fileURL(path string) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") { // C:/
		path = "/" + path
	}
	return (&url.URL{Scheme: "file", Path: path}).String()
}

// loader reads the files of a schema.
type loader struct {
	dir   string
	root  *os.Root // dir
	files []string
}

var (
	errRemote  = errors.New("is no file: nothing is fetched, and $id changes what $ref is relative to")
	errOutside = errors.New("lies outside the folder of the configuration")
)

// Load implements jsonschema.URLLoader.
func (l *loader) Load(address string) (any, error) {
	path, err := jsonschema.FileLoader{}.ToFile(address)
	if err != nil {
		return nil, errRemote
	}
	name, err := filepath.Rel(l.dir, path)
	if err != nil || !filepath.IsLocal(name) {
		return nil, errOutside
	}
	l.files = append(l.files, filepath.Join(l.dir, name))
	text, err := l.read(name)
	if err != nil {
		return nil, err
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return nil, fmt.Errorf("line %d: %w", 1+bytes.Count(text[:syntax.Offset], []byte("\n")), err)
	}
	return doc, err
}

func (l *loader) read(name string) ([]byte, error) {
	info, err := l.root.Stat(name)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular(): // opening a pipe would wait for its other end
		return nil, errors.New("is not a regular file")
	}
	f, err := l.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(io.LimitReader(f, maxSchema+1))
	if err == nil && len(text) > maxSchema {
		err = fmt.Errorf("is larger than %d bytes", maxSchema)
	}
	return text, err
}

// check says what is wrong with a payload: which keyword of the schema fails, and
// where in the payload. "" if nothing is.
func (s *Schema) check(d *document) string {
	if why := d.form(); why != "" {
		return why
	}
	err := s.compiled.Validate(d.value())
	if err == nil {
		return ""
	}
	var at *jsonschema.ValidationError
	if !errors.As(err, &at) {
		return "schema cannot judge the payload" // its error may have values
	}
	for len(at.Causes) > 0 {
		at = at.Causes[0]
	}
	keyword := pointer(at.ErrorKind.KeywordPath())
	return fmt.Sprintf("schema %s%s fails at %s", strings.TrimPrefix(at.SchemaURL, s.base), keyword, place(at.InstanceLocation))
}

// pointer is a JSON Pointer (RFC 6901).
func pointer(path []string) string {
	var b strings.Builder
	for _, name := range path {
		b.WriteByte('/')
		b.WriteString(escape.Replace(name))
	}
	return b.String()
}

var escape = strings.NewReplacer("~", "~0", "/", "~1")

// maxPlace bounds what a client can choose of a rule, in bytes.
const maxPlace = 100

// place is the place in a payload, fit for a log: its names are the client's.
func place(path []string) string {
	path = slices.Clone(path[:min(len(path), maxPlace)])
	for i, name := range path {
		path[i] = name[:min(len(name), maxPlace)]
	}
	text := pointer(path)
	if len(text) > maxPlace {
		text = text[:maxPlace] + "…"
	}
	return "\"" + strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(text, "")) + "\""
}
