// Package inspect says what is in a mailbox in words that people and scripts can read: folders, messages, properties by
// name, changes, rules, rights.
//
// It knows the ops and what their numbers mean; it never knows where the mailbox is, who may look, or how an answer is
// laid out. It changes nothing. Texts of messages and replies are said only where the query asks for them.
package inspect

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Mailbox is the mailbox that is looked at, with the system's rights.
type Mailbox struct {
	Caller exmdb.Caller
	ID     mapi.MailboxID
}

// Query says what of a part is wanted. What a part does not know it refuses.
type Query struct {
	// Folder is a folder's path or id, Item a message's id.
	Folder, Item string
	// Attachments leads to an attachment of Item, Embedded to the message in it: as in exmdb.ObjectID.
	Attachments []uint32
	Embedded    bool
	// Limit is how many are wanted, zero for DefaultLimit; After is where the answer before said to go on.
	Limit int
	After string
	// Since is the stamp after which changes are wanted.
	Since uint64
	// Associated and Deleted ask for associated messages, and for what is soft-deleted, in the place of the others.
	Associated, Deleted bool
	// Bodies shows texts, attachments' data and long values.
	Bodies bool
}

// Limits of an answer.
const (
	DefaultLimit = 50
	MaxLimit     = 1000
)

func (q *Query) limit() int {
	if q.Limit <= 0 {
		return DefaultLimit
	}
	return min(q.Limit, MaxLimit)
}

// part is a row of what there is to look at; may says which fields of a query it knows.
type part struct {
	name string
	show func(ctx context.Context, m *Mailbox, q *Query) (any, error)
	may  []string
}

var parts = []part{
	{"inspect", func(ctx context.Context, m *Mailbox, _ *Query) (any, error) { return m.header(ctx) }, nil},
	{"folders", func(ctx context.Context, m *Mailbox, q *Query) (any, error) { return m.folders(ctx, q) }, []string{"deleted"}},
	{"items", func(ctx context.Context, m *Mailbox, q *Query) (any, error) { return m.items(ctx, q) },
		[]string{"folder", "limit", "after", "associated", "deleted"}},
	{"props", func(ctx context.Context, m *Mailbox, q *Query) (any, error) { return m.props(ctx, q) },
		[]string{"folder", "item", "attachment", "embedded", "bodies"}},
	{"changes", func(ctx context.Context, m *Mailbox, q *Query) (any, error) { return m.changes(ctx, q) },
		[]string{"folder", "since", "limit"}},
	{"rules", func(ctx context.Context, m *Mailbox, q *Query) (any, error) { return m.rules(ctx, q) }, []string{"folder", "bodies"}},
	{"rights", func(ctx context.Context, m *Mailbox, q *Query) (any, error) { return m.rights(ctx, q) }, []string{"folder"}},
}

// Show looks at a part of the mailbox: the answer is one of Header, Folders, Items, Props, Changes, Rules, Rights.
func (m *Mailbox) Show(ctx context.Context, name string, q Query) (any, error) {
	for i := range parts {
		if parts[i].name != name {
			continue
		}
		if err := parts[i].check(&q); err != nil {
			return nil, err
		}
		return parts[i].show(ctx, m, &q)
	}
	return nil, cluster.Errorf(cluster.KindBadRequest, "a mailbox has no %q to look at", name)
}

// check refuses what would have no effect.
func (p *part) check(q *Query) error {
	for name, given := range map[string]bool{"folder": q.Folder != "", "item": q.Item != "", "attachment": len(q.Attachments) > 0,
		"embedded": q.Embedded, "limit": q.Limit != 0, "after": q.After != "", "since": q.Since != 0,
		"associated": q.Associated, "deleted": q.Deleted, "bodies": q.Bodies} {
		if given && !strings.Contains(" "+strings.Join(p.may, " ")+" ", " "+name+" ") {
			return cluster.Errorf(cluster.KindBadRequest, "%s does not know %q", p.name, name)
		}
	}
	return nil
}

// do performs an op on the mailbox.
func do[Q, R any](ctx context.Context, m *Mailbox, op exmdb.Op[Q, R], q *Q) (*R, error) {
	return exmdb.Do(ctx, m.Caller, exmdb.System, m.ID, op, q)
}

// ID is a folder's or message's id as people write it: replica id and counter, in hexadecimal digits ("1-10a").
type ID uint64

func (id ID) String() string {
	return fmt.Sprintf("%x-%x", uint16(id>>48), uint64(mapi.MID(id).Counter()))
}

