// Package configs is the configuration of mqttward: its schema, its defaults,
// strict loading and validation.
//
// Load reads one YAML document, lays the environment and the flags over it,
// and checks it: unknown keys, types, units, references between entries, and
// whether the files that it names are there. It does not look into those
// files, bind an address or build anything: who builds a thing from a value
// checks what only the builder understands, and reports it in the same way
// with Config.Errorf.
//
// It fails whole: a configuration with any mistake gives Errors with every
// mistake at once, each with its path and line. Keys that a later
// version may know are unknown keys: refused, never ignored.
package configs

import (
	"net/netip"
	"time"
)

// Config is a whole configuration. Paths of files in it are absolute, and
// what was left out has its default.
type Config struct {
	Listeners []Listener `yaml:"listeners"`
	Backends  []Backend  `yaml:"backends"`
	Routes    []Route    `yaml:"routes"` // the first that a client fits says where it goes
	Authn     []Method   `yaml:"authn"`
	ClientID  ClientID   `yaml:"client_id"`
	Rewrite   Rewrite    `yaml:"rewrite"`
	Authz     Authz      `yaml:"authz"`
	Strict    Strict     `yaml:"strict"`

	Payload []PayloadCheck `yaml:"payload"` // every one that matches is applied

	Quotas []Quota `yaml:"quotas"` // every one that is for a client holds

	Limits  Limits  `yaml:"limits"`
	Bans    Bans    `yaml:"bans"`
	Drain   Drain   `yaml:"drain"`
	Admin   Admin   `yaml:"admin"`
	Log     Log     `yaml:"log"`
	Runtime Runtime `yaml:"runtime"`

	// BrokerProfile says for which broker's known defects there are shields:
	// auto asks the broker, legacy is all of them together.
	BrokerProfile string `yaml:"broker_profile" oneof:"auto none legacy mosquitto-1.4 mosquitto-1.5 mosquitto-1.6 mosquitto-2.0a mosquitto-2.0b mosquitto-2.0c mosquitto-2.0d mosquitto-2.1"`

	file   string // as it was named to us, for messages
	dir    string // what relative paths are relative to
	places map[string]place
}

// Listener is an address at which clients arrive.
type Listener struct {
	Name              string         `yaml:"name"`
	Address           Address        `yaml:"address"`
	Mode              FileMode       `yaml:"mode"` // of the file of a Unix socket; 0: as the umask leaves it
	Transport         string         `yaml:"transport" oneof:"tcp websocket"`
	Path              string         `yaml:"path"`    // that requests for a WebSocket have; only with TransportWebSocket
	Origins           []string       `yaml:"origins"` // of pages that may connect; nil: those of the host itself; only with TransportWebSocket
	TLS               *TLS           `yaml:"tls"`     // nil: plaintext
	InsecurePlaintext bool           `yaml:"insecure_plaintext"`
	Allow             []netip.Prefix `yaml:"allow"`   // empty: all
	Deny              []netip.Prefix `yaml:"deny"`    // beats Allow
	Backend           string         `yaml:"backend"` // the name of an entry in Backends, for clients that fit no route
	Authn             []string       `yaml:"authn"`   // names of entries in Authn, in the order in which they are asked
	Silent            bool           `yaml:"silent"`  // who is refused gets no CONNACK

	ProxyProtocol *Balancers `yaml:"proxy_protocol"` // nil: whoever connects is a client
}

// Balancers are those who pass connections of clients on, and say by PROXY headers
// whose they are.
type Balancers struct {
	Trusted []netip.Prefix `yaml:"trusted"` // their addresses; none exactly on a Unix socket, where all are trusted
}

// The values of Listener.Transport.
const (
	TransportTCP       = "tcp"       // MQTT right on the connection
	TransportWebSocket = "websocket" // MQTT in the frames of a WebSocket
)

// The values of TLS.ClientAuth.
const (
	ClientAuthNone     = "none"     // no certificate is asked for
	ClientAuthOptional = "optional" // asked for; verified if it comes
	ClientAuthRequired = "required" // no handshake without a verified one
)

// The values of TLS.OCSP.
const (
	OCSPOff  = "off"  // nobody is asked about client certificates
	OCSPSoft = "soft" // without an answer they are accepted
	OCSPHard = "hard" // without an answer they are refused
)

// TLS is the server's side of TLS on a listener.
type TLS struct {
	Certificates []Certificate `yaml:"certificates"` // SNI picks
	MinVersion   string        `yaml:"min_version" oneof:"1.2 1.3"`
	ClientAuth   string        `yaml:"client_auth" oneof:"none optional required"`
	ClientCA     string        `yaml:"client_ca"` // file; given exactly if ClientAuth is not none
	CRL          []string      `yaml:"crl"`       // files, PEM or DER, of what the CAs in ClientCA have revoked

	OCSP    string `yaml:"ocsp" oneof:"off soft hard"`
	OCSPURL string `yaml:"ocsp_url"` // the responder; "": the one that the certificate names
	OCSPCA  string `yaml:"ocsp_ca"`  // file: whom to trust for a responder with https; "": the system's
	Staple  bool   `yaml:"staple"`   // answers of OCSP about Certificates are sent along

	SessionTickets SessionTickets `yaml:"session_tickets"`
}

// Certificate is a pair of PEM files.
type Certificate struct {
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
}

// ClientID says which client identifiers an identity may use.
type ClientID struct {
	Match []string `yaml:"match"` // templates, in which * stands for any run of characters; nil: any
}

