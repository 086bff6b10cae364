package packets

// PropertyID identifies a property of an MQTT 5.0 packet (section 2.2.2.2).
type PropertyID uint8

// The properties of MQTT 5.0.
const (
	PayloadFormatIndicator          PropertyID = 0x01
	MessageExpiryInterval           PropertyID = 0x02
	ContentType                     PropertyID = 0x03
	ResponseTopic                   PropertyID = 0x08
	CorrelationData                 PropertyID = 0x09
	SubscriptionIdentifier          PropertyID = 0x0B
	SessionExpiryInterval           PropertyID = 0x11
	AssignedClientIdentifier        PropertyID = 0x12
	ServerKeepAlive                 PropertyID = 0x13
	AuthenticationMethod            PropertyID = 0x15
	AuthenticationData              PropertyID = 0x16
	RequestProblemInformation       PropertyID = 0x17
	WillDelayInterval               PropertyID = 0x18
	RequestResponseInformation      PropertyID = 0x19
	ResponseInformation             PropertyID = 0x1A
	ServerReference                 PropertyID = 0x1C
	ReasonString                    PropertyID = 0x1F
	ReceiveMaximum                  PropertyID = 0x21
	TopicAliasMaximum               PropertyID = 0x22
	TopicAlias                      PropertyID = 0x23
	MaximumQoS                      PropertyID = 0x24
	RetainAvailable                 PropertyID = 0x25
	UserProperty                    PropertyID = 0x26
	MaximumPacketSize               PropertyID = 0x27
	WildcardSubscriptionAvailable   PropertyID = 0x28
	SubscriptionIdentifierAvailable PropertyID = 0x29
	SharedSubscriptionAvailable     PropertyID = 0x2A
)

// The encodings of property values.
type propertyKind uint8

const (
	kindNone propertyKind = iota
	kindFlag              // a byte, 0 or 1
	kindUint16
	kindUint32
	kindVarint
	kindBinary
	kindString
	kindTopic // a string that is a Topic Name
	kindPair
)

// The carriers of properties: a bit per packet type and sender, and one for
// the Will.
type carrier uint32

const (
	onConnect carrier = 1 << iota
	onConnack
	onClientPublish
	onServerPublish
	onAck // PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK
	onSubscribe
	onUnsubscribe
	onClientDisconnect
	onServerDisconnect
	onAuth
	onWill

	onPublish = onClientPublish | onServerPublish
	onAny     = onWill<<1 - 1
)

// properties is table 2-4 of MQTT 5.0 with the ranges of the property's own
// section.
var properties = [...]struct {
	kind    propertyKind
	on      carrier
	nonZero bool
	many    carrier // where it may appear more than once
}{
	PayloadFormatIndicator:          {kind: kindFlag, on: onPublish | onWill},
	MessageExpiryInterval:           {kind: kindUint32, on: onPublish | onWill},
	ContentType:                     {kind: kindString, on: onPublish | onWill},
	ResponseTopic:                   {kind: kindTopic, on: onPublish | onWill},
	CorrelationData:                 {kind: kindBinary, on: onPublish | onWill},
	SubscriptionIdentifier:          {kind: kindVarint, on: onServerPublish | onSubscribe, nonZero: true, many: onServerPublish},
	SessionExpiryInterval:           {kind: kindUint32, on: onConnect | onConnack | onClientDisconnect},
	AssignedClientIdentifier:        {kind: kindString, on: onConnack},
	ServerKeepAlive:                 {kind: kindUint16, on: onConnack},
	AuthenticationMethod:            {kind: kindString, on: onConnect | onConnack | onAuth},
	AuthenticationData:              {kind: kindBinary, on: onConnect | onConnack | onAuth},
	RequestProblemInformation:       {kind: kindFlag, on: onConnect},
	WillDelayInterval:               {kind: kindUint32, on: onWill},
	RequestResponseInformation:      {kind: kindFlag, on: onConnect},
	ResponseInformation:             {kind: kindString, on: onConnack},
	ServerReference:                 {kind: kindString, on: onConnack | onServerDisconnect},
	ReasonString:                    {kind: kindString, on: onConnack | onAck | onClientDisconnect | onServerDisconnect | onAuth},
	ReceiveMaximum:                  {kind: kindUint16, on: onConnect | onConnack, nonZero: true},
	TopicAliasMaximum:               {kind: kindUint16, on: onConnect | onConnack},
	TopicAlias:                      {kind: kindUint16, on: onPublish, nonZero: true},
	MaximumQoS:                      {kind: kindFlag, on: onConnack},
	RetainAvailable:                 {kind: kindFlag, on: onConnack},
	UserProperty:                    {kind: kindPair, on: onAny, many: onAny},
	MaximumPacketSize:               {kind: kindUint32, on: onConnect | onConnack, nonZero: true},
	WildcardSubscriptionAvailable:   {kind: kindFlag, on: onConnack},
	SubscriptionIdentifierAvailable: {kind: kindFlag, on: onConnack},
	SharedSubscriptionAvailable:     {kind: kindFlag, on: onConnack},
}
