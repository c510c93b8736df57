package archive

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// restore is the import of an archive.
type restore struct {
	*job
	u    *unpacker
	head head
	// folders are where the archive's folders are here; nil ones are not wanted.
	folders map[mapi.FID]*exmdb.Folder
	// same: the archive is of this very mailbox and goes where it was, so what is still there is not brought again.
	same bool
	seen uint64
	// made are the folders that this import has made; entries are entry ids of folders here.
	made    map[mapi.FID]bool
	entries map[mapi.FID][]byte
	// recorded: the record of the message has been read.
	recorded bool
}

// readArchive imports an archive.
func (j *job) readArchive() (err error) {
	f, err := open(j.Path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	u, err := newUnpacker(f)
	if err != nil {
		return err
	}
	defer u.close()
	r := &restore{job: j, u: u, folders: map[mapi.FID]*exmdb.Folder{}, made: map[mapi.FID]bool{}, entries: map[mapi.FID][]byte{}}
	if err := u.read(frameHead, &r.head); err != nil {
		return err
	}
	info, err := do(j, exmdb.OpMailboxInfo, &exmdb.Empty{})
	if err != nil {
		return err
	}
	r.same = info.ReplicaGUID == r.head.Replica && r.Folder == ""
	return r.run()
}

// run reads frame after frame, to the end record.
func (r *restore) run() error {
	for {
		f, err := r.u.next()
		if err == nil {
			err = r.frame(f)
		}
		if err != nil || f.kind == frameEnd {
			return err
		}
		r.done.Bytes = r.u.at
		r.tell()
	}
}

// frame does what a frame says that stands by itself.
func (r *restore) frame(f *frame) error {
	switch f.kind {
	case frameNames:
		return record(r, f, r.names)
	case frameFolder:
		return record(r, f, r.folder)
	case frameBegin:
		return record(r, f, r.message)
	case frameSettings:
		return record(r, f, r.settings)
	case frameMailbox:
		return record(r, f, r.mailbox)
	case frameEnd:
		return record(r, f, r.ended)
	}
	return r.u.damage(fmt.Sprintf("a frame of kind %d stands alone", f.kind), nil)
}

// record does something with the record of a frame.
func record[R any](r *restore, f *frame, fn func(*R) error) error {
	rec := new(R)
	if err := r.u.decode(f, f.kind, rec); err != nil {
		return err
	}
	return fn(rec)
}

// ended compares what was there with what was written.
func (r *restore) ended(rec *endRecord) error {
	if rec.Messages != r.seen {
		return r.u.damage(fmt.Sprintf("it has %d messages, %d were written", r.seen, rec.Messages), nil)
	}
	return nil
}

// folder finds or makes the folder of a record. What it has stays; what it lacks it gets.
func (r *restore) folder(rec *folderRecord) error {
	f, made, err := r.home(rec)
	if err != nil {
		return fmt.Errorf("folder %q: %w", rec.Name, err)
	}
	if r.folders[rec.FID] = f; f == nil {
		return nil
	}
	r.done.Folder = r.tree.path(f.FID)
	err = r.relocate(&rec.Props)
	if err == nil {
		err = r.giveProps(r.done.Folder, exmdb.ObjectID{Folder: f.FID}, &rec.Props, rec.Names)
	}
	if err != nil {
		return fmt.Errorf("folder %q: %w", rec.Name, err)
	}
	if err := r.members(f, rec, made); err != nil {
		return fmt.Errorf("rights of folder %q: %w", rec.Name, err)
	}
	return nil
}

// firstOwn is the first folder id that is no fixed folder's (MAILBOX 1).
const firstOwn = 0x100

// home is where a folder of the archive belongs here, nil if it is not wanted: fixed folders have the same id in every mailbox,
// others a name. With a folder named by the job what is in the IPM subtree goes below that, and nothing else is brought.
func (r *restore) home(rec *folderRecord) (f *exmdb.Folder, made bool, err error) {
	parent := rec.Parent
	above, read := r.folders[rec.Parent]
	switch {
	case r.Folder != "" && rec.FID == r.tree.ipm:
		f, err = r.ensure(r.Folder, "")
		return f, false, err
	case r.Folder == "" && rec.FID.Counter() < firstOwn && r.tree.byID[rec.FID] != nil:
		return r.tree.byID[rec.FID], false, nil
	case above != nil:
		parent = above.FID
	case read || r.Folder != "":
		return nil, false, nil
	case rec.Parent.Counter() >= firstOwn:
		return nil, false, r.u.damage("a folder stands in front of the one that it is in", nil)
	}
	if f = r.tree.child(parent, rec.Name); f != nil && f.Search != rec.Search {
		r.pass(r.tree.path(f.FID), cluster.Errorf(exmdb.KindSearchFolder, "one of this folder and that of the archive is a search folder"))
		return nil, false, nil
	}
	if f != nil {
		return f, false, nil
	}
	resp, err := do(r.job, exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: parent, Name: rec.Name, Class: rec.Class, Search: rec.Search})
	if err != nil {
		return nil, false, err
	}
	r.made[resp.Folder.FID] = true
	r.tree.add(&resp.Folder)
	return &resp.Folder, true, nil
}

