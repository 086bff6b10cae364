package rewrite

import (
	"strings"
	"testing"
	"time"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/internal/mqtttest"
	"github.com/mqttward/mqttward/packets"
)

// TestScratch: a session that is idle keeps little of the largest packet it had, and
// whether that went on or not.
func TestScratch(t *testing.T) {
	const v = packets.V5
	s := &filters.Session{Version: v, Namespace: filters.Namespace{Topics: "acme/"}}
	large := strings.Repeat("a", 40_000)
	u, d := &up{}, &down{}
	for name, tt := range map[string]struct {
		filter filters.Filter
		kept   *scratch
		packet []byte
		from   packets.Role
		action filters.Action
	}{
		"up":         {u, &u.scratch, mqtttest.Publish(v, 0, 0, large, "x", mqtttest.Text(packets.ResponseTopic, large)), packets.Client, filters.Rewrite},
		"up, denied": {u, &u.scratch, mqtttest.Publish(v, 0, 0, strings.Repeat("a", 65_535), "x"), packets.Client, filters.Drop},
		"down":       {d, &d.scratch, mqtttest.Publish(v, 0, 0, "acme/"+large, "x", mqtttest.Text(packets.ContentType, large)), packets.Server, filters.Rewrite},
	} {
		p, err := packets.Parse(tt.packet, v, tt.from)
		if err != nil {
			t.Fatal(err)
		}
		if got := tt.filter.Filter(time.Time{}, s, p); got.Action != tt.action {
			t.Errorf("%s: %+v", name, got)
		}
		if kept := cap(tt.kept.packet) + cap(tt.kept.props) + cap(tt.kept.name); kept > 3*maxScratch {
			t.Errorf("%s: %d bytes are kept", name, kept)
		}
	}
}