// MarshalText is String.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText is ParseID.
func (id *ID) UnmarshalText(b []byte) error {
	v, ok := ParseID(string(b))
	if *id = v; !ok {
		return fmt.Errorf("id %q: want replica and counter as 1-10a", b)
	}
	return nil
}

// ParseID reads what String writes.
func ParseID(s string) (ID, bool) {
	replica, counter, ok := strings.Cut(s, "-")
	r, err := strconv.ParseUint(replica, 16, 16)
	c, err2 := strconv.ParseUint(counter, 16, 48)
	return ID(mapi.NewMID(mapi.ReplicaID(r), mapi.GlobalCounter(c))), ok && err == nil && err2 == nil
}

// Header is what a mailbox is as a whole.
type Header struct {
	Mailbox     mapi.MailboxID `json:"mailbox"`
	Kind        string         `json:"kind"`
	Owner       mapi.GUID      `json:"owner"`
	Replica     mapi.GUID      `json:"replica"`
	Epoch       uint32         `json:"epoch"`
	Created     time.Time      `json:"created"`
	Folders     uint32         `json:"folders"`
	Messages    uint64         `json:"messages"`
	Used        uint64         `json:"used"`
	Deleted     uint64         `json:"deleted"`
	Quota       uint64         `json:"quota"`
	QuotaSend   uint64         `json:"quota_send"`
	QuotaWarn   uint64         `json:"quota_warn"`
	Stamp       mapi.Stamp     `json:"stamp"`
	Floor       mapi.Stamp     `json:"floor"`
	Sequence    uint64         `json:"sequence"`
	PerUserRead bool           `json:"per_user_read"`
	Away        string         `json:"away"`
	Delegates   []Delegate     `json:"delegates"`
	Receive     []Receive      `json:"receive_folders"`
}

// Delegate is who acts for the owner.
type Delegate struct {
	User       mapi.GUID `json:"user"`
	Name       string    `json:"name"`
	OnBehalf   bool      `json:"on_behalf"`
	SeePrivate bool      `json:"see_private"`
}

// Receive says where mail of a message class comes in.
type Receive struct {
	Class  string `json:"class"`
	Folder ID     `json:"folder"`
	Path   string `json:"path"`
}

var kinds = map[exmdb.MailboxKind]string{exmdb.MailboxUser: "user", exmdb.MailboxShared: "shared", exmdb.MailboxResource: "resource",
	exmdb.MailboxArchive: "archive", exmdb.MailboxPublic: "public"}

func (m *Mailbox) header(ctx context.Context) (*Header, error) {
	info, err := do(ctx, m, exmdb.OpMailboxInfo, &exmdb.Empty{})
	if err != nil {
		return nil, err
	}
	h := &Header{Mailbox: m.ID, Kind: kinds[info.Kind], Owner: info.Owner, Replica: info.ReplicaGUID, Epoch: info.Epoch, Created: info.Created,
		Folders: info.Folders, Messages: info.Messages, Used: info.Used, Deleted: info.Retained, Quota: info.Quota, QuotaSend: info.QuotaSend,
		QuotaWarn: info.QuotaWarn, Stamp: info.Stamp, Floor: info.Floor, Sequence: info.Sequence, PerUserRead: info.PerUserRead,
		Delegates: []Delegate{}, Receive: []Receive{}}
	away, err := do(ctx, m, exmdb.OpOOF, &exmdb.Empty{})
	if err != nil {
		return nil, err
	}
	h.Away = awayWords(away)
	list, err := do(ctx, m, exmdb.OpDelegates, &exmdb.Empty{})
	if err != nil {
		return nil, err
	}
	for _, d := range list.Members {
		h.Delegates = append(h.Delegates, Delegate{User: d.User, Name: d.Name, OnBehalf: d.SendOnBehalf, SeePrivate: d.SeePrivate})
	}
	return h, m.receive(ctx, h)
}

func (m *Mailbox) receive(ctx context.Context, h *Header) error {
	t, err := m.tree(ctx)
	if err != nil {
		return err
	}
	table, err := do(ctx, m, exmdb.OpReceiveFolders, &exmdb.Empty{})
	if err != nil {
		return err
	}
	for _, r := range table.Rows {
		h.Receive = append(h.Receive, Receive{Class: r.Class, Folder: ID(r.Folder), Path: t.path(r.Folder)})
	}
	return nil
}
