package mailflow

import "github.com/flotilla-mail/flotilla/cluster"

// The kinds of refusal of the mail flow. Add at the end; never renumber.
const (
	KindRelay   cluster.Kind = 1101 // the address is not of this cluster and the sender may not send there
	KindSender  cluster.Kind = 1102 // the signed-in user may not send under this address
	KindTooMany cluster.Kind = 1103 // more recipients than allowed
	KindLoop    cluster.Kind = 1104 // too many hops
	KindNoEntry cluster.Kind = 1105 // the queue has no such entry
)

// ErrRelay refuses a recipient elsewhere.
var ErrRelay = &cluster.Error{Kind: KindRelay, Text: "relaying is not permitted"}
