// Package deliver takes received mail in and stores it in mailboxes, once each.
//
// It knows the recipe form of a mail (MAILBOX 3), trace headers and delivery keys; it never knows a protocol's
// replies or who owns a mailbox. Invariants: a recipient's result is nil only when a majority has the mail on disk;
// a mail is held in constant memory whatever its length; content is sent once to each group.
package deliver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/auth"
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
	// Later takes what is not stored although others of the same mail are (CLUSTER 2.3); nil refuses it.
	Later  Later
	Now    func() time.Time
	Events Events

	// buffers are *[copyBuffer]byte, through which octets come in.
	buffers sync.Pool
	// converting lets one mail that is in a file become a message at a time: what is taken apart in memory, TNEF and
	// messages in a transfer encoding, is bounded for each.
	converting sync.Mutex
}

// Events are told of what becomes of mail, several at a time; nil funcs are left out.
type Events struct {
	// Duplicate: a mailbox has had this mail before, and was not given it again (MAILBOX 7).
	Duplicate func(env *mailflow.Envelope, address string, box mapi.MailboxID)
}

// Later keeps recipients of a mail durably until they can be delivered to, and those that cannot be for the sender and
// an administrator to know.
type Later interface {
	// Keep takes the rest of a mail over: when it returns nil, a majority has it on disk.
	Keep(ctx context.Context, rest *mailflow.Rest) error
}

// Accept implements mailflow.Receiver. Nothing carries mail elsewhere yet: an address that leads only there is refused,
// and one that leads there too as long as Later cannot keep what becomes of that.
func (d *Deliverer) Accept(ctx context.Context, env *mailflow.Envelope, address string) (mailflow.Recipient, error) {
	to := mailflow.Recipient{Address: address}
	var err error
	if to.To, err = d.resolve(ctx, address); err != nil {
		return to, err
	}
	if len(to.To.Mailboxes) == 0 || len(to.To.External) > 0 && d.Later == nil {
		return to, mailflow.ErrRelay
	}
	if err := d.admit(ctx, env, &to); err != nil {
		return to, err
	}
	return to, d.room(ctx, to.To)
}

// admit refuses who may not send to a list. Only who has signed in is known: anybody can write a reverse-path.
func (d *Deliverer) admit(ctx context.Context, env *mailflow.Envelope, to *mailflow.Recipient) error {
	if to.To.Restricted.IsZero() {
		return nil
	}
	may, err := false, error(nil)
	if gate, ok := d.Directory.(directory.Gate); ok {
		may, err = gate.Admits(ctx, to.To.Restricted, env.User)
	}
	if err == nil && !may {
		err = cluster.Errorf(exmdb.KindAccessDenied, "%s takes no mail from this sender", to.Address)
	}
	return err
}

// resolve says where an address of ours leads, with or without its +detail (RFC 5233).
func (d *Deliverer) resolve(ctx context.Context, address string) (directory.Resolution, error) {
	a, err := directory.Normalise(address)
	if err != nil {
		return directory.Resolution{}, err
	}
	local, err := d.Directory.Local(ctx, directory.DomainOf(a))
	if err != nil {
		return directory.Resolution{}, err
	}
	if !local {
		return directory.Resolution{}, mailflow.ErrRelay
	}
	to, err := d.Directory.Resolve(ctx, a)
	if plain, ok := withoutDetail(a); ok && err != nil && cluster.KindOf(err) == exmdb.KindNoSuchUser {
		return d.Directory.Resolve(ctx, plain)
	}
	return to, err
}

// roomPatience is how long a recipient waits for its mailbox to say that it is full: a client may name a thousand of a
// group that does not answer.
const roomPatience = 500 * time.Millisecond

// room refuses a recipient whose mailbox is full, because it is an answer for this recipient alone; after the mail there
// is one for all of them (CLUSTER 2.3). Mailboxes without a limit are not asked, nor those of a list, of which the others
// shall get the mail. One that does not answer now says so when it gets the mail.
func (d *Deliverer) room(ctx context.Context, to directory.Resolution) error {
	if len(to.Mailboxes) != 1 || to.Mailboxes[0].Quota == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, roomPatience)
	defer cancel()
	info, err := exmdb.Do(ctx, d.Caller, exmdb.System, to.Mailboxes[0].Mailbox, exmdb.OpMailboxInfo, &exmdb.Empty{})
	if err == nil && info.Quota != 0 && info.Used >= info.Quota {
		return cluster.Errorf(exmdb.KindOverQuota, "mailbox holds %d of %d bytes", info.Used, info.Quota)
	}
	return nil
}

// withoutDetail takes the +detail off a local part.
func withoutDetail(a string) (string, bool) {
	at := strings.LastIndexByte(a, '@')
	plus := strings.IndexByte(a[:at], '+')
	if plus <= 0 {
		return "", false
	}
	return a[:plus] + a[at:], true
}

// Receive implements mailflow.Receiver.
func (d *Deliverer) Receive(ctx context.Context, r io.Reader, announced int64) (mailflow.Mail, error) {
	return d.receive(ctx, r, announced)
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
	t, err := d.begin(env, to, rec)
	if err != nil {
		return failAll(results, err)
	}
	t.about = d.About(ctx, env, rec.root.Envelope)
	t.store(ctx)
	err = t.keepRest(ctx)
	for i := range t.targets {
		for _, r := range t.targets[i].recipients {
			results[r].Err = errors.Join(results[r].Err, t.answer(&t.targets[i], r, err))
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

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

// Ingest turns the octets of an APPEND into a message for one mailbox, its content uploaded where it is too long to
// travel with the op. Days and times of a calendar that name no zone are in the owner's.
func (d *Deliverer) Ingest(ctx context.Context, owner *auth.Principal, r io.Reader, announced int64) (exmdb.NewMessage, error) {
	rec, err := d.receive(ctx, r, announced)
	if err != nil {
		return exmdb.NewMessage{}, err
	}
	rec.zone = owner.Zone
	p := &parcel{caller: d.Caller, mail: rec}
	msg, err := p.message(ctx, owner.Mailbox)
	return msg, errors.Join(err, rec.Close())
}
