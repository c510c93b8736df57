package node

import (
	"context"

	"github.com/flotilla-mail/flotilla/exmdb/inspect"
	"github.com/flotilla-mail/flotilla/frontends/admin"
)

// ShowMailbox implements admin.Backend. The mailbox's owner answers, whichever node is asked.
func (b backend) ShowMailbox(ctx context.Context, address, part string, q admin.MailboxQuery) (any, error) {
	box, err := b.mailboxOf(ctx, address)
	if err != nil {
		return nil, err
	}
	return (&inspect.Mailbox{Caller: b.n.mail, ID: box}).Show(ctx, part, inspect.Query(q))
}
