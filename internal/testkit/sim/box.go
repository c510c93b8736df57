package sim

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmail"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/selftest/history"
)

// mailbox is one mailbox as its clients use it.
type mailbox struct {
	id    mapi.MailboxID
	name  string
	owner exmdb.Identity
}

// The flags that clients set and clear, by their IMAP names. \Draft is not the clients' to set later (MAILBOX 4).
var flagNames = []struct {
	name string
	bit  exmdb.FlagBits
}{
	{`\Answered`, exmdb.FlagAnswered}, {`\Deleted`, exmdb.FlagDeleted},
	{`\Flagged`, exmdb.FlagFlagged}, {`\Seen`, exmdb.FlagSeen}, {`$Forwarded`, exmdb.FlagForwarded},
}

func flagBit(name string) exmdb.FlagBits {
	for _, f := range flagNames {
		if f.name == name {
			return f.bit
		}
	}
	return 0
}

func flagsOf(f exmdb.Flags) []string {
	names := slices.Clone(f.Keywords)
	for _, known := range flagNames {
		if f.Bits&known.bit != 0 {
			names = append(names, known.name)
		}
	}
	slices.Sort(names)
	return names
}

// received is the time of arrival that a mail's number stands for: lists of a mailbox show it, and so say which mail it is.
func received(number int) time.Time { return time.Unix(1.8e9+int64(number), 0).UTC() }

func mailName(number int) string { return fmt.Sprintf("m%d", number) }

func numberOf(at time.Time) int { return int(at.Unix() - 1.8e9) }

// compose makes a mail as the mail flow hands it to a mailbox.
func compose(number int) (exmdb.NewMessage, error) {
	octets := fmt.Appendf(nil, "From: a@example.org\r\nSubject: %s\r\nMessage-ID: <%d@example.org>\r\n\r\n%s\r\n",
		mailName(number), number, strings.Repeat("x", 64+number%200))
	root := mime.Scan(octets)
	props, err := oxcmail.HeaderProps(root, bytes.NewReader(octets))
	if err != nil {
		return exmdb.NewMessage{}, err
	}
	return exmdb.NewMessage{Recipe: exmdb.Recipe{Segments: []exmdb.Segment{{Raw: octets}}}, Digest: mime.MarshalDigest(root),
		Props: props.AppendWire(nil)}, nil
}

// outcomeOf is what an error leaves open.
func outcomeOf(err error) history.Outcome {
	if err == nil {
		return history.OK
	}
	switch cluster.KindOf(err) {
	case cluster.KindInternal, cluster.KindUnknownOutcome, cluster.KindStaleRequest:
		return history.Unknown
	}
	return history.Fail
}

// settle notes how an operation ended.
func settle(r *history.Record, err error) {
	if r.Outcome = outcomeOf(err); err != nil {
		r.Text = err.Error()
	}
}

func (m *mailbox) deliver(ctx context.Context, c exmdb.Caller, number int) (*exmdb.DeliverResponse, error) {
	mail, err := compose(number)
	if err != nil {
		return nil, err
	}
	return exmdb.Do(ctx, c, exmdb.System, m.id, exmdb.OpDeliver, &exmdb.DeliverRequest{Message: mail,
		Key: sha256.Sum256([]byte(m.name + mailName(number))), Received: received(number)})
}

func (m *mailbox) append(ctx context.Context, c exmdb.Caller, number int, flag string) (*exmdb.DeliverResponse, error) {
	mail, err := compose(number)
	if err != nil {
		return nil, err
	}
	return exmdb.Do(ctx, c, m.owner, m.id, exmdb.OpAppend, &exmdb.AppendRequest{Folder: schema.Inbox, Message: mail,
		Flags: exmdb.Flags{Bits: flagBit(flag)}, Received: received(number)})
}

func (m *mailbox) flag(ctx context.Context, c exmdb.Caller, uid uint32, mode exmdb.FlagMode, flag string) (*exmdb.SetFlagsResponse, error) {
	return exmdb.Do(ctx, c, m.owner, m.id, exmdb.OpSetFlags, &exmdb.SetFlagsRequest{Folder: schema.Inbox, UIDs: one(uid),
		Mode: mode, Flags: exmdb.Flags{Bits: flagBit(flag)}})
}

func (m *mailbox) expunge(ctx context.Context, c exmdb.Caller, uid uint32) (*exmdb.ExpungeResponse, error) {
	return exmdb.Do(ctx, c, m.owner, m.id, exmdb.OpExpunge, &exmdb.ExpungeRequest{Folder: schema.Inbox, UIDs: one(uid), All: true})
}

func one(uid uint32) []exmdb.UIDRange {
	return []exmdb.UIDRange{{First: mapi.UID(uid), Last: mapi.UID(uid)}}
}

// changesSince asks for what changed after a stamp; from zero on that is all there is. So few messages come in one answer.
func changesSince(since mapi.Stamp) *exmdb.ChangesRequest {
	return &exmdb.ChangesRequest{Folder: schema.Inbox, Since: since, Fields: exmdb.RowFlags | exmdb.RowMeta, Limit: 10_000}
}

func (m *mailbox) changes(ctx context.Context, c exmdb.Caller, since mapi.Stamp) (*exmdb.ChangesResponse, error) {
	return exmdb.Do(ctx, c, m.owner, m.id, exmdb.OpChanges, changesSince(since))
}

func stateOf(resp *exmdb.ChangesResponse) *history.State {
	s := &history.State{UIDValidity: resp.Folder.UIDValidity, UIDNext: uint32(resp.Folder.UIDNext), ModSeq: uint64(resp.Folder.ContentSeq)}
	for i := range resp.Rows {
		s.Rows = append(s.Rows, rowOf(&resp.Rows[i]))
	}
	sortRows(s.Rows)
	return s
}

func rowOf(r *exmdb.Row) history.Row {
	return history.Row{UID: uint32(r.UID), Mail: mailName(numberOf(r.Received)), Flags: flagsOf(r.Flags), ModSeq: uint64(r.ModSeq)}
}

func sortRows(rows []history.Row) {
	slices.SortFunc(rows, func(a, b history.Row) int { return int(a.UID) - int(b.UID) })
}

// claims hands out what may be done once to a message: each flag is set by one client and cleared by one, and each message
// removed by one, so that of an operation of unknown outcome it shows whether it happened.
type claims struct {
	taken map[claim]bool
}

type claim struct {
	uid  uint32
	what string
}

func (c *claims) take(uid uint32, what string) bool {
	if c.taken[claim{uid, what}] {
		return false
	}
	c.taken[claim{uid, what}] = true
	return true
}
