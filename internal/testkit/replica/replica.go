// Package replica is a client of one mailbox that works offline and synchronises, as Outlook in cached mode does: for
// tests of the store and of front-ends that carry its ops.
//
// It keeps folders, messages, its ICS state and what it has still to upload; it knows the ops of exmdb and the conflict
// rules of MS-OXCFXICS 3.1.5.6 from the client's side, and never looks into a mailbox.
package replica

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcfxics"
)

// Item is what the replica knows of a message's content.
type Item struct {
	Subject, Body string
	Importance    int32
	// Rivals are the subjects of the versions in conflict, in order.
	Rivals string
}

// Version names a version of an object that the replica has: its change key and predecessor change list.
type Version struct {
	ChangeKey string
	PCL       string
	Modified  time.Time
}

// Message is a message in the replica.
type Message struct {
	ID mapi.GID
	Item
	Version
	Associated, Read bool
}

// Folder is a folder in the replica, with the state of its contents.
type Folder struct {
	ID, Parent mapi.GID
	Name       string
	Version
	Messages map[mapi.GID]*Message
	state    oxcfxics.State
	// changes are the change numbers under which the mailbox has the messages.
	changes map[mapi.GID]mapi.GID
}

func newFolder(id mapi.GID) *Folder {
	return &Folder{ID: id, Messages: make(map[mapi.GID]*Message), changes: make(map[mapi.GID]mapi.GID)}
}

// note takes in that the mailbox has a message as the replica has it.
func (f *Folder) note(resp *exmdb.ImportResponse) {
	resp.Note(&f.state)
	f.changes[resp.Source] = resp.Change
}

// unsee makes the next download bring a message again.
func (f *Folder) unsee(id mapi.GID) {
	gone, change := mapi.IDSETOfIDs([]mapi.GID{id}), mapi.IDSETOfIDs([]mapi.GID{f.changes[id]})
	f.state.Given, f.state.Seen, f.state.SeenFAI = f.state.Given.Minus(gone), f.state.Seen.Minus(change), f.state.SeenFAI.Minus(change)
}

// Config says which mailbox, and as whom.
type Config struct {
	Caller exmdb.Caller
	As     exmdb.Identity
	Box    mapi.MailboxID
	// Root is the folder below which the replica has everything.
	Root mapi.FID
	// Now is the replica's clock.
	Now func() time.Time
	// Limit is how many changes a page of a download has at most, zero for the store's own bound.
	Limit uint32
	// Imported, if set, is told of each version of a message that the mailbox has taken.
	Imported func(id mapi.GID, it Item, v Version)
}

// Client is the replica. It is for one goroutine.
type Client struct {
	Config
	// GUID is the namespace of its changes.
	GUID    mapi.GUID
	Folders map[mapi.GID]*Folder
	// Top is the id of Config.Root, the parent of the top folders.
	Top mapi.GID
	// Refused are the changes that the mailbox did not take, as what it said.
	Refused []cluster.Kind

	last      mapi.CN
	granted   exmdb.LocalReplicaIDsResponse
	left      uint32
	hierarchy oxcfxics.State
	pending   []pending
	// refused are messages of which the mailbox did not take a change: what was done to them after that is not uploaded.
	refused map[mapi.GID]bool
}

// grant is how many ids the replica asks for at once.
const grant = 64

// New makes an empty replica.
func New(ctx context.Context, c Config) (*Client, error) {
	r := &Client{Config: c, GUID: mapi.NewGUID(), Folders: make(map[mapi.GID]*Folder), refused: make(map[mapi.GID]bool)}
	ids, err := exmdb.Do(ctx, c.Caller, c.As, c.Box, exmdb.OpLongTermIDs, &exmdb.LongTermIDsRequest{IDs: []uint64{uint64(c.Root)}})
	if err != nil {
		return nil, err
	}
	r.Top = ids.GIDs[0]
	return r, r.Prepare(ctx)
}

