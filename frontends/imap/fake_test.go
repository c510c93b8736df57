package imap

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/auth"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// fakeBox is a mailbox in memory that answers ops as the contract says. It is the owner of whatever mailbox is asked.
type fakeBox struct {
	mu       sync.Mutex
	folders  []*fakeFolder
	counter  mapi.Stamp
	sequence uint64
	moved    chan struct{} // closed and replaced when sequence moves
	now      time.Time
	floor    mapi.Stamp
	// step bounds how many messages SetFlags, Copy, Move and Expunge take in one step; zero is unbounded.
	step int
	// narrowSteps is how many more times Narrow is not done yet.
	narrowSteps int
	// page bounds rows, folders and UIDs in one answer; zero is unbounded, but for the request's limit.
	page uint32
	// fail, when set, is asked before each op.
	fail func(op exmdb.OpInfo) error
	// calls counts ops by name.
	calls map[string]int
	// before says that it is of the release before, whose rows have no octets.
	before bool
	// bytesRead counts octets given by OpReadBytes, and in rows.
	bytesRead atomic.Int64
	keywords  []string
	// quota is the limit that is told; the fake keeps none.
	quota uint64
}

type fakeFolder struct {
	exmdb.Folder
	messages []*fakeMessage
	vanished []fakeTombstone
}

type fakeMessage struct {
	row    exmdb.Row
	octets []byte
}

type fakeTombstone struct {
	uid   mapi.UID
	stamp mapi.Stamp
}

const fakeIPM mapi.FID = 1<<48 | 9

// newFakeBox has the fixed folders that matter here.
func newFakeBox() *fakeBox {
	b := &fakeBox{counter: 100, moved: make(chan struct{}), calls: map[string]int{},
		now: time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)}
	for _, f := range []struct {
		counter           mapi.GlobalCounter
		name, class, uses string
		mail              bool
	}{
		{0x0a, "Sent Items", "IPF.Note", `\Sent`, true},
		{0x0b, "Deleted Items", "IPF.Note", `\Trash`, true},
		{0x0d, "Inbox", "IPF.Note", "", true},
		{0x0e, "Drafts", "IPF.Note", `\Drafts`, true},
		{0x0f, "Calendar", "IPF.Appointment", "", false},
		{0x17, "Junk Email", "IPF.Note", `\Junk`, true},
	} {
		b.addFolder(exmdb.Folder{FID: mapi.LocalFID(f.counter), Parent: fakeIPM, Name: f.name, Class: f.class,
			SpecialUse: f.uses, IMAP: f.mail, Fixed: true, Subscribed: f.mail})
	}
	return b
}

func (b *fakeBox) addFolder(f exmdb.Folder) *fakeFolder {
	b.counter++
	f.CN, f.UIDNext, f.UIDValidity = b.counter, 1, uint32(b.counter)
	b.folders = append(b.folders, &fakeFolder{Folder: f})
	return b.folders[len(b.folders)-1]
}

func (b *fakeBox) stamp() mapi.Stamp {
	b.counter++
	return b.counter
}

// touch says that something changed.
func (b *fakeBox) touch() {
	b.sequence++
	close(b.moved)
	b.moved = make(chan struct{})
}

func (b *fakeBox) folder(f mapi.FID) (*fakeFolder, error) {
	for _, have := range b.folders {
		if have.FID == f {
			return have, nil
		}
	}
	return nil, &cluster.Error{Kind: exmdb.KindNoFolder, Text: "no such folder"}
}

func (b *fakeBox) named(name string) *fakeFolder {
	for _, f := range b.folders {
		if f.Name == name {
			return f
		}
	}
	return nil
}

func (f *fakeFolder) view() exmdb.Folder {
	v := f.Folder
	for _, m := range f.messages {
		v.Messages++
		v.Size += m.row.Size
		if m.row.Flags.Bits&exmdb.FlagSeen == 0 {
			v.Unseen++
		}
		if m.row.Flags.Bits&exmdb.FlagDeleted != 0 {
			v.Deleted++
		}
	}
	return v
}

// Upload is not used: the fake ingester keeps messages inline.
func (b *fakeBox) Upload(context.Context, exmdb.Identity, mapi.MailboxID) (exmdb.Upload, error) {
	return nil, cluster.ErrUnavailable
}

