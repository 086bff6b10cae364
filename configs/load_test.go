package configs

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// minimal is the least that is valid beside a file called users.
const minimal = `
listeners: [{name: local, address: "127.0.0.1:1884"}]
backends: [{name: broker, servers: [{address: "127.0.0.1:1883"}]}]
authn: [{name: users, type: password, file: users}]
`

// folder returns a new directory with empty files of these names.
func folder(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		write(t, filepath.Join(dir, name), "")
	}
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// parse reads text as if it stood in mqttward.yaml of a directory that holds
// the files users, crt, key and ca.
func parse(t *testing.T, text string) (*Config, error) {
	t.Helper()
	t.Chdir(folder(t, "users", "crt", "key", "ca"))
	return Parse([]byte(text), "mqttward.yaml")
}

func mustParse(t *testing.T, text string) *Config {
	t.Helper()
	c, err := parse(t, text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestExamples(t *testing.T) {
	examples := map[string][]string{
		"minimal.yaml":     {"server.crt", "server.key", "users.passwd"},
		"websocket.yaml":   {"server.crt", "server.key", "users.passwd"},
		"mqttward.yaml":    {"server.crt", "server.key", "users.passwd"},
		"factory-dmz.yaml": {"gateway.crt", "gateway.key", "line-a-ca.crt", "line-a.crl", "line-b-ca.crt", "people.passwd", "people.groups", "admin.token"},

		"load-balancer.yaml":  {"server.crt", "server.key", "brokers-ca.crt", "gateway.crt", "gateway.key", "cloud.password", "users.passwd", "users.groups"},
		"consumer-cloud.yaml": {"server.crt", "server.key", "staff.passwd", "staff.groups"},
	}
	found, err := filepath.Glob("*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	found = slices.DeleteFunc(found, func(name string) bool { return strings.HasSuffix(name, "-test.yaml") }) // for mqttward acl test
	if want := slices.Sorted(maps.Keys(examples)); !slices.Equal(found, want) {
		t.Fatalf("examples are %v, tested are %v", found, want)
	}
	for example, names := range examples {
		t.Run(example, func(t *testing.T) {
			text, err := os.ReadFile(example)
			if err != nil {
				t.Fatal(err)
			}
			dir := folder(t, names...)
			path := filepath.Join(dir, example)
			write(t, path, string(text))

			c, err := Load(path, nil)
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for _, name := range names {
				want = append(want, filepath.Join(dir, name))
			}
			slices.Sort(want)
			if got := c.Files(); !slices.Equal(got, want) {
				t.Errorf("Files() = %v, want %v", got, want)
			}
			for _, w := range c.Warnings() {
				if !strings.Contains(w, "admin.address: no TLS") { // the factory's Prometheus
					t.Errorf("warns: %s", w)
				}
			}
		})
	}
}

// The limits written in the documented example say that they are the defaults.
func TestExampleShowsDefaults(t *testing.T) {
	text, err := os.ReadFile("mqttward.yaml")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(folder(t, "server.crt", "server.key", "users.passwd"))
	c, err := Parse(text, "mqttward.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, leaf := range leaves(reflect.ValueOf(&c.Limits).Elem(), "limits") {
		if _, written := c.places[leaf.path]; !written {
			t.Errorf("%s is not in the example", leaf.path)
		}
	}
	d := defaults()
	if c.BrokerProfile != d.BrokerProfile {
		t.Errorf("broker_profile is %s in the example, the default is %s", c.BrokerProfile, d.BrokerProfile)
	}
	if c.Limits != d.Limits || c.Admin != d.Admin || c.Log != d.Log {
		t.Errorf("the example has\n%+v %+v %+v, the defaults are\n%+v %+v %+v", c.Limits, c.Admin, c.Log, d.Limits, d.Admin, d.Log)
	}
}

func TestTenMistakesAreTenLines(t *testing.T) {
	_, err := parse(t, `listeners:
  - name: mqtts
    adress: "0.0.0.0:8883"
    tls:
      certificates: [{cert: server.crt, key: key}]
      client_auth: sometimes
  - name: plain
    address: "0.0.0.0:1884"
    authn: [user]
backends:
  - name: broker
    servers: [{address: "127.0.0.1"}]
authn:
  - {name: users, type: password, file: users}
authz:
  mode: watch
  rules:
    - {users: [u], allow: [publish, delete], topics: ["#"]}
limits:
  packet_timeout: 30
  max_packet_size: 256 kilo
`)
	want := `mqttward.yaml:3: listeners[0].adress: unknown key; did you mean "address"?
mqttward.yaml:5: listeners[0].tls.certificates[0].cert: no such file: server.crt
mqttward.yaml:6: listeners[0].tls.client_auth: wants none, optional or required, not "sometimes"
mqttward.yaml:7: listeners[1].tls: is required on 0.0.0.0:1884, which is not loopback (insecure_plaintext: true does without)
mqttward.yaml:9: listeners[1].authn[0]: no authn method has the name "user"; did you mean "users"?
mqttward.yaml:12: backends[0].servers[0].address: wants "host:port" or "unix:/path", not "127.0.0.1"
mqttward.yaml:16: authz.mode: wants enforce or monitor, not "watch"
mqttward.yaml:18: authz.rules[0].allow[1]: wants publish, will, subscribe or receive, not "delete"
mqttward.yaml:20: limits.packet_timeout: wants a duration with its unit, such as 30s, not "30"
mqttward.yaml:21: limits.max_packet_size: wants a size such as 4096, 256KiB or 1MiB, not "256 kilo"`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	var errs Errors
	if !errors.As(err, &errs) || len(errs) != 10 {
		t.Errorf("is %T with %d entries, want Errors with 10", err, len(errs))
	}
}

func TestLoad(t *testing.T) {
	dir := folder(t, "users")
	path := filepath.Join(dir, "mqttward.yaml")
	write(t, path, minimal)

	first, err := Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	before, err := Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(first, before) {
		t.Error("two loads of one file differ")
	}

	first.Listeners[0].Name, first.Authn[0].Name, first.Limits.MaxConnections = "changed", "changed", 1
	second, err := Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(second, before) {
		t.Errorf("a change of one load shows in the next: %+v", second)
	}
}

func TestLoadFails(t *testing.T) {
	dir := folder(t)
	missing, large := filepath.Join(dir, "missing.yaml"), filepath.Join(dir, "large.yaml")
	if err := os.WriteFile(large, make([]byte, maxFileSize+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		missing: missing + ": no such file",
		large:   large + ": is larger than 16 MiB",
		dir:     dir + ": is a directory",
	} {
		c, err := Load(path, nil)
		if c == nil || err == nil || err.Error() != want {
			t.Errorf("Load(%s) = %v, %v; want %s", path, c, err, want)
		}
	}
}

func TestPrecedence(t *testing.T) {
	path := filepath.Join(folder(t, "users"), "mqttward.yaml")
	write(t, path, minimal+"log: {level: warn, format: text}\nadmin: {address: \"127.0.0.1:1\"}\n")
	flags := pflag.NewFlagSet("run", pflag.ContinueOnError)
	Flags(flags)

	level := func() string {
		t.Helper()
		c, err := Load(path, flags)
		if err != nil {
			t.Fatal(err)
		}
		return c.Log.Level
	}
	if got := level(); got != "warn" {
		t.Errorf("file alone: %s, want warn; a flag that is not set must not count", got)
	}
	t.Setenv("MQTTWARD_LOG_LEVEL", "error")
	if got := level(); got != "error" {
		t.Errorf("environment over file: %s, want error", got)
	}
	if err := flags.Parse([]string{"--log.level=debug", "--admin.address="}); err != nil {
		t.Fatal(err)
	}
	if got := level(); got != "debug" {
		t.Errorf("flag over environment: %s, want debug", got)
	}
	c, err := Load(path, flags)
	if err != nil {
		t.Fatal(err)
	}
	if c.Admin.Address != "" || c.Log.Format != "text" {
		t.Errorf("admin.address %q, want none by flag; log.format %q, want text from the file", c.Admin.Address, c.Log.Format)
	}
}

func TestOverlay(t *testing.T) {
	path := filepath.Join(folder(t, "users"), "mqttward.yaml")
	write(t, path, minimal)
	for _, test := range []struct {
		name, variable, value string
		want                  string // of the error
		check                 func(*Config) bool
	}{
		{
			name: "size", variable: "MQTTWARD_LIMITS_MAX_PACKET_SIZE", value: "1MiB",
			check: func(c *Config) bool { return c.Limits.MaxPacketSize == MiB },
		},
		{
			name: "nested", variable: "MQTTWARD_LIMITS_CONNECT_RATE_PER_IP_RATE", value: "2.5",
			check: func(c *Config) bool { return c.Limits.ConnectRatePerIP == Rate{2.5, 50} },
		},
		{
			name: "empty is not set", variable: "MQTTWARD_ADMIN_ADDRESS", value: "",
			check: func(c *Config) bool { return c.Admin.Address == "127.0.0.1:9883" },
		},
		{
			name: "the service links of Kubernetes", variable: "MQTTWARD_SERVICE_PORT_MQTTS", value: "8883",
			check: func(*Config) bool { return true },
		},
		{
			name: "unfit value", variable: "MQTTWARD_LIMITS_CONNECT_TIMEOUT", value: "soon",
			want: `MQTTWARD_LIMITS_CONNECT_TIMEOUT: limits.connect_timeout: wants a duration such as 500ms, 10s or 5m, not "soon"`,
		},
		{
			name: "wrong together", variable: "MQTTWARD_ADMIN_ADDRESS", value: "0.0.0.0:9883",
			want: path + ": admin.token_file: is required off loopback, and the address is 0.0.0.0:9883",
		},
		{
			name: "misspelt", variable: "MQTTWARD_LOG_LEVLE", value: "debug",
			want: "MQTTWARD_LOG_LEVLE: unknown variable; did you mean MQTTWARD_LOG_LEVEL?",
		},
		{
			name: "in a list", variable: "MQTTWARD_LISTENERS_0_ADDRESS", value: "a secret",
			want: "MQTTWARD_LISTENERS_0_ADDRESS: unknown variable",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv(test.variable, test.value)
			c, err := Load(path, nil)
			switch {
			case test.want != "":
				if err == nil || err.Error() != test.want {
					t.Errorf("got %v, want %s", err, test.want)
				}
			case err != nil:
				t.Error(err)
			case !test.check(c):
				t.Errorf("%+v", c)
			}
		})
	}
}

func TestFlagNamesItself(t *testing.T) {
	path := filepath.Join(folder(t, "users"), "mqttward.yaml")
	write(t, path, minimal)
	flags := pflag.NewFlagSet("run", pflag.ContinueOnError)
	Flags(flags)
	if err := flags.Parse([]string{"--log.level", "loud"}); err != nil {
		t.Fatal(err)
	}
	_, err := Load(path, flags)
	if want := `--log.level: log.level: wants debug, info, warn or error, not "loud"`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// Underscores stand for dots and for themselves: two keys could share a
// variable.
func TestVariablesAreDistinct(t *testing.T) {
	c := defaults()
	seen := map[string]string{}
	for _, leaf := range leaves(reflect.ValueOf(&c).Elem(), "") {
		name := variable(leaf.path)
		if other, taken := seen[name]; taken {
			t.Errorf("%s is %s and %s", name, other, leaf.path)
		}
		seen[name] = leaf.path
	}
	if len(seen) < 20 {
		t.Errorf("only %d leaves", len(seen))
	}
}

func FuzzParse(f *testing.F) {
	for _, example := range []string{"minimal.yaml", "mqttward.yaml", "factory-dmz.yaml", "consumer-cloud.yaml", "websocket.yaml", "load-balancer.yaml"} {
		text, err := os.ReadFile(example)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(minimal))
	f.Add([]byte("a: &a [*a]\n<<: *a\n---\n"))
	f.Add([]byte("limits: {connect_rate: 0, max_packet_size: 9e99}\n\"\x00\": ? [x]\n"))
	dir := f.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "users"), nil, 0o600); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse(data, filepath.Join(dir, "mqttward.yaml"))
		if c == nil {
			t.Fatalf("no Config beside %v", err)
		}
		var errs Errors
		switch {
		case err == nil:
			c.Warnings()
			c.Files()
		case !errors.As(err, &errs) || len(errs) == 0:
			t.Fatalf("error is %#v", err)
		case strings.Count(err.Error(), "\n") != len(errs)-1:
			t.Fatalf("%d errors print as %q", len(errs), err)
		}
	})
}
