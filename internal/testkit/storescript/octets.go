package storescript

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// octetCommands do what IMAP does: it names messages by UID and reads their octets.
var octetCommands = []command{
	{"append", 1, `append PATH [subject=] [flags=\Seen,Red] [size=] [n=]: long ones are uploaded ahead`, false, (*run).appendMail},
	{"subscribe", 1, "subscribe PATH [off=yes]", false, (*run).subscribe},
	{"uids", 1, "uids PATH: the UIDs, and the first that is not seen", false, (*run).listUIDs},
	{"fetch", 1, "fetch PATH [uids=1:5] [page=N] [say=count]: flags and octets, which are as many as the rows say", false, (*run).fetch},
	{"copyuid", 2, "copyuid PATH TARGET [uids=1:5]", false, (*run).copyUIDs},
	{"moveuid", 2, "moveuid PATH TARGET [uids=1:5]", false, (*run).moveUIDs},
	{"changed", 2, "changed FEED PATH [page=N]: the UIDs of what is new, changed or gone since the feed was asked last", false, (*run).changed},
	{"await", 1, "await MARK: waits until the mailbox has moved on since the mark", false, (*run).await},
	{"narrow", 2, "narrow PATH TEXT: where the text may be in; of those that have it in the subject none is left out", false, (*run).narrow},
}

// flagsOf reads flags and keywords between commas.
func flagsOf(names string) (f exmdb.Flags) {
	for name := range strings.SplitSeq(names, ",") {
		if bit, ok := flagBits[name]; ok {
			f.Bits |= bit
		} else if name != "" {
			f.Keywords = append(f.Keywords, name)
		}
	}
	return f
}

func (r *run) appendMail() error {
	fid, err := r.folder(r.cmd.words[0])
	n, err2 := r.number("n", 1)
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	flags := flagsOf(r.cmd.text("flags", ""))
	for i := range n {
		m, _, err := r.mailOf(numbered(r.cmd.text("subject", "hello"), i+1, n))
		if err != nil {
			return err
		}
		if err := r.upload(&m); err != nil {
			return err
		}
		if _, err := do(r, exmdb.OpAppend, &exmdb.AppendRequest{Folder: fid, Message: m, Flags: flags, Received: began}); err != nil {
			return err
		}
	}
	return nil
}

// upload sends long octets ahead and leaves their names in the message.
func (r *run) upload(m *exmdb.NewMessage) error {
	octets := m.Recipe.Segments[0].Raw
	if len(octets) <= exmdb.MaxRawLeaf {
		return nil
	}
	up, err := r.cmd.caller.Upload(r.cmd.ctx, r.cmd.as, r.cmd.box.id)
	if err != nil {
		return err
	}
	s := exmdb.Segment{Octets: uint64(len(octets))}
	for chunk := range slices.Chunk(octets, exmdb.MaxChunk) {
		ref, err := up.Put(r.cmd.ctx, chunk)
		if err != nil {
			return errors.Join(err, up.Close(r.cmd.ctx))
		}
		s.Chunks = append(s.Chunks, ref)
	}
	m.Recipe.Segments = []exmdb.Segment{s}
	return up.Close(r.cmd.ctx)
}

func (r *run) subscribe() error {
	fid, err := r.folder(r.cmd.words[0])
	if err != nil {
		return err
	}
	_, err = do(r, exmdb.OpSubscribe, &exmdb.SubscribeRequest{Folder: fid, Subscribed: !r.cmd.is("off")})
	return err
}

// uidWords are ranges as IMAP writes them.
func uidWords(ranges []exmdb.UIDRange) string {
	var words []string
	for _, u := range ranges {
		if u.First == u.Last {
			words = append(words, fmt.Sprint(u.First))
		} else {
			words = append(words, fmt.Sprintf("%d:%d", u.First, u.Last))
		}
	}
	if words == nil {
		return "-"
	}
	return strings.Join(words, ",")
}

// joinUIDs are UIDs as ranges.
func joinUIDs(uids []mapi.UID) (ranges []exmdb.UIDRange) {
	slices.Sort(uids)
	for _, uid := range slices.Compact(uids) {
		if last := len(ranges) - 1; last >= 0 && ranges[last].Last+1 == uid {
			ranges[last].Last = uid
		} else {
			ranges = append(ranges, exmdb.UIDRange{First: uid, Last: uid})
		}
	}
	return ranges
}

// eachUID is the UIDs of ranges.
func eachUID(ranges []exmdb.UIDRange) (uids []mapi.UID) {
	for _, u := range ranges {
		for uid := u.First; uid <= u.Last; uid++ {
			uids = append(uids, uid)
		}
	}
	return uids
}

func (r *run) listUIDs() error {
	fid, err := r.folder(r.cmd.words[0])
	if err != nil {
		return err
	}
	q := &exmdb.UIDsRequest{Folder: fid}
	var all []exmdb.UIDRange
	var unseen, next mapi.UID
	subscribed := ""
	for {
		resp, err := do(r, exmdb.OpUIDs, q)
		if err != nil {
			return err
		}
		all, next = append(all, resp.UIDs...), resp.Folder.UIDNext
		if unseen == 0 {
			unseen = resp.FirstUnseen
		}
		subscribed = map[bool]string{true: ", subscribed"}[resp.Folder.Subscribed]
		if q.From = resp.Next; q.From == 0 {
			break
		}
	}
	r.say("%s, then %d; first unseen %d%s", uidWords(all), next, unseen, subscribed)
	return nil
}

