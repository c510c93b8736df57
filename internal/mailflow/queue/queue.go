// Package queue keeps mail that cannot be delivered now, durably, until it can be: the first form of the mail queue.
//
// What is in it so far are recipients of a mail that others of its recipients have (CLUSTER 2.3). Each mailbox group has
// one space for it, made when first needed; Queue puts mail there and shows it to administrators, Work is what the
// group's leader does with it. It knows envelopes, recipes and due times; it never knows a protocol's replies, or how
// a mailbox is stored.
//
// Invariants: nothing leaves the queue but by delivery or an administrator's word; a mailbox gets each mail once, since
// it is given under a number of the space that the mailbox checks in the effect that stores it (CLUSTER 2.1), and the
// numbers of one mailbox are used in ascending order; content is held by the space as long as a mail refers to it.
// Keys, tags and op numbers are for ever: docs/design/queue.md.
package queue

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mailflow"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// Caller performs ops on spaces; *ops.Client does.
type Caller interface {
	Call(ctx context.Context, q *ops.Request, mode ops.Mode) ([]byte, error)
}

// Queue is the queue of the whole cluster as any node sees it. It has no state.
type Queue struct {
	Ops Caller
	// Locator says which group a mailbox is in.
	Locator exmdb.Locator
	// Groups lists the mailbox groups.
	Groups func() []cluster.GroupID
	Events Events
}

// Events are told of what becomes of mail in the queue; nil funcs are left out.
type Events struct {
	// Kept: so many recipients of a mail wait in the queue from now on; of those that it keeps as failed, Failed tells.
	Kept func(id EntryID, recipients int)
	// Delivered: a recipient's mailbox has the mail, so long after it was received.
	Delivered func(id EntryID, address string, after time.Duration)
	// Deferred: what waits in a group's queue for so many mailboxes was tried and will be again.
	Deferred func(from cluster.GroupID, mailboxes int, err error)
	// Failed: a recipient is not tried any more, and stays until an administrator decides.
	Failed func(id EntryID, address string, err error)
	// Removed: an administrator took a mail out.
	Removed func(id EntryID, recipients int)
}

