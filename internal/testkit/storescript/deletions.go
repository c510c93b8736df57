package storescript

import (
	"errors"
	"slices"
	"strings"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/inspect"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

var deletionCommands = []command{
	{"delete", -1, "delete PATH [SUBJECT…] [hard=yes] [tell=yes]: all without subjects", false, (*run).deleteMessages},
	{"deleted", 1, "deleted PATH: what can be recovered", false, (*run).deleted},
	{"recover", -2, "recover PATH TARGET [SUBJECT…]", false, (*run).recoverMessages},
	{"purge", 1, "purge PATH", false, (*run).purge},
	{"expunge", 1, "expunge PATH [uids=1:5]", false, (*run).expunge},
}

// chosen are the messages of a folder with the subjects, all of them without any.
func (r *run) chosen(path string, subjects []string) ([]mapi.MID, error) {
	list, err := r.listed(path, r.cmd.is("associated"))
	if err != nil {
		return nil, err
	}
	return mids(list, subjects), nil
}

func mids(list []inspect.Item, subjects []string) []mapi.MID {
	var out []mapi.MID
	for i := range list {
		if len(subjects) == 0 || slices.Contains(subjects, list[i].Subject) {
			out = append(out, mapi.MID(list[i].ID))
		}
	}
	return out
}

// idsAtOnce is how many ids a request names.
const idsAtOnce = 4096

func (r *run) deleteMessages() error {
	fid, err := r.folder(r.cmd.words[0])
	ids, err2 := r.chosen(r.cmd.words[0], r.cmd.words[1:])
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	n, denied := uint64(0), false
	q := &exmdb.DeleteMessagesRequest{Folder: fid, Messages: ids, Hard: r.cmd.is("hard"), NotifyUnread: r.cmd.is("tell")}
	err = steps(r, exmdb.OpDeleteMessages, q, func(resp *exmdb.DeleteMessagesResponse) bool {
		n, denied = n+uint64(resp.Deleted), denied || resp.Denied
		q.Messages = q.Messages[resp.Next:]
		return resp.Next > 0
	})
	if err != nil {
		return err
	}
	r.say("%s deleted%s", plural(n, "message"), deniedWords(denied))
	return nil
}

func deniedWords(denied bool) string {
	return map[bool]string{true: "; others denied"}[denied]
}

func (r *run) recoverable(path string) ([]inspect.Item, error) {
	q := inspect.Query{Folder: path, Deleted: true, Limit: inspect.MaxLimit}
	var all []inspect.Item
	for {
		v, err := r.look().Show(r.cmd.ctx, "items", q)
		if err != nil {
			return nil, err
		}
		page := v.(*inspect.Items)
		all = append(all, page.Items...)
		if q.After = page.After; q.After == "" {
			return all, nil
		}
	}
}

func (r *run) deleted() error {
	list, err := r.recoverable(r.cmd.words[0])
	if err != nil {
		return err
	}
	var subjects []string
	for i := range list {
		subjects = append(subjects, list[i].Subject)
	}
	if len(subjects) > 10 {
		r.say("%d messages", len(subjects))
		return nil
	}
	r.say("%s", joined(subjects))
	return nil
}

func (r *run) recoverMessages() error {
	fid, err := r.folder(r.cmd.words[0])
	to, err2 := r.folder(r.cmd.words[1])
	list, err3 := r.recoverable(r.cmd.words[0])
	if err := errors.Join(err, err2, err3); err != nil {
		return err
	}
	return r.carry(exmdb.OpRecoverMessages, &exmdb.CarryMessagesRequest{Folder: fid, Messages: mids(list, r.cmd.words[2:]), Target: to}, "recovered")
}

// carry copies, moves or recovers messages.
func (r *run) carry(op exmdb.Op[exmdb.CarryMessagesRequest, exmdb.CarryMessagesResponse], q *exmdb.CarryMessagesRequest, done string) error {
	all, n, denied := q.Messages, uint64(0), false
	for len(all) > 0 {
		q.Messages = all[:min(idsAtOnce, len(all))]
		all = all[len(q.Messages):]
		err := steps(r, op, q, func(resp *exmdb.CarryMessagesResponse) bool {
			n, denied = n+uint64(len(resp.To)), denied || resp.Denied
			q.Messages = q.Messages[resp.Next:]
			return resp.Next > 0
		})
		if err != nil {
			return err
		}
	}
	r.say("%s %s%s", plural(n, "message"), done, deniedWords(denied))
	return nil
}

func (r *run) purge() error {
	fid, err := r.folder(r.cmd.words[0])
	if err != nil {
		return err
	}
	n := uint64(0)
	err = steps(r, exmdb.OpPurgeDeleted, &exmdb.PurgeDeletedRequest{Folder: fid}, func(resp *exmdb.PurgeDeletedResponse) bool {
		n += uint64(resp.Purged)
		return resp.More
	})
	if err == nil {
		r.say("%s purged", plural(n, "message"))
	}
	return err
}

// uids are the UIDs of a key, all without.
func (r *run) uids() ([]exmdb.UIDRange, error) {
	var ranges []exmdb.UIDRange
	for _, part := range r.cmd.list("uids") {
		first, last, ok := strings.Cut(part, ":")
		if !ok {
			last = first
		}
		a, err := number32(first)
		b, err2 := number32(last)
		if err := errors.Join(err, err2); err != nil {
			return nil, err
		}
		ranges = append(ranges, exmdb.UIDRange{First: mapi.UID(a), Last: mapi.UID(b)})
	}
	if ranges == nil {
		ranges = []exmdb.UIDRange{{First: 1, Last: 1<<32 - 1}}
	}
	return ranges, nil
}

// from leaves out what is below a UID.
func from(ranges []exmdb.UIDRange, next mapi.UID) []exmdb.UIDRange {
	var left []exmdb.UIDRange
	for _, u := range ranges {
		if u.Last >= next {
			left = append(left, exmdb.UIDRange{First: max(u.First, next), Last: u.Last})
		}
	}
	return left
}

func (r *run) expunge() error {
	fid, err := r.folder(r.cmd.words[0])
	uids, err2 := r.uids()
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	n := uint64(0)
	q := &exmdb.ExpungeRequest{Folder: fid, UIDs: uids}
	err = steps(r, exmdb.OpExpunge, q, func(resp *exmdb.ExpungeResponse) bool {
		for _, u := range resp.Vanished {
			n += uint64(u.Last-u.First) + 1
		}
		q.UIDs = from(q.UIDs, resp.Next)
		return resp.Next != 0
	})
	if err == nil {
		r.say("%s gone", plural(n, "message"))
	}
	return err
}
