package deliver

import (
	"bytes"
	"context"
	"sync"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// parcel is one mail on its way to the mailboxes of one group, and whether its content is there already.
type parcel struct {
	caller exmdb.Caller
	mail   *Received
	// shared says that more than one space of the group gets the mail.
	shared bool

	mu       sync.Mutex
	uploaded bool // guarded by mu; content is in the group
}

// inlineShared is the content above which a mail for several spaces of a group is uploaded once instead of being sent
// with each.
const inlineShared = 16 << 10

// message gives the mail in the form for one mailbox, its content either inside or uploaded. It shares its octets with the
// mail: nobody may change them.
func (p *parcel) message(ctx context.Context, box mapi.MailboxID) (exmdb.NewMessage, error) {
	pl, err := p.mail.plan()
	if err != nil {
		return exmdb.NewMessage{}, err
	}
	if pl.content > exmdb.MaxInline || p.shared && pl.content > inlineShared {
		return pl.message(), p.upload(ctx, box, pl.pieces)
	}
	return p.inline()
}

// inline is the mail with its content inside.
func (p *parcel) inline() (exmdb.NewMessage, error) {
	pl, err := p.mail.plan()
	if err != nil {
		return exmdb.NewMessage{}, err
	}
	msg := pl.message()
	for i := range pl.pieces {
		err := p.mail.chunks(&pl.pieces[i], func(chunk []byte) error {
			if p.mail.file != nil {
				chunk = bytes.Clone(chunk)
			}
			msg.Inline = append(msg.Inline, chunk)
			return nil
		})
		if err != nil {
			return msg, err
		}
	}
	return msg, nil
}

// forget makes the next message upload its content again.
func (p *parcel) forget() {
	p.mu.Lock()
	p.uploaded = false
	p.mu.Unlock()
}

// upload brings the content to the group, once however many ask for it.
func (p *parcel) upload(ctx context.Context, box mapi.MailboxID, pieces []piece) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.uploaded {
		return nil
	}
	up, err := p.caller.Upload(ctx, exmdb.System, box)
	if err != nil {
		return err
	}
	for i := range pieces {
		err := p.mail.chunks(&pieces[i], func(chunk []byte) error {
			_, err := up.Put(ctx, chunk)
			return err
		})
		if err != nil {
			_ = up.Close(ctx) // the first error is the cause
			return err
		}
	}
	if err := up.Close(ctx); err != nil {
		return err
	}
	p.uploaded = true
	return nil
}
