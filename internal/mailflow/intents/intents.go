// Package intents carries out what mailboxes send by themselves: what rules forward, answer and send back, what users say
// while they are away, receipts, and messages that go from one mailbox into another.
//
// A mailbox writes it into its outbox in the effect that wants it; the pump of the group's leader brings it here, in order,
// as often as it takes. This package makes the mail and puts it into the queue of the mailbox's own group, which takes each
// once by the mailbox's number (CLUSTER 2.1); then it tells the mailbox that it is done. It knows how such mail looks
// (RFC 3834, RFC 8098, RFC 5322 3.6.6) and where the directory says it goes; it never knows why it is sent, nor how it is delivered.
//
// Invariants: what was put into the queue is never put there again; the mailbox lets go of the mail only when the queue has
// it, or when it can never be sent; nothing that is sent here can make two mailboxes send to each other for ever.
package intents

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/rules"
	"github.com/flotilla-mail/flotilla/internal/directory"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mailflow"
	"github.com/flotilla-mail/flotilla/internal/mailflow/deliver"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// Performer implements space.Performer for the mailboxes of one group.
type Performer struct {
	Mail exmdb.Caller
	// Deliver says where addresses lead, and makes octets a message.
	Deliver *deliver.Deliverer
	// People finds who is named by a legacyExchangeDN.
	People People
	// Queue takes what is sent.
	Queue Queue
	// Group is the group whose outboxes are emptied: what they send waits in its queue.
	Group cluster.GroupID
	// Host names this system.
	Host   string
	Now    func() time.Time
	Events Events
}

// People is the part of the directory that is asked for names which are no addresses.
type People interface {
	// ByLegacyDN finds an object; exmdb.KindNoSuchUser when there is none.
	ByLegacyDN(ctx context.Context, dn string) (*directory.Object, error)
	// Owner finds the object that a mailbox is of; exmdb.KindNoSuchUser when there is none.
	Owner(ctx context.Context, id mapi.GUID) (*directory.Object, error)
}

// Queue takes mail for good: when it returns nil, a majority has it on disk, once for each source and number.
type Queue interface {
	Take(ctx context.Context, g cluster.GroupID, rest *mailflow.Rest) error
}

// Events are told of what becomes of what mailboxes send; nil funcs are left out.
type Events struct {
	// Sent: the queue has it, for so many recipients.
	Sent func(box mapi.MailboxID, out *exmdb.Outgoing, recipients int)
	// Dropped: it is not sent, now or ever.
	Dropped func(box mapi.MailboxID, out *exmdb.Outgoing, why error)
	// Refused: a message was not let into another mailbox, and is where it was.
	Refused func(box mapi.MailboxID, c *exmdb.Crossing, why error)
}

// Perform implements space.Performer.
func (p *Performer) Perform(ctx context.Context, source cluster.SpaceID, number uint64, in space.Intent) error {
	var req exmdb.OutgoingRequest
	if in.Op == exmdb.IntentAcross {
		return p.carry(ctx, source, number, in.Payload)
	}
	if in.Op != exmdb.IntentOutgoing {
		return cluster.Errorf(cluster.KindInternal, "intent of op %d", in.Op)
	}
	if err := wire.Unmarshal(in.Payload, &req); err != nil {
		return fmt.Errorf("intent %d: %w", number, err)
	}
	box := mapi.MailboxID(source)
	out, err := exmdb.Do(ctx, p.Mail, exmdb.System, box, exmdb.OpOutgoing, &req)
	if err != nil || out.Gone {
		return err
	}
	if in.Origin != 0 { // that group's queue remembers whether it took the mail before the mailbox moved
		at := *p
		at.Group = in.Origin
		p = &at
	}
	j := &job{Performer: p, box: box, number: number, req: req, out: &out.Outgoing, from: out}
	if err := j.send(ctx); err != nil {
		if !hopeless(err) {
			return err
		}
		if p.Events.Dropped != nil {
			p.Events.Dropped(box, j.out, err)
		}
	}
	_, err = exmdb.Do(ctx, p.Mail, exmdb.System, box, exmdb.OpFinishOutgoing, &req)
	return err
}

// errNothing says that there is nothing to send: a text or a template is gone.
var errNothing = errors.New("nothing to send")

// hopeless reports whether an error stands whatever is done.
func hopeless(err error) bool {
	return errors.Is(err, errNothing) || mailflow.Final(err) || cluster.KindOf(err) == cluster.KindBadRequest
}

// job is one thing that goes out.
type job struct {
	*Performer
	box    mapi.MailboxID
	number uint64
	req    exmdb.OutgoingRequest
	out    *exmdb.Outgoing
	from   *exmdb.OutgoingResponse
	// root is the mail, its envelope as clients see it.
	root *mime.Part
	// redirected: the mail goes on as it is, or rules of others would take it for another.
	redirected bool
}

