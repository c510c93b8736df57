package queue

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mailflow/deliver"
	"github.com/flotilla-mail/flotilla/internal/mailflow/dsn"
)

// toldAtOnce bounds the recipients that one report speaks of.
const toldAtOnce = 100

// report tells senders of ours which recipients this update gives up or finds late (RFC 5321 4.2.5). A report is a mail in
// the queue, written by the effect that it speaks of: it comes exactly as often as that, and waits for the sender's mailbox
// as any mail does. It has no sender itself, so nobody is told when it cannot be delivered.
func (s *spool) report() error {
	if err := s.reportOn(s.gone, dsn.Failed); err != nil {
		return err
	}
	return s.reportOn(s.late, dsn.Delayed)
}

// reportOn writes the reports of one kind, for each mail its own.
func (s *spool) reportOn(all []news, action dsn.Action) error {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b news) int { return cmp.Compare(a.entry, b.entry) })
	for len(all) > 0 {
		n := 1
		for n < min(len(all), toldAtOnce) && all[n].entry == all[0].entry {
			n++
		}
		if err := s.tell(all[:n], action); err != nil {
			return err
		}
		all = all[n:]
	}
	return nil
}

// tell reports on recipients of one mail.
func (s *spool) tell(about []news, action dsn.Action) error {
	var m mail
	var b body
	if _, err := load(s.w, entryKey(prefixMail, about[0].entry), &m); err != nil || m.Sender.IsZero() {
		return err
	}
	if _, err := load(s.w, entryKey(prefixBody, about[0].entry), &b); err != nil {
		return err
	}
	entry := s.number()
	r := &dsn.Report{Host: m.Host, ID: strconv.FormatUint(entry, 36), Sender: m.From, Arrived: m.Received, Made: s.w.Now(), Header: headerOf(&b.Recipe)}
	for _, n := range about {
		r.Recipients = append(r.Recipients, dsn.Recipient{Address: n.address, Action: action, Kind: cluster.KindOf(n.err), Until: n.until})
	}
	msg, err := deliver.Short(r.Octets())
	if err != nil {
		return err
	}
	return s.keep(entry, &KeepRequest{Received: r.Made, Message: msg, To: []KeptRecipient{{
		Mailbox: m.Sender, Address: m.From, Trace: fmt.Appendf(nil, "Return-Path: <>\r\nDelivered-To: %s\r\n", m.From)}}})
}

// headerOf is what stands at the beginning of a mail; nothing, if that is so long that it became content.
func headerOf(r *exmdb.Recipe) []byte {
	if len(r.Segments) == 0 {
		return nil
	}
	return r.Segments[0].Raw
}
