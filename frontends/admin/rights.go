package admin

import (
	"context"
	"net/http"
)

// The rights in somebody's mailbox, and to send to a list, that an administrator gives.
const (
	RightFullAccess   = "full-access"
	RightSendAs       = "send-as"
	RightSendOnBehalf = "send-on-behalf"
	RightSender       = "sender"
)

// RightsBackend is what the node does about rights.
type RightsBackend interface {
	// Grant gives a right of an object to a user or a list, Revoke takes it back.
	Grant(ctx context.Context, address, right, to string) error
	Revoke(ctx context.Context, address, right, to string) error
	// SetSenders says who may send to a list.
	SetSenders(ctx context.Context, list, policy string) error
	Rights(ctx context.Context, address string) (*Rights, error)
}

// Rights is who has what of an object, and what it has of others, by primary addresses.
type Rights struct {
	FullAccess   []string `json:"full_access"`
	SendAs       []string `json:"send_as"`
	SendOnBehalf []string `json:"send_on_behalf"`
	// Senders is who may send to a list, Allowed who may whatever that says.
	Senders string   `json:"senders,omitempty"`
	Allowed []string `json:"allowed,omitempty"`
	// Groups are the lists that the object is in, also by others; FullAccessTo and SendAsOf are whose it may use.
	Groups       []string `json:"groups"`
	FullAccessTo []string `json:"full_access_to"`
	SendAsOf     []string `json:"send_as_of"`
}

// rightsRoutes are the rows of the API about rights.
var rightsRoutes = []route{
	{"GET /v1/objects/{address}/rights", false, func(s *Server, r *http.Request) (any, error) {
		return s.backend.Rights(r.Context(), r.PathValue("address"))
	}},
	{"PUT /v1/objects/{address}/grants/{right}/{to}", false, func(s *Server, r *http.Request) (any, error) {
		return okay, s.backend.Grant(r.Context(), r.PathValue("address"), r.PathValue("right"), r.PathValue("to"))
	}},
	{"DELETE /v1/objects/{address}/grants/{right}/{to}", false, func(s *Server, r *http.Request) (any, error) {
		return okay, s.backend.Revoke(r.Context(), r.PathValue("address"), r.PathValue("right"), r.PathValue("to"))
	}},
	{"PUT /v1/objects/{address}/senders/{policy}", false, func(s *Server, r *http.Request) (any, error) {
		return okay, s.backend.SetSenders(r.Context(), r.PathValue("address"), r.PathValue("policy"))
	}},
}
