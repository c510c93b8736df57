package deliver

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mailflow"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// target is one mailbox that recipients of a mail lead to.
type target struct {
	mailbox mapi.MailboxID
	// address is the forward-path as given, of the first recipient that leads here.
	address string
	// recipients are the indexes of all that lead here: an address and its alias, a list and its member. What becomes of
	// the target is an answer to each of them.
	recipients []int
}

// maxGroups is how many groups one mail goes to at a time, maxParallel to how many mailboxes of each.
const maxGroups, maxParallel = 16, 8

// transaction is one mail on its way to all its mailboxes.
type transaction struct {
	*Deliverer
	env      *mailflow.Envelope
	mail     *Received
	received time.Time
	targets  []target
	// keeps says that what cannot be stored now may go to Later.
	keeps bool
	// nonce tells this transaction from every other; only one that keeps has it.
	nonce [16]byte
}

func (d *Deliverer) begin(env *mailflow.Envelope, to []mailflow.Recipient, rec *Received) (*transaction, error) {
	t := &transaction{Deliverer: d, env: env, mail: rec, received: d.Now().UTC(), targets: targetsOf(to)}
	t.keeps = d.Later != nil && len(t.targets) > 1 && !strings.HasPrefix(env.With, "LMTP")
	if !t.keeps {
		return t, nil
	}
	if _, err := rand.Read(t.nonce[:]); err != nil {
		return nil, fmt.Errorf("draw nonce: %w", err)
	}
	return t, nil
}

// targetsOf lists every mailbox once.
func targetsOf(to []mailflow.Recipient) []target {
	at := make(map[mapi.MailboxID]int)
	var targets []target
	for i := range to {
		for _, r := range to[i].To.Mailboxes {
			n, seen := at[r.Mailbox]
			if !seen {
				n = len(targets)
				at[r.Mailbox] = n
				targets = append(targets, target{mailbox: r.Mailbox, address: to[i].Address})
			}
			targets[n].recipients = append(targets[n].recipients, i)
		}
	}
	return targets
}

// store delivers to every target; the errors are in their order. Groups do not wait for each other: one without a
// quorum holds up nobody else's mail.
func (t *transaction) store(ctx context.Context) []error {
	ctx, cancel := t.bounded(ctx)
	defer cancel()
	errs := make([]error, len(t.targets))
	var g errgroup.Group
	g.SetLimit(maxGroups)
	for _, group := range t.byLocality(ctx) {
		g.Go(func() error {
			t.storeGroup(ctx, group, errs)
			return nil
		})
	}
	_ = g.Wait() // the funcs return no errors: each target has its own
	return errs
}

// bounded leaves a third of the time there is for Later, and does not wait for a group longer than for a fail-over.
func (t *transaction) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if !t.keeps {
		return context.WithCancel(ctx)
	}
	limit := mailflow.Patience(t.mail.size)
	if end, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(end)*2/3)
	}
	return context.WithTimeout(ctx, limit)
}

// storeGroup delivers to the targets of one group. The first brings the content; the others then only refer to it.
func (t *transaction) storeGroup(ctx context.Context, group []int, errs []error) {
	p := &parcel{caller: t.Caller, mail: t.mail, shared: len(group) > 1}
	errs[group[0]] = t.one(ctx, t.targets[group[0]], p)
	var g errgroup.Group
	g.SetLimit(maxParallel)
	for _, i := range group[1:] {
		g.Go(func() error {
			errs[i] = t.one(ctx, t.targets[i], p)
			return nil
		})
	}
	_ = g.Wait() // the funcs return no errors: each target has its own
}

// byLocality groups the targets whose mailboxes share content.
func (t *transaction) byLocality(ctx context.Context) [][]int {
	locator, ok := t.Caller.(exmdb.Locator)
	var groups [][]int
	at := make(map[uint64]int)
	for i, to := range t.targets {
		if !ok || len(t.targets) == 1 {
			groups = append(groups, []int{i})
			continue
		}
		l, err := locator.Locality(ctx, to.mailbox)
		n, seen := at[l]
		if err == nil && seen {
			groups[n] = append(groups[n], i)
			continue
		}
		if err == nil {
			at[l] = len(groups)
		}
		groups = append(groups, []int{i})
	}
	return groups
}

