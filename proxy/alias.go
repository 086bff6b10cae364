package proxy

import (
	"bytes"

	"github.com/mqttward/mqttward/filters"
	"github.com/mqttward/mqttward/packets"
)

// maxAliasBytes bounds the Topic Names that one end can make us remember.
const maxAliasBytes = 64 << 10

var (
	errAliasRange   = &packets.Error{Code: packets.TopicAliasInvalid, Spec: "MQTT-3.3.2-9", Msg: "Topic Alias above the Topic Alias Maximum", Check: packets.CheckTopic}
	errAliasUnknown = &packets.Error{Code: packets.ProtocolError, Spec: "section 3.3.2.3.4", Msg: "Topic Alias without a Topic Name", Check: packets.CheckTopic}
	errAliasBytes   = &packets.Error{Code: packets.QuotaExceeded, Msg: "Topic Names behind Topic Aliases are too long together", Check: packets.CheckTopic}
)

// aliases follows the Topic Aliases that one end sets (MQTT 5.0 section
// 3.3.2.3.4), so that every PUBLISH is judged by its Topic Name.
type aliases struct {
	max   uint16
	names []alias
	bytes int
}

type alias struct {
	topic []byte
	known bool // the other end has been told: a refused PUBLISH binds here only
}

// resolve gives p the Topic Name that it stands for. It returns the alias that
// p uses, nil if none, and whether p names its topic by the alias alone.
func (a *aliases) resolve(p *packets.Packet) (al *alias, bare bool, err error) {
	if len(p.Props) == 0 {
		return nil, false, nil
	}
	n, ok := p.Props.Uint16(packets.TopicAlias)
	if !ok {
		return nil, false, nil
	}
	if n > a.max {
		return nil, false, errAliasRange
	}
	if a.names == nil {
		a.names = make([]alias, a.max)
	}
	al = &a.names[n-1]
	if len(p.Topic) == 0 {
		if al.topic == nil {
			return nil, false, errAliasUnknown
		}
		p.Topic = al.topic
		return al, true, nil
	}
	if !bytes.Equal(al.topic, p.Topic) {
		a.bytes += len(p.Topic) - len(al.topic)
		if a.bytes > maxAliasBytes {
			return nil, false, errAliasBytes
		}
		al.topic, al.known = bytes.Clone(p.Topic), false
	}
	return al, false, nil
}

// grown is the size of p, which names its topic by al alone, with the Topic Name.
func (al *alias) grown(p *packets.Packet) int {
	return p.Size() + len(al.topic) + 1 // the length of all may need a byte more
}

// passed notes that p, which uses al, goes on as v says, and returns the verdict with
// what is to be sent: who was never told the name gets it now.
func (al *alias) passed(p *packets.Packet, bare bool, v filters.Verdict) filters.Verdict {
	told := al.known || !bare
	al.known = true
	if !told {
		v.Action = filters.Rewrite
		v.Packet = packets.AppendPublish(nil, p.Version, p.Flags, al.topic, p.ID, p.Props, p.Payload, p.Rest)
	}
	return v
}

// renamed is passed for a p that v rewrites, as the packet q. The alias has q's name
// at the other end as long as it has p's here, if that is so of all packets.
func (al *alias) renamed(q *packets.Packet, bare, always bool, v filters.Verdict) filters.Verdict {
	n, aliased := q.Props.Uint16(packets.TopicAlias)
	told := al.known && bare
	if al.known = always && aliased && n != 0; told && al.known {
		v.Packet = packets.AppendPublish(nil, q.Version, q.Flags, nil, q.ID, q.Props, q.Payload, q.Rest)
	}
	return v
}
