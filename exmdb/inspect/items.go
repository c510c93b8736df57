package inspect

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Items is a page of a folder's messages, the newest first; soft-deleted ones in the order in which they were deleted.
type Items struct {
	Folder ID     `json:"folder"`
	Path   string `json:"path"`
	Total  uint32 `json:"total"`
	Items  []Item `json:"items"`
	// After is where to go on, empty when that was all.
	After string `json:"after,omitempty"`
}

// Item is a message.
type Item struct {
	ID        ID                `json:"id"`
	Object    mapi.ObjectNumber `json:"object"`
	UID       mapi.UID          `json:"uid"`
	Flags     []string          `json:"flags"`
	Class     string            `json:"class"`
	Subject   string            `json:"subject"`
	From      string            `json:"from"`
	Received  time.Time         `json:"received"`
	Size      uint64            `json:"size"`
	CN        mapi.Stamp        `json:"cn"`
	ReadCN    mapi.Stamp        `json:"read_cn"`
	ModSeq    mapi.Stamp        `json:"modseq"`
	ChangeKey string            `json:"change_key"`
	PCL       string            `json:"pcl"`
	// DeletedAt and DeletedBy are of soft-deleted ones.
	DeletedAt *time.Time `json:"deleted_at,omitempty"`
	DeletedBy *mapi.GUID `json:"deleted_by,omitempty"`
}

// senders are where it says from whom a message is, the best first.
var senders = []mapi.Tag{mapi.PidTagSentRepresentingSmtpAddress, mapi.PidTagSenderSmtpAddress, mapi.PidTagSentRepresentingEmailAddress,
	mapi.PidTagSenderEmailAddress, mapi.PidTagSentRepresentingName, mapi.PidTagSenderName}

var itemTags = append([]mapi.Tag{mapi.PidTagSubject, mapi.PidTagMessageClass}, senders...)

func (m *Mailbox) items(ctx context.Context, q *Query) (*Items, error) {
	t, fid, err := m.folder(ctx, q.Folder, schema.Inbox)
	if err != nil {
		return nil, err
	}
	out := &Items{Folder: ID(fid), Path: t.path(fid), Items: []Item{}}
	switch {
	case q.Deleted && q.Associated:
		return nil, cluster.Errorf(cluster.KindBadRequest, "associated messages and deleted ones are asked for apart")
	case q.Deleted:
		return out, m.deletedItems(ctx, q, fid, out)
	}
	return out, m.liveItems(ctx, q, fid, out)
}

func (m *Mailbox) liveItems(ctx context.Context, q *Query, fid mapi.FID, out *Items) error {
	kind, from := exmdb.TableContents, exmdb.TablePosition{Origin: exmdb.TableBeginning}
	if q.Associated {
		kind = exmdb.TableAssociated
	}
	if q.After != "" {
		place, err := hex.DecodeString(q.After)
		if err != nil {
			return badCursor(q.After)
		}
		from = exmdb.TablePosition{Origin: exmdb.TablePlace, Place: place}
	}
	table := &exmdb.Table{Caller: m.Caller, As: exmdb.System, Box: m.ID}
	page, err := table.Rows(ctx, exmdb.TableRowsRequest{From: from, Count: uint32(q.limit()), Table: exmdb.TableRequest{
		Spec: exmdb.TableSpec{Kind: kind, Object: exmdb.ObjectID{Folder: fid}}, Columns: itemTags}})
	if q.After != "" && cluster.KindOf(err) == cluster.KindBadRequest {
		return badCursor(q.After)
	}
	if err != nil {
		return err
	}
	mids := make([]mapi.MID, len(page.Rows))
	for i := range page.Rows {
		mids[i] = mapi.MID(page.Rows[i].ID.ID)
	}
	located, err := do(ctx, m, exmdb.OpLocate, &exmdb.LocateRequest{Messages: mids})
	if err != nil {
		return err
	}
	states := make(map[mapi.MID]*exmdb.MessageState)
	for i := range located.Messages {
		states[located.Messages[i].MID] = &located.Messages[i]
	}
	for i := range page.Rows {
		if s := states[mids[i]]; s != nil { // it went between the two ops
			out.Items = append(out.Items, item(s, &page.Rows[i].Props))
		}
	}
	out.Total = page.State.Rows
	if page.Index+uint32(len(page.Rows)) < page.State.Rows {
		out.After = hex.EncodeToString(page.After)
	}
	return nil
}

func item(s *exmdb.MessageState, props *mapi.PropBag) Item {
	return Item{ID: ID(s.MID), Object: s.Object, UID: s.UID, Flags: flagNames(s.Flags), Class: first(props, mapi.PidTagMessageClass),
		Subject: first(props, mapi.PidTagSubject), From: first(props, senders...), Received: s.Received, Size: s.Size, CN: s.CN, ReadCN: s.ReadCN, ModSeq: s.ModSeq,
		ChangeKey: hex.EncodeToString(s.ChangeKey), PCL: hex.EncodeToString(s.PCL)}
}

// first is the first of the tags that is there.
func first(props *mapi.PropBag, tags ...mapi.Tag) string {
	for _, t := range tags {
		if v, ok := props.Get(t).(mapi.String); ok && v != "" {
			return string(v)
		}
	}
	return ""
}

var flagWords = []struct {
	bit  exmdb.FlagBits
	name string
}{{exmdb.FlagSeen, `\Seen`}, {exmdb.FlagAnswered, `\Answered`}, {exmdb.FlagFlagged, `\Flagged`}, {exmdb.FlagDeleted, `\Deleted`},
	{exmdb.FlagDraft, `\Draft`}, {exmdb.FlagForwarded, "$Forwarded"}}

// flagNames are flags as IMAP names them.
func flagNames(f exmdb.Flags) []string {
	names := []string{}
	for _, w := range flagWords {
		if f.Bits&w.bit != 0 {
			names = append(names, w.name)
		}
	}
	return append(names, f.Keywords...)
}

func (m *Mailbox) deletedItems(ctx context.Context, q *Query, fid mapi.FID, out *Items) error {
	req := &exmdb.DeletedRequest{Folder: fid, Limit: uint32(q.limit()), Tags: itemTags}
	if q.After != "" {
		at, id, ok := strings.Cut(q.After, "/")
		after, err := time.Parse(time.RFC3339Nano, at)
		mid, isID := ParseID(id)
		if !ok || err != nil || !isID {
			return badCursor(q.After)
		}
		req.After, req.AfterMessage = after, mapi.MID(mid)
	}
	page, err := do(ctx, m, exmdb.OpDeleted, req)
	if err != nil {
		return err
	}
	for i := range page.Messages {
		d := &page.Messages[i]
		it := item(&d.State, &d.Props)
		it.DeletedAt, it.DeletedBy = &d.At, &d.By
		out.Items = append(out.Items, it)
		if page.More {
			out.After = fmt.Sprintf("%s/%v", d.At.UTC().Format(time.RFC3339Nano), it.ID)
		}
	}
	out.Total = page.Count
	return nil
}

func badCursor(s string) error {
	return cluster.Errorf(cluster.KindBadRequest, "after %q: want what the answer before said", s)
}
