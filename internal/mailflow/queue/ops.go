package queue

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// The ops on a queue's space, for ever. Only nodes can send them; who may ask a node to is the admin front-end's matter.
const (
	OpOpen   ops.ID = 2000 // makes the space
	OpKeep   ops.ID = 2001
	OpList   ops.ID = 2002
	OpShow   ops.ID = 2003
	OpRetry  ops.ID = 2004
	OpRemove ops.ID = 2005
)

// modes says how each op runs. Lists are served instead of read, because a space that is not there yet is an empty
// queue and no refusal.
var modes = map[ops.ID]ops.Mode{OpOpen: ops.Create, OpKeep: ops.Write, OpList: ops.Serve, OpShow: ops.Serve,
	OpRetry: ops.Write, OpRemove: ops.Write}

// KeepRequest puts a mail into the queue. Its content is inside, or in the group already.
type KeepRequest struct {
	From     string           `wire:"1"`
	Received time.Time        `wire:"2"`
	Message  exmdb.NewMessage `wire:"3"`
	To       []KeptRecipient  `wire:"4"`
	Sender   mapi.MailboxID   `wire:"5"`
	Host     string           `wire:"6"`
	// Source and Number are those of mailflow.Rest.
	Source cluster.SpaceID `wire:"7"`
	Number uint64          `wire:"8"`
}

// KeptRecipient is a mailflow.Pending on its way into the queue.
type KeptRecipient struct {
	Mailbox mapi.MailboxID `wire:"1"`
	Address string         `wire:"2"`
	Trace   []byte         `wire:"3"`
	Key     [32]byte       `wire:"4"`
	// Kind and Text are why it is kept as failed; Kind is zero for one that waits.
	Kind  cluster.Kind        `wire:"5"`
	Text  string              `wire:"6"`
	About exmdb.Circumstances `wire:"7"`
}

// KeepResponse names what was kept; nothing where it was kept before.
type KeepResponse struct {
	Entry uint64 `wire:"1"`
}

// ListRequest asks for the entries above After.
type ListRequest struct {
	After uint64 `wire:"1"`
}

// ListResponse holds entries without their recipients; with More, ask again above the last.
type ListResponse struct {
	Entries []Entry `wire:"1"`
	More    bool    `wire:"2"`
}

// EntryRequest names a mail in the queue.
type EntryRequest struct {
	Entry uint64 `wire:"1"`
}

// Entry is a mail in the queue as administrators see it.
type Entry struct {
	ID       EntryID   `wire:"1" json:"id"`
	From     string    `wire:"2" json:"from"`
	Received time.Time `wire:"3" json:"received"`
	Size     uint64    `wire:"4" json:"size"`
	// Waiting recipients are tried again, the first of them at Next; Failed ones are not.
	Waiting uint32    `wire:"5" json:"waiting"`
	Failed  uint32    `wire:"6" json:"failed"`
	Next    time.Time `wire:"7" json:"next,omitzero"`
	// Error is what the last attempt for one of the recipients met.
	Error      string           `wire:"8" json:"error,omitempty"`
	Recipients []EntryRecipient `wire:"9" json:"recipients,omitempty"`
}

// EntryRecipient is one recipient of an Entry.
type EntryRecipient struct {
	Address string         `wire:"1" json:"address"`
	Mailbox mapi.MailboxID `wire:"2" json:"mailbox,omitzero"`
	// State is waiting or failed.
	State string `wire:"3" json:"state"`
	// Attempts are failures in a row for the mailbox, the last at Tried; Next is when it is tried again.
	Attempts uint32    `wire:"4" json:"attempts"`
	Tried    time.Time `wire:"5" json:"tried,omitzero"`
	Next     time.Time `wire:"6" json:"next,omitzero"`
	Error    string    `wire:"7" json:"error,omitempty"`
}

// The states of a recipient.
const (
	stateWaiting = "waiting"
	stateFailed  = "failed"
)

// Handlers is the table of ops on queues' spaces.
func Handlers() []ops.Handler {
	table := []ops.Handler{
		{ID: OpOpen, Name: "OpenQueue", Update: func(space.Writer, *ops.Request) ([]byte, error) { return nil, nil }},
		{ID: OpKeep, Name: "KeepMail", Grows: true, Update: update(func(s *spool, q *KeepRequest) (any, error) {
			if q.Source != (cluster.SpaceID{}) {
				if done, err := space.Once(s.w, q.Source, q.Number); err != nil || done {
					return &KeepResponse{}, err
				}
			}
			entry := s.number()
			return &KeepResponse{Entry: entry}, s.keep(entry, q)
		})},
		{ID: OpList, Name: "ListQueue", Serve: served(list)},
		{ID: OpShow, Name: "ShowQueueEntry", Serve: served(show)},
		{ID: OpRetry, Name: "RetryQueueEntry", Update: update(func(s *spool, q *EntryRequest) (any, error) {
			return &exmdb.Empty{}, s.retry(q.Entry)
		})},
		{ID: OpRemove, Name: "RemoveQueueEntry", Update: update(func(s *spool, q *EntryRequest) (any, error) {
			return &exmdb.Empty{}, s.remove(q.Entry)
		})},
	}
	for i := range table {
		table[i].Mode = modes[table[i].ID]
	}
	return table
}

