package admin

import (
	"context"
	"net/http"
)

// TransferBackend lets mailboxes be imported and exported.
type TransferBackend interface {
	// MailboxOp performs one of the ops that import and export need on an object's mailbox, as the system.
	MailboxOp(ctx context.Context, address string, op MailboxOp) (*MailboxOpAnswer, error)
}

// MailboxOp is an op on a mailbox with its coded request.
type MailboxOp struct {
	Op      uint16 `json:"op"`
	Payload []byte `json:"payload"`
	// ID is the request's, 16 bytes: with the same one, at whichever node, it happens once.
	ID []byte `json:"id"`
}

// MailboxOpAnswer is the coded answer.
type MailboxOpAnswer struct {
	Payload []byte `json:"payload"`
}

// maxOp bounds a request of an op: the record of a message with everything inside, but no content.
const maxOp = 48 << 20

var transferRoutes = []route{
	{"POST /v1/mailboxes/{address}/op", false, withLongBody(maxOp, func(s *Server, r *http.Request, op *MailboxOp) (any, error) {
		return s.backend.MailboxOp(r.Context(), r.PathValue("address"), *op)
	})},
}