// Prepare gets the replica ids for a while offline.
func (r *Client) Prepare(ctx context.Context) error {
	if r.left >= grant/2 {
		return nil
	}
	g, err := exmdb.Do(ctx, r.Caller, r.As, r.Box, exmdb.OpLocalReplicaIDs, &exmdb.LocalReplicaIDsRequest{Count: grant})
	if err == nil {
		r.granted, r.left = *g, grant
	}
	return err
}

// Exhausted reports whether the replica has run out of ids, so that it makes nothing new before it has been Prepared.
func (r *Client) Exhausted() bool { return r.left == 0 }

func (r *Client) newID() mapi.GID {
	id := mapi.GID{Replica: r.granted.Replica, Counter: r.granted.First}
	r.granted.First++
	r.left--
	return id
}

// next is the next version of what has a PCL.
func (r *Client) next(v Version) Version {
	r.last++
	key := mapi.ChangeKey(r.GUID, r.last)
	list, _ := mapi.ParsePCL([]byte(v.PCL)) // the mailbox's or our own
	return Version{string(key.Append(nil)), string(list.Add(key).Append(nil)), r.Now()}
}

func (v Version) imported() exmdb.ImportedVersion {
	return exmdb.ImportedVersion{ChangeKey: []byte(v.ChangeKey), PCL: []byte(v.PCL), Modified: v.Modified}
}

// pending is a change that is still to be uploaded; folders and messages are named, because they may be gone by then.
type pending struct {
	what string
	send func(ctx context.Context) error
	// undo is done when the mailbox does not take the change.
	undo func()
}

func (r *Client) later(what string, send func(ctx context.Context) error, undo func()) {
	r.pending = append(r.pending, pending{what, send, undo})
}

// CreateFolder makes a folder below one, or below Top.
func (r *Client) CreateFolder(parent mapi.GID, name string) *Folder {
	f := newFolder(r.newID())
	f.Parent, f.Name, f.Version = parent, name, r.next(Version{})
	r.Folders[f.ID] = f
	r.uploadFolder(f)
	return f
}

// ChangeFolder renames a folder or moves it.
func (r *Client) ChangeFolder(f *Folder, parent mapi.GID, name string) {
	f.Parent, f.Name, f.Version = parent, name, r.next(f.Version)
	r.uploadFolder(f)
}

func (r *Client) uploadFolder(f *Folder) {
	req := exmdb.ImportFolderRequest{SourceKey: f.ID.Append(nil), Version: f.imported(), Name: f.Name}
	parent, id := f.Parent, f.ID
	r.later("folder "+f.Name, func(ctx context.Context) error {
		req.Parent = r.fid(parent)
		resp, err := exmdb.Do(ctx, r.Caller, r.As, r.Box, exmdb.OpImportFolder, &req)
		if err == nil && r.Folders[id] == f { // else an earlier change was refused, and the folder is to come anew
			resp.Note(&r.hierarchy)
		}
		return err
	}, func() {
		// What the mailbox has comes again; where it has nothing, the folder goes.
		r.hierarchy.Given = r.hierarchy.Given.Minus(mapi.IDSETOfIDs([]mapi.GID{id}))
		r.dropTree(id)
	})
}

// Below are a folder and all below it.
func (r *Client) Below(id mapi.GID) []mapi.GID {
	list := []mapi.GID{id}
	for i := 0; i < len(list); i++ {
		for _, f := range r.Folders {
			if f.Parent == list[i] {
				list = append(list, f.ID)
			}
		}
	}
	return list
}

// dropTree forgets a folder and what is below it, and that the mailbox ever brought it.
func (r *Client) dropTree(id mapi.GID) {
	tree := r.Below(id)
	for _, each := range tree {
		delete(r.Folders, each)
	}
	r.hierarchy.Given = r.hierarchy.Given.Minus(mapi.IDSETOfIDs(tree))
}

// DeleteFolder deletes a folder with all below it.
func (r *Client) DeleteFolder(f *Folder, hard bool) {
	r.dropTree(f.ID)
	req := exmdb.ImportDeletesRequest{Folder: r.Root, Folders: true, Hard: hard, SourceKeys: [][]byte{f.ID.Append(nil)}}
	r.later("delete folder "+f.Name, func(ctx context.Context) error {
		_, err := exmdb.Do(ctx, r.Caller, r.As, r.Box, exmdb.OpImportDeletes, &req)
		return err
	}, func() {})
}

