package imap

import (
	"context"
	"fmt"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/frontends/imap/imapwire"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// appendArgs is what APPEND says of one message.
type appendArgs struct {
	flags    exmdb.Flags
	received time.Time
	message  *imapwire.Literal
}

func parseAppend(d *imapwire.Decoder) appendArgs {
	var a appendArgs
	if d.Peek() == '(' {
		a.flags = parseFlagList(d)
		d.SP()
	}
	if d.Peek() == '"' {
		a.received = d.DateTime()
		d.SP()
	}
	a.message = d.OpenLiteral()
	return a
}

// appended is what an APPEND has stored.
type appended struct {
	target   mapi.FID
	validity uint32
	uids     []exmdb.UIDRange
}

// appendCommand is APPEND (RFC 9051 6.3.12) of one message or of several, of which all are stored or none (RFC 3502).
func (s *session) appendCommand(ctx context.Context) error {
	mailbox := parseMailbox(s.dec)
	s.dec.SP()
	stored := &appended{}
	if err := s.appendMessages(ctx, mailbox, stored); err != nil {
		s.undo(ctx, stored.target, stored.uids)
		return err
	}
	uids := imapwire.AppendRanges(nil, imapwire.Merge(toWire(stored.uids)))
	s.done = reply{code: "APPENDUID " + decimal(uint64(stored.validity)) + " " + string(uids)}
	return nil
}

// appendMessages stores one message after the other. Each is asked for only when it can be taken, and goes to the
// ingester as it arrives.
func (s *session) appendMessages(ctx context.Context, mailbox string, stored *appended) error {
	for more := true; more; {
		a := parseAppend(s.dec)
		if err := s.dec.Err(); err != nil {
			return err
		}
		if err := s.mayAppend(ctx, mailbox, a.message.Size, stored); err != nil {
			a.message.Refuse()
			return err
		}
		message, err := s.ingest(ctx, a.message)
		if err != nil {
			return err
		}
		if more = s.dec.TrySP(); !more {
			s.dec.CRLF()
		}
		if err := s.dec.Err(); err != nil {
			return err
		}
		if err := s.appendOne(ctx, &a, message, stored); err != nil {
			return err
		}
	}
	return nil
}

// mayAppend decides, before a message is sent, whether it can be taken, and finds where it goes.
func (s *session) mayAppend(ctx context.Context, mailbox string, size int64, stored *appended) error {
	switch {
	case size > s.server.config.MaxMessage:
		return no(imap.ResponseCodeTooBig, "Message is too big")
	case size == 0:
		return no(imap.ResponseCodeCannot, "Message is empty")
	case stored.target != 0:
		return nil
	}
	path, err := canonical(mailbox)
	if err != nil {
		return err
	}
	t, err := s.folders(ctx)
	if err != nil {
		return err
	}
	target, err := t.target(path)
	if err != nil {
		return err
	}
	stored.target = target.FID
	return nil
}

func (s *session) appendOne(ctx context.Context, a *appendArgs, message exmdb.NewMessage, stored *appended) error {
	if a.received.IsZero() {
		a.received = time.Now()
	}
	req := &exmdb.AppendRequest{Folder: stored.target, Message: message, Flags: a.flags, Received: a.received.UTC()}
	resp, err := do(ctx, s, exmdb.OpAppend, req)
	if kindOf(err) == exmdb.KindNoFolder { // deleted while the message came
		return no(imap.ResponseCodeTryCreate, "No such mailbox")
	}
	if err != nil {
		return err
	}
	stored.validity = resp.UIDValidity
	stored.uids = append(stored.uids, exmdb.UIDRange{First: resp.UID, Last: resp.UID})
	return nil
}

// ingest lets the client send a message.
func (s *session) ingest(ctx context.Context, message *imapwire.Literal) (exmdb.NewMessage, error) {
	message.Accept()
	if err := s.dec.Err(); err != nil {
		return exmdb.NewMessage{}, err
	}
	made, err := s.server.services.Messages.Ingest(ctx, s.principal, message, message.Size)
	if derr := s.dec.Err(); derr != nil { // the client hung up in the middle
		return exmdb.NewMessage{}, derr
	}
	message.Drain() // what a refused message left unread
	if derr := s.dec.Err(); derr != nil {
		return exmdb.NewMessage{}, derr
	}
	if err != nil {
		return exmdb.NewMessage{}, fmt.Errorf("ingest: %w", err)
	}
	return made, nil
}
