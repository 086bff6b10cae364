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
	value float64
	above string // the path of the other
	most  float64
}

// bounds are the limits on connections, each with the one that holds it down.
func (c *Config) bounds() []bound {
	l := &c.Limits
	all := float64(l.MaxConnections)
	bounds := []bound{
		{"limits.max_connections_per_network", float64(l.MaxConnectionsPerNetwork), "limits.max_connections", all},
		{"limits.max_connections_per_ip", float64(l.MaxConnectionsPerIP), "limits.max_connections", all},
		{"limits.max_connections_per_identity", float64(l.MaxConnectionsPerIdentity), "limits.max_connections", all},
		{"limits.max_handshakes", float64(l.MaxHandshakes), "limits.max_connections", all},
		{"limits.connect_rate_per_network.rate", l.ConnectRatePerNetwork.PerSecond, "limits.connect_rate.rate", l.ConnectRate.PerSecond},
		{"limits.connect_rate_per_ip.rate", l.ConnectRatePerIP.PerSecond, "limits.connect_rate.rate", l.ConnectRate.PerSecond},
	}
	for i, b := range c.Backends {
		bounds = append(bounds, bound{key(item("backends", i), "max_connections"), float64(b.MaxConnections), "limits.max_connections", all})
	}
	return bounds
}

// written reports whether the value at path is not a default.
func (c *Config) written(path string) bool {
	_, ok := c.places[path]
	return ok
}

// admission checks the limits on connections against each other. One that was left out
// contradicts nothing.
func (l *loader) admission() {
	for _, b := range l.cfg.bounds() {
		if b.most > 0 && b.value > b.most && l.cfg.written(b.path) {
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
