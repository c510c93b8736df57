package intents

import (
	"context"
	"fmt"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// refusals are the answers of a mailbox that takes a message neither now nor later: it stays where it is.
var refusals = map[cluster.Kind]bool{
	exmdb.KindNoMailbox: true, exmdb.KindNoFolder: true, exmdb.KindSearchFolder: true, exmdb.KindAccessDenied: true, exmdb.KindOverQuota: true,
	exmdb.KindTooBig: true, exmdb.KindBadContent: true, exmdb.KindNameLimit: true, exmdb.KindKeywordLimit: true,
	cluster.KindBadRequest: true, cluster.KindTooLarge: true,
}

// carry brings a message into another mailbox, and then has it deleted where it was. Each of the three steps may be done again:
// the other mailbox takes it once, by the intent's number, and what is deleted is only the version that it took.
func (p *Performer) carry(ctx context.Context, source cluster.SpaceID, number uint64, payload []byte) error {
	c := new(exmdb.Crossing)
	if err := wire.Unmarshal(payload, c); err != nil {
		return fmt.Errorf("intent %d: %w", number, err)
	}
	box := mapi.MailboxID(source)
	m, err := exmdb.Do(ctx, p.Mail, exmdb.System, box, exmdb.OpCrossing, c)
	if cluster.KindOf(err) == exmdb.KindNoMailbox && err != nil {
		return nil // it was deleted, with all that is in it
	}
	if err != nil || m.Gone {
		return err
	}
	q := &exmdb.TakeInRequest{Source: source, Number: number, As: c.As, Target: c.Target, Message: m.Message}
	if err := p.bring(ctx, box, c, q); err != nil {
		return err
	}
	if _, err := exmdb.Do(ctx, p.Mail, exmdb.System, c.Mailbox, exmdb.OpTakeIn, q); err != nil {
		if !refusals[cluster.KindOf(err)] {
			return err
		}
		if p.Events.Refused != nil {
			p.Events.Refused(box, c, err)
		}
		return nil
	}
	if c.Copy {
		return nil
	}
	_, err = exmdb.Do(ctx, p.Mail, exmdb.System, box, exmdb.OpFinishCrossing, &exmdb.FinishCrossingRequest{Crossing: *c, CN: m.CN})
	return err
}

// bring has the content of a message where the message goes, in the request if it is little. Mailboxes of one group have it
// both.
func (p *Performer) bring(ctx context.Context, box mapi.MailboxID, c *exmdb.Crossing, q *exmdb.TakeInRequest) error {
	pieces, size := q.Message.Pieces(), 0
	for _, n := range pieces {
		size += int(n)
	}
	if size <= exmdb.MaxInline {
		for h := range pieces {
			b, err := p.piece(ctx, box, h)
			if err != nil {
				return err
			}
			q.Inline = append(q.Inline, b)
		}
		return nil
	}
	if together, err := p.together(ctx, box, c.Mailbox); err != nil || together {
		return err
	}
	up, err := p.Mail.Upload(ctx, exmdb.System, c.Mailbox)
	if err != nil {
		return err
	}
	for h := range pieces {
		var b []byte
		if b, err = p.piece(ctx, box, h); err == nil {
			_, err = up.Put(ctx, b)
		}
		if err != nil {
			break
		}
	}
	if cerr := up.Close(ctx); err == nil {
		err = cerr
	}
	return err
}

// together reports whether two mailboxes share content.
func (p *Performer) together(ctx context.Context, a, b mapi.MailboxID) (bool, error) {
	l, knows := p.Mail.(exmdb.Locator)
	if !knows {
		return false, nil
	}
	first, err := l.Locality(ctx, a)
	if err != nil {
		return false, err
	}
	second, err := l.Locality(ctx, b)
	if cluster.KindOf(err) == exmdb.KindNoMailbox && err != nil {
		return true, nil // it refuses what needs no content
	}
	return first == second, err
}

func (p *Performer) piece(ctx context.Context, box mapi.MailboxID, h space.Hash) ([]byte, error) {
	r, err := exmdb.Do(ctx, p.Mail, exmdb.System, box, exmdb.OpReadCrossing, &exmdb.ReadCrossingRequest{Hash: h})
	if err != nil {
		return nil, err
	}
	return r.Data, nil
}
