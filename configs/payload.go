package configs

import "cmp"

// The values of PayloadCheck.Format.
const (
	FormatDeclared = "declared" // UTF-8, if the Payload Format Indicator says so
	FormatUTF8     = "utf-8"
	FormatJSON     = "json"
)

// The values of PayloadCheck.Action.
const (
	ActionRefuse = "refuse" // MQTT 5.0 clients are told why
	ActionReport = "report" // it goes on, counted and logged
)

// PayloadCheck judges what is in the messages of its topics.
type PayloadCheck struct {
	Topics     []string `yaml:"topics"`   // filters; not checked here
	MaxSize    Size     `yaml:"max_size"` // of the payload; 0: no limit, and nobody looks inside
	Format     string   `yaml:"format" oneof:"declared utf-8 json"`
	Schema     string   `yaml:"schema"` // file; Format is FormatJSON then
	AllowEmpty bool     `yaml:"allow_empty"`
	Action     string   `yaml:"action" oneof:"refuse drop report"`

	Place Place `yaml:"-"` // where the check stands
}

// payloadSize is how large a payload is that is looked into, unless its check
// says otherwise.
const payloadSize = 64 * KiB

// maxPayload is more than the largest packet has (MQTT 5.0 section 2.1.4).
const maxPayload = 256 * MiB

// inside reports whether the check looks inside.
func (c *PayloadCheck) inside() bool { return c.Format != "" || c.Schema != "" }

func (c *Config) completePayload() {
	for i := range c.Payload {
		p, path := &c.Payload[i], item("payload", i)
		p.Place = Place{Path: path, Line: c.At(path)}
		p.Action = cmp.Or(p.Action, ActionRefuse)
		if p.Schema != "" {
			p.Format = cmp.Or(p.Format, FormatJSON)
		}
		if _, given := c.places[key(path, "max_size")]; !given && p.inside() {
			p.MaxSize = payloadSize
		}
	}
}

func (l *loader) payload() {
	for i := range l.cfg.Payload {
		p, path := &l.cfg.Payload[i], item("payload", i)
		if len(p.Topics) == 0 {
			l.missing(key(path, "topics"), "is required; [\"#\"] is all topics but those with $")
		}
		switch {
		case p.MaxSize > maxPayload:
			l.fail(key(path, "max_size"), "wants at most 256MiB, which no packet exceeds")
		case p.Schema != "" && p.Format != FormatJSON:
			l.fail(key(path, "format"), "a schema is of JSON")
		case p.inside() && p.MaxSize == 0:
			l.fail(key(path, "max_size"), "0 is no limit, which there has to be with format or schema")
		case !p.inside() && p.MaxSize == 0 && !l.unsure(key(path, "format")) && !l.unsure(key(path, "schema")) && !l.unsure(key(path, "max_size")):
			l.missing(path, "checks nothing: give max_size, format or schema")
		case !p.inside() && p.AllowEmpty:
			l.fail(key(path, "allow_empty"), "has no effect without format or schema")
		}
	}
}
