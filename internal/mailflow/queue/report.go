package queue

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mailflow/dsn"
)

// toldAtOnce bounds the recipients that one report speaks of.
const toldAtOnce = 100

// report tells senders of ours which recipients this update gives up (RFC 5321 4.2.5). A report is a mail in the queue,
// written by the effect that gives up: it comes exactly as often as that, and waits for the sender's mailbox as any mail
// does. It has no sender itself, so nobody is told when it cannot be delivered.
func (s *spool) report() error {
	gone := slices.Clone(s.gone)
	slices.SortStableFunc(gone, func(a, b given) int { return cmp.Compare(a.entry, b.entry) })
	for len(gone) > 0 {
		n := 1
		for n < min(len(gone), toldAtOnce) && gone[n].entry == gone[0].entry {
			n++
		}
		if err := s.tell(gone[:n]); err != nil {
			return err
		}
		gone = gone[n:]
	}
	return nil
}

// tell reports on recipients of one mail.
func (s *spool) tell(gone []given) error {
	var m mail
	var b body
	if _, err := load(s.w, entryKey(prefixMail, gone[0].entry), &m); err != nil || m.Sender.IsZero() {
		return err
	}
	if _, err := load(s.w, entryKey(prefixBody, gone[0].entry), &b); err != nil {
		return err
	}
	entry := s.number()
	r := &dsn.Report{Host: m.Host, ID: strconv.FormatUint(entry, 36), Sender: m.From, Arrived: m.Received, Made: s.w.Now(), Header: headerOf(&b.Recipe)}
	for _, g := range gone {
		r.Recipients = append(r.Recipients, dsn.Recipient{Address: g.address, Action: dsn.Failed, Kind: cluster.KindOf(g.err)})
	}
	return s.keep(entry, &KeepRequest{Received: r.Made, Message: message(r.Octets()), To: []KeptRecipient{{
		Mailbox: m.Sender, Address: m.From, Trace: fmt.Appendf(nil, "Return-Path: <>\r\nDelivered-To: %s\r\n", m.From)}}})
}

// headerOf is what stands at the beginning of a mail; nothing, if that is so long that it became content.
func headerOf(r *exmdb.Recipe) []byte {
	if len(r.Segments) == 0 {
		return nil
	}
	return r.Segments[0].Raw
}

// message is a short mail in the form in which mailboxes take it.
func message(octets []byte) exmdb.NewMessage {
	sc := mime.NewScanner(mime.DefaultLimits())
	_, _ = sc.Write(octets) // never fails
	return exmdb.NewMessage{Recipe: exmdb.Recipe{Segments: []exmdb.Segment{{Raw: octets}}}, Digest: mime.MarshalDigest(sc.Finish())}
}
