package deliver

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mailflow"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// keepRest hands what was not stored to Later where the answer has to be that of somebody who has the mail (CLUSTER 2.3):
// a sender that got 451 for all would send to those again, one that got 550 would believe that nobody has it, and 250
// alone would be the end of a mail that somebody has not. Where Later does not take it the errors stand.
func (t *transaction) keepRest(ctx context.Context) error {
	if !t.keeps {
		return nil
	}
	t.owe()
	rest := &mailflow.Rest{From: t.env.From, Received: t.received, Size: t.mail.size, Host: t.Host, Message: t.message}
	for i := range t.targets {
		switch to := &t.targets[i]; {
		case to.err == nil:
			rest.Near = append(rest.Near, to.mailbox)
		case to.owed:
			p := mailflow.Pending{Mailbox: to.mailbox, Address: to.address, Trace: t.trace(to), Key: t.key(to)}
			if to.to != nil {
				p.About = t.about.For(to.to)
			}
			if mailflow.Final(to.err) {
				p.Refused = to.err
			}
			rest.To = append(rest.To, p)
		}
	}
	if len(rest.To) == 0 {
		return nil
	}
	rest.Sender = t.sender(ctx)
	return t.Later.Keep(ctx, rest)
}

// owe finds the targets that share an answer with one that is stored: in LMTP those of one recipient do, else all.
func (t *transaction) owe() {
	t.stored = make(map[int]bool)
	for i := range t.targets {
		for _, r := range t.targets[i].recipients {
			t.stored[t.answerOf(r)] = t.stored[t.answerOf(r)] || t.targets[i].err == nil
		}
	}
	for i := range t.targets {
		for _, r := range t.targets[i].recipients {
			t.targets[i].owed = t.targets[i].owed || t.stored[t.answerOf(r)]
		}
	}
}

// answerOf numbers the answer that a recipient gets.
func (t *transaction) answerOf(recipient int) int {
	if t.each() {
		return recipient
	}
	return 0
}

// answer is what a target means for one of the recipients that lead to it, kept being Later's word.
func (t *transaction) answer(to *target, recipient int, kept error) error {
	switch {
	case to.err == nil || !to.owed:
		return to.err
	case mailflow.Final(to.err) && !t.stored[t.answerOf(recipient)]:
		return to.err // it has an answer of its own
	case kept != nil:
		return fmt.Errorf("%w; nor was it kept for later: %w", to.err, kept)
	}
	return nil
}

// senderPatience is how long it may take to find the sender.
const senderPatience = 2 * time.Second

// sender is the mailbox that reports go to: that of the reverse-path, if it is one of ours. A sender of ours is in this
// node's own copy of the directory; that somebody is none may take a quorum to say, and then he is taken for none.
func (t *transaction) sender(ctx context.Context) mapi.MailboxID {
	if t.env.From == "" {
		return mapi.MailboxID{} // no reports about reports (RFC 5321 6.1)
	}
	ctx, cancel := context.WithTimeout(ctx, senderPatience)
	defer cancel()
	to, err := t.resolve(ctx, t.env.From)
	if err != nil || len(to.Mailboxes) != 1 || len(to.External) > 0 {
		return mapi.MailboxID{}
	}
	return to.Mailboxes[0].Mailbox
}

// message is the mail for a space of Later's.
func (t *transaction) message(ctx context.Context, box mapi.MailboxID) (exmdb.NewMessage, error) {
	p := &parcel{caller: t.Caller, mail: t.mail, shared: true}
	return p.message(ctx, box)
}

// trace is what stands in front of the mail in one mailbox (RFC 5321 4.4); where mail leaves, there is no final delivery
// to note.
func (t *transaction) trace(to *target) []byte {
	var b strings.Builder
	if !to.mailbox.IsZero() {
		fmt.Fprintf(&b, "Return-Path: <%s>\r\nDelivered-To: %s\r\n", mailflow.Printable(t.env.From), mailflow.Printable(to.address))
	}
	fmt.Fprintf(&b, "Received: from %s (%s)\r\n\tby %s with %s;\r\n\t%s\r\n", mailflow.Printable(orUnknown(t.env.Helo)),
		mailflow.Printable(t.env.Remote), t.Host, t.env.With, t.received.Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	return []byte(b.String())
}