func update[Q any](fn func(*spool, *Q) (any, error)) func(space.Writer, *ops.Request) ([]byte, error) {
	return func(w space.Writer, r *ops.Request) ([]byte, error) {
		q, err := decode[Q](r)
		if err != nil {
			return nil, err
		}
		var answer any
		err = change(w, func(s *spool) (err error) {
			answer, err = fn(s, q)
			return err
		})
		if err != nil {
			return nil, err
		}
		return wire.Marshal(answer), nil
	}
}

// served answers on the leader; r is nil when the space is not there yet.
func served[Q, R any](fn func(r space.Reader, g cluster.GroupID, q *Q) (*R, error)) func(context.Context, *space.Replica, *ops.Request) ([]byte, error) {
	return func(ctx context.Context, rep *space.Replica, r *ops.Request) ([]byte, error) {
		q, err := decode[Q](r)
		if err != nil {
			return nil, err
		}
		var answer *R
		err = rep.View(ctx, r.Space, space.ReadLease, func(v space.Reader) (err error) {
			answer, err = fn(v, r.Group, q)
			return err
		})
		if errors.Is(err, cluster.ErrNoSpace) {
			answer, err = fn(nil, r.Group, q)
		}
		if err != nil {
			return nil, err
		}
		return wire.Marshal(answer), nil
	}
}

func decode[Q any](r *ops.Request) (*Q, error) {
	q := new(Q)
	if err := wire.Unmarshal(r.Payload, q); err != nil {
		return nil, cluster.Errorf(cluster.KindBadRequest, "decode %T: %v", q, err)
	}
	return q, nil
}

// listAtOnce is how many entries come in one answer.
const listAtOnce = 500

func list(r space.Reader, g cluster.GroupID, q *ListRequest) (*ListResponse, error) {
	answer := new(ListResponse)
	if r == nil {
		return answer, nil
	}
	after := entryKey(prefixMail, q.After)
	return answer, each(r, []byte{prefixMail}, after, func(key, value []byte) (bool, error) {
		if answer.More = len(answer.Entries) == listAtOnce; answer.More {
			return false, nil
		}
		e, err := entry(r, g, key, value)
		if err != nil {
			return false, err
		}
		e.Recipients = nil
		answer.Entries = append(answer.Entries, *e)
		return true, nil
	})
}

func show(r space.Reader, g cluster.GroupID, q *EntryRequest) (*Entry, error) {
	id := EntryID{Group: g, Number: q.Entry}
	if r == nil {
		return nil, noEntry(id)
	}
	key := entryKey(prefixMail, q.Entry)
	value, err := r.Get(key)
	if err == nil && value == nil {
		err = noEntry(id)
	}
	if err != nil {
		return nil, err
	}
	return entry(r, g, key, value)
}

// entry is a mail as administrators see it, from its record.
func entry(r space.Reader, g cluster.GroupID, key, value []byte) (*Entry, error) {
	var m mail
	if err := wire.Unmarshal(value, &m); err != nil || len(key) != 1+8 {
		return nil, damaged("mail", key)
	}
	e := &Entry{ID: EntryID{Group: g, Number: binary.BigEndian.Uint64(key[1:])}, From: m.From, Received: m.Received, Size: m.Size}
	_, all, err := recipients(r, e.ID.Number)
	for i := 0; i < len(all) && err == nil; i++ {
		err = e.add(r, all[i])
	}
	return e, err
}

// add adds what is known of one recipient.
func (e *Entry) add(r space.Reader, one *recipient) error {
	to := EntryRecipient{Address: one.Address, Mailbox: one.Mailbox, State: stateWaiting}
	if f := one.Failed; f != nil {
		to.State, to.Tried, to.Error = stateFailed, f.At, f.Text
		e.Failed++
	} else {
		var l lane
		if _, err := load(r, boxKey(prefixLane, one.Mailbox), &l); err != nil {
			return err
		}
		to.Attempts, to.Tried, to.Next, to.Error = l.Attempts, l.Tried, l.Next, l.Text
		if e.Waiting++; e.Next.IsZero() || l.Next.Before(e.Next) {
			e.Next = l.Next
		}
	}
	if to.Error != "" {
		e.Error = to.Error
	}
	e.Recipients = append(e.Recipients, to)
	return nil
}
