// Package deliver takes received mail in and stores it in mailboxes, once each.
//
// It knows the recipe form of a mail (MAILBOX 3), trace headers and delivery keys; it never knows a protocol's
// replies or who owns a mailbox. Invariants: a recipient's result is nil only when a majority has the mail on disk;
// a mail is held in constant memory whatever its length; content is sent once to each group.
package deliver

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/directory"
	"github.com/flotilla-mail/flotilla/internal/mailflow"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Deliverer implements mailflow.Receiver, and takes in what IMAP appends.
type Deliverer struct {
	Caller    exmdb.Caller
	Directory directory.Directory
	// Spool is a folder for mails under way that are too long for memory; nothing in it outlives the process.
	Spool string
	// Limit is the longest mail, in octets.
	Limit int64
	// Host names this system in trace headers.
	Host string
	// Later takes what cannot be stored now although others of the same mail are (CLUSTER 2.3); nil refuses it.
	Later Later
	Now   func() time.Time
}

// Later keeps recipients of a mail durably until they can be delivered.
type Later interface {
	Keep(ctx context.Context, env *mailflow.Envelope, to []Target, m *Received) error
}

// Target is one mailbox that one recipient of a mail leads to.
type Target struct {
	Mailbox mapi.MailboxID
	// Address is the forward-path as given.
	Address string
	// recipient is the index of the recipient in the transaction.
	recipient int
}

// Limits of one transaction.
const (
	// maxParallel is how many mailboxes one mail is stored in at a time.
	maxParallel = 8
	// inlineShared is the content above which a mail for several mailboxes of a group is uploaded once instead of
	// being sent with each.
	inlineShared = 16 << 10
)

// Accept implements mailflow.Receiver.
func (d *Deliverer) Accept(ctx context.Context, _ *mailflow.Envelope, address string) (mailflow.Recipient, error) {
	to := mailflow.Recipient{Address: address}
	a, err := directory.Normalise(address)
	if err != nil {
		return to, err
	}
	local, err := d.Directory.Local(ctx, directory.DomainOf(a))
	if err != nil {
		return to, err
	}
	if !local {
		return to, mailflow.ErrRelay
	}
	to.To, err = d.Directory.Resolve(ctx, a)
	if err != nil {
		if plain, ok := withoutDetail(a); ok && cluster.KindOf(err) == exmdb.KindNoSuchUser {
			to.To, err = d.Directory.Resolve(ctx, plain)
		}
	}
	if err == nil && len(to.To.Mailboxes) == 0 {
		err = mailflow.ErrRelay // a list or contact that leads only elsewhere, and nothing carries mail there yet
	}
	return to, err
}

// withoutDetail takes the +detail off a local part (RFC 5233).
func withoutDetail(a string) (string, bool) {
	at := strings.LastIndexByte(a, '@')
	plus := strings.IndexByte(a[:at], '+')
	if plus <= 0 {
		return "", false
	}
	return a[:plus] + a[at:], true
}

// Receive implements mailflow.Receiver.
func (d *Deliverer) Receive(ctx context.Context, r io.Reader) (mailflow.Mail, error) {
	return receive(ctx, r, d.Limit, d.Spool)
}

// Deliver implements mailflow.Receiver.
func (d *Deliverer) Deliver(ctx context.Context, env *mailflow.Envelope, to []mailflow.Recipient, m mailflow.Mail) []mailflow.Result {
	results := make([]mailflow.Result, len(to))
	for i := range to {
		results[i].Recipient = to[i].Address
	}
	rec, ok := m.(*Received)
	if !ok {
		return failAll(results, fmt.Errorf("deliver: mail of type %T was not received here", m))
	}
	targets := targetsOf(to)
	errs := d.store(ctx, env, targets, rec)
	d.keepRest(ctx, env, targets, errs, rec)
	for i, err := range errs {
		if r := &results[targets[i].recipient]; err != nil {
			r.Err = errors.Join(r.Err, err)
		}
	}
	return results
}

func failAll(results []mailflow.Result, err error) []mailflow.Result {
	for i := range results {
		results[i].Err = err
	}
	return results
}

// targetsOf lists every mailbox once, under the first recipient that leads to it.
func targetsOf(to []mailflow.Recipient) []Target {
	seen := make(map[mapi.MailboxID]bool)
	var targets []Target
	for i := range to {
		for _, r := range to[i].To.Mailboxes {
			if !seen[r.Mailbox] {
				seen[r.Mailbox] = true
				targets = append(targets, Target{Mailbox: r.Mailbox, Address: to[i].Address, recipient: i})
			}
		}
	}
	return targets
}