// Call implements exmdb.Caller.
func (b *fakeBox) Call(ctx context.Context, _ exmdb.Identity, _ mapi.MailboxID, op exmdb.OpInfo, req, resp any) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b.mu.Lock()
	b.calls[op.Name]++
	fail := b.fail
	b.mu.Unlock()
	if fail != nil {
		if err := fail(op); err != nil {
			return err
		}
	}
	if op.ID == exmdb.OpWatch.ID {
		return b.watch(ctx, req.(*exmdb.WatchRequest), resp.(*exmdb.WatchResponse))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	err := b.answer(op, req, resp)
	if err == nil && op.Write {
		b.touch()
	}
	return err
}

func (b *fakeBox) watch(ctx context.Context, q *exmdb.WatchRequest, r *exmdb.WatchResponse) error {
	for {
		b.mu.Lock()
		r.Sequence = b.sequence
		moved := b.moved
		b.mu.Unlock()
		if r.Sequence > q.After {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return nil
		}
	}
}

func (b *fakeBox) answer(op exmdb.OpInfo, req, resp any) error {
	switch q := req.(type) {
	case *exmdb.Empty:
		return b.info(resp.(*exmdb.MailboxInfo))
	case *exmdb.ListFoldersRequest:
		return b.listFolders(q, resp.(*exmdb.ListFoldersResponse))
	case *exmdb.UIDsRequest:
		return b.uids(q, resp.(*exmdb.UIDsResponse))
	case *exmdb.CreateFolderRequest:
		return b.createFolder(q, resp.(*exmdb.FolderResponse))
	case *exmdb.MoveFolderRequest:
		return b.moveFolder(q)
	case *exmdb.DeleteFolderRequest:
		return b.deleteFolder(q)
	case *exmdb.SubscribeRequest:
		f, err := b.folder(q.Folder)
		if err == nil {
			f.Subscribed = q.Subscribed
		}
		return err
	case *exmdb.AppendRequest:
		return b.append(q, resp.(*exmdb.DeliverResponse))
	case *exmdb.RowsRequest:
		return b.rows(q, resp.(*exmdb.RowsResponse))
	case *exmdb.NarrowRequest:
		return b.narrow(q, resp.(*exmdb.NarrowResponse))
	case *exmdb.ReadBytesRequest:
		return b.readBytes(q, resp.(*exmdb.ReadBytesResponse))
	case *exmdb.SetFlagsRequest:
		return b.setFlags(q, resp.(*exmdb.SetFlagsResponse))
	case *exmdb.CopyRequest:
		return b.copy(q, resp.(*exmdb.CopyResponse), op.ID == exmdb.OpMove.ID)
	case *exmdb.ExpungeRequest:
		return b.expunge(q, resp.(*exmdb.ExpungeResponse))
	case *exmdb.ChangesRequest:
		return b.changes(q, resp.(*exmdb.ChangesResponse))
	}
	return cluster.Errorf(cluster.KindNoMethod, "op %s is not faked", op.Name)
}

// narrow names the messages that have the texts anywhere: those of any field are among them.
func (b *fakeBox) narrow(q *exmdb.NarrowRequest, r *exmdb.NarrowResponse) error {
	f, err := b.folder(q.Folder)
	if err != nil {
		return err
	}
	if b.narrowSteps > 0 {
		b.narrowSteps--
		r.Again = true
		return nil
	}
	r.Known = true
	for _, m := range f.messages {
		if mayHave(m.octets, &q.Query) {
			r.UIDs = append(r.UIDs, exmdb.UIDRange{First: m.row.UID, Last: m.row.UID})
		}
	}
	return nil
}

func mayHave(octets []byte, q *exmdb.TextQuery) bool {
	lacks := func(part exmdb.TextQuery) bool { return !mayHave(octets, &part) }
	switch {
	case len(q.All) > 0:
		return !slices.ContainsFunc(q.All, lacks)
	case len(q.Any) > 0:
		return slices.ContainsFunc(q.Any, func(part exmdb.TextQuery) bool { return mayHave(octets, &part) })
	}
	// Addresses are searched in another form than that of their field.
	found, err := mime.Scan(octets).SearchMessage(bytes.NewReader(octets), q.Text, mime.InHeaderOrBody)
	return err != nil || found || q.Fields&^(exmdb.TextFrom|exmdb.TextTo) == 0
}