// fid is the mailbox's short id of a folder: all ids here are of its own replica.
func (r *Client) fid(id mapi.GID) mapi.FID {
	if id == r.Top {
		return r.Root
	}
	return mapi.LocalFID(id.Counter)
}

// CreateMessage makes a message.
func (r *Client) CreateMessage(f *Folder, it Item, associated bool) *Message {
	m := &Message{ID: r.newID(), Item: it, Version: r.next(Version{}), Associated: associated}
	f.Messages[m.ID] = m
	r.uploadMessage(f, m, true)
	return m
}

// EditMessage gives a message another content; a conflict in it is over then.
func (r *Client) EditMessage(f *Folder, m *Message, it Item) {
	it.Rivals = ""
	m.Item, m.Version = it, r.next(m.Version)
	r.uploadMessage(f, m, false)
}

func (r *Client) uploadMessage(f *Folder, m *Message, fresh bool) {
	req := exmdb.ImportMessageRequest{Folder: r.fid(f.ID), SourceKey: m.ID.Append(nil), Version: m.imported(), Associated: m.Associated}
	set := &req.Message.Set
	set.Set(mapi.PidTagSubject, mapi.String(m.Subject))
	set.Set(mapi.PidTagBody, mapi.String(m.Body))
	set.Set(mapi.PidTagImportance, mapi.Integer32(m.Importance))
	if fresh {
		set.Set(mapi.PidTagMessageFlags, mapi.Integer32(0))
	}
	id, it, version := m.ID, m.Item, m.Version
	r.later("message "+m.Subject, func(ctx context.Context) error {
		if r.refused[id] {
			return nil
		}
		resp, err := exmdb.Do(ctx, r.Caller, r.As, r.Box, exmdb.OpImportMessage, &req)
		if err == nil {
			f.note(resp)
			if r.Imported != nil {
				r.Imported(id, it, version)
			}
		}
		return err
	}, func() {
		delete(f.Messages, id)
		r.refused[id] = true
	})
}

// DeleteMessage deletes a message.
func (r *Client) DeleteMessage(f *Folder, m *Message, hard bool) {
	delete(f.Messages, m.ID)
	req := exmdb.ImportDeletesRequest{Folder: r.fid(f.ID), Hard: hard, SourceKeys: [][]byte{m.ID.Append(nil)}}
	gone := mapi.IDSETOfIDs([]mapi.GID{m.ID})
	r.later("delete "+m.Subject, func(ctx context.Context) error {
		_, err := exmdb.Do(ctx, r.Caller, r.As, r.Box, exmdb.OpImportDeletes, &req)
		if err == nil {
			f.state.Given = f.state.Given.Minus(gone)
		}
		return err
	}, func() {})
}

// MoveMessage moves a message, which has another id from then on.
func (r *Client) MoveMessage(from, to *Folder, m *Message) *Message {
	moved := *m
	moved.ID, moved.Version = r.newID(), r.next(m.Version)
	moved.Modified = m.Modified
	delete(from.Messages, m.ID)
	to.Messages[moved.ID] = &moved
	req := exmdb.ImportMoveRequest{Folder: r.fid(to.ID), From: r.fid(from.ID), SourceKey: m.ID.Append(nil), Target: moved.ID.Append(nil),
		PCL: []byte(m.PCL), ChangeKey: []byte(moved.ChangeKey)}
	before, id := m.ID, moved.ID
	old := mapi.IDSETOfIDs([]mapi.GID{before})
	r.later("move "+m.Subject, func(ctx context.Context) error {
		if r.refused[before] {
			r.refused[id] = true
			delete(to.Messages, id)
			return nil
		}
		resp, err := exmdb.Do(ctx, r.Caller, r.As, r.Box, exmdb.OpImportMove, &req)
		if err == nil {
			from.state.Given = from.state.Given.Minus(old)
			to.note(resp)
		}
		return err
	}, func() {
		delete(to.Messages, id)
		r.refused[id] = true
		from.unsee(before)
	})
	return &moved
}

