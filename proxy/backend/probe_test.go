package backend

import (
	"bufio"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/mqttward/mqttward/packets"
)

// answering is a broker that answers each packet of its client with the next of
// answers, and hands out what it has got when the client is gone.
func answering(t *testing.T, answers ...string) (*Server, <-chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	got := make(chan string, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		r, all := bufio.NewReader(conn), ""
		for {
			head := make([]byte, 2)
			if _, err := io.ReadFull(r, head); err != nil {
				break
			}
			body := make([]byte, head[1])
			if _, err := io.ReadFull(r, body); err != nil {
				break
			}
			all += string(head) + string(body)
			if len(answers) > 0 {
				_, _ = conn.Write([]byte(answers[0]))
				answers = answers[1:]
			}
		}
		got <- all
	}()
	return one(l.Addr().String()), got
}

func message(topic, payload string) string {
	return string(packets.AppendPublish(nil, packets.V311, 1, []byte(topic), 0, nil, []byte(payload), 0))
}

func TestVersion(t *testing.T) {
	const accepted, granted = "\x20\x02\x00\x00", "\x90\x03\x00\x01\x00"
	for _, tt := range []struct {
		name    string
		answers []string
		want    string // or what the error says
	}{
		{"it says", []string{accepted, granted + message(versionTopic, "mosquitto version 2.0.11")}, "mosquitto version 2.0.11"},
		{"before its SUBACK", []string{accepted, message(versionTopic, "x 1") + granted}, "x 1"},
		{"it refuses the login", []string{"\x20\x02\x00\x05"}, "error: the broker refuses the login of the probe: return code 5"},
		{"it refuses the subscription", []string{accepted, "\x90\x03\x00\x01\x80"}, "error: the broker refuses a subscription to $SYS/broker/version"},
		{"it speaks of something else", []string{accepted, message("other", "2.0.11")}, "error: what the broker says is no version"},
		{"it says a lot", []string{accepted, message(versionTopic, strings.Repeat("x", maxVersion+1))}, "error: what the broker says is no version"},
		{"it writes on terminals", []string{accepted, message(versionTopic, "\x1b[2J")}, "error: what the broker says is no version"},
		{"it is no broker", []string{"HTTP/1.1 400"}, "error: "},
		{"it is silent", nil, "error: no answer to a subscription to $SYS/broker/version"},
		{"it has no version", []string{accepted, granted}, "error: no answer to a subscription to $SYS/broker/version"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := answering(t, tt.answers...)
			patience := 10 * time.Second
			if len(tt.answers) == 0 || tt.answers[len(tt.answers)-1] == granted {
				patience = 50 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			got, err := s.Version(ctx)
			if err != nil {
				got = "error: " + err.Error()
			}
			if got != tt.want && !(err != nil && strings.HasPrefix(got, tt.want)) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestVersionLogin(t *testing.T) {
	s, got := answering(t, "\x20\x02\x00\x05")
	s.pool.options.Login = Login{Username: "ward", Password: []byte("hush")}
	if _, err := s.Version(t.Context()); err == nil {
		t.Error("accepted")
	}
	if all := <-got; !strings.HasSuffix(all, "\x00\x04ward\x00\x04hush") {
		t.Errorf("the CONNECT was %q", all)
	}
}
