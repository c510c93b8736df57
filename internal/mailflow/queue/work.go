package queue

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/content"
	"github.com/flotilla-mail/flotilla/internal/mailflow"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Work delivers what waits in the queue of one group. The space.DueRunner of the group's leader calls it; two that run
// at once, around a change of leader, do no harm.
type Work struct {
	Replica *space.Replica
	Mail    exmdb.Caller
	Locator exmdb.Locator
	Now     func() time.Time
	Events  Events
}

// sweepGroups is how many groups are delivered to at a time: one that does not answer holds up its own mailboxes only.
const sweepGroups = 16

// PerformDue implements space.DuePerformer: it tries every lane whose time has come. What is due next is set by the
// updates that note what became of them.
func (w Work) PerformDue(ctx context.Context, id cluster.SpaceID, due space.Due) error {
	if due.Op != DueSweep {
		return cluster.Errorf(cluster.KindInternal, "no work of number %d", due.Op)
	}
	for {
		groups, err := w.ready(ctx, id)
		if err != nil || len(groups) == 0 {
			return err
		}
		var g errgroup.Group
		g.SetLimit(sweepGroups)
		for _, boxes := range groups {
			t := &trip{Work: w, space: id, sent: make(map[uint64]bool)}
			g.Go(func() error { return t.run(ctx, boxes) })
		}
		if err := g.Wait(); err != nil {
			return err
		}
	}
}

// readyAtOnce is how many lanes are read together.
const readyAtOnce = 1000

// ready lists the mailboxes whose lanes are to be tried now, by their group.
func (w Work) ready(ctx context.Context, id cluster.SpaceID) (map[uint64][]mapi.MailboxID, error) {
	now := w.Now()
	var boxes []mapi.MailboxID
	err := w.Replica.View(ctx, id, space.ReadLease, func(r space.Reader) error {
		boxes = nil
		return each(r, []byte{prefixNext}, nil, func(key, _ []byte) (bool, error) {
			at, box, err := parseNext(key)
			if err != nil || at.After(now) || len(boxes) == readyAtOnce {
				return false, err
			}
			boxes = append(boxes, box)
			return true, nil
		})
	})
	if err != nil {
		return nil, err
	}
	groups := make(map[uint64][]mapi.MailboxID)
	for _, box := range boxes {
		// One whose place is not known now goes with others of its kind: its attempt says why.
		g, _ := w.Locator.Locality(ctx, box)
		groups[g] = append(groups[g], box)
	}
	return groups, nil
}

// trip is one sweep through the mailboxes of one group.
type trip struct {
	Work
	space cluster.SpaceID
	// sent are the entries whose content was brought to the group.
	sent map[uint64]bool
}

// run works off lanes one after another. A group that does not answer for one mailbox is not asked for the others.
func (t *trip) run(ctx context.Context, boxes []mapi.MailboxID) error {
	for i, box := range boxes {
		err := t.lane(ctx, box)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			continue
		case !errors.As(err, new(*deferral)):
			return err // of the queue's own space
		case down(err):
			return t.postpone(ctx, boxes[i:], err)
		}
		if err := t.postpone(ctx, []mapi.MailboxID{box}, err); err != nil {
			return err
		}
	}
	return nil
}

// deferral is why a mailbox could not be delivered to now.
type deferral struct{ error }

func (d *deferral) Unwrap() error { return d.error }

// down reports whether an error speaks of a whole group and not of one mailbox in it.
func down(err error) bool {
	switch cluster.KindOf(err) {
	case cluster.KindNotLeader, cluster.KindUnknownOutcome, cluster.KindUnavailable, cluster.KindOverloaded, cluster.KindDeadline,
		cluster.KindDiskFull, cluster.KindDamaged:
		return true
	}
	return errors.Is(err, context.DeadlineExceeded)
}

// hopeless reports whether an error gives a recipient up at once: a refusal, or a mailbox that is not there, which was
// there when the recipient was accepted.
func hopeless(err error) bool {
	return mailflow.Final(err) || cluster.KindOf(err) == exmdb.KindNoMailbox
}

// broken reports whether an error looks like a fault of ours that has to do with the mail itself.
func broken(err error) bool {
	switch cluster.KindOf(err) {
	case cluster.KindInternal, cluster.KindBadRequest, cluster.KindContentMissing:
		return !errors.Is(err, context.DeadlineExceeded)
	}
	return false
}

// lane delivers what waits for a mailbox, in order, until nothing is left or an attempt ends in a *deferral.
func (t *trip) lane(ctx context.Context, box mapi.MailboxID) error {
	for {
		h, err := t.head(ctx, box)
		if err != nil || h == nil {
			return err
		}
		err = t.attempt(ctx, h)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			err = t.delivered(ctx, h)
		case hopeless(err) || broken(err) && h.failures+1 >= brokenTries:
			err = t.fail(ctx, h, err)
		default:
			return &deferral{err}
		}
		if err != nil {
			return err
		}
	}
}

// waiter is the first in a lane, with all that is needed to deliver it.
type waiter struct {
	place
	recipient
	mail     mail
	body     body
	failures uint32
}