// Rewrite gives clients names of their own at the broker.
type Rewrite struct {
	TopicPrefix    string `yaml:"topic_prefix"`     // template, that topics begin with; "": none
	ClientIDPrefix string `yaml:"client_id_prefix"` // template, that client identifiers begin with; "": none
}

// Strict names the checks of packets that are not enforced: what fails one of
// them goes on. None is named twice.
type Strict struct {
	Log []string `yaml:"log"` // what fails is counted and logged
	Off []string `yaml:"off"` // the check is not made
}

// Limits hold back what would cost too much. 0 means no limit.
type Limits struct {
	MaxConnections            int           `yaml:"max_connections"`
	MaxConnectionsPerIP       int           `yaml:"max_connections_per_ip"`
	MaxConnectionsPerNetwork  int           `yaml:"max_connections_per_network"` // of strangers that have not logged in
	MaxConnectionsPerIdentity int           `yaml:"max_connections_per_identity"`
	AddressPrefix             PrefixBits    `yaml:"address_prefix"`           // what counts as one address
	NetworkPrefix             PrefixBits    `yaml:"network_prefix"`           // and as one network
	ConnectRate               Rate          `yaml:"connect_rate"`             // from all sources
	ConnectRatePerNetwork     Rate          `yaml:"connect_rate_per_network"` // of strangers
	ConnectRatePerIP          Rate          `yaml:"connect_rate_per_ip"`      // from one address prefix
	MaxHandshakes             int           `yaml:"max_handshakes"`           // in progress at once
	HandshakeTimeout          time.Duration `yaml:"handshake_timeout"`
	ConnectTimeout            time.Duration `yaml:"connect_timeout"`
	PacketTimeout             time.Duration `yaml:"packet_timeout"` // for one whole packet
	FlowTimeout               time.Duration `yaml:"flow_timeout"`   // for the client's PUBREL
	MaxConnectSize            Size          `yaml:"max_connect_size"`
	MaxPacketSize             Size          `yaml:"max_packet_size"`
	MaxTopicLevels            int           `yaml:"max_topic_levels"`
	MaxTopicLength            int           `yaml:"max_topic_length"`  // in bytes
	MaxSubscriptions          int           `yaml:"max_subscriptions"` // of a session
	MaxFilters                int           `yaml:"max_filters_per_subscribe"`
	MaxInflight               uint16        `yaml:"max_inflight"`      // messages of QoS 1 and 2 under way; 0: as many as the protocol has
	MaxTopicAliases           uint16        `yaml:"max_topic_aliases"` // 0: as many as the protocol has
	MaxUserProperties         int           `yaml:"max_user_properties"`
	MaxKeepalive              time.Duration `yaml:"max_keepalive"`      // whole seconds, as the next two
	MaxSessionExpiry          time.Duration `yaml:"max_session_expiry"` // of a session without a connection
	MaxWillDelay              time.Duration `yaml:"max_will_delay"`
	PublishRate               PublishRate   `yaml:"publish_rate"`   // per client
	PublishBytes              PublishBytes  `yaml:"publish_bytes"`  // per client
	PacketRate                PublishRate   `yaml:"packet_rate"`    // per client; of every packet
	SubscribeRate             PublishRate   `yaml:"subscribe_rate"` // per client; of Topic Filters

	AuthFailures   BanRule `yaml:"auth_failures"`   // of an address prefix, and of a user name
	ProtocolErrors BanRule `yaml:"protocol_errors"` // of an address prefix or, once it has logged in, a client identifier
	Flapping       BanRule `yaml:"flapping"`        // connections of a client identifier
	UserFlapping   BanRule `yaml:"user_flapping"`   // of all clients of a user together
	Takeovers      BanRule `yaml:"takeovers"`       // of a client identifier from a connection that has it
}

// Rate is a token bucket of things a second. Both are zero, or neither is.
type Rate struct {
	PerSecond float64 `yaml:"rate"`
	Burst     int     `yaml:"burst"`
}

// What happens to a client that is over its rate, and ActionDrop to a message
// that fails a PayloadCheck.
const (
	ActionDelay      = "delay"      // it is read more slowly
	ActionDrop       = "drop"       // its message is refused
	ActionDisconnect = "disconnect" // its session ends
)

// PublishRate is a token bucket of what a client sends. Rate and burst are both zero, or
// neither is.
type PublishRate struct {
	PerSecond float64 `yaml:"rate"`
	Burst     int     `yaml:"burst"`
	Action    string  `yaml:"action" oneof:"delay drop disconnect"`
}

// PublishBytes is a token bucket of bytes. Rate and burst are both zero, or
// neither is.
type PublishBytes struct {
	PerSecond Size   `yaml:"rate"`
	Burst     Size   `yaml:"burst"`
	Action    string `yaml:"action" oneof:"delay drop disconnect"`
}

// Admin is the address of metrics and health.
type Admin struct {
	Address   Address  `yaml:"address"`    // "": none
	Mode      FileMode `yaml:"mode"`       // as of a Listener
	TokenFile string   `yaml:"token_file"` // given if Address is not local
}

// The values of Log.Audit that are not the path of a file.
const (
	AuditStderr = "stderr"
	AuditStdout = "stdout"
	AuditOff    = "off"
)

// Log says what is written, and where.
type Log struct {
	Level  string `yaml:"level" oneof:"debug info warn error"`
	Format string `yaml:"format" oneof:"auto text json"` // auto: text on a terminal, JSON elsewhere
	Audit  string `yaml:"audit"`                         // stderr, stdout, off, or a file
}
