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
	"github.com/flotilla-mail/flotilla/internal/directory"
	"github.com/flotilla-mail/flotilla/internal/mailflow"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// target is one place that recipients of a mail lead to.
type target struct {
	// mailbox is zero for an address elsewhere.
	mailbox mapi.MailboxID
	// address is the forward-path as given, of the first recipient that leads here; elsewhere it is where the mail would go.
	address string
	// to is the mailbox's object, as the directory said.
	to *directory.Recipient
	// recipients are the indexes of all that lead here: an address and its alias, a list and its member. What becomes of
	// the target is an answer to each of them.
	recipients []int
	// err is what became of it; nil when it is stored.
	err error
	// owed says that somebody with whom it shares an answer has the mail.
	owed bool
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
	about    About
	// keeps says that what cannot be stored now may go to Later.
	keeps bool
	// nonce tells this transaction from every other; only one that keeps has it.
	nonce [16]byte
	// stored says of each answer whether it speaks for somebody who has the mail.
	stored map[int]bool
}

func (d *Deliverer) begin(env *mailflow.Envelope, to []mailflow.Recipient, rec *Received) (*transaction, error) {
	t := &transaction{Deliverer: d, env: env, mail: rec, received: d.Now().UTC(), targets: targetsOf(to)}
	t.keeps = d.Later != nil && t.sharesAnswers(to)
	if !t.keeps {
		return t, nil
	}
	if _, err := rand.Read(t.nonce[:]); err != nil {
		return nil, fmt.Errorf("draw nonce: %w", err)
	}
	return t, nil
}

// sharesAnswers reports whether one answer may have to do for several targets.
func (t *transaction) sharesAnswers(to []mailflow.Recipient) bool {
	if !t.each() {
		return len(t.targets) > 1
	}
	for i := range to {
		if len(to[i].To.Mailboxes)+len(to[i].To.External) > 1 {
			return true
		}
	}
	return false
}

// each reports whether every recipient gets an answer of its own (RFC 2033 4.2); if not, there is one for the mail.
func (t *transaction) each() bool { return strings.HasPrefix(t.env.With, "LMTP") }

// targetsOf lists every mailbox and every address elsewhere once.
func targetsOf(to []mailflow.Recipient) []target {
	type place struct {
		mailbox mapi.MailboxID
		address string
	}
	at := make(map[place]int)
	var targets []target
	lead := func(p place, to *directory.Recipient, recipient int, address string) {
		n, seen := at[p]
		if !seen {
			n = len(targets)
			at[p] = n
			targets = append(targets, target{mailbox: p.mailbox, address: address, to: to})
		}
		targets[n].recipients = append(targets[n].recipients, recipient)
	}
	for i := range to {
		for j := range to[i].To.Mailboxes {
			r := &to[i].To.Mailboxes[j]
			lead(place{mailbox: r.Mailbox}, r, i, to[i].Address)
		}
		for _, elsewhere := range to[i].To.External {
			lead(place{address: elsewhere}, nil, i, elsewhere)
		}
	}
	return targets
}

// store delivers to every target. Groups do not wait for each other: one without a quorum holds up nobody else's mail.
func (t *transaction) store(ctx context.Context) {
	ctx, cancel := t.bounded(ctx)
	defer cancel()
	groups := t.byLocality(ctx)
	if len(groups) == 1 {
		t.storeGroup(ctx, groups[0])
		return
	}
	var g errgroup.Group
	g.SetLimit(maxGroups)
	for _, group := range groups {
		g.Go(func() error {
			t.storeGroup(ctx, group)
			return nil
		})
	}
	_ = g.Wait() // the funcs return no errors: each target has its own
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
func (t *transaction) storeGroup(ctx context.Context, group []*target) {
	p := &parcel{caller: t.Caller, mail: t.mail, shared: len(group) > 1}
	group[0].err = t.one(ctx, group[0], p)
	var g errgroup.Group
	g.SetLimit(maxParallel)
	for _, to := range group[1:] {
		g.Go(func() error {
			to.err = t.one(ctx, to, p)
			return nil
		})
	}
	_ = g.Wait() // the funcs return no errors: each target has its own
}

// byLocality groups the targets whose mailboxes share content. Nothing carries mail to addresses elsewhere.
func (t *transaction) byLocality(ctx context.Context) [][]*target {
	locator, ok := t.Caller.(exmdb.Locator)
	var groups [][]*target
	at := make(map[uint64]int)
	for i := range t.targets {
		to := &t.targets[i]
		if to.mailbox.IsZero() {
			to.err = mailflow.ErrRelay
			continue
		}
		if !ok || len(t.targets) == 1 {
			groups = append(groups, []*target{to})
			continue
		}
		l, err := locator.Locality(ctx, to.mailbox)
		n, seen := at[l]
		if err == nil && seen {
			groups[n] = append(groups[n], to)
			continue
		}
		if err == nil {
			at[l] = len(groups)
		}
		groups = append(groups, []*target{to})
	}
	return groups
}

// one stores the mail in one mailbox. Content that the group lost between upload and use is brought once more.
func (t *transaction) one(ctx context.Context, to *target, p *parcel) error {
	for try := 0; ; try++ {
		msg, err := p.message(ctx, to.mailbox)
		if err != nil {
			return err
		}
		msg.Recipe.Prefix = t.trace(to)
		done, err := exmdb.Do(ctx, t.Caller, exmdb.System, to.mailbox, exmdb.OpDeliver, &exmdb.DeliverRequest{
			Message: msg, Key: t.key(to), Received: t.received, Sender: t.env.From, Recipient: to.address,
			About: t.about.For(to.to)})
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
func (t *transaction) key(to *target) [32]byte {
	switch {
	case t.mail.hasMessageID():
		return deliveryKey(t.env, to, t.mail.sum[:])
	case t.keeps:
		return deliveryKey(t.env, to, t.nonce[:])
	}
	return [32]byte{}
}

func deliveryKey(env *mailflow.Envelope, to *target, what []byte) [32]byte {
	h := sha256.New()
	fmt.Fprintf(h, "%s\x00%s\x00", env.From, to.address)
	h.Write(what)
	return [32]byte(h.Sum(nil))
}
