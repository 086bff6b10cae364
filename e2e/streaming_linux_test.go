package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/mqttward/mqttward/packets"
)

const (
	large   = 64 << 20
	largest = 2 << 20 // what the proxy's memory may rise by
)

// TestStreaming sends a PUBLISH of 64 MiB through the process in each direction,
// and looks at the memory that it takes for it.
func TestStreaming(t *testing.T) {
	t.Parallel()
	b := record(t, nil)
	p := startService(t, settings{
		broker:    b.Addr().String(),
		listeners: plain,
		rules:     []string{`{deny: [publish], topics: ["denied"]}`, writeAll, readAll},
		limits:    "{max_packet_size: 128MiB, publish_rate: {rate: 0}, publish_bytes: {rate: 0}}",
	})
	conn, err := net.Dial("tcp", p.address())
	if err != nil {
		t.Fatal(err)
	}
	c := newRaw(t, conn)
	c.connect(v5, "large", "alice")
	body := bytes.Repeat([]byte("0123456789abcde\n"), large/16)
	up := func(id uint16) {
		c.send(packets.AppendPublish(nil, v5, 2, []byte("large"), id, nil, body, 0))
		c.expect("it has arrived", ackOf(v5, packets.PUBACK, id, 0))
	}
	down := func(id uint16) {
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			b.send(t, packets.AppendPublish(nil, v5, 2, []byte("large"), id, nil, body, 0))
		}()
		// Some of it is here: the proxy is in the middle of it.
		if _, err := c.in.Peek(1000); err != nil {
			t.Fatal(err)
		}
		for i := range uint16(10) {
			c.send(pub(v5, 2, 100+i, "denied"))
		}
		frame, err := readFrame(c.in)
		if err != nil || sha256.Sum256(frame[len(frame)-large:]) != sha256.Sum256(body) {
			t.Fatalf("it has not arrived whole: %v", err)
		}
		for i := range uint16(10) {
			c.expect("our answers come behind it", ackOf(v5, packets.PUBACK, 100+i, packets.NotAuthorized))
		}
		c.send(packets.AppendAck(nil, v5, packets.PUBACK, id, packets.Success))
		<-sent
		c.alive("the session goes on")
	}
	up(1)
	down(1)
	for name, stream := range map[string]func(uint16){"up": up, "down": down} {
		before := memory(t, p.process, "VmRSS")
		resetPeak(t, p.process)
		stream(2)
		if rise := memory(t, p.process, "VmHWM") - before; rise > largest {
			t.Errorf("%s: resident memory rises by %d KiB", name, rise>>10)
		} else {
			t.Logf("%s: resident memory rises by %d KiB from %d KiB", name, rise>>10, before>>10)
		}
	}
	frames := 0
	for _, f := range b.frames(t) {
		if len(f) > 2*large && strings.HasSuffix(f, hex.EncodeToString(body[:1024])) {
			frames++
		}
	}
	if frames != 2 {
		t.Errorf("the broker got %d of them whole", frames)
	}
}

// memory reads a line of /proc/PID/status, in bytes.
func memory(t *testing.T, p *process, key string) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, key+":"); ok {
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				t.Fatal(err)
			}
			return n << 10
		}
	}
	t.Fatalf("no %s", key)
	return 0
}

// resetPeak makes VmHWM what VmRSS is now.
func resetPeak(t *testing.T, p *process) {
	t.Helper()
	f, err := os.OpenFile(fmt.Sprintf("/proc/%d/clear_refs", p.cmd.Process.Pid), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("5"); err != nil {
		t.Fatal(err)
	}
}