func (b *fakeBox) info(r *exmdb.MailboxInfo) error {
	r.Quota = b.quota
	for _, f := range b.folders {
		r.Used += f.view().Size
	}
	return nil
}

func (b *fakeBox) listFolders(q *exmdb.ListFoldersRequest, r *exmdb.ListFoldersResponse) error {
	r.IPM, r.Sequence = fakeIPM, b.sequence
	for _, f := range slices.SortedFunc(slices.Values(b.folders), func(x, y *fakeFolder) int { return cmp.Compare(x.FID, y.FID) }) {
		if f.FID <= q.After {
			continue
		}
		if b.page > 0 && len(r.Folders) == int(b.page) {
			r.More = true
			break
		}
		r.Folders = append(r.Folders, f.view())
	}
	return nil
}

func (b *fakeBox) uids(q *exmdb.UIDsRequest, r *exmdb.UIDsResponse) error {
	f, err := b.folder(q.Folder)
	if err != nil {
		return err
	}
	r.Folder, r.Sequence, r.Keywords = f.view(), b.sequence, slices.Clone(b.keywords)
	for _, m := range f.messages {
		if m.row.UID < q.From {
			continue
		}
		if b.page > 0 && len(r.UIDs) == int(b.page) {
			r.Next = m.row.UID
			break
		}
		r.UIDs = append(r.UIDs, exmdb.UIDRange{First: m.row.UID, Last: m.row.UID})
		if r.FirstUnseen == 0 && m.row.Flags.Bits&exmdb.FlagSeen == 0 {
			r.FirstUnseen = m.row.UID
		}
	}
	r.UIDs = mergeUIDs(r.UIDs)
	return nil
}

func (b *fakeBox) sibling(parent mapi.FID, name string, not mapi.FID) error {
	for _, f := range b.folders {
		if f.Parent == parent && f.FID != not && strings.EqualFold(f.Name, name) {
			return &cluster.Error{Kind: exmdb.KindFolderExists, Text: "exists"}
		}
	}
	return nil
}

func (b *fakeBox) createFolder(q *exmdb.CreateFolderRequest, r *exmdb.FolderResponse) error {
	if err := b.sibling(q.Parent, q.Name, 0); err != nil {
		return err
	}
	if len(q.Name) > 250 {
		return &cluster.Error{Kind: exmdb.KindBadName, Text: "name"}
	}
	f := b.addFolder(exmdb.Folder{Parent: q.Parent, Name: q.Name, Class: "IPF.Note", IMAP: true, SpecialUse: q.SpecialUse,
		Subscribed: q.Subscribe})
	f.FID = mapi.LocalFID(mapi.GlobalCounter(f.CN))
	r.Folder = f.Folder
	return nil
}

func (b *fakeBox) moveFolder(q *exmdb.MoveFolderRequest) error {
	f, err := b.folder(q.Folder)
	if err != nil {
		return err
	}
	if f.Fixed {
		return &cluster.Error{Kind: exmdb.KindFixedFolder, Text: "fixed"}
	}
	for p := q.Parent; p != fakeIPM; {
		if p == f.FID {
			return &cluster.Error{Kind: exmdb.KindCycle, Text: "cycle"}
		}
		up, err := b.folder(p)
		if err != nil {
			return err
		}
		p = up.Parent
	}
	if err := b.sibling(q.Parent, q.Name, f.FID); err != nil {
		return err
	}
	f.Parent, f.Name = q.Parent, q.Name
	return nil
}

func (b *fakeBox) deleteFolder(q *exmdb.DeleteFolderRequest) error {
	f, err := b.folder(q.Folder)
	if err != nil {
		return err
	}
	if f.Fixed {
		return &cluster.Error{Kind: exmdb.KindFixedFolder, Text: "fixed"}
	}
	for _, other := range b.folders {
		if other.Parent == f.FID {
			return &cluster.Error{Kind: exmdb.KindHasChildren, Text: "children"}
		}
	}
	b.folders = slices.DeleteFunc(b.folders, func(have *fakeFolder) bool { return have == f })
	return nil
}

