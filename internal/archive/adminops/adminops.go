// Package adminops performs ops on a mailbox through the admin API, so that what is a client of mailboxes can run in the
// command line.
//
// It knows requests and how a node's refusals read, never what an op means. Invariant: a write is tried under one request id,
// at whichever node, until its outcome is known or it has been tried for Patience.
package adminops

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/exmdb/client"
	"github.com/flotilla-mail/flotilla/frontends/admin"
	"github.com/flotilla-mail/flotilla/frontends/admin/adminclient"
	"github.com/flotilla-mail/flotilla/internal/clock"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Patience is how long an op is tried whose node dies or does not answer: longer than any fail-over.
const Patience = 2 * time.Minute

const (
	// attempt bounds one try, so that a node which is silent costs no more.
	attempt = 30 * time.Second
	pause   = 200 * time.Millisecond
)

// Ops implements client.Caller for the mailbox of an address.
type Ops struct {
	Address string
	// Connect finds a node to ask, when there is none yet or the one before does not answer.
	Connect func() (*adminclient.Client, error)

	mu   sync.Mutex
	node *adminclient.Client // guarded by mu
}

var _ client.Caller = (*Ops)(nil)

// Call implements client.Caller. The request's space and caller are the node's to say.
func (o *Ops) Call(ctx context.Context, q *ops.Request, _ ops.Mode) ([]byte, error) {
	id := mapi.NewGUID()
	req := admin.MailboxOp{Op: uint16(q.Op), Payload: q.Payload, ID: id[:]}
	begun := time.Now()
	for {
		resp, err := o.once(ctx, &req)
		if err == nil {
			return resp.Payload, nil
		}
		if !again(err) || time.Since(begun) > Patience || ctx.Err() != nil {
			return nil, err
		}
		o.leave()
		if cerr := (clock.System{}).Sleep(ctx, pause); cerr != nil {
			return nil, errors.Join(err, cerr)
		}
	}
}

// again reports whether an op may still be done.
func again(err error) bool {
	return errors.Is(err, adminclient.ErrUnreachable) || cluster.Retryable(err) || cluster.KindOf(err) == cluster.KindDeadline
}

// ask is the node to ask.
func (o *Ops) ask() (*adminclient.Client, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.node == nil {
		c, err := o.Connect()
		if err != nil {
			return nil, err
		}
		o.node = c
	}
	return o.node, nil
}

// leave lets another node be asked.
func (o *Ops) leave() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.node = nil
}

func (o *Ops) once(ctx context.Context, req *admin.MailboxOp) (*admin.MailboxOpAnswer, error) {
	c, err := o.ask()
	if err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	resp := new(admin.MailboxOpAnswer)
	err = c.Do(limited, "POST", adminclient.Path("v1", "mailboxes", o.Address, "op"), req, resp)
	if refused := (*adminclient.Refused)(nil); errors.As(err, &refused) && refused.Kind != 0 {
		err = cluster.Errorf(refused.Kind, "%s", refused.Text)
	}
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return resp, err
}
