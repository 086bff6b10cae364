package app

import (
	"fmt"

	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/filters/quota"
	"github.com/mqttward/mqttward/packets/topics"
	"github.com/mqttward/mqttward/ratelimit"
)

// minClients is for how many clients quotas are kept apart, at least.
const minClients = 10_000

var (
	overQuota = map[string]quota.Action{
		configs.ActionDelay:      quota.Delay,
		configs.ActionDrop:       quota.Drop,
		configs.ActionDisconnect: quota.Disconnect,
	}
	sharedBy = map[string]quota.Sharing{
		configs.PerClient: quota.PerClient,
		configs.PerUser:   quota.PerUser,
		configs.PerAll:    quota.PerAll,
	}
)

// buildQuota makes the limits of what clients send and are sent: first those of each
// client alone, so that who is over its own takes nothing of what it shares.
func (b *builder) buildQuota() {
	limits := ownLimits(&b.config.Limits)
	for i := range b.config.Quotas {
		q := &b.config.Quotas[i]
		for j, filter := range q.Topics {
			if _, _, shared := topics.Share(filter); shared || !topics.ValidFilter(filter) {
				b.fail(fmt.Sprintf("quotas[%d].topics[%d]", i, j), fmt.Errorf("no topic filter: %q", filter))
			}
		}
		limits = append(limits, limitsOf(q)...)
	}
	var last *quota.Quota
	if b.last != nil {
		last = b.last.quota
	}
	b.quota = quota.New(limits, max(minClients, b.config.Limits.MaxConnections), last)
}

// ownLimits are those that every client has.
func ownLimits(l *configs.Limits) (limits []quota.Limit) {
	add := func(rule string, what quota.Quantity, r ratelimit.Rate, action string) {
		if !r.Unlimited() {
			limits = append(limits, quota.Limit{Rule: "limits." + rule, What: what, Rate: r, Action: overQuota[action]})
		}
	}
	counts := func(r configs.PublishRate) ratelimit.Rate {
		return ratelimit.Rate{PerSecond: r.PerSecond, Burst: r.Burst}
	}
	add("packet_rate", quota.Packets, counts(l.PacketRate), l.PacketRate.Action)
	add("publish_rate", quota.Messages, counts(l.PublishRate), l.PublishRate.Action)
	add("publish_bytes", quota.Bytes, bytesOf(configs.ByteRate{PerSecond: l.PublishBytes.PerSecond, Burst: l.PublishBytes.Burst}), l.PublishBytes.Action)
	add("subscribe_rate", quota.Subscribes, counts(l.SubscribeRate), l.SubscribeRate.Action)
	return limits
}

func bytesOf(r configs.ByteRate) ratelimit.Rate {
	return ratelimit.Rate{PerSecond: float64(r.PerSecond), Burst: int(r.Burst)}
}

// limitsOf makes a limit of each thing that q limits.
func limitsOf(q *configs.Quota) (limits []quota.Limit) {
	add := func(name string, what quota.Quantity, r ratelimit.Rate, day int, most quota.Most) {
		if r.Unlimited() && day == 0 && most == (quota.Most{}) {
			return
		}
		limits = append(limits, quota.Limit{
			Rule: "quota " + q.Name + ": " + name, Users: q.Users, Groups: q.Groups, Listeners: q.Listeners, Topics: q.Topics,
			What: what, Per: sharedBy[q.Per], Action: overQuota[q.Action], Rate: r, Day: day, Most: most,
		})
	}
	rate := func(name string, what quota.Quantity, r configs.Rate) {
		add(name, what, ratelimit.Rate{PerSecond: r.PerSecond, Burst: r.Burst}, 0, quota.Most{})
	}
	rate("packets", quota.Packets, q.Packets)
	rate("messages", quota.Messages, q.Messages)
	add("bytes", quota.Bytes, bytesOf(q.Bytes), 0, quota.Most{})
	rate("subscribes", quota.Subscribes, q.Subscribes)
	rate("retained", quota.Retained, q.Retained)
	add("messages_per_day", quota.Messages, ratelimit.Rate{}, q.MessagesPerDay, quota.Most{})
	add("bytes_per_day", quota.Bytes, ratelimit.Rate{}, int(q.BytesPerDay), quota.Most{})
	add("retained_messages, retained_bytes", quota.Holds, ratelimit.Rate{}, 0, quota.Most{Messages: q.RetainedMessages, Bytes: int(q.RetainedBytes)})
	rate("deliveries", quota.Deliveries, q.Deliveries)
	add("delivered_bytes", quota.DeliveredBytes, bytesOf(q.DeliveredBytes), 0, quota.Most{})
	return limits
}