func (b *fakeBox) append(q *exmdb.AppendRequest, r *exmdb.DeliverResponse) error {
	f, err := b.folder(q.Folder)
	if err != nil {
		return err
	}
	octets := slices.Clone(q.Message.Recipe.Prefix)
	for _, s := range q.Message.Recipe.Segments {
		octets = append(octets, s.Raw...)
	}
	m := &fakeMessage{octets: octets, row: exmdb.Row{Flags: q.Flags, Received: q.Received, Saved: b.now,
		Size: uint64(len(octets)), Prefix: uint32(len(q.Message.Recipe.Prefix)), Digest: q.Message.Digest}}
	b.place(f, m)
	m.row.Object = mapi.ObjectNumber(m.row.ModSeq)
	b.learn(q.Flags.Keywords)
	*r = exmdb.DeliverResponse{Folder: f.FID, UIDValidity: f.UIDValidity, UID: m.row.UID, ModSeq: m.row.ModSeq}
	return nil
}

// place puts a message into a folder under a new UID.
func (b *fakeBox) place(f *fakeFolder, m *fakeMessage) {
	m.row.UID, m.row.ModSeq = f.UIDNext, b.stamp()
	m.row.MID = mapi.NewMID(1, mapi.GlobalCounter(m.row.ModSeq))
	f.UIDNext++
	f.ContentSeq = m.row.ModSeq
	f.messages = append(f.messages, m)
}

func (b *fakeBox) learn(keywords []string) {
	for _, k := range keywords {
		if !slices.Contains(b.keywords, k) {
			b.keywords = append(b.keywords, k)
		}
	}
}

func in(ranges []exmdb.UIDRange, uid mapi.UID) bool {
	for _, r := range ranges {
		if uid >= r.First && uid <= r.Last {
			return true
		}
	}
	return ranges == nil
}

func (m *fakeMessage) project(fields exmdb.RowFields) exmdb.Row {
	row := m.row
	out := exmdb.Row{UID: row.UID, ModSeq: row.ModSeq}
	if fields&exmdb.RowFlags != 0 {
		out.Flags = exmdb.Flags{Bits: row.Flags.Bits, Keywords: slices.Clone(row.Flags.Keywords)}
	}
	if fields&exmdb.RowMeta != 0 {
		out.MID, out.Object, out.Size, out.Prefix = row.MID, row.Object, row.Size, row.Prefix
		out.Received, out.Saved = row.Received, row.Saved
	}
	if fields&exmdb.RowDigest != 0 {
		out.Digest = row.Digest
	}
	if fields&exmdb.RowOctets != 0 && row.Size <= exmdb.MaxRowOctets {
		out.Octets = slices.Clone(m.octets)
	}
	return out
}

func (b *fakeBox) rows(q *exmdb.RowsRequest, r *exmdb.RowsResponse) error {
	f, err := b.folder(q.Folder)
	if err != nil {
		return err
	}
	limit := q.Limit
	if b.page > 0 {
		limit = min(limit, b.page)
	}
	bytes := 0
	for _, m := range f.messages {
		if !in(q.UIDs, m.row.UID) || m.row.ModSeq <= q.Since {
			continue
		}
		if uint32(len(r.Rows)) == limit || bytes > 1<<20 {
			r.More, r.Next = true, m.row.UID
			break
		}
		row := m.project(q.Fields)
		if b.before {
			row.Octets = nil
		}
		b.bytesRead.Add(int64(len(row.Octets)))
		bytes += len(row.Digest) + len(row.Octets) + 64
		r.Rows = append(r.Rows, row)
	}
	return nil
}

func (f *fakeFolder) message(uid mapi.UID) *fakeMessage {
	for _, m := range f.messages {
		if m.row.UID == uid {
			return m
		}
	}
	return nil
}

func (b *fakeBox) readBytes(q *exmdb.ReadBytesRequest, r *exmdb.ReadBytesResponse) error {
	f, err := b.folder(q.Folder)
	if err != nil {
		return err
	}
	m := f.message(q.UID)
	if m == nil {
		return &cluster.Error{Kind: exmdb.KindNoMessage, Text: "gone"}
	}
	from := min(q.Offset, uint64(len(m.octets)))
	to := min(from+uint64(min(q.Length, exmdb.MaxReadBytes)), uint64(len(m.octets)))
	r.Data = slices.Clone(m.octets[from:to])
	b.bytesRead.Add(int64(len(r.Data)))
	return nil
}