// Keep puts the rest of a mail into the queue of one group; it implements deliver's Later.
func (q *Queue) Keep(ctx context.Context, rest *mailflow.Rest) error {
	err := cluster.Errorf(cluster.KindUnavailable, "there is no group to keep mail in")
	errs := []error{}
	for _, g := range q.candidates(ctx, rest) {
		id, err := q.keepIn(ctx, g, rest)
		if err == nil {
			q.kept(id, rest)
			return nil
		}
		errs = append(errs, fmt.Errorf("queue of group %d: %w", g, err))
		if ctx.Err() != nil {
			break
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	return err
}

// Take puts what a mailbox sends by itself into the queue of a group, from where it is delivered at once.
func (q *Queue) Take(ctx context.Context, g cluster.GroupID, rest *mailflow.Rest) error {
	id, err := q.keepIn(ctx, g, rest)
	if err != nil || id.Number == 0 || q.Events.Failed == nil {
		return err
	}
	for i := range rest.To {
		if p := &rest.To[i]; p.Refused != nil {
			q.Events.Failed(id, p.Address, p.Refused)
		}
	}
	return nil
}

func (q *Queue) kept(id EntryID, rest *mailflow.Rest) {
	waiting := 0
	for i := range rest.To {
		switch p := &rest.To[i]; {
		case p.Refused == nil:
			waiting++
		case q.Events.Failed != nil:
			q.Events.Failed(id, p.Address, p.Refused)
		}
	}
	if waiting > 0 && q.Events.Kept != nil {
		q.Events.Kept(id, waiting)
	}
}

// candidates orders the groups: those in which the mail was stored just now have a quorum and its content, those in
// which it could not be stored come last.
func (q *Queue) candidates(ctx context.Context, rest *mailflow.Rest) []cluster.GroupID {
	rank := make(map[cluster.GroupID]int)
	for i := range rest.To {
		if rest.To[i].Refused != nil {
			continue
		}
		if g, err := q.Locator.Locality(ctx, rest.To[i].Mailbox); err == nil {
			rank[cluster.GroupID(g)] = 1
		}
	}
	for _, box := range rest.Near {
		if g, err := q.Locator.Locality(ctx, box); err == nil {
			rank[cluster.GroupID(g)] = -1
		}
	}
	groups := slices.Clone(q.Groups())
	rand.Shuffle(len(groups), func(i, j int) { groups[i], groups[j] = groups[j], groups[i] })
	slices.SortStableFunc(groups, func(a, b cluster.GroupID) int { return rank[a] - rank[b] })
	return groups
}

// keepPatience is how long one group is tried, beside the time that content takes: there are others.
const keepPatience = 5 * time.Second

func (q *Queue) keepIn(ctx context.Context, g cluster.GroupID, rest *mailflow.Rest) (EntryID, error) {
	ctx, cancel := context.WithTimeout(ctx, keepPatience+mailflow.Patience(rest.Size)-mailflow.Patience(0))
	defer cancel()
	space := SpaceOf(g)
	if _, err := q.call(ctx, space, OpOpen, nil); err != nil && !errors.Is(err, cluster.ErrExists) {
		return EntryID{}, err
	}
	req := &KeepRequest{From: rest.From, Received: rest.Received, Sender: rest.Sender, Host: rest.Host, Source: rest.Source, Number: rest.Number}
	for _, p := range rest.To {
		k := KeptRecipient{Mailbox: p.Mailbox, Address: p.Address, Trace: p.Trace, Key: p.Key, About: p.About}
		if p.Refused != nil {
			k.Kind, k.Text = cluster.KindOf(p.Refused), text(p.Refused)
		}
		req.To = append(req.To, k)
	}
	for try := 0; ; try++ {
		var err error
		if req.Message, err = rest.Message(ctx, mapi.MailboxID(space)); err != nil {
			return EntryID{}, err
		}
		answer := new(KeepResponse)
		err = q.do(ctx, space, OpKeep, req, answer)
		if cluster.KindOf(err) != cluster.KindContentMissing || try >= contentTries {
			return EntryID{Group: g, Number: answer.Entry}, err
		}
	}
}

// contentTries is how often content that a group lost between upload and use is brought again.
const contentTries = 2

// Listing is what waits in the cluster.
type Listing struct {
	// Entries are without their recipients, oldest first.
	Entries []Entry `json:"entries"`
	// Silent are groups that did not answer: what waits there is not known now.
	Silent []cluster.GroupID `json:"silent,omitempty"`
}

// listPatience bounds the answer of one group to an administrator.
const listPatience = 3 * time.Second

// List shows what waits.
func (q *Queue) List(ctx context.Context) (*Listing, error) {
	groups := q.Groups()
	found := make([][]Entry, len(groups))
	errs := make([]error, len(groups))
	var g errgroup.Group
	for i, id := range groups {
		g.Go(func() error {
			found[i], errs[i] = q.listIn(ctx, id)
			return nil
		})
	}
	_ = g.Wait() // each group has its own error
	l := &Listing{Entries: []Entry{}}
	for i, id := range groups {
		l.Entries = append(l.Entries, found[i]...)
		if errs[i] != nil {
			l.Silent = append(l.Silent, id)
		}
	}
	slices.SortStableFunc(l.Entries, func(a, b Entry) int { return a.Received.Compare(b.Received) })
	return l, ctx.Err()
}

func (q *Queue) listIn(ctx context.Context, g cluster.GroupID) ([]Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, listPatience)
	defer cancel()
	var all []Entry
	for req := (&ListRequest{}); ; {
		answer := new(ListResponse)
		if err := q.do(ctx, SpaceOf(g), OpList, req, answer); err != nil {
			return all, err
		}
		all = append(all, answer.Entries...)
		if !answer.More {
			return all, nil
		}
		req.After = all[len(all)-1].ID.Number
	}
}

// Show is one mail with its recipients.
func (q *Queue) Show(ctx context.Context, id EntryID) (*Entry, error) {
	e := new(Entry)
	if !slices.Contains(q.Groups(), id.Group) {
		return nil, noEntry(id)
	}
	ctx, cancel := context.WithTimeout(ctx, listPatience)
	defer cancel()
	return e, q.do(ctx, SpaceOf(id.Group), OpShow, &EntryRequest{Entry: id.Number}, e)
}

// Retry has every recipient of a mail tried now, those that had failed too, and shows the mail as it is then.
func (q *Queue) Retry(ctx context.Context, id EntryID) (*Entry, error) {
	if _, err := q.Show(ctx, id); err != nil {
		return nil, err
	}
	if _, err := q.call(ctx, SpaceOf(id.Group), OpRetry, &EntryRequest{Entry: id.Number}); err != nil {
		return nil, err
	}
	return q.Show(ctx, id)
}

// Remove takes a mail out of the queue, whoever still waits for it, and shows what it was.
func (q *Queue) Remove(ctx context.Context, id EntryID) (*Entry, error) {
	e, err := q.Show(ctx, id)
	if err != nil {
		return nil, err
	}
	if _, err := q.call(ctx, SpaceOf(id.Group), OpRemove, &EntryRequest{Entry: id.Number}); err != nil {
		return nil, err
	}
	if q.Events.Removed != nil {
		q.Events.Removed(id, len(e.Recipients))
	}
	return e, nil
}

func noEntry(id EntryID) error {
	return cluster.Errorf(mailflow.KindNoEntry, "the queue has no entry %s", id)
}

// do performs an op and decodes its answer.
func (q *Queue) do(ctx context.Context, space cluster.SpaceID, op ops.ID, req, answer any) error {
	raw, err := q.call(ctx, space, op, req)
	if err != nil {
		return err
	}
	if err := wire.Unmarshal(raw, answer); err != nil {
		return fmt.Errorf("decode %T: %w", answer, err)
	}
	return nil
}

func (q *Queue) call(ctx context.Context, space cluster.SpaceID, op ops.ID, req any) ([]byte, error) {
	r := &ops.Request{Op: op, Space: space}
	if req != nil {
		r.Payload = wire.Marshal(req)
	}
	return q.Ops.Call(ctx, r, modes[op])
}