func (r *run) fetch() error {
	fid, err := r.folder(r.cmd.words[0])
	uids, err2 := r.uids()
	page, err3 := r.number("page", 0)
	if err := errors.Join(err, err2, err3); err != nil {
		return err
	}
	short := r.cmd.text("say", "all") == "count"
	q := &exmdb.RowsRequest{Folder: fid, UIDs: uids, Fields: exmdb.RowFlags | exmdb.RowMeta, Limit: uint32(page)}
	n := uint64(0)
	for more := true; more; {
		resp, err := do(r, exmdb.OpRows, q)
		if err != nil {
			return err
		}
		for i := range resp.Rows {
			if err := r.octets(fid, &resp.Rows[i], short); err != nil {
				return err
			}
		}
		n += uint64(len(resp.Rows))
		q.UIDs, more = from(q.UIDs, resp.Next), resp.More
	}
	if short {
		r.say("%s read", plural(n, "message"))
	}
	return nil
}

// octets reads those of a row.
func (r *run) octets(fid mapi.FID, row *exmdb.Row, short bool) error {
	total := uint64(0)
	for {
		part, err := do(r, exmdb.OpReadBytes, &exmdb.ReadBytesRequest{Folder: fid, UID: row.UID, Offset: total, Length: 100_000})
		if err != nil {
			return err
		}
		if len(part.Data) == 0 {
			break
		}
		total += uint64(len(part.Data))
	}
	if total != row.Size {
		return mistake("message %d has %d octets of %d", row.UID, total, row.Size)
	}
	if !short {
		r.say("%d: %d octets, flags %#x %s", row.UID, total, uint32(row.Flags.Bits), joined(row.Flags.Keywords))
	}
	return nil
}

func (r *run) copyUIDs() error { return r.carryUIDs(exmdb.OpCopy, "copied") }

func (r *run) moveUIDs() error { return r.carryUIDs(exmdb.OpMove, "moved") }

// carryUIDs copies or moves. Source and target are paired: there are as many of the one as of the other.
func (r *run) carryUIDs(op exmdb.Op[exmdb.CopyRequest, exmdb.CopyResponse], done string) error {
	fid, err := r.folder(r.cmd.words[0])
	to, err2 := r.folder(r.cmd.words[1])
	uids, err3 := r.uids()
	if err := errors.Join(err, err2, err3); err != nil {
		return err
	}
	q := &exmdb.CopyRequest{Folder: fid, UIDs: uids, Target: to}
	var source, target []mapi.UID
	denied := false
	err = steps(r, op, q, func(resp *exmdb.CopyResponse) bool {
		source, target = append(source, eachUID(resp.Source)...), append(target, eachUID(resp.Target)...)
		q.UIDs, denied = from(q.UIDs, resp.Next), denied || resp.Denied
		return resp.Next != 0
	})
	if err != nil {
		return err
	}
	if len(source) != len(target) {
		return mistake("%d messages became %d", len(source), len(target))
	}
	r.say("%s %s as %s%s", uidWords(joinUIDs(source)), done, uidWords(joinUIDs(target)), deniedWords(denied))
	return nil
}

func (r *run) changed() error {
	fid, err := r.folder(r.cmd.words[1])
	page, err2 := r.number("page", 0)
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	key := "changed " + strings.Join(r.cmd.words, " ")
	since, _ := r.marks[key].(mapi.Stamp)
	q := &exmdb.ChangesRequest{Folder: fid, Since: since, Limit: uint32(page)}
	var changed, gone []mapi.UID
	for more := true; more; {
		resp, err := do(r, exmdb.OpChanges, q)
		if err != nil {
			return err
		}
		for i := range resp.Rows {
			changed = append(changed, resp.Rows[i].UID)
		}
		gone = append(gone, eachUID(resp.Vanished)...)
		q.Since, more = resp.Stamp, resp.More
	}
	r.marks[key] = q.Since
	r.say("changed %s; gone %s", uidWords(joinUIDs(changed)), uidWords(joinUIDs(gone)))
	return nil
}

func (r *run) await() error {
	then, err := r.marked(r.cmd.words[0])
	if err != nil {
		return err
	}
	for {
		resp, err := do(r, exmdb.OpWatch, &exmdb.WatchRequest{After: then.sequence})
		if err != nil {
			return err
		}
		if resp.Sequence > then.sequence {
			r.say("the mailbox has moved on")
			return nil
		}
	}
}

func (r *run) narrow() error {
	path, text := r.cmd.words[0], r.cmd.words[1]
	fid, err := r.folder(path)
	list, err2 := r.listed(path, false)
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	resp, err := do(r, exmdb.OpNarrow, &exmdb.NarrowRequest{Folder: fid, Query: exmdb.TextQuery{Fields: exmdb.TextSubject | exmdb.TextBody, Text: text}})
	if err != nil {
		return err
	}
	n, named := uint64(0), eachUID(resp.UIDs)
	for i := range list {
		if !strings.Contains(list[i].Subject, text) {
			continue
		}
		if n++; resp.Known && !slices.Contains(named, list[i].UID) {
			return mistake("%q is left out", list[i].Subject)
		}
	}
	r.say("of %s none is left out", plural(n, "message"))
	return nil
}
