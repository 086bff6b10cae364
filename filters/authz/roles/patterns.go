package roles

import "github.com/mqttward/mqttward/filters/authz"

// answers are where requesters have their answers, unless Responses says so.
const answers = "responses"

// requester publishes to Requests and reads what is below Responses/${clientid}
// and nothing else, so that no requester sees another's answers. As the Response
// Topic of MQTT 5.0 must be readable by who names it, a request can have no answer
// sent elsewhere. A retained request would be carried out again by each new
// responder: there are none.
func requester(b *bundle, v Values) {
	responses := b.topic("responses", orDefault(v.Responses, answers))
	b.add("requests", authz.Rule{Publish: true, Retain: flag(false), Topics: at(v.Requests)})
	b.add("responses", authz.Rule{Subscribe: true, Topics: at(responses, "${clientid}", "#")})
}

// responder reads Requests, also in a Shared Subscription, and publishes below
// Responses.
func responder(b *bundle, v Values) {
	responses := b.topic("responses", orDefault(v.Responses, answers))
	b.add("requests", authz.Rule{Subscribe: true, Topics: at(v.Requests)})
	b.add("responses", authz.Rule{Publish: true, Retain: flag(false), Topics: at(responses, "+", "#")})
}

// tenant has everything below Prefix, which is ${tenant} if it is left out.
func tenant(b *bundle, v Values) {
	prefix := b.topic("prefix", orDefault(v.Prefix, "${tenant}"))
	b.add("own topics", authz.Rule{Publish: true, Subscribe: true, Topics: at(prefix, "#")})
}
