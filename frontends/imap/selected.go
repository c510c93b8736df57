package imap

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/frontends/imap/imapwire"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// folder is what a session remembers of the selected mailbox: what its client was told.
type folder struct {
	fid      mapi.FID
	readOnly bool
	uids     uidList
	// stamp is up to where changes were told; sequence is the space's, for OpWatch.
	stamp    mapi.Stamp
	sequence uint64
	keywords []string
	// fresh are UIDs that a poll has met and not told yet: it may fail before its last page.
	fresh []exmdb.UIDRange
	// gone are UIDs that vanished while the client may not be told (RFC 9051 7.5.1).
	gone []exmdb.UIDRange
	// own are the stamps of this session's flag changes that the client knows already.
	own []stampRange
	// saved is the result of SEARCH RETURN (SAVE), "$" (RFC 5182).
	saved []exmdb.UIDRange
}

type stampRange struct{ first, last mapi.Stamp }

// modSeq is a stamp as a client sees it: an empty folder's zero is shown as 1 (RFC 7162 7: mod-sequences are not
// zero).
func modSeq(s mapi.Stamp) uint64 { return uint64(max(s, 1)) }

type selectArgs struct {
	mailbox   string
	condstore bool
}

func parseSelect(d *imapwire.Decoder) selectArgs {
	a := selectArgs{mailbox: parseMailbox(d)}
	if !d.TrySP() {
		return a
	}
	d.List(func() {
		if d.Keyword() != "CONDSTORE" {
			d.Fail("unknown parameter of SELECT")
		}
		a.condstore = true
	})
	return a
}

func (s *session) selectWrite(ctx context.Context, a selectArgs) error {
	return s.choose(ctx, a, false)
}

func (s *session) selectRead(ctx context.Context, a selectArgs) error {
	return s.choose(ctx, a, true)
}

// choose selects a mailbox. One that was selected is left first, even if the new one cannot be selected (RFC 9051
// 6.3.2).
func (s *session) choose(ctx context.Context, a selectArgs, readOnly bool) error {
	if s.selected != nil {
		s.untagged(imap.StatusResponseTypeOK, "CLOSED", "Previous mailbox is closed")
		s.deselect()
	}
	n, err := s.find(ctx, a.mailbox)
	if err != nil {
		return err
	}
	resp, err := s.allUIDs(ctx, n.FID)
	if err != nil {
		return err
	}
	s.enabled.condstore = s.enabled.condstore || a.condstore
	f := &folder{fid: n.FID, readOnly: readOnly, uids: newUIDList(resp.UIDs), stamp: resp.Folder.ContentSeq,
		sequence: resp.Sequence, keywords: atoms(resp.Keywords)}
	s.selected, s.state = f, selected
	s.greetFolder(f, resp)
	s.done = reply{code: "READ-WRITE"}
	if readOnly {
		s.done.code = "READ-ONLY"
	}
	return nil
}

func (s *session) allUIDs(ctx context.Context, folder mapi.FID) (*exmdb.UIDsResponse, error) {
	resp, err := exmdb.UIDs(ctx, s.server.services.Mailboxes, s.principal.Identity, s.principal.Mailbox, folder)
	if err != nil {
		return nil, fmt.Errorf("read UIDs: %w", err)
	}
	return resp, nil
}

// greetFolder writes what SELECT tells of a mailbox.
func (s *session) greetFolder(f *folder, resp *exmdb.UIDsResponse) {
	const ok = imap.StatusResponseTypeOK
	s.flagsLine(f)
	permanent := "PERMANENTFLAGS ()"
	if !f.readOnly {
		permanent = "PERMANENTFLAGS (" + strings.Join(append(systemFlags(), f.keywords...), " ") + ` \*)`
	}
	s.untagged(ok, permanent, "Flags kept")
	s.existsLine(f)
	s.out.Raw("* 0 RECENT\r\n")
	if seq := f.uids.seq(resp.FirstUnseen); resp.FirstUnseen != 0 && seq != 0 {
		s.untagged(ok, "UNSEEN "+decimal(uint64(seq)), "First unseen")
	}
	s.untagged(ok, "UIDVALIDITY "+decimal(uint64(resp.Folder.UIDValidity)), "UIDs valid")
	s.untagged(ok, "UIDNEXT "+decimal(uint64(resp.Folder.UIDNext)), "Next UID")
	s.untagged(ok, codeHighestModSeq+" "+decimal(modSeq(resp.Folder.ContentSeq)), "Highest")
	s.untagged(ok, "MAILBOXID ("+mailboxID(f.fid)+")", "Identity")
}

func (s *session) existsLine(f *folder) {
	s.out.Raw("* ")
	s.out.Num(uint64(f.uids.count()))
	s.out.Raw(" EXISTS\r\n")
}

func (s *session) flagsLine(f *folder) {
	s.out.Raw("* FLAGS (" + strings.Join(append(systemFlags(), f.keywords...), " ") + ")")
	s.out.CRLF()
}

// atoms keeps the keywords that IMAP can write.
func atoms(keywords []string) []string {
	out := make([]string, 0, len(keywords))
	for _, k := range keywords {
		if isKeyword(k) {
			out = append(out, k)
		}
	}
	return out
}

// learn notes a message's keywords; a new one is announced in a FLAGS response first (RFC 9051 7.3.5).
func (s *session) learn(f *folder, keywords []string) {
	before := len(f.keywords)
	for _, k := range keywords {
		if isKeyword(k) && !slices.ContainsFunc(f.keywords, func(have string) bool { return strings.EqualFold(have, k) }) {
			f.keywords = append(f.keywords, k)
		}
	}
	if len(f.keywords) > before {
		s.flagsLine(f)
	}
}

func (s *session) deselect() {
	s.selected, s.state = nil, authenticated
}

func (s *session) unselect(context.Context) error {
	s.deselect()
	return nil
}

// closeMailbox expunges without telling (RFC 9051 6.4.1).
func (s *session) closeMailbox(ctx context.Context) error {
	f := s.selected
	s.deselect()
	if f.readOnly {
		return nil
	}
	return s.remove(ctx, exmdb.ExpungeRequest{Folder: f.fid})
}

// resolve turns a set as a client wrote it into UIDs. A sequence number that does not exist is the client's mistake;
// a UID that does not exist is passed over (RFC 9051 6.4.9).
func (s *session) resolve(set imapwire.NumSet, byUID bool) ([]exmdb.UIDRange, error) {
	f := s.selected
	switch {
	case set.Saved:
		return f.saved, nil
	case byUID:
		ranges := set.Resolve(uint32(f.uids.highest()))
		return clip(fromWire(ranges), 1, f.uids.highest()), nil
	case set.Highest() > f.uids.count():
		return nil, bad("No such message")
	}
	return f.uids.bySeq(set.Resolve(f.uids.count())), nil
}

// writable refuses changes in a mailbox that was opened by EXAMINE.
func (s *session) writable() error {
	if s.selected.readOnly {
		return no("READ-ONLY", "Mailbox is open for reading only")
	}
	return nil
}
