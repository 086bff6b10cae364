package packets

// codeSet is a set of Reason Codes.
type codeSet [4]uint64

func codes(list ...ReasonCode) (s codeSet) {
	for _, rc := range list {
		s[rc>>6] |= 1 << (rc & 63)
	}
	return s
}

func (s *codeSet) has(rc ReasonCode) bool { return s[rc>>6]>>(rc&63)&1 != 0 }

// reasonRules says which Reason Codes a packet may carry: by end in MQTT 5.0
// (the tables of sections 3.2.2.2 to 3.15.2.1), and in MQTT 3.x.
var reasonRules = [16]struct {
	client, server, v3 codeSet
	err                error
}{
	CONNACK: {
		server: codes(Success, UnspecifiedError, MalformedPacket, ProtocolError, ImplementationSpecificError,
			UnsupportedProtocolVersion, ClientIdentifierNotValid, BadUserNameOrPassword, NotAuthorized,
			ServerUnavailable, ServerBusy, Banned, BadAuthenticationMethod, TopicNameInvalid, PacketTooLarge,
			QuotaExceeded, PayloadFormatInvalid, RetainNotSupported, QoSNotSupported, UseAnotherServer, ServerMoved,
			ConnectionRateExceeded),
		v3:  codes(0, 1, 2, 3, 4, 5),
		err: wrongReason("MQTT-3.2.2-8"),
	},
	PUBACK:  {client: receivedByClient, server: receivedByServer, err: wrongReason("MQTT-3.4.2-1")},
	PUBREC:  {client: receivedByClient, server: receivedByServer, err: wrongReason("MQTT-3.5.2-1")},
	PUBREL:  {client: released, server: released, err: wrongReason("MQTT-3.6.2-1")},
	PUBCOMP: {client: released, server: released, err: wrongReason("MQTT-3.7.2-1")},
	SUBACK: {
		server: codes(Success, GrantedQoS1, GrantedQoS2, UnspecifiedError, ImplementationSpecificError, NotAuthorized,
			TopicFilterInvalid, PacketIdentifierInUse, QuotaExceeded, SharedSubscriptionsNotSupported,
			SubscriptionIdentifiersNotSupported, WildcardSubscriptionsNotSupported),
		v3:  codes(0, 1, 2, UnspecifiedError), // 0x80 is new in 3.1.1; servers send it to 3.1 clients too
		err: wrongReason("MQTT-3.9.3-2"),
	},
	UNSUBACK: {
		server: codes(Success, NoSubscriptionExisted, UnspecifiedError, ImplementationSpecificError, NotAuthorized,
			TopicFilterInvalid, PacketIdentifierInUse),
		err: wrongReason("MQTT-3.11.3-2"),
	},
	DISCONNECT: {
		client: codes(Success, DisconnectWithWill, UnspecifiedError, MalformedPacket, ProtocolError,
			ImplementationSpecificError, TopicNameInvalid, ReceiveMaximumExceeded, TopicAliasInvalid, PacketTooLarge,
			MessageRateTooHigh, QuotaExceeded, AdministrativeAction, PayloadFormatInvalid),
		server: codes(Success, UnspecifiedError, MalformedPacket, ProtocolError, ImplementationSpecificError,
			NotAuthorized, ServerBusy, ServerShuttingDown, KeepAliveTimeout, SessionTakenOver, TopicFilterInvalid,
			TopicNameInvalid, ReceiveMaximumExceeded, TopicAliasInvalid, PacketTooLarge, MessageRateTooHigh,
			QuotaExceeded, AdministrativeAction, PayloadFormatInvalid, RetainNotSupported, QoSNotSupported,
			UseAnotherServer, ServerMoved, SharedSubscriptionsNotSupported, ConnectionRateExceeded,
			MaximumConnectTime, SubscriptionIdentifiersNotSupported, WildcardSubscriptionsNotSupported),
		err: wrongReason("MQTT-3.14.2-1"),
	},
	AUTH: {
		client: codes(ContinueAuthentication, ReAuthenticate),
		server: codes(Success, ContinueAuthentication),
		err:    wrongReason("MQTT-3.15.2-1"),
	},
}

// The codes of PUBACK and PUBREC, and of PUBREL and PUBCOMP.
var (
	receivedByClient = codes(Success, UnspecifiedError, ImplementationSpecificError, NotAuthorized,
		TopicNameInvalid, PacketIdentifierInUse, QuotaExceeded, PayloadFormatInvalid)
	receivedByServer = codes(Success, NoMatchingSubscribers, UnspecifiedError, ImplementationSpecificError, NotAuthorized,
		TopicNameInvalid, PacketIdentifierInUse, QuotaExceeded, PayloadFormatInvalid)
	released = codes(Success, PacketIdentifierNotFound)
)

func wrongReason(spec string) error {
	return tolerable(protocolError(CheckProperties, spec, "Reason Code is not one of this packet's from this end"))
}

// checkReason accepts the Reason Codes that a packet of type t may carry.
func checkReason(v Version, t Type, from Role, rc ReasonCode) error {
	rule := &reasonRules[t]
	set := &rule.server
	switch {
	case v != V5:
		set = &rule.v3
	case from == Client:
		set = &rule.client
	}
	if !set.has(rc) {
		return rule.err
	}
	return nil
}
