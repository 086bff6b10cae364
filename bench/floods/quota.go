package main

import (
	"math"

	"github.com/mqttward/mqttward/configs"
)

// quota is how many packets of an attack the proxy's limits let through in so
// many seconds, given that so many logins were accepted or not answered. It is
// unlimited where no limit is configured.
type quota func(a *attack, l *configs.Limits, seconds float64, accepted int64) float64

var unlimited = math.Inf(1)

// bucket is how much a token bucket gives.
func bucket(perSecond, burst, seconds float64) float64 {
	if perSecond == 0 {
		return unlimited
	}
	return burst + perSecond*seconds
}

// nothing is for attackers without an account: the broker is not to hear of
// them.
func nothing(*attack, *configs.Limits, float64, int64) float64 { return 0 }

// logins is for attackers who log in again and again: the connections that are
// admitted, and packets for each.
func logins(packets float64) quota {
	return func(a *attack, l *configs.Limits, seconds float64, _ int64) float64 {
		each := bucket(l.ConnectRatePerIP.PerSecond, float64(l.ConnectRatePerIP.Burst), seconds)
		all := bucket(l.ConnectRate.PerSecond, float64(l.ConnectRate.Burst), seconds)
		return packets * min(float64(a.sources)*each, all)
	}
}

// places is how many connections the attackers, who are one user, may have at
// once.
func places(a *attack, l *configs.Limits) float64 {
	if l.MaxConnectionsPerIdentity == 0 {
		return float64(a.connections)
	}
	return float64(min(a.connections, l.MaxConnectionsPerIdentity))
}

// messages is for attackers who publish: a bucket for each connection that
// they may have at once, and the CONNECTs that were accepted. Who connects
// again has no other bucket.
func messages(a *attack, l *configs.Limits, seconds float64, accepted int64) float64 {
	return float64(accepted) + places(a, l)*bucket(l.PublishRate.PerSecond, float64(l.PublishRate.Burst), seconds)
}

// large is for messages of so many bytes, which the bucket of bytes holds back
// before that of messages does.
func large(size float64) quota {
	return func(a *attack, l *configs.Limits, seconds float64, accepted int64) float64 {
		each := bucket(float64(l.PublishBytes.PerSecond), float64(l.PublishBytes.Burst), seconds) / size
		return min(messages(a, l, seconds, accepted), float64(accepted)+places(a, l)*math.Ceil(each))
	}
}

// oversized is for what is larger than any packet may be: nothing but CONNECTs.
func oversized(_ *attack, _ *configs.Limits, _ float64, accepted int64) float64 {
	return float64(accepted)
}

// everyPacket is for packets that are no messages.
func everyPacket(a *attack, l *configs.Limits, seconds float64, accepted int64) float64 {
	return float64(accepted) + places(a, l)*bucket(l.PacketRate.PerSecond, float64(l.PacketRate.Burst), seconds)
}
