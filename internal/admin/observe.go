package admin

// Opened counts a connection that the listener of this name admitted.
func (m *Metrics) Opened(listener string) {
	m.connections.Inc()
	m.opened.counter(listener).Inc()
}

// Closed is the end of a connection that was Opened. What came of it is for
// Refused or Ended to count.
func (m *Metrics) Closed() { m.connections.Dec() }

// Ended counts the end of a session: a connection whose client was let in.
func (m *Metrics) Ended(reason string) {
	m.ended.counter(reason).Inc()
}

// Refused counts a client that was turned away before or at CONNECT.
func (m *Metrics) Refused(reason string) {
	m.refused.counter(reason).Inc()
}

// Handshake counts a TLS handshake: ok, resumed or failed. How long a failed
// one took is its client's choice and says nothing about the proxy, so it is
// left out of the histogram.
func (m *Metrics) Handshake(outcome string, seconds float64) {
	m.handshakes.counter(outcome).Inc()
	if outcome != "failed" {
		m.handshakeSeconds.Observe(seconds)
	}
}

// Authenticated counts what a method said: accepted, refused or unavailable.
func (m *Metrics) Authenticated(method, outcome string) {
	m.authentications.counter(method, outcome).Inc()
}

// Decided counts n judgements of an action (publish, subscribe, will, ...)
// with one outcome (allowed, denied, delayed, monitored, withdrawn; of payloads
// refused, dropped, reported).
func (m *Metrics) Decided(action, outcome string, n int) {
	m.decisions.counter(action, outcome).Add(float64(n))
}

// Checked counts a packet that failed a check: refused or let_through.
func (m *Metrics) Checked(check, outcome string) {
	m.checks.counter(check, outcome).Inc()
}

// Traffic counts one burst that was read: "up" from a client, "down" from a
// broker.
func (m *Metrics) Traffic(direction string, packets, bytes int) {
	t := &m.down
	if direction == "up" {
		t = &m.up
	}
	t.packets.Add(float64(packets))
	t.bytes.Add(float64(bytes))
}

// OCSPUnanswered counts a client certificate that was accepted though nobody could
// say whether it is revoked.
func (m *Metrics) OCSPUnanswered() { m.ocspUnanswered.Inc() }

// AuditLost counts a line that the audit log did not take.
func (m *Metrics) AuditLost() { m.auditLost.Inc() }

// Reloaded counts an attempt to load the configuration again.
func (m *Metrics) Reloaded(ok bool) {
	if !ok {
		m.reloads.counter("failure").Inc()
		m.reloadSuccess.Set(0)
		return
	}
	m.reloads.counter("success").Inc()
	m.reloadSuccess.Set(1)
	m.reloadTime.SetToCurrentTime()
}
