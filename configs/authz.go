package configs

import "net/netip"

// Authz says what clients may do. The rules in Files stand behind Rules, in the
// order of the files.
type Authz struct {
	Mode      string     `yaml:"mode" oneof:"enforce monitor"`
	Subscribe string     `yaml:"subscribe" oneof:"deny filter narrow"`
	TimeZone  string     `yaml:"time_zone"` // whose clocks the times of rules are told by, such as Europe/Berlin; "": this machine's
	Files     []RuleFile `yaml:"files"`
	Rules     []Rule     `yaml:"rules"` // the first match decides; nothing matched: denied
}

// The values of Authz.Mode.
const (
	ModeEnforce = "enforce"
	ModeMonitor = "monitor" // what would be denied is reported and goes on
)

// The values of Authz.Subscribe.
const (
	SubscribeDeny   = "deny"   // a filter that is not granted whole is refused
	SubscribeFilter = "filter" // all filters are granted; what may not be received is not delivered
	SubscribeNarrow = "narrow" // the granted part of a filter is subscribed to
)

// The values of RuleFile.Type.
const (
	RulesOwn    = "rules" // a list as Authz.Rules
	RulesACL    = "mosquitto_acl"
	RulesDynsec = "mosquitto_dynsec"
	RulesEMQX   = "emqx_acl"
	RulesAWS    = "aws_iot"
)

// RuleFile is a file with rules, for the clients that Subjects hold.
type RuleFile struct {
	Type string `yaml:"type" oneof:"rules mosquitto_acl mosquitto_dynsec emqx_acl aws_iot"`
	Path string `yaml:"path"`
	Subjects
}

// Subjects say which clients are meant. All lists that are given must hold; nil
// holds for everybody. None is empty but not nil.
type Subjects struct {
	Users     []string       `yaml:"users"`     // globs, as all lists but IPs
	Anonymous bool           `yaml:"anonymous"` // who has no user name; beside Users, they or those
	ClientIDs []string       `yaml:"client_ids"`
	Groups    []string       `yaml:"groups"`
	Tenants   []string       `yaml:"tenants"`
	IPs       []netip.Prefix `yaml:"ips"`
	Listeners []string       `yaml:"listeners"`
	Certs     []string       `yaml:"certs"` // common names or SHA-256 fingerprints
}

// Everybody reports whether no list is given.
func (s *Subjects) Everybody() bool {
	return !s.Anonymous && s.Users == nil && s.ClientIDs == nil && s.Groups == nil && s.Tenants == nil && s.IPs == nil && s.Listeners == nil && s.Certs == nil
}

// The actions of a rule.
const (
	ActionPublish   = "publish"
	ActionWill      = "will"
	ActionSubscribe = "subscribe"
	ActionReceive   = "receive"
)

// Rule allows, denies, or is a role. None of its lists is empty but not nil, and
// of Allow, Deny and Role exactly one is given.
type Rule struct {
	Name string `yaml:"name"`
	Subjects
	Allow      []string `yaml:"allow" oneof:"publish will subscribe receive"`
	Deny       []string `yaml:"deny" oneof:"publish will subscribe receive"`
	Topics     []string `yaml:"topics"` // filters with ${placeholders}, or "=literal"; not checked here
	QoS        []int    `yaml:"qos" oneof:"0 1 2"`
	Retain     *bool    `yaml:"retain"`
	MaxPayload Size     `yaml:"max_payload"` // of a message; 0: any
	Times      []string `yaml:"times"`       // windows such as "mon-fri 06:00-22:00"; nil: always; not checked here

	Role string     `yaml:"role" oneof:"sparkplug_edge sparkplug_host requester responder tenant"` // for Topics, QoS and Retain
	With RoleValues `yaml:"with"`

	Place Place `yaml:"-"` // where the rule stands
}
