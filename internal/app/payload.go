package app

import (
	"fmt"
	"path/filepath"

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/filters/payload"
)

var (
	payloadFormats = map[string]payload.Format{
		configs.FormatDeclared: payload.Declared,
		configs.FormatUTF8:     payload.UTF8,
		configs.FormatJSON:     payload.JSON,
	}
	payloadActions = map[string]payload.Action{
		configs.ActionRefuse: payload.Refuse,
		configs.ActionDrop:   payload.Drop,
		configs.ActionReport: payload.Report,
	}
)

// buildPayload makes the checks of payloads, none of a configuration without any:
// its sessions have no such filter.
func (b *builder) buildPayload() {
	var checks []payload.Check
	for i := range b.config.Payload {
		c := &b.config.Payload[i]
		path := fmt.Sprintf("payload[%d]", i)
		check := payload.Check{
			Place: c.Place.String(), Topics: c.Topics, MaxSize: int(c.MaxSize),
			Format: payloadFormats[c.Format], Action: payloadActions[c.Action], AllowEmpty: c.AllowEmpty,
		}
		if c.Schema != "" {
			s, _, err := b.schema(c)
			if err != nil {
				b.fail(path+".schema", err)
				continue
			}
			check.Schema = s
		}
		if err := check.Validate(); err != nil {
			b.fail(path, err)
			continue
		}
		checks = append(checks, check)
	}
	if len(checks) == 0 {
		return
	}
	f, err := payload.New(checks)
	if err != nil {
		b.fail("payload", err)
		return
	}
	b.payload = filters.Chain{f}
}

// schema compiles the schema of c, whose error names the file.
func (b *builder) schema(c *configs.PayloadCheck) (s *payload.Schema, files []string, err error) {
	s, files, err = payload.LoadSchema(b.config.Dir(), c.Schema)
	if err != nil {
		name, relErr := filepath.Rel(b.config.Dir(), c.Schema)
		if relErr != nil {
			name = c.Schema
		}
		err = fmt.Errorf("%s: %w", name, err)
	}
	return s, files, err
}

// schemaFiles are the files of all schemas, with those that they refer to.
func (b *builder) schemaFiles() (names []string) {
	for i := range b.config.Payload {
		if c := &b.config.Payload[i]; c.Schema != "" {
			_, files, _ := b.schema(c) // its error is told when it is built
			names = append(names, files...)
		}
	}
	return names
}
