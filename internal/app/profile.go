package app

import (
	"github.com/mqttward/mqttward/filters/strict"
)

type profileOf struct{}

func (b *builder) profile() strict.Profile { return strict.Profile{} }
