package configs

// PrefixBits is how many bits of an address are counted together.
type PrefixBits struct {
	IPv4 int `yaml:"ipv4"`
	IPv6 int `yaml:"ipv6"`
}

// bound is a limit that another one holds down: more than that could never be
// reached.
type bound struct {
	path  string
	value *float64 // either of the two
	count *int
	above string // the path of the other
	most  float64
}

// bounds are the limits on connections, each with those that hold it down.
func (c *Config) bounds() []bound {
	l := &c.Limits
	bounds := []bound{
		{"limits.max_connections_per_network", nil, &l.MaxConnectionsPerNetwork, "limits.max_connections", float64(l.MaxConnections)},
		{"limits.max_connections_per_ip", nil, &l.MaxConnectionsPerIP, "limits.max_connections", float64(l.MaxConnections)},
		{"limits.max_connections_per_identity", nil, &l.MaxConnectionsPerIdentity, "limits.max_connections", float64(l.MaxConnections)},
		{"limits.max_handshakes", nil, &l.MaxHandshakes, "limits.max_connections", float64(l.MaxConnections)},
		{"limits.connect_rate_per_network.rate", &l.ConnectRatePerNetwork.PerSecond, nil, "limits.connect_rate.rate", l.ConnectRate.PerSecond},
		{"limits.connect_rate_per_ip.rate", &l.ConnectRatePerIP.PerSecond, nil, "limits.connect_rate.rate", l.ConnectRate.PerSecond},
	}
	for i := range c.Backends {
		path := key(item("backends", i), "max_connections")
		bounds = append(bounds, bound{path, nil, &c.Backends[i].MaxConnections, "limits.max_connections", float64(l.MaxConnections)})
	}
	return bounds
}

func (b bound) broken() bool {
	value := 0.0
	if b.count != nil {
		value = float64(*b.count)
	} else {
		value = *b.value
	}
	return b.most > 0 && value > b.most
}

// completeBounds lowers what was left out to what was written.
func (c *Config) completeBounds() {
	for _, b := range c.bounds() {
		switch {
		case !b.broken() || c.written(b.path):
		case b.count != nil:
			*b.count = int(b.most)
		default:
			*b.value = b.most
		}
	}
}

// written reports whether the value at path is not a default.
func (c *Config) written(path string) bool {
	_, ok := c.places[path]
	return ok
}

// admission checks the limits on connections against each other.
func (l *loader) admission() {
	for _, b := range l.cfg.bounds() {
		if b.broken() {
			l.fail(b.path, "is more than %s, which is %v: it could never be reached", b.above, b.most)
		}
	}
	c := &l.cfg.Limits
	l.bits("ipv4", c.AddressPrefix.IPv4, c.NetworkPrefix.IPv4, 32)
	l.bits("ipv6", c.AddressPrefix.IPv6, c.NetworkPrefix.IPv6, 128)
}

func (l *loader) bits(family string, address, network, most int) {
	const path, outer = "limits.address_prefix", "limits.network_prefix"
	switch {
	case address < 1 || address > most:
		l.fail(key(path, family), "wants from 1 to %d bits, not %d", most, address)
	case network < 1 || network > most:
		l.fail(key(outer, family), "wants from 1 to %d bits, not %d", most, network)
	case network > address:
		l.fail(key(outer, family), "%d bits are more than the %d of %s: a network holds prefixes", network, address, path)
	}
}