// lacking are the properties of a record whose value is another in the mailbox.
func (r *restore) lacking(want *mapi.PropBag, names []mapi.PropertyName, have *exmdb.ReadPropsResponse) mapi.PropBag {
	mine := &oxcmsg.Names{}
	for _, n := range names {
		mine.ID(n)
	}
	there := byName(&have.Props, nameIn(have.Names), mine)
	var out mapi.PropBag
	for _, p := range want.All() {
		if !same(&there, p.Tag, p.Value) {
			out.Set(p.Tag, p.Value)
		}
	}
	return out
}

// members gives the users of the record their rights, unless a folder that was there has others for them.
func (r *restore) members(f *exmdb.Folder, rec *folderRecord, made bool) error {
	have, err := do(r.job, exmdb.OpPermissions, &exmdb.FolderRequest{Folder: f.FID})
	if err != nil {
		return err
	}
	rights := map[mapi.GUID]exmdb.FolderRights{}
	common := map[int64]exmdb.FolderRights{}
	for _, m := range have.Members {
		if rights[m.User] = m.Rights; m.User.IsZero() {
			common[m.ID] = m.Rights
		}
	}
	req := &exmdb.ModifyPermissionsRequest{Folder: f.FID, FreeBusy: true}
	for _, m := range rec.Members {
		_, known := rights[m.User]
		switch {
		case m.User.IsZero() && common[m.ID] != m.Rights && (made || f.Fixed):
			req.Changes = append(req.Changes, exmdb.PermissionChange{Kind: exmdb.PermissionModify, Member: m})
		case !m.User.IsZero() && known && made && rights[m.User] != m.Rights:
			m.ID = memberID(have.Members, m.User)
			req.Changes = append(req.Changes, exmdb.PermissionChange{Kind: exmdb.PermissionModify, Member: m})
		case !m.User.IsZero() && !known:
			m.ID = 0
			req.Changes = append(req.Changes, exmdb.PermissionChange{Kind: exmdb.PermissionAdd, Member: m})
		}
	}
	for _, m := range have.Members { // a new folder has those of the one above
		wanted := slices.ContainsFunc(rec.Members, func(w exmdb.Member) bool { return w.User == m.User })
		if made && !m.User.IsZero() && !wanted {
			req.Changes = append(req.Changes, exmdb.PermissionChange{Kind: exmdb.PermissionRemove, Member: m})
		}
	}
	if len(req.Changes) == 0 {
		return nil
	}
	_, err = do(r.job, exmdb.OpModifyPermissions, req)
	return err
}

// memberID is a user's id in a list of members.
func memberID(list []exmdb.Member, user mapi.GUID) int64 {
	at := slices.IndexFunc(list, func(m exmdb.Member) bool { return m.User == user })
	return list[at].ID
}

// message imports the message whose frames come.
func (r *restore) message(rec *beginRecord) error {
	r.recorded = false
	f, read := r.folders[rec.Folder]
	if !read {
		return r.u.damage("a message stands in front of its folder", nil)
	}
	if f == nil {
		whole, err := r.skip()
		r.count(whole, nil)
		return err
	}
	r.done.Folder = r.tree.path(f.FID)
	what := fmt.Sprintf("%s, item %#x of the archive", r.done.Folder, uint64(rec.MID))
	at, content := place{f.FID, rec.Associated, rec.Deleted}, r.contentOf(rec.MID)
	mine, there, err := r.keyed(at, content)
	if err == nil && !there && r.same {
		there, err = r.present(at, rec.MID)
	}
	if err == nil && !there {
		err = r.dropHalf(at, mine)
	}
	if err != nil {
		return err
	}
	whole, counter := true, &r.done.Known
	if there {
		whole, err = r.skip()
	} else {
		whole, counter, err = r.take(what, at, mine)
	}
	if r.count(whole, counter); !whole {
		r.unseen(at, content)
	}
	return err
}