func (b *fakeBox) setFlags(q *exmdb.SetFlagsRequest, r *exmdb.SetFlagsResponse) error {
	f, err := b.folder(q.Folder)
	if err != nil {
		return err
	}
	b.learn(q.Flags.Keywords)
	done := 0
	for _, m := range f.messages {
		if !in(q.UIDs, m.row.UID) {
			continue
		}
		if b.step > 0 && done == b.step {
			r.Next = m.row.UID
			return nil
		}
		done++
		if q.Conditional && m.row.ModSeq > q.UnchangedSince {
			r.Modified = mergeUIDs(append(r.Modified, exmdb.UIDRange{First: m.row.UID, Last: m.row.UID}))
			continue
		}
		flags := applyFlags(m.row.Flags, q.Mode, q.Flags)
		if flags.Bits == m.row.Flags.Bits && slices.Equal(flags.Keywords, m.row.Flags.Keywords) {
			continue
		}
		m.row.Flags, m.row.ModSeq = flags, b.stamp()
		f.ContentSeq = m.row.ModSeq
		if r.Changed++; r.First == 0 {
			r.First = m.row.ModSeq
		}
		r.Last = m.row.ModSeq
	}
	return nil
}

func applyFlags(old exmdb.Flags, mode exmdb.FlagMode, given exmdb.Flags) exmdb.Flags {
	has := func(list []string, k string) bool {
		return slices.ContainsFunc(list, func(h string) bool { return strings.EqualFold(h, k) })
	}
	out := exmdb.Flags{Bits: old.Bits, Keywords: slices.Clone(old.Keywords)}
	switch mode {
	case exmdb.FlagsReplace:
		return given
	case exmdb.FlagsAdd:
		out.Bits |= given.Bits
		for _, k := range given.Keywords {
			if !has(out.Keywords, k) {
				out.Keywords = append(out.Keywords, k)
			}
		}
	case exmdb.FlagsRemove:
		out.Bits &^= given.Bits
		out.Keywords = slices.DeleteFunc(out.Keywords, func(k string) bool { return has(given.Keywords, k) })
	}
	return out
}

func (b *fakeBox) copy(q *exmdb.CopyRequest, r *exmdb.CopyResponse, move bool) error {
	f, err := b.folder(q.Folder)
	if err != nil {
		return err
	}
	target, err := b.folder(q.Target)
	if err != nil {
		return err
	}
	r.UIDValidity = target.UIDValidity
	done := 0
	for _, m := range slices.Clone(f.messages) {
		if !in(q.UIDs, m.row.UID) {
			continue
		}
		if b.step > 0 && done == b.step {
			r.Next = m.row.UID
			return nil
		}
		twin := &fakeMessage{row: m.row, octets: m.octets}
		if move {
			b.vanish(f, m)
		}
		b.place(target, twin)
		r.Source = append(r.Source, exmdb.UIDRange{First: m.row.UID, Last: m.row.UID})
		r.Target = append(r.Target, exmdb.UIDRange{First: twin.row.UID, Last: twin.row.UID})
		done++
	}
	r.Source, r.Target = mergeUIDs(r.Source), mergeUIDs(r.Target)
	return nil
}

func (b *fakeBox) vanish(f *fakeFolder, m *fakeMessage) {
	stamp := b.stamp()
	f.ContentSeq = stamp
	f.vanished = append(f.vanished, fakeTombstone{m.row.UID, stamp})
	f.messages = slices.DeleteFunc(slices.Clone(f.messages), func(have *fakeMessage) bool { return have == m })
}

func (b *fakeBox) expunge(q *exmdb.ExpungeRequest, r *exmdb.ExpungeResponse) error {
	f, err := b.folder(q.Folder)
	if err != nil {
		return err
	}
	done := 0
	for _, m := range slices.Clone(f.messages) {
		if !in(q.UIDs, m.row.UID) || !q.All && m.row.Flags.Bits&exmdb.FlagDeleted == 0 {
			continue
		}
		if b.step > 0 && done == b.step {
			r.Next = m.row.UID
			return nil
		}
		b.vanish(f, m)
		r.Vanished = mergeUIDs(append(r.Vanished, exmdb.UIDRange{First: m.row.UID, Last: m.row.UID}))
		done++
	}
	r.ModSeq = f.ContentSeq
	return nil
}

