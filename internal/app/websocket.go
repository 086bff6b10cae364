package app

import (
	"github.com/mqttward/mqttward/configs"
	"github.com/mqttward/mqttward/proxy"
)

// webSocket is nil for a listener that speaks MQTT right on the connection.
func webSocket(l *configs.Listener) *proxy.WebSocket {
	if l.Transport != configs.TransportWebSocket {
		return nil
	}
	return &proxy.WebSocket{Path: l.Path, Origins: l.Origins}
}
