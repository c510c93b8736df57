package imap

import (
	"context"

	"github.com/emersion/go-imap/v2"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/frontends/imap/imapwire"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

type createArgs struct {
	mailbox string
	use     string // RFC 6154 3
}

func parseCreate(d *imapwire.Decoder) createArgs {
	a := createArgs{mailbox: parseMailbox(d)}
	if !d.TrySP() {
		return a
	}
	d.Special('(')
	if d.Keyword() != "USE" {
		d.Fail("expected USE")
	}
	d.SP()
	d.List(func() {
		if a.use != "" {
			d.Fail("one use at most")
		}
		a.use = parseFlag(d)
	})
	d.Special(')')
	return a
}

// specialUses are the uses that a folder may be created with.
func specialUses() []imap.MailboxAttr {
	return []imap.MailboxAttr{imap.MailboxAttrArchive, imap.MailboxAttrDrafts, imap.MailboxAttrJunk,
		imap.MailboxAttrSent, imap.MailboxAttrTrash}
}

// create makes a mailbox and the levels above it that are missing (RFC 9051 6.3.4).
func (s *session) create(ctx context.Context, a createArgs) error {
	use, err := knownUse(a.use)
	if err != nil {
		return err
	}
	path, err := canonical(a.mailbox)
	if err != nil {
		return err
	}
	t, err := s.folders(ctx)
	if err != nil {
		return err
	}
	parent, missing := t.place(path)
	if len(missing) == 0 {
		return no(imap.ResponseCodeAlreadyExists, "Mailbox exists")
	}
	f, err := s.makeFolders(ctx, t.ipm, parent, missing, use)
	if err != nil {
		return err
	}
	s.done = reply{code: "MAILBOXID (" + mailboxID(f.FID) + ")"}
	return nil
}

func knownUse(use string) (string, error) {
	if use == "" {
		return "", nil
	}
	for _, known := range specialUses() {
		if upper(string(known)) == upper(use) {
			return string(known), nil
		}
	}
	return "", no(codeUseAttr, "Special use is not supported")
}

// makeFolders creates levels one below the other; the last one, which is returned, gets the special use.
func (s *session) makeFolders(ctx context.Context, ipm, parent mapi.FID, levels []string, use string) (*exmdb.Folder, error) {
	var last *exmdb.Folder
	for i, level := range levels {
		req := &exmdb.CreateFolderRequest{Parent: parent, Name: mapiName(level)}
		if parent == ipm {
			req.Class = "IPF.Note"
		}
		if i == len(levels)-1 {
			req.SpecialUse = use
		}
		resp, err := do(ctx, s, exmdb.OpCreateFolder, req)
		if err != nil {
			return nil, err
		}
		last, parent = &resp.Folder, resp.Folder.FID
	}
	return last, nil
}

// delete deletes a mailbox with its messages. One with children is refused, as Exchange's own rule for a folder is
// not to leave a hole in the hierarchy; the client deletes the children first.
func (s *session) delete(ctx context.Context, name string) error {
	if name == inboxName {
		return no(imap.ResponseCodeCannot, "INBOX cannot be deleted")
	}
	n, err := s.find(ctx, name)
	if err != nil {
		return err
	}
	_, err = do(ctx, s, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: n.FID})
	return err
}

// find is the folder of a name.
func (s *session) find(ctx context.Context, name string) (*node, error) {
	path, err := canonical(name)
	if err != nil {
		return nil, err
	}
	t, err := s.folders(ctx)
	if err != nil {
		return nil, err
	}
	return t.shownNode(path)
}

type renameArgs struct{ from, to string }

func parseRename(d *imapwire.Decoder) renameArgs {
	a := renameArgs{from: parseMailbox(d)}
	a.to = parseMailbox(d)
	return a
}

func (s *session) rename(ctx context.Context, a renameArgs) error {
	to, err := canonical(a.to)
	if err != nil {
		return err
	}
	t, err := s.folders(ctx)
	if err != nil {
		return err
	}
	from, err := t.shownNode(a.from)
	if err != nil {
		return err
	}
	if same := t.find(to); same != nil && same != from {
		return no(imap.ResponseCodeAlreadyExists, "Mailbox exists")
	}
	if a.from == inboxName {
		return s.renameInbox(ctx, t, to)
	}
	parent, name, err := s.destination(ctx, t, from, to)
	if err != nil {
		return err
	}
	_, err = do(ctx, s, exmdb.OpMoveFolder, &exmdb.MoveFolderRequest{Folder: from.FID, Parent: parent, Name: name})
	return err
}

// destination makes the levels above a new name and gives its parent and last level.
func (s *session) destination(ctx context.Context, t *tree, from *node, to string) (mapi.FID, string, error) {
	parent, missing := t.place(to)
	if len(missing) == 0 { // a change of case alone: from itself was found
		missing = []string{lastLevel(to)}
		parent = from.Parent
	}
	if parent == from.FID {
		return 0, "", statusError(exmdb.KindCycle)
	}
	above := missing[:len(missing)-1]
	if len(above) > 0 {
		f, err := s.makeFolders(ctx, t.ipm, parent, above, "")
		if err != nil {
			return 0, "", err
		}
		parent = f.FID
	}
	return parent, mapiName(missing[len(missing)-1]), nil
}

func lastLevel(path string) string {
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == '/' {
			return path[i+1:]
		}
	}
	return path
}

// renameInbox moves INBOX's messages into a new mailbox; INBOX and what is below it stay (RFC 9051 6.3.6).
func (s *session) renameInbox(ctx context.Context, t *tree, to string) error {
	parent, missing := t.place(to)
	if len(missing) == 0 {
		return no(imap.ResponseCodeAlreadyExists, "Mailbox exists")
	}
	f, err := s.makeFolders(ctx, t.ipm, parent, missing, "")
	if err != nil {
		return err
	}
	all := []exmdb.UIDRange{{First: 1, Last: maxUID}}
	_, err = s.transfer(ctx, exmdb.OpMove, exmdb.CopyRequest{Folder: inbox, UIDs: all, Target: f.FID})
	return err
}

func (s *session) subscribe(ctx context.Context, name string) error {
	return s.setSubscribed(ctx, name, true)
}

func (s *session) unsubscribe(ctx context.Context, name string) error {
	return s.setSubscribed(ctx, name, false)
}

func (s *session) setSubscribed(ctx context.Context, name string, on bool) error {
	n, err := s.find(ctx, name)
	if err != nil {
		return err
	}
	_, err = do(ctx, s, exmdb.OpSubscribe, &exmdb.SubscribeRequest{Folder: n.FID, Subscribed: on})
	return err
}
