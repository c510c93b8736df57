package store

import (
	"strings"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

const (
	// maxFolders bounds the folders of a mailbox, because clients list them all at once.
	maxFolders = 10_000
	// maxDepth bounds how deep folders nest, and every walk to the root.
	maxDepth = 64
	// maxLabel bounds container class and special-use attribute.
	maxLabel = 255
)

// addFolder writes a new folder with its place, validity and stamp.
func (t *tx) addFolder(fid mapi.FID, f *schema.Folder) {
	f.Created, f.CN = t.now, t.stamp()
	t.counters.UIDValidity++
	t.counters.Folders++
	t.counts[fid] = &openCounts{FolderCounts: schema.FolderCounts{UIDValidity: t.counters.UIDValidity, UIDNext: 1, ContentSeq: f.CN}}
	if mapi.Stamp(fid.Counter())+1 != f.CN && schema.Fixed(fid) == nil {
		t.noteArrived(fid, f, 0)
	}
	t.set(schema.FolderKey(fid), f)
	t.movedBelow(f.Parent, 1)
	t.w.Set(schema.FolderNameKey(mapi.LocalFID(f.Parent), foldName(f.Name)), schema.AppendCounter(fid.Counter()))
	t.set(schema.ChangeKey(schema.Hierarchy, f.CN), &schema.Change{Kinds: schema.ChangeFolder, Folder: fid.Counter()})
}

// folderChanged gives a folder that was edited its new stamp, and writes it.
func (t *tx) folderChanged(fid mapi.FID, f *schema.Folder) {
	t.w.Delete(schema.ChangeKey(schema.Hierarchy, f.CN))
	f.CN, f.ChangeKey, f.Modified = t.stamp(), nil, t.now
	t.noteMoved(fid, f)
	t.set(schema.FolderKey(fid), f)
	t.set(schema.ChangeKey(schema.Hierarchy, f.CN), &schema.Change{Kinds: schema.ChangeFolder, Folder: fid.Counter()})
}

// child finds a folder by its name below a parent.
func (v *view) child(parent mapi.FID, name string) (fid mapi.FID, found bool, err error) {
	b, err := v.r.Get(schema.FolderNameKey(parent, foldName(name)))
	if err != nil || b == nil {
		return 0, false, err
	}
	c, err := schema.ParseCounter(b)
	return mapi.LocalFID(c), true, err
}

// children lists the folders right below one.
func (v *view) children(parent mapi.FID) (fids []mapi.FID, err error) {
	it := v.r.Iter(schema.FolderNameKey(parent, ""), schema.FolderNameKey(parent+1, ""))
	for it.Next() && err == nil {
		var c mapi.GlobalCounter
		if c, err = schema.ParseCounter(it.Value()); err == nil {
			fids = append(fids, mapi.LocalFID(c))
		}
	}
	if cerr := it.Close(); err == nil {
		err = cerr
	}
	return fids, err
}

// path is the folder and all above it, up to the root.
func (v *view) path(fid mapi.FID) ([]mapi.FID, error) {
	var path []mapi.FID
	for at := fid; len(path) <= maxDepth+1; {
		path = append(path, at)
		f, err := v.folder(at)
		if err != nil {
			return nil, err
		}
		if f.Parent == 0 {
			return path, nil
		}
		at = mapi.LocalFID(f.Parent)
	}
	return nil, cluster.Errorf(exmdb.KindBadName, "folders nest deeper than %d", maxDepth)
}

// freeName refuses a place and name that a folder may not have.
func (v *view) freeName(parent mapi.FID, name string, except mapi.FID) error {
	if err := checkName(name); err != nil {
		return err
	}
	if c, err := v.folderCounts(parent); err != nil || c.Search {
		return orElse(err, errSearchFolder(parent))
	}
	if fid, found, err := v.child(parent, name); err != nil || !found || fid == except {
		return err
	}
	return cluster.Errorf(exmdb.KindFolderExists, "a folder of that name is there already")
}

func createFolder(t *tx, req *exmdb.CreateFolderRequest) (*exmdb.FolderResponse, error) {
	f, err := t.newFolder(req)
	if err != nil {
		return nil, err
	}
	fid := mapi.LocalFID(t.draw())
	t.addFolder(fid, f)
	t.counts[fid].Search = req.Search
	if err := t.inherit(fid, req.Parent); err != nil {
		return nil, err
	}
	if req.Subscribe {
		t.w.Set(schema.SubscriptionKey(t.subscriber(), fid), []byte{})
	}
	return t.folderResponse(fid, f)
}

// newFolder is the folder that a request makes, where it may be made.
func (t *tx) newFolder(req *exmdb.CreateFolderRequest) (*schema.Folder, error) {
	parent, err := t.folder(req.Parent)
	if err != nil {
		return nil, err
	}
	path, err := t.path(req.Parent)
	if err != nil {
		return nil, err
	}
	if err := t.freeName(req.Parent, req.Name, 0); err != nil {
		return nil, err
	}
	switch {
	case len(path) > maxDepth:
		return nil, cluster.Errorf(exmdb.KindBadName, "folders nest deeper than %d", maxDepth)
	case len(req.Class) > maxLabel || len(req.SpecialUse) > maxLabel:
		return nil, cluster.Errorf(cluster.KindBadRequest, "class or special use of more than %d bytes", maxLabel)
	case t.counters.Folders >= maxFolders:
		return nil, cluster.Errorf(cluster.KindTooLarge, "mailbox has %d folders", t.counters.Folders)
	}
	f := &schema.Folder{Parent: req.Parent.Counter(), Name: req.Name, Class: req.Class, SpecialUse: req.SpecialUse}
	if f.Class == "" {
		f.Class = parent.Class
	}
	if f.Class == "" {
		f.Class = schema.ClassMail
	}
	return f, nil
}

func moveFolder(t *tx, req *exmdb.MoveFolderRequest) (*exmdb.FolderResponse, error) {
	f, err := t.folder(req.Folder)
	if err != nil {
		return nil, err
	}
	if schema.Fixed(req.Folder) != nil {
		return nil, cluster.Errorf(exmdb.KindFixedFolder, "%s is not moved or renamed", f.Name)
	}
	moved, err := t.relocate(req.Folder, f, req.Parent, req.Name)
	if err != nil {
		return nil, err
	}
	if moved {
		t.folderChanged(req.Folder, f)
	}
	return t.folderResponse(req.Folder, f)
}

// relocate gives a folder another place or name, where it may have them, and reports whether it had not. The caller writes
// its record.
func (t *tx) relocate(fid mapi.FID, f *schema.Folder, parent mapi.FID, name string) (moved bool, err error) {
	path, err := t.cycle(fid, parent)
	if err != nil {
		return false, err
	}
	height, err := t.height(fid)
	if err != nil {
		return false, err
	}
	if len(path)+height > maxDepth+1 {
		return false, cluster.Errorf(exmdb.KindBadName, "folders nest deeper than %d", maxDepth)
	}
	if err := t.freeName(parent, name, fid); err != nil {
		return false, err
	}
	if f.Parent == parent.Counter() && f.Name == name {
		return false, nil
	}
	t.w.Delete(schema.FolderNameKey(mapi.LocalFID(f.Parent), foldName(f.Name)))
	t.leaves(fid, f.Parent, parent.Counter())
	came := uint32(0)
	if f.Parent != parent.Counter() {
		came = 1
	}
	t.movedBelow(f.Parent, came)
	t.movedBelow(parent.Counter(), came)
	f.Parent, f.Name = parent.Counter(), name
	t.w.Set(schema.FolderNameKey(parent, foldName(name)), schema.AppendCounter(fid.Counter()))
	return true, nil
}

// subtree lists a folder and everything below it, parents first.
func (v *view) subtree(fid mapi.FID) ([]mapi.FID, error) {
	list := []mapi.FID{fid}
	for i := 0; i < len(list); i++ {
		below, err := v.children(list[i])
		if err != nil {
			return nil, err
		}
		list = append(list, below...)
	}
	return list, nil
}

// height is how many levels a folder with what is below it takes.
func (v *view) height(fid mapi.FID) (int, error) {
	level, n := []mapi.FID{fid}, 0
	for ; len(level) > 0; n++ {
		var next []mapi.FID
		for _, f := range level {
			below, err := v.children(f)
			if err != nil {
				return 0, err
			}
			next = append(next, below...)
		}
		level = next
	}
	return n, nil
}

// subscriber is whose subscriptions the caller sees: his own; the owner's for the system and for the owner's own.
func (v *view) subscriber() mapi.GUID {
	if v.as.User.IsZero() {
		return v.header.Owner
	}
	return v.as.User
}

func subscribe(t *tx, req *exmdb.SubscribeRequest) (*exmdb.Empty, error) {
	if _, err := t.folderCounts(req.Folder); err != nil {
		return nil, err
	}
	key := schema.SubscriptionKey(t.subscriber(), req.Folder)
	switch {
	case req.Subscribed == subscribedByDefault(req.Folder):
		t.w.Delete(key)
	case req.Subscribed:
		t.w.Set(key, []byte{})
	default:
		t.w.Set(key, []byte{unsubscribed})
	}
	return &exmdb.Empty{}, nil
}

// unsubscribed is the value of a subscription that someone ended though it is there by default.
const unsubscribed = 0

// subscribedByDefault are the fixed folders that IMAP shows.
func subscribedByDefault(fid mapi.FID) bool {
	fixed := schema.Fixed(fid)
	return fixed != nil && fixed.IMAP
}

func isMail(class string) bool {
	return class == "" || class == schema.ClassMail || strings.HasPrefix(class, schema.ClassMail+".")
}

// describe is the folder as protocols see it; inIPM says whether it lies below the IPM subtree.
func describe(fid mapi.FID, f *schema.Folder, c *schema.FolderCounts, inIPM bool) exmdb.Folder {
	out := exmdb.Folder{FID: fid, Name: f.Name, Class: f.Class, SpecialUse: f.SpecialUse, UIDValidity: c.UIDValidity,
		UIDNext: c.UIDNext, CN: f.CN, ContentSeq: c.ContentSeq, Messages: c.Messages - c.Unrendered, Unseen: c.Unseen - c.UnrenderedUnseen,
		Deleted: c.Deleted - c.UnrenderedDeleted, Size: c.Octets, IMAP: inIPM && isMail(f.Class) && !c.Search, Search: c.Search}
	if f.Parent != 0 {
		out.Parent = mapi.LocalFID(f.Parent)
	}
	if fixed := schema.Fixed(fid); fixed != nil {
		out.Fixed, out.IMAP = true, fixed.IMAP
	}
	return out
}

func (v *view) describeFolder(fid mapi.FID, f *schema.Folder, c *schema.FolderCounts) (exmdb.Folder, error) {
	path, err := v.path(fid)
	if err != nil {
		return exmdb.Folder{}, err
	}
	inIPM := false
	for _, above := range path[1:] {
		inIPM = inIPM || above == schema.IPMSubtree
	}
	c, err = v.shownCounts(fid, c)
	if err != nil {
		return exmdb.Folder{}, err
	}
	out := describe(fid, f, c, inIPM)
	b, err := v.r.Get(schema.SubscriptionKey(v.subscriber(), fid))
	out.Subscribed = b != nil && len(b) == 0 || b == nil && subscribedByDefault(fid)
	return out, err
}

// folderResponse is the folder as the op leaves it.
func (t *tx) folderResponse(fid mapi.FID, f *schema.Folder) (*exmdb.FolderResponse, error) {
	c, err := t.edit(fid)
	if err != nil {
		return nil, err
	}
	out, err := t.describeFolder(fid, f, c)
	return &exmdb.FolderResponse{Folder: out, Sequence: t.r.Sequence()}, err
}

func folderInfo(v *view, req *exmdb.FolderRequest) (*exmdb.FolderResponse, error) {
	out, err := v.wholeFolder(req.Folder)
	return &exmdb.FolderResponse{Folder: out, Sequence: v.r.Sequence()}, err
}

func (v *view) wholeFolder(fid mapi.FID) (exmdb.Folder, error) {
	f, err := v.folder(fid)
	if err != nil {
		return exmdb.Folder{}, err
	}
	c, err := v.folderCounts(fid)
	if err != nil {
		return exmdb.Folder{}, err
	}
	return v.describeFolder(fid, f, c)
}
