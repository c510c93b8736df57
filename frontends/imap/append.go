package imap

import (
	"context"
	"fmt"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/frontends/imap/imapwire"
)

// appendArgs is APPEND without its message.
type appendArgs struct {
	mailbox  string
	flags    exmdb.Flags
	received time.Time
	message  *imapwire.Literal
}

func parseAppend(d *imapwire.Decoder) appendArgs {
	a := appendArgs{mailbox: parseMailbox(d)}
	d.SP()
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

// appendCommand is APPEND (RFC 9051 6.3.12). The message is asked for only when it can be taken, and goes to the
// ingester as it arrives.
func (s *session) appendCommand(ctx context.Context) error {
	a := parseAppend(s.dec)
	if err := s.dec.Err(); err != nil {
		return err
	}
	target, err := s.appendTarget(ctx, &a)
	if err != nil {
		a.message.Refuse()
		return err
	}
	message, err := s.ingest(ctx, a.message)
	if err != nil {
		return err
	}
	if a.received.IsZero() {
		a.received = time.Now()
	}
	req := &exmdb.AppendRequest{Folder: target.FID, Message: message, Flags: a.flags, Received: a.received.UTC()}
	resp, err := do(ctx, s, exmdb.OpAppend, req)
	if kindOf(err) == exmdb.KindNoFolder { // deleted while the message came
		return no(imap.ResponseCodeTryCreate, "No such mailbox")
	}
	if err != nil {
		return err
	}
	s.done = reply{code: "APPENDUID " + decimal(uint64(resp.UIDValidity)) + " " + decimal(uint64(resp.UID))}
	return nil
}

// appendTarget decides, before the message is sent, whether it can be taken.
func (s *session) appendTarget(ctx context.Context, a *appendArgs) (*node, error) {
	switch {
	case a.message.Size > s.server.config.MaxMessage:
		return nil, no(imap.ResponseCodeTooBig, "Message is too big")
	case a.message.Size == 0:
		return nil, no(imap.ResponseCodeCannot, "Message is empty")
	}
	path, err := canonical(a.mailbox)
	if err != nil {
		return nil, err
	}
	t, err := s.folders(ctx)
	if err != nil {
		return nil, err
	}
	return t.target(path)
}

// ingest lets the client send its message, up to the end of the command's line.
func (s *session) ingest(ctx context.Context, message *imapwire.Literal) (exmdb.NewMessage, error) {
	message.Accept()
	if err := s.dec.Err(); err != nil {
		return exmdb.NewMessage{}, err
	}
	p := s.principal
	made, err := s.server.services.Messages.Ingest(ctx, p.Identity, p.Mailbox, message, message.Size)
	if derr := s.dec.Err(); derr != nil { // the client hung up in the middle
		return exmdb.NewMessage{}, derr
	}
	message.Drain() // what a refused message left unread
	if s.dec.CRLF(); s.dec.Err() != nil {
		return exmdb.NewMessage{}, s.dec.Err()
	}
	if err != nil {
		return exmdb.NewMessage{}, fmt.Errorf("ingest: %w", err)
	}
	return made, nil
}