func (b *fakeBox) changes(q *exmdb.ChangesRequest, r *exmdb.ChangesResponse) error {
	f, err := b.folder(q.Folder)
	if err != nil {
		return err
	}
	if q.Since < b.floor {
		return &cluster.Error{Kind: exmdb.KindStaleToken, Text: "stale"}
	}
	changed := slices.DeleteFunc(slices.Clone(f.messages), func(m *fakeMessage) bool { return m.row.ModSeq <= q.Since })
	slices.SortFunc(changed, func(a, b *fakeMessage) int { return int(a.row.ModSeq) - int(b.row.ModSeq) })
	limit := int(q.Limit)
	if b.page > 0 {
		limit = min(limit, int(b.page))
	}
	r.Stamp = f.ContentSeq
	if len(changed) > limit {
		changed, r.More = changed[:limit], true
		r.Stamp = changed[limit-1].row.ModSeq
	}
	for _, m := range changed {
		r.Rows = append(r.Rows, m.project(q.Fields))
	}
	for _, t := range f.vanished {
		if t.stamp > q.Since && t.stamp <= r.Stamp {
			r.Vanished = append(r.Vanished, exmdb.UIDRange{First: t.uid, Last: t.uid})
		}
	}
	r.Vanished = mergeUIDs(r.Vanished)
	r.Folder, r.Sequence = f.view(), b.sequence
	return nil
}

// deliver puts a message into a folder from outside of any session.
func (b *fakeBox) deliver(folder, prefix, octets string) mapi.UID {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := b.named(folder)
	q := &exmdb.AppendRequest{Folder: f.FID, Received: b.now, Message: exmdb.NewMessage{
		Recipe: exmdb.Recipe{Prefix: []byte(prefix), Segments: []exmdb.Segment{{Raw: []byte(octets)}}},
		Digest: mime.MarshalDigest(mime.Scan([]byte(octets)))}}
	var r exmdb.DeliverResponse
	if err := b.append(q, &r); err != nil {
		panic(err)
	}
	b.touch()
	return r.UID
}

// fakeIngester keeps messages whole.
type fakeIngester struct {
	fail error
	zone string // of whom the last message was for
}

func (i *fakeIngester) Ingest(_ context.Context, owner *auth.Principal, r io.Reader, size int64) (exmdb.NewMessage, error) {
	i.zone = owner.Zone
	if i.fail != nil {
		return exmdb.NewMessage{}, i.fail
	}
	var buf bytes.Buffer
	n := mime.NewNormalizer(&buf)
	if got, err := io.Copy(n, r); err != nil || got != size {
		return exmdb.NewMessage{}, fmt.Errorf("read %d of %d octets: %w", got, size, err)
	}
	return exmdb.NewMessage{Recipe: exmdb.Recipe{Segments: []exmdb.Segment{{Raw: buf.Bytes()}}},
		Digest: mime.MarshalDigest(mime.Scan(buf.Bytes()))}, nil
}

// fakeUsers knows alice with the password "secret".
type fakeUsers struct{}

func (fakeUsers) Authenticate(_ context.Context, a auth.Attempt) (*auth.Principal, error) {
	switch {
	case a.User == "down@example.test":
		return nil, cluster.ErrUnavailable
	case a.User == "slow@example.test":
		return nil, &cluster.Error{Kind: exmdb.KindThrottled, Text: "throttled"}
	case a.User == "off@example.test":
		return nil, &cluster.Error{Kind: exmdb.KindDisabled, Text: "disabled"}
	case a.User != "alice@example.test" || a.Password != "secret":
		return nil, &cluster.Error{Kind: exmdb.KindBadPassword, Text: "bad password"}
	}
	return &auth.Principal{Identity: exmdb.Identity{User: mapi.GUID{1}, Privileges: exmdb.PrivilegeOwner},
		Mailbox: mapi.MailboxID{2}, Address: a.User, Zone: "Europe/Berlin"}, nil
}
