package app

import (
	"maps"
	"sync"

	"github.com/mqttward/mqttward/filters/strict"
	"github.com/mqttward/mqttward/proxy/backend"
)

// brokers are what is known of the brokers of each backend. They outlive reloads.
type brokers struct {
	mu   sync.Mutex
	by   map[string]*strict.Broker
	told map[string]map[string]strict.Profile // by backend and server, as they have said
}

func newBrokers() *brokers {
	return &brokers{by: map[string]*strict.Broker{}, told: map[string]map[string]strict.Profile{}}
}

// recall returns what the servers of a backend have said, which the caller may change.
func (b *brokers) recall(backend string) map[string]strict.Profile {
	b.mu.Lock()
	defer b.mu.Unlock()
	told := maps.Clone(b.told[backend])
	if told == nil {
		told = map[string]strict.Profile{}
	}
	return told
}

// settle puts in force what the servers of a backend need by what they have said, and
// remembers that.
func (b *brokers) settle(name string, servers []*backend.Server, told map[string]strict.Profile) {
	b.of(name).Set(together(servers, told))
	b.mu.Lock()
	defer b.mu.Unlock()
	b.told[name] = map[string]strict.Profile{}
	for _, s := range servers {
		if p, ok := told[s.Name()]; ok {
			b.told[name][s.Name()] = p
		}
	}
}

// of returns what is known of the brokers of a backend.
func (b *brokers) of(backend string) *strict.Broker {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.by[backend] == nil {
		b.by[backend] = &strict.Broker{}
	}
	return b.by[backend]
}