// store delivers to every target; the errors are in their order.
func (d *Deliverer) store(ctx context.Context, env *mailflow.Envelope, targets []Target, rec *Received) []error {
	errs := make([]error, len(targets))
	groups := d.byLocality(ctx, targets)
	var g errgroup.Group
	g.SetLimit(maxParallel)
	for _, group := range groups {
		p := &parcel{deliverer: d, mail: rec, shared: len(group) > 1}
		// The first mailbox of a group brings the content; the others then only refer to it.
		errs[group[0]] = d.one(ctx, env, targets[group[0]], p)
		for _, i := range group[1:] {
			g.Go(func() error {
				errs[i] = d.one(ctx, env, targets[i], p)
				return nil
			})
		}
	}
	_ = g.Wait() // the funcs return no errors: each target has its own
	return errs
}

// byLocality groups the targets whose mailboxes share content.
func (d *Deliverer) byLocality(ctx context.Context, targets []Target) [][]int {
	locator, ok := d.Caller.(exmdb.Locator)
	var groups [][]int
	at := make(map[uint64]int)
	for i, t := range targets {
		if ok && len(targets) > 1 {
			if l, err := locator.Locality(ctx, t.Mailbox); err == nil {
				if n, seen := at[l]; seen {
					groups[n] = append(groups[n], i)
					continue
				}
				at[l] = len(groups)
			}
		}
		groups = append(groups, []int{i})
	}
	return groups
}

// one stores the mail in one mailbox. Content that the group lost between upload and use is brought once more.
func (d *Deliverer) one(ctx context.Context, env *mailflow.Envelope, t Target, p *parcel) error {
	for try := 0; ; try++ {
		msg, err := p.message(ctx, t.Mailbox)
		if err != nil {
			return err
		}
		msg.Recipe.Prefix = d.trace(env, t)
		_, err = exmdb.Do(ctx, d.Caller, exmdb.System, t.Mailbox, exmdb.OpDeliver, &exmdb.DeliverRequest{
			Message: msg, Key: deliveryKey(env, t, p.mail), Received: d.Now().UTC(), Sender: env.From, Recipient: t.Address})
		if cluster.KindOf(err) != cluster.KindContentMissing || try > 2 {
			return err
		}
		p.forget()
	}
}

// deliveryKey is MAILBOX 7's: zero for a mail that has no Message-ID.
func deliveryKey(env *mailflow.Envelope, t Target, rec *Received) [32]byte {
	if !rec.hasMessageID() {
		return [32]byte{}
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s\x00%s\x00", env.From, t.Address)
	h.Write(rec.sum[:])
	return [32]byte(h.Sum(nil))
}

// keepRest hands the targets that cannot be stored now to Later, if at least one was stored: a sender that got 451
// for all of them would send to those again that have the mail (CLUSTER 2.3).
func (d *Deliverer) keepRest(ctx context.Context, env *mailflow.Envelope, targets []Target, errs []error, rec *Received) {
	var rest []Target
	stored := false
	for i, err := range errs {
		switch {
		case err == nil:
			stored = true
		case cluster.Retryable(err) || errors.Is(err, context.DeadlineExceeded):
			rest = append(rest, targets[i])
		}
	}
	if !stored || len(rest) == 0 || d.Later == nil || strings.HasPrefix(env.With, "LMTP") {
		return
	}
	if d.Later.Keep(ctx, env, rest, rec) != nil {
		return // the errors of the targets stand: the sender will try again
	}
	for i, err := range errs {
		if err != nil && (cluster.Retryable(err) || errors.Is(err, context.DeadlineExceeded)) {
			errs[i] = nil
		}
	}
}

// trace is what stands in front of the mail in one mailbox (RFC 5321 4.4).
func (d *Deliverer) trace(env *mailflow.Envelope, t Target) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "Return-Path: <%s>\r\nDelivered-To: %s\r\n", printable(env.From), printable(t.Address))
	fmt.Fprintf(&b, "Received: from %s (%s)\r\n\tby %s with %s;\r\n\t%s\r\n",
		printable(orUnknown(env.Helo)), printable(env.Remote), d.Host, env.With, d.Now().UTC().Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	return []byte(b.String())
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

// printable keeps what a client said from breaking out of its header line.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s)
}

// Ingest turns the octets of an APPEND into a message for one mailbox, its content uploaded where it is too long to
// travel with the op.
func (d *Deliverer) Ingest(ctx context.Context, as exmdb.Identity, box mapi.MailboxID, r io.Reader, _ int64) (exmdb.NewMessage, error) {
	rec, err := receive(ctx, r, d.Limit, d.Spool)
	if err != nil {
		return exmdb.NewMessage{}, err
	}
	p := &parcel{deliverer: d, mail: rec}
	msg, err := p.message(ctx, box)
	return msg, errors.Join(err, rec.Close())
}