// one stores the mail in one mailbox. Content that the group lost between upload and use is brought once more.
func (t *transaction) one(ctx context.Context, to target, p *parcel) error {
	for try := 0; ; try++ {
		msg, err := p.message(ctx, to.mailbox)
		if err != nil {
			return err
		}
		msg.Recipe.Prefix = t.trace(to)
		done, err := exmdb.Do(ctx, t.Caller, exmdb.System, to.mailbox, exmdb.OpDeliver, &exmdb.DeliverRequest{
			Message: msg, Key: t.key(to), Received: t.received, Sender: t.env.From, Recipient: to.address})
		switch {
		case err == nil && done.Duplicate && t.Events.Duplicate != nil:
			t.Events.Duplicate(t.env, to.address, to.mailbox)
		case cluster.KindOf(err) == cluster.KindContentMissing && try <= 2:
			p.forget()
			continue
		}
		return err
	}
}

// key is the delivery key of MAILBOX 7. A mail without Message-ID has none, since it must not be taken for a copy of
// another; but where Later may take it over it has one of this transaction, which makes an attempt whose outcome was
// never heard and those of Later one delivery.
func (t *transaction) key(to target) [32]byte {
	switch {
	case t.mail.hasMessageID():
		return deliveryKey(t.env, to, t.mail.sum[:])
	case t.keeps:
		return deliveryKey(t.env, to, t.nonce[:])
	}
	return [32]byte{}
}

func deliveryKey(env *mailflow.Envelope, to target, what []byte) [32]byte {
	h := sha256.New()
	fmt.Fprintf(h, "%s\x00%s\x00", env.From, to.address)
	h.Write(what)
	return [32]byte(h.Sum(nil))
}

// keepRest hands the targets that cannot be stored now to Later, if at least one was stored: a sender that got 451
// for all of them would send to those again that have the mail (CLUSTER 2.3). Where it does not take them the errors
// stand, and the sender will try again.
func (t *transaction) keepRest(ctx context.Context, errs []error) {
	if !t.keeps {
		return
	}
	rest := &mailflow.Rest{From: t.env.From, Received: t.received, Size: t.mail.size, Message: t.message}
	var kept []int
	for i, err := range errs {
		to := t.targets[i]
		switch {
		case err == nil:
			rest.Near = append(rest.Near, to.mailbox)
		case !mailflow.Final(err):
			kept = append(kept, i)
			rest.To = append(rest.To, mailflow.Pending{Mailbox: to.mailbox, Address: to.address, Trace: t.trace(to), Key: t.key(to)})
		}
	}
	if len(rest.Near) == 0 || len(kept) == 0 {
		return
	}
	err := t.Later.Keep(ctx, rest)
	for _, i := range kept {
		if err != nil {
			errs[i] = fmt.Errorf("%w; nor was it kept for later: %w", errs[i], err)
			continue
		}
		errs[i] = nil
	}
}

// message is the mail for a space of Later's.
func (t *transaction) message(ctx context.Context, box mapi.MailboxID) (exmdb.NewMessage, error) {
	p := &parcel{caller: t.Caller, mail: t.mail, shared: true}
	return p.message(ctx, box)
}

// trace is what stands in front of the mail in one mailbox (RFC 5321 4.4).
func (t *transaction) trace(to target) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "Return-Path: <%s>\r\nDelivered-To: %s\r\n", mailflow.Printable(t.env.From), mailflow.Printable(to.address))
	fmt.Fprintf(&b, "Received: from %s (%s)\r\n\tby %s with %s;\r\n\t%s\r\n", mailflow.Printable(orUnknown(t.env.Helo)),
		mailflow.Printable(t.env.Remote), t.Host, t.env.With, t.received.Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	return []byte(b.String())
}