// send puts the mail into the queue.
func (j *job) send(ctx context.Context) error {
	var err error
	if j.root, err = mime.UnmarshalDigest(j.from.Message.Digest); err != nil {
		return cluster.Errorf(exmdb.KindBadContent, "mail of intent %d: %v", j.number, err)
	}
	if j.root.Envelope, err = j.root.ReadEnvelope(j.octets(ctx)); err != nil {
		return err
	}
	if err := j.known(ctx); err != nil {
		return err
	}
	if len(j.out.Own) == 0 {
		return cluster.Errorf(exmdb.KindBadAddress, "mailbox %v has no address", j.box)
	}
	form, to, err := j.plan()
	if err != nil {
		return err
	}
	rest := &mailflow.Rest{Received: j.Now().UTC(), Size: int64(j.from.Message.Recipe.Size()), Host: j.Host, Message: form,
		Source: cluster.SpaceID(j.box), Number: j.number}
	if j.forwards() && j.out.Sender != "" || j.out.Kind == exmdb.OutgoingSubmitted {
		rest.From, rest.Sender = j.out.Own[0], j.box // who wanted the forward hears what becomes of it
	}
	if rest.To, err = j.pending(ctx, rest.From, to); err != nil {
		return err
	}
	if len(rest.To) == 0 {
		return errNothing
	}
	if err := j.Queue.Take(ctx, j.Group, rest); err != nil {
		return err
	}
	if j.Events.Sent != nil {
		j.Events.Sent(j.box, j.out, len(rest.To))
	}
	return nil
}

func (j *job) forwards() bool {
	return j.out.Kind == exmdb.OutgoingForward || j.out.Kind == exmdb.OutgoingDelegate
}

// pending says where each recipient leads, each mailbox once. One that leads nowhere is kept as refused, for whom it
// concerns to see.
func (j *job) pending(ctx context.Context, from string, to []exmdb.OutgoingRecipient) ([]mailflow.Pending, error) {
	var list []mailflow.Pending
	seen := make(map[mapi.MailboxID]bool)
	env := &mailflow.Envelope{From: from, User: j.out.Own[0]} // to lists it is mail of the mailbox's owner
	header := j.root.Envelope
	if !j.redirected && j.out.Kind != exmdb.OutgoingSubmitted {
		header = nil
	}
	about := j.Deliver.About(ctx, env, header)
	for _, r := range to {
		address, err := j.addressOf(ctx, r)
		accepted := mailflow.Recipient{}
		if err == nil {
			accepted, err = j.Deliver.Accept(ctx, env, address)
		}
		if err != nil {
			if !mailflow.Final(err) {
				return nil, err
			}
			list = append(list, mailflow.Pending{Address: address, Refused: err})
			continue
		}
		for i := range accepted.To.Mailboxes {
			if m := &accepted.To.Mailboxes[i]; !seen[m.Mailbox] {
				seen[m.Mailbox] = true
				list = append(list, j.pendingFor(from, address, m, &about))
			}
		}
		for _, elsewhere := range accepted.To.External {
			list = append(list, mailflow.Pending{Address: elsewhere, Refused: mailflow.ErrRelay})
		}
	}
	return list, nil
}

func (j *job) pendingFor(from, address string, m *directory.Recipient, about *deliver.About) mailflow.Pending {
	p := mailflow.Pending{Mailbox: m.Mailbox, Address: address, Trace: j.trace(from, address), Key: j.key(address), About: about.For(m)}
	if j.out.Kind == exmdb.OutgoingDelegate {
		p.About.Delegator = &exmdb.KnownAddress{Address: j.out.Own[0], Name: j.out.Name}
		for _, k := range about.Known {
			if k.Address == j.out.Own[0] {
				p.About.Delegator = &k
			}
		}
	}
	return p
}

// key is a delivery key (MAILBOX 7) of this thing and address: if ever two queues should bring it, it is one delivery.
func (j *job) key(address string) [32]byte {
	h := sha256.New()
	h.Write(j.box[:])
	h.Write(binary.BigEndian.AppendUint64(nil, j.number))
	fmt.Fprintf(h, "outgoing\x00%s", address)
	return [32]byte(h.Sum(nil))
}

// addressOf is the address of a recipient, looked up where a client named him by his legacyExchangeDN alone.
func (j *job) addressOf(ctx context.Context, r exmdb.OutgoingRecipient) (string, error) {
	if r.Address != "" {
		return r.Address, nil
	}
	o, err := j.People.ByLegacyDN(ctx, r.DN)
	if err != nil {
		return r.DN, err
	}
	return o.Address, nil
}

// trace is what stands in front of the mail in one mailbox (RFC 5321 4.4): where it came from, and that this mailbox's rules
// have handed it on. What it went through before stays; the next mailbox counts it.
func (j *job) trace(from, address string) []byte {
	b := fmt.Appendf(nil, "Return-Path: <%s>\r\nDelivered-To: %s\r\n", mailflow.Printable(from), mailflow.Printable(address))
	b = fmt.Appendf(b, "Received: by %s id %x;\r\n\t%s\r\n", j.Host, j.number, j.Now().UTC().Format(date))
	if !j.redirected {
		return b
	}
	b = fmt.Appendf(b, "%s: %s\r\n", rules.LoopField, mailflow.Printable(j.out.Own[0]))
	b = fmt.Appendf(b, "Resent-From: <%s>\r\nResent-To: <%s>\r\nResent-Date: %s\r\nResent-Message-ID: %s\r\n", mailflow.Printable(j.out.Own[0]),
		mailflow.Printable(address), j.Now().UTC().Format(date), j.messageID())
	return append(b, j.passed()...)
}

// passed are the trace headers with which the mail came, those of the last delivery left out.
func (j *job) passed() []byte {
	return fields(j.from.Message.Recipe.Prefix, mime.Except, "Return-Path", "Delivered-To")
}
