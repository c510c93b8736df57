package imap

import (
	"context"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/frontends/imap/imapwire"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// listArgs is a LIST command (RFC 9051 6.3.9, RFC 5258).
type listArgs struct {
	reference string
	patterns  []string
	extended  bool // selection or return options, or several patterns

	onlySubscribed, onlySpecial, recursive       bool
	returnSubscribed, returnChildren, returnUses bool
	status                                       []statusItem
	lsub                                         bool
}

// maxPattern bounds what is matched against every folder's name.
const maxPattern = 1000

func parseList(d *imapwire.Decoder) *listArgs {
	a := &listArgs{}
	d.SP()
	if d.Peek() == '(' {
		a.extended = true
		d.List(func() { a.selection(d, d.Keyword()) })
		d.SP()
	}
	a.reference = d.Mailbox()
	d.SP()
	if d.Peek() == '(' {
		a.extended = true
		d.List(func() { a.pattern(d) })
	} else {
		a.pattern(d)
	}
	if d.TrySP() {
		a.extended = true
		if d.Keyword() != "RETURN" {
			d.Fail("expected RETURN")
		}
		d.SP()
		d.List(func() { a.returnOption(d, d.Keyword()) })
	}
	if a.recursive && !a.onlySubscribed {
		d.Fail("RECURSIVEMATCH needs SUBSCRIBED")
	}
	return a
}

func (a *listArgs) pattern(d *imapwire.Decoder) {
	p := d.Pattern()
	if len(p)+len(a.reference) > maxPattern || len(a.patterns) >= 100 {
		d.Fail("too many or too long patterns")
		return
	}
	a.patterns = append(a.patterns, p)
}

func (a *listArgs) selection(d *imapwire.Decoder, option string) {
	switch option {
	case "SUBSCRIBED":
		a.onlySubscribed, a.returnSubscribed = true, true
	case "REMOTE": // there are none (RFC 5258 3.1)
	case "RECURSIVEMATCH":
		a.recursive = true
	case "SPECIAL-USE":
		a.onlySpecial, a.returnUses = true, true
	default:
		d.Fail("unknown selection option")
	}
}

func (a *listArgs) returnOption(d *imapwire.Decoder, option string) {
	switch option {
	case "SUBSCRIBED":
		a.returnSubscribed = true
	case "CHILDREN":
		a.returnChildren = true
	case "SPECIAL-USE":
		a.returnUses = true
	case "STATUS":
		d.SP()
		a.status = parseStatusItems(d)
	default:
		d.Fail("unknown return option")
	}
}

func parseLsub(d *imapwire.Decoder) *listArgs {
	a := &listArgs{lsub: true, onlySubscribed: true}
	d.SP()
	a.reference = d.Mailbox()
	d.SP()
	a.pattern(d)
	return a
}

func (s *session) lsub(ctx context.Context, a *listArgs) error { return s.list(ctx, a) }

func (s *session) list(ctx context.Context, a *listArgs) error {
	if !a.extended && a.patterns[0] == "" { // asks for the separator
		s.listLine(a, listed{attrs: []imap.MailboxAttr{imap.MailboxAttrNoSelect}})
		return nil
	}
	t, err := s.folders(ctx)
	if err != nil {
		return err
	}
	patterns := a.fullPatterns()
	matching := func(n *node) bool { return n.exists() && matchAny(patterns, n.path) }
	below := subscribedBelow(t, func(n *node) bool { return !a.lsub || !matching(n) })
	for _, n := range t.nodes {
		if !matching(n) {
			continue
		}
		l, ok := a.listed(n, below[n.FID])
		if !ok {
			continue
		}
		s.listLine(a, l)
		if a.status == nil || !n.shown || l.indirect {
			continue
		}
		if err := s.statusLine(ctx, n, a.status); err != nil && kindOf(err) != exmdb.KindNoFolder { // deleted meanwhile
			return err
		}
	}
	return nil
}

// fullPatterns joins reference and patterns, with INBOX as a first level in upper case.
func (a *listArgs) fullPatterns() []string {
	full := make([]string, len(a.patterns))
	for i, p := range a.patterns {
		full[i] = a.reference + p
		if first, _, _ := strings.Cut(full[i], separator); strings.EqualFold(first, inboxName) {
			full[i] = inboxName + full[i][len(inboxName):]
		}
	}
	return full
}

func matchAny(patterns []string, path string) bool {
	for _, p := range patterns {
		if match(p, path) || path == inboxName && match(upper(p), path) {
			return true
		}
	}
	return false
}

// subscribedBelow says for each folder whether one below it is subscribed and counts. LSUB names a folder for what
// is below it only if that is not named itself (RFC 3501 6.3.9).
func subscribedBelow(t *tree, counts func(*node) bool) map[mapi.FID]bool {
	parent := make(map[mapi.FID]mapi.FID, len(t.nodes))
	for _, n := range t.nodes {
		parent[n.FID] = n.Parent
	}
	below := map[mapi.FID]bool{}
	for _, n := range t.nodes {
		if !n.Subscribed || !n.shown || !counts(n) {
			continue
		}
		for p := n.Parent; p != t.ipm && p != 0 && !below[p]; p = parent[p] {
			below[p] = true
		}
	}
	return below
}

// listed is a line of a LIST response.
type listed struct {
	attrs    []imap.MailboxAttr
	path     string
	indirect bool // shown only for what is below it (CHILDINFO)
}

// listed decides whether the options choose n, and with which attributes.
func (a *listArgs) listed(n *node, subscribedBelow bool) (listed, bool) {
	l := listed{path: n.path}
	chosen := (!a.onlySubscribed || n.Subscribed && n.shown) && (!a.onlySpecial || n.SpecialUse != "")
	if !chosen {
		if !subscribedBelow || !a.recursive && !a.lsub || a.onlySpecial {
			return l, false
		}
		l.indirect = true
	}
	switch {
	case a.lsub && l.indirect, !n.shown:
		l.attrs = append(l.attrs, imap.MailboxAttrNoSelect)
	}
	if a.lsub {
		return l, true
	}
	if n.children {
		l.attrs = append(l.attrs, imap.MailboxAttrHasChildren)
	} else {
		l.attrs = append(l.attrs, imap.MailboxAttrHasNoChildren)
	}
	if a.returnSubscribed && n.Subscribed {
		l.attrs = append(l.attrs, imap.MailboxAttrSubscribed)
	}
	if n.SpecialUse != "" {
		l.attrs = append(l.attrs, imap.MailboxAttr(n.SpecialUse))
	}
	l.indirect = l.indirect || a.recursive && subscribedBelow
	return l, true
}

func (s *session) listLine(a *listArgs, l listed) {
	name := "* LIST ("
	if a.lsub {
		name = "* LSUB ("
	}
	s.out.Raw(name)
	for i, attr := range l.attrs {
		if i > 0 {
			s.out.Byte(' ')
		}
		s.out.Raw(string(attr))
	}
	s.out.Raw(`) "/" `)
	s.out.Mailbox(l.path)
	if l.indirect && a.recursive {
		s.out.Raw(` ("CHILDINFO" ("SUBSCRIBED"))`)
	}
	s.out.CRLF()
}