// take stores a message, and says whether it was whole and what it counts as.
func (r *restore) take(what string, at place, mine key) (whole bool, counter *int, err error) {
	err = r.store(what, at, mine)
	switch {
	case err == nil:
		r.has(at, mine)
		return true, &r.done.Messages, nil
	case errors.Is(err, errAbandoned):
		return false, nil, nil
	case errors.Is(err, errDamaged):
		return true, nil, err
	}
	if err := r.each(what, err); err != nil {
		return true, nil, err
	}
	whole, err = r.skip()
	return whole, nil, err
}

// count counts a message, unless it comes again.
func (r *restore) count(whole bool, counter *int) {
	if whole {
		r.seen++
	}
	if whole && counter != nil {
		*counter++
	}
}

// errAbandoned says that a message has no record: it comes again.
var errAbandoned = errors.New("the message was changed while it was exported")

// contentOf is what a message of the archive is known by.
func (r *restore) contentOf(mid mapi.MID) sum {
	return hashOf(r.head.Replica[:], binary.BigEndian.AppendUint64(nil, uint64(mid)))
}

// present reports whether the mailbox has a message of a MID; of a deleted one, whether it can still be recovered.
func (r *restore) present(at place, mid mapi.MID) (bool, error) {
	resp, err := do(r.job, exmdb.OpLocate, &exmdb.LocateRequest{Messages: []mapi.MID{mid}})
	if err != nil || len(resp.Messages) > 0 || !at.deleted {
		return err == nil && len(resp.Messages) > 0, err
	}
	_, err = do(r.job, exmdb.OpReadProps, &exmdb.ReadPropsRequest{Object: at.object(mid), Tags: []mapi.Tag{mapi.PidTagMid}})
	if cluster.KindOf(err) == exmdb.KindNoMessage && err != nil {
		return false, nil
	}
	return err == nil, err
}

// skip reads past the frames of a message, if its record has not been read yet, and reports whether it had one.
func (r *restore) skip() (whole bool, err error) {
	if r.recorded {
		return true, nil
	}
	for {
		f, err := r.u.next()
		if err != nil {
			return false, err
		}
		switch f.kind {
		case frameOctets, frameValue:
		case frameRecord:
			return true, nil
		default:
			r.u.kept = f
			return false, nil
		}
	}
}

// store reads a message and stores it.
func (r *restore) store(what string, at place, mine key) error {
	mail, err := r.takeOctets()
	if err != nil {
		return err
	}
	if mail != nil {
		defer mail.close()
	}
	if err := r.takeValues(); err != nil {
		return err
	}
	f, err := r.u.next()
	if err != nil {
		return err
	}
	if f.kind == frameBegin || f.kind == frameEnd || f.kind == frameFolder {
		r.u.kept = f
		return errAbandoned
	}
	var rec messageRecord
	if err := r.u.decode(f, frameRecord, &rec); err != nil {
		return err
	}
	r.recorded = true
	if rec.Mail != (mail != nil) || rec.Mail && at.associated {
		return r.u.damage("a mail and its octets do not belong together", nil)
	}
	var mid mapi.MID
	if rec.Mail {
		mid, err = r.storeMail(what, at, mail, &rec, mine)
	} else {
		mid, err = r.storeItem(what, at, &rec, mine)
	}
	if err == nil && at.deleted {
		_, err = do(r.job, exmdb.OpDeleteMessages, &exmdb.DeleteMessagesRequest{Folder: at.folder, Messages: []mapi.MID{mid}})
	}
	return err
}

// takeOctets reads the octets of a mail, nil if there are none.
func (r *restore) takeOctets() (*spooled, error) {
	f, err := r.u.next()
	if err != nil {
		return nil, err
	}
	if r.u.kept = f; f.kind != frameOctets {
		return nil, nil
	}
	return r.spool(&octets{u: r.u})
}

// takeValues sends the pieces of long values ahead: the record refers to them by their hashes.
func (r *restore) takeValues() error {
	up := uploading{j: r.job}
	for {
		f, err := r.u.next()
		if err != nil {
			return errors.Join(err, up.done())
		}
		if f.kind != frameValue {
			r.u.kept = f
			return up.done()
		}
		if len(f.data) == 0 || len(f.data) > exmdb.MaxChunk {
			return errors.Join(r.u.damage("a piece of a value is too long", nil), up.done())
		}
		if _, err := up.put(f.data); err != nil {
			return errors.Join(err, up.done())
		}
	}
}