// head reads the first in a lane, nil when there is none.
func (t *trip) head(ctx context.Context, box mapi.MailboxID) (h *waiter, err error) {
	err = t.Replica.View(ctx, t.space, space.ReadLease, func(r space.Reader) error {
		h = nil
		key, value, err := first(r, boxKey(prefixOrder, box))
		if err != nil || key == nil {
			return err
		}
		p, err := parsePlace(value)
		if err != nil {
			return err
		}
		var l lane
		h = &waiter{place: p}
		for _, x := range []struct {
			key    []byte
			record any
		}{{p.key(), &h.recipient}, {entryKey(prefixMail, p.entry), &h.mail}, {entryKey(prefixBody, p.entry), &h.body}, {boxKey(prefixLane, box), &l}} {
			found, err := load(r, x.key, x.record)
			if err != nil {
				return err
			}
			if !found {
				return damaged("what a lane leads to", x.key)
			}
		}
		h.failures = l.Attempts
		return nil
	})
	return h, err
}

// attempt delivers to one mailbox, under the recipient's number. Content that the group lost between upload and use is
// brought again.
func (t *trip) attempt(ctx context.Context, h *waiter) error {
	ctx, cancel := context.WithTimeout(ctx, mailflow.Patience(int64(h.mail.Size)))
	defer cancel()
	req := &exmdb.DeliverRequest{Key: h.Key, Received: h.mail.Received, Sender: h.mail.From, Recipient: h.Address,
		Source: t.space, Number: h.Number, About: h.About}
	for try := 0; ; try++ {
		var err error
		if req.Message, err = t.message(ctx, h); err == nil {
			_, err = exmdb.Do(ctx, t.Mail, exmdb.System, h.Mailbox, exmdb.OpDeliver, req)
		}
		if cluster.KindOf(err) != cluster.KindContentMissing || try >= contentTries {
			return err
		}
		delete(t.sent, h.entry)
	}
}

// message is the mail with its content inside, if that is little, or brought to the mailbox's group.
func (t *trip) message(ctx context.Context, h *waiter) (exmdb.NewMessage, error) {
	msg := h.body.message()
	msg.Recipe.Prefix = h.Trace
	chunks, err := content.Chunks(&msg)
	if err != nil {
		return msg, err
	}
	size := 0
	for _, c := range chunks {
		size += int(c.Size)
	}
	if size > exmdb.MaxInline {
		return msg, t.bring(ctx, h, content.ChunkHashes(chunks))
	}
	for _, c := range chunks {
		b, err := t.content(ctx, c.Hash)
		if err != nil {
			return msg, err
		}
		msg.Inline = append(msg.Inline, b)
	}
	return msg, nil
}

// bring uploads content to the mailbox's group, once a trip however many of its mailboxes get the mail.
func (t *trip) bring(ctx context.Context, h *waiter, hashes []space.Hash) error {
	if t.sent[h.entry] {
		return nil
	}
	up, err := t.Mail.Upload(ctx, exmdb.System, h.Mailbox)
	if err != nil {
		return err
	}
	for _, hash := range hashes {
		var b []byte
		if b, err = t.content(ctx, hash); err == nil {
			_, err = up.Put(ctx, b)
		}
		if err != nil {
			break
		}
	}
	if cerr := up.Close(ctx); err == nil {
		err = cerr
	}
	t.sent[h.entry] = err == nil
	return err
}

func (t *trip) content(ctx context.Context, hash space.Hash) (b []byte, err error) {
	err = t.Replica.View(ctx, t.space, space.ReadLease, func(r space.Reader) (err error) {
		b, err = r.Content(hash)
		return err
	})
	return b, err
}

// note changes the queue's space, and tells of the recipients that were given up in it.
func (t *trip) note(ctx context.Context, fn func(*spool) error) error {
	var gone []news
	_, err := t.Replica.Update(ctx, t.space, cluster.RequestID{}, func(w space.Writer) ([]byte, error) {
		return nil, change(w, func(s *spool) error {
			err := fn(s)
			gone = s.gone
			return err
		})
	})
	if err != nil || t.Events.Failed == nil {
		return err
	}
	for _, one := range gone {
		t.Events.Failed(t.id(one.entry), one.address, one.err)
	}
	return nil
}

func (t *trip) id(entry uint64) EntryID {
	g, _ := GroupOf(t.space)
	return EntryID{Group: g, Number: entry}
}

func (t *trip) delivered(ctx context.Context, h *waiter) error {
	err := t.note(ctx, func(s *spool) error { return s.delivered(h.place, h.Number) })
	if err == nil && t.Events.Delivered != nil {
		t.Events.Delivered(t.id(h.entry), h.Address, t.Now().Sub(h.mail.Received))
	}
	return err
}

func (t *trip) fail(ctx context.Context, h *waiter, why error) error {
	return t.note(ctx, func(s *spool) error { return s.fail(h.place, h.Number, why) })
}

func (t *trip) postpone(ctx context.Context, boxes []mapi.MailboxID, why error) error {
	err := t.note(ctx, func(s *spool) error {
		for _, box := range boxes {
			if err := s.postpone(box, why); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if t.Events.Deferred != nil {
		t.Events.Deferred(t.id(0).Group, len(boxes), why)
	}
	return nil
}