// MarkRead reads a message or makes it unread.
func (r *Client) MarkRead(f *Folder, m *Message, read bool) {
	m.Read = read
	req := exmdb.ImportReadStatesRequest{Folder: r.fid(f.ID), Changes: []exmdb.ReadStateChange{{SourceKey: m.ID.Append(nil), Read: read}}}
	r.later("read "+m.Subject, func(ctx context.Context) error {
		resp, err := exmdb.Do(ctx, r.Caller, r.As, r.Box, exmdb.OpImportReadStates, &req)
		if err == nil {
			f.state.Read = f.state.Read.Union(resp.Changes)
		}
		return err
	}, func() {})
}

// UploadNext uploads the oldest change and reports whether there was one. What the mailbox refuses is undone.
func (r *Client) UploadNext(ctx context.Context) (bool, error) {
	if len(r.pending) == 0 {
		return false, nil
	}
	p := r.pending[0]
	r.pending = r.pending[1:]
	err := p.send(ctx)
	switch kind := cluster.KindOf(err); {
	case err == nil:
	case kind == exmdb.KindObjectDeleted, kind == exmdb.KindNoFolder, kind == exmdb.KindNoMessage, kind == exmdb.KindFolderExists, kind == exmdb.KindCycle:
		r.Refused = append(r.Refused, kind)
		p.undo()
	default:
		return true, fmt.Errorf("upload %s: %w", p.what, err)
	}
	return true, nil
}

// Upload uploads everything.
func (r *Client) Upload(ctx context.Context) error {
	for {
		if more, err := r.UploadNext(ctx); err != nil || !more {
			return err
		}
	}
}

// Sync uploads everything and downloads everything; it says how many differences it was told.
func (r *Client) Sync(ctx context.Context) (told int, err error) {
	if err := r.Upload(ctx); err != nil {
		return 0, err
	}
	if told, err = r.Download(ctx); err != nil {
		return told, err
	}
	return told, r.Prepare(ctx)
}

// Pending is how many changes are still to be uploaded.
func (r *Client) Pending() int { return len(r.pending) }

// Download fetches what is different. Nothing may be Pending.
func (r *Client) Download(ctx context.Context) (told int, err error) {
	if told, err = r.downloadFolders(ctx); err != nil {
		return told, err
	}
	for _, f := range r.Sorted() {
		n, err := r.downloadMessages(ctx, f)
		told += n
		if err != nil {
			return told, fmt.Errorf("download %s: %w", f.Name, err)
		}
	}
	return told, nil
}

// Sorted are the folders in the order of their ids.
func (r *Client) Sorted() []*Folder {
	return slices.SortedFunc(maps.Values(r.Folders), func(a, b *Folder) int { return int(int64(a.ID.Counter) - int64(b.ID.Counter)) })
}

func (r *Client) downloadFolders(ctx context.Context) (told int, err error) {
	s := exmdb.HierarchySync{Caller: r.Caller, As: r.As, Box: r.Box, Folder: r.Root, State: r.hierarchy, Limit: r.Limit}
	for !s.Done {
		page, err := s.Next(ctx)
		if err != nil {
			return told, err
		}
		for i := range page.Folders {
			r.takeFolder(&page.Folders[i])
		}
		deleted := ids(page.Deleted)
		for _, id := range deleted {
			delete(r.Folders, id)
		}
		told += len(page.Folders) + len(deleted)
	}
	r.hierarchy = s.State
	return told, nil
}

func (r *Client) takeFolder(in *exmdb.SyncedFolder) {
	f := r.Folders[in.Source]
	if f == nil {
		f = newFolder(in.Source)
		r.Folders[in.Source] = f
	}
	f.Parent, f.Name = in.Parent, in.Name
	f.Version = Version{string(in.ChangeKey), string(in.PCL), in.Modified}
}