// storeMail stores a received mail: its octets first, as half a message, and then what these do not say.
func (r *restore) storeMail(what string, at place, mail *spooled, rec *messageRecord, mine key) (mapi.MID, error) {
	resp, said, err := r.append(at.folder, mail, state{rec.Flags, rec.Received}, append(mine[:], halfMark))
	if err != nil {
		return 0, err
	}
	object := exmdb.ObjectID{Folder: at.folder, Message: resp.MID}
	have, err := do(r.job, exmdb.OpReadProps, &exmdb.ReadPropsRequest{Object: object, Names: true})
	if err != nil {
		return 0, err
	}
	if err := r.relocate(&rec.Content.Props); err != nil {
		return 0, err
	}
	lacks := r.lacking(&rec.Content.Props, rec.Names, have)
	without(&lacks, idsIn(said), ids(mapi.PidTagSubject))
	for _, t := range ofFlags { // what the octets say of them, the flags may have changed
		if v := rec.Content.Props.Get(t); v != nil && v != have.Props.Get(t) {
			lacks.Set(t, v)
		}
	}
	lacks.Set(importKey, mapi.Binary(at.mark(mine)))
	saved, err := do(r.job, exmdb.OpSaveMessage, &exmdb.SaveMessageRequest{Message: resp.MID, Force: true,
		Edit: exmdb.MessageEdit{Set: lacks, Delete: beyond(&have.Props, &rec.Content.Props)}, Payload: exmdb.Payload{Names: rec.Names}})
	if err == nil {
		r.problems(what, saved.Problems)
	}
	return resp.MID, err
}

// ofFlags are the properties that flags bring along (MAILBOX 4); all are numbers.
var ofFlags = []mapi.Tag{mapi.PidTagIconIndex, mapi.PidTagLastVerbExecuted, mapi.PidTagFlagStatus}

// beyond are those of them that the message did not have.
func beyond(have, want *mapi.PropBag) (list []mapi.Tag) {
	for _, t := range ofFlags {
		if have.Get(t) != nil && want.Get(t) == nil {
			list = append(list, t)
		}
	}
	return list
}

// idsIn are the ids of the properties in a bag that are no named ones.
func idsIn(bag *mapi.PropBag) map[uint16]bool {
	set := map[uint16]bool{}
	for _, p := range bag.All() {
		if !p.Tag.Named() {
			set[p.Tag.ID()] = true
		}
	}
	return set
}

// idsAtOnce is how many ids for messages are asked for at once.
const idsAtOnce = 500

// newID draws an id for a message.
func (r *restore) newID() (mapi.GID, error) {
	if r.left == 0 {
		resp, err := do(r.job, exmdb.OpLocalReplicaIDs, &exmdb.LocalReplicaIDsRequest{Count: idsAtOnce})
		if err != nil {
			return mapi.GID{}, err
		}
		r.granted, r.left = *resp, idsAtOnce
	}
	id := mapi.GID{Replica: r.granted.Replica, Counter: r.granted.First}
	r.granted.First++
	r.left--
	return id, nil
}

// storeItem stores a message that is made of its properties, as the version that it was.
func (r *restore) storeItem(what string, at place, rec *messageRecord, mine key) (mapi.MID, error) {
	id, err := r.newID()
	if err != nil {
		return 0, err
	}
	err = eachBag(&rec.Content, exmdb.ObjectID{}, func(_ exmdb.ObjectID, bag *mapi.PropBag) error { return r.relocate(bag) })
	if err != nil {
		return 0, err
	}
	rec.Content.Props.Set(importKey, mapi.Binary(at.mark(mine)))
	saved, err := do(r.job, exmdb.OpImportMessage, &exmdb.ImportMessageRequest{Folder: at.folder, SourceKey: id.Append(nil),
		Version:    exmdb.ImportedVersion{ChangeKey: rec.ChangeKey, PCL: rec.PCL, Modified: rec.Modified},
		Associated: at.associated, Message: edit(&rec.Content), Payload: exmdb.Payload{Names: rec.Names}})
	if lost(err) {
		return 0, cluster.Errorf(cluster.KindUnavailable, "its content got lost, since the mailbox moved meanwhile: import again: %v", err)
	}
	if err != nil {
		return 0, err
	}
	r.problems(what, saved.Problems)
	if sameFlags(&saved.State.Flags, &rec.Flags) {
		return saved.State.MID, nil
	}
	_, err = do(r.job, exmdb.OpMarkMessages, &exmdb.MarkMessagesRequest{Folder: at.folder, Messages: []mapi.MID{saved.State.MID},
		Mode: exmdb.FlagsReplace, Flags: rec.Flags})
	return saved.State.MID, err
}

func sameFlags(a, b *exmdb.Flags) bool {
	if a.Bits != b.Bits || len(a.Keywords) != len(b.Keywords) {
		return false
	}
	for i := range a.Keywords {
		if a.Keywords[i] != b.Keywords[i] {
			return false
		}
	}
	return true
}