// ids lists a set that is small.
func ids(s mapi.IDSET) (list []mapi.GID) {
	for _, part := range s.Replicas() {
		for c := range part.Set.All() {
			list = append(list, mapi.GID{Replica: part.Replica, Counter: c})
		}
	}
	return list
}

func (r *Client) downloadMessages(ctx context.Context, f *Folder) (told int, err error) {
	s := exmdb.ContentsSync{Caller: r.Caller, As: r.As, Box: r.Box, Folder: r.fid(f.ID), State: f.state, Limit: r.Limit,
		Scope: exmdb.SyncScope{Flags: exmdb.SyncNormal | exmdb.SyncAssociated | exmdb.SyncReadState | exmdb.SyncWhole | exmdb.SyncWholeAssociated}}
	for !s.Done {
		page, err := s.Next(ctx)
		if err != nil {
			return told, err
		}
		for i := range page.Changes {
			f.takeMessage(&page.Changes[i])
		}
		deleted := append(ids(page.Deleted), ids(page.NoLongerInScope)...)
		for _, id := range deleted {
			delete(f.Messages, id)
		}
		read, unread := ids(page.Read), ids(page.Unread)
		if err := errors(f.mark(read, true), f.mark(unread, false)); err != nil {
			return told, err
		}
		told += len(page.Changes) + len(deleted) + len(read) + len(unread)
	}
	f.state = s.State
	return told, nil
}

// errors is the first of two.
func errors(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

func (f *Folder) mark(list []mapi.GID, read bool) error {
	for _, id := range list {
		m := f.Messages[id]
		if m == nil {
			return fmt.Errorf("told of the read state of message %#x, which the replica does not have", uint64(id.Counter))
		}
		m.Read = read
	}
	return nil
}

func (f *Folder) takeMessage(in *exmdb.SyncedMessage) {
	props := &in.Content.Props
	text := func(t mapi.Tag) string { s, _ := props.Get(t).(mapi.String); return string(s) }
	importance, _ := props.Get(mapi.PidTagImportance).(mapi.Integer32)
	m := &Message{ID: in.Source, Item: Item{Subject: text(mapi.PidTagSubject), Body: text(mapi.PidTagBody), Importance: int32(importance), Rivals: rivals(in.Content)},
		Version:    Version{string(in.State.ChangeKey), string(in.State.PCL), in.Modified},
		Associated: in.State.Associated, Read: in.State.Flags.Bits&exmdb.FlagSeen != 0}
	f.Messages[m.ID], f.changes[m.ID] = m, in.Change
}

// rivals are the subjects of the versions in conflict (MS-OXCFXICS 3.1.5.6.2.1).
func rivals(c *exmdb.MessageContent) string {
	var list []string
	for i := range c.Attachments {
		a := &c.Attachments[i]
		if a.Props.Get(mapi.PidTagInConflict) == mapi.Boolean(true) && a.Embedded != nil {
			subject, _ := a.Embedded.Props.Get(mapi.PidTagSubject).(mapi.String)
			list = append(list, string(subject))
		}
	}
	if len(list) == 0 {
		return ""
	}
	slices.Sort(list)
	return fmt.Sprint(list)
}

// Tree is all that the replica has, in a form that compares.
func (r *Client) Tree() string {
	out := ""
	for _, f := range r.Sorted() {
		out += fmt.Sprintf("folder %x below %x: %s, key %x, pcl %x\n", f.ID.Counter, f.Parent.Counter, f.Name, f.ChangeKey, f.PCL)
		for _, m := range slices.SortedFunc(maps.Values(f.Messages), func(a, b *Message) int { return int(int64(a.ID.Counter) - int64(b.ID.Counter)) }) {
			out += fmt.Sprintf("  %x %+v, associated %v, read %v, key %x, pcl %x\n", m.ID.Counter, m.Item, m.Associated, m.Read, m.ChangeKey, m.PCL)
		}
	}
	return out
}

// State is the client's state of a folder's contents; of the hierarchy where f is nil.
func (r *Client) State(f *Folder) oxcfxics.State {
	if f == nil {
		return r.hierarchy
	}
	return f.state
}
