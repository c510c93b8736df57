package store

import (
	"errors"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

type writer = space.Writer

// Limits of the hierarchy.
const (
	maxName    = 255
	maxFolders = 10_000
	maxDepth   = 100
)

// fold brings a name into the form in which siblings differ (MAILBOX 6).
func fold(name string) string { return norm.NFKC.String(strings.ToLower(norm.NFKC.String(name))) }

func checkName(name string) error {
	bad := name == "" || len(name) > maxName || !strings.EqualFold(name, strings.ToValidUTF8(name, "")) ||
		strings.ContainsFunc(name, unicode.IsControl) || strings.TrimSpace(name) == ""
	if bad {
		return cluster.Errorf(exmdb.KindBadName, "folder name %.40q: want 1 to %d bytes without control characters", name, maxName)
	}
	return nil
}

// eachFolder walks the folders in order of their ids.
func eachFolder(r space.Reader, fn func(mapi.FID, *schema.Folder) error) error {
	it := r.Iter([]byte{schema.PrefixFolder}, []byte{schema.PrefixFolder + 1})
	var err error
	for err == nil && it.Next() {
		var f mapi.FID
		rec := new(schema.Folder)
		if f, err = schema.ParseFolderKey(it.Key()); err == nil {
			err = schema.Decode(it.Value(), rec)
		}
		if err == nil {
			err = fn(f, rec)
		}
	}
	return errors.Join(err, it.Close())
}

// putFolder writes a new folder with its counts, name and change.
func (t *tx) putFolder(f mapi.FID, rec *schema.Folder) {
	rec.CN, rec.Created = t.stamp(), t.w.Now()
	t.w.Set(schema.FolderKey(f), wire.Marshal(rec))
	t.w.Set(schema.FolderNameKey(mapi.LocalFID(rec.Parent), fold(rec.Name)), schema.AppendCounter(f.Counter()))
	t.counters.UIDValidity++
	t.counters.Folders++
	t.counts[f] = &schema.FolderCounts{UIDValidity: t.counters.UIDValidity, UIDNext: 1, ContentSeq: rec.CN}
	t.folderChange(f, rec.CN)
}

func (t *tx) folderChange(f mapi.FID, s mapi.Stamp) {
	t.w.Set(schema.ChangeKey(schema.Hierarchy, s), wire.Marshal(&schema.Change{Kinds: schema.ChangeFolder, Folder: f.Counter()}))
}

// shown is a folder as protocols see it.
func (v *view) shown(f mapi.FID, rec *schema.Folder, c *schema.FolderCounts) (exmdb.Folder, error) {
	x := exmdb.Folder{FID: f, Parent: mapi.LocalFID(rec.Parent), Name: rec.Name, Class: rec.Class, SpecialUse: rec.SpecialUse,
		UIDValidity: c.UIDValidity, UIDNext: c.UIDNext, CN: rec.CN, ContentSeq: c.ContentSeq,
		Messages: c.Messages, Unseen: c.Unseen, Deleted: c.Deleted, Size: c.Octets}
	if rec.Parent == 0 {
		x.Parent = 0
	}
	fixed := schema.Fixed(f)
	x.Fixed = fixed != nil
	x.IMAP = rec.Class == "" || rec.Class == schema.ClassMail || strings.HasPrefix(rec.Class, schema.ClassMail+".")
	if fixed != nil {
		x.IMAP = fixed.IMAP
	}
	b, err := v.r.Get(schema.SubscriptionKey(v.as.User, f))
	x.Subscribed = b != nil && len(b) == 0 || b == nil && fixed != nil && fixed.IMAP
	return x, err
}

func listFolders(v *view, _ *exmdb.Empty) (*exmdb.ListFoldersResponse, error) {
	resp := &exmdb.ListFoldersResponse{IPM: schema.IPMSubtree, Sequence: v.r.Sequence()}
	children := make(map[mapi.FID][]exmdb.Folder)
	err := eachFolder(v.r, func(f mapi.FID, rec *schema.Folder) error {
		c := new(schema.FolderCounts)
		_, err := get(v.r, schema.FolderCountsKey(f), c)
		if err != nil {
			return err
		}
		x, err := v.shown(f, rec, c)
		if f != schema.Root {
			children[x.Parent] = append(children[x.Parent], x)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	for queue := []mapi.FID{schema.Root}; len(queue) > 0; queue = queue[1:] {
		for _, x := range children[queue[0]] {
			resp.Folders = append(resp.Folders, x)
			queue = append(queue, x.FID)
		}
	}
	return resp, nil
}

func oneFolder(v *view, q *exmdb.FolderRequest) (*exmdb.FolderResponse, error) {
	rec, c, err := v.folder(q.Folder)
	if err != nil {
		return nil, err
	}
	x, err := v.shown(q.Folder, rec, c)
	return &exmdb.FolderResponse{Folder: x, Sequence: v.r.Sequence()}, err
}

// free refuses a name that a sibling has, except the folder itself.
func (t *tx) free(parent mapi.FID, name string, self mapi.FID) error {
	b, err := t.r.Get(schema.FolderNameKey(parent, fold(name)))
	if err != nil || b == nil {
		return err
	}
	c, err := schema.ParseCounter(b)
	if err == nil && mapi.LocalFID(c) != self {
		err = cluster.Errorf(exmdb.KindFolderExists, "there is a folder %q", name)
	}
	return err
}

func createFolder(t *tx, q *exmdb.CreateFolderRequest) (*exmdb.FolderResponse, error) {
	if err := checkName(q.Name); err != nil {
		return nil, err
	}
	parent, _, err := t.folder(q.Parent)
	if err != nil {
		return nil, err
	}
	if err := t.free(q.Parent, q.Name, 0); err != nil {
		return nil, err
	}
	if t.counters.Folders >= maxFolders {
		return nil, cluster.Errorf(cluster.KindTooLarge, "a mailbox has at most %d folders", maxFolders)
	}
	if depth, err := t.depth(q.Parent); err != nil || depth >= maxDepth {
		return nil, errors.Join(err, cluster.Errorf(exmdb.KindBadName, "folders nest at most %d deep", maxDepth))
	}
	rec := &schema.Folder{Parent: q.Parent.Counter(), Name: q.Name, Class: q.Class, SpecialUse: q.SpecialUse}
	if rec.Class == "" {
		rec.Class = parent.Class
	}
	if rec.Class == "" {
		rec.Class = schema.ClassMail
	}
	f := mapi.LocalFID(t.draw(1))
	t.putFolder(f, rec)
	if q.Subscribe {
		t.w.Set(schema.SubscriptionKey(t.as.User, f), []byte{})
	}
	x, err := t.shown(f, rec, t.counts[f])
	return &exmdb.FolderResponse{Folder: x, Sequence: t.r.Sequence()}, err
}

// depth is how many folders are above f.
func (t *tx) depth(f mapi.FID) (int, error) {
	for n := 0; ; n++ {
		if f == schema.Root || n > maxDepth {
			return n, nil
		}
		rec, _, err := t.folder(f)
		if err != nil {
			return n, err
		}
		f = mapi.LocalFID(rec.Parent)
	}
}

func moveFolder(t *tx, q *exmdb.MoveFolderRequest) (*exmdb.FolderResponse, error) {
	rec, c, err := t.folder(q.Folder)
	if err != nil {
		return nil, err
	}
	if schema.Fixed(q.Folder) != nil {
		return nil, cluster.Errorf(exmdb.KindFixedFolder, "%q keeps its name and place", rec.Name)
	}
	if err := errors.Join(checkName(q.Name), t.free(q.Parent, q.Name, q.Folder)); err != nil {
		return nil, err
	}
	for f, n := q.Parent, 0; f != schema.Root; n++ {
		if f == q.Folder || n > maxDepth {
			return nil, cluster.Errorf(exmdb.KindCycle, "a folder cannot be moved below itself")
		}
		above, _, err := t.folder(f)
		if err != nil {
			return nil, err
		}
		f = mapi.LocalFID(above.Parent)
	}
	t.w.Delete(schema.FolderNameKey(mapi.LocalFID(rec.Parent), fold(rec.Name)))
	t.w.Delete(schema.ChangeKey(schema.Hierarchy, rec.CN))
	rec.Parent, rec.Name, rec.CN = q.Parent.Counter(), q.Name, t.stamp()
	t.w.Set(schema.FolderKey(q.Folder), wire.Marshal(rec))
	t.w.Set(schema.FolderNameKey(q.Parent, fold(rec.Name)), schema.AppendCounter(q.Folder.Counter()))
	t.folderChange(q.Folder, rec.CN)
	x, err := t.shown(q.Folder, rec, c)
	return &exmdb.FolderResponse{Folder: x, Sequence: t.r.Sequence()}, err
}

// maxDeleted bounds the messages that go with one folder delete: their effect has to fit space.MaxEffect.
const maxDeleted = 50_000

func deleteFolder(t *tx, q *exmdb.DeleteFolderRequest) (*exmdb.Empty, error) {
	rec, _, err := t.folder(q.Folder)
	if err != nil {
		return nil, err
	}
	if schema.Fixed(q.Folder) != nil {
		return nil, cluster.Errorf(exmdb.KindFixedFolder, "%q cannot be deleted", rec.Name)
	}
	below, err := t.below(q.Folder)
	if err != nil {
		return nil, err
	}
	if len(below) > 1 && !q.Recursive {
		return nil, cluster.Errorf(exmdb.KindHasChildren, "%q has folders below it", rec.Name)
	}
	var gone schema.Runs
	for _, f := range slices.Backward(below) {
		if err := t.dropFolder(f); err != nil {
			return nil, err
		}
		gone = gone.Add(uint64(f.Counter()))
	}
	t.bury(schema.Hierarchy, &schema.Tombstone{Folders: gone}, uint64(len(below)))
	return &exmdb.Empty{}, nil
}

// below is a folder with all folders under it, parents first.
func (t *tx) below(f mapi.FID) ([]mapi.FID, error) {
	children := make(map[mapi.FID][]mapi.FID)
	err := eachFolder(t.r, func(c mapi.FID, rec *schema.Folder) error {
		p := mapi.LocalFID(rec.Parent)
		children[p] = append(children[p], c)
		return nil
	})
	all := []mapi.FID{f}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all, err
}

func (t *tx) dropFolder(f mapi.FID) error {
	rec, c, err := t.folder(f)
	if err != nil {
		return err
	}
	if c.Messages > maxDeleted {
		return cluster.Errorf(cluster.KindTooLarge, "%q holds more than %d messages: delete some first", rec.Name, maxDeleted)
	}
	_, _, err = t.removeRows(f, nil, maxDeleted+1, func(*schema.Row) bool { return true })
	if err != nil {
		return err
	}
	delete(t.counts, f)
	t.w.Delete(schema.FolderKey(f))
	t.w.Delete(schema.FolderCountsKey(f))
	t.w.Delete(schema.FolderNameKey(mapi.LocalFID(rec.Parent), fold(rec.Name)))
	t.w.Delete(schema.ChangeKey(schema.Hierarchy, rec.CN))
	t.w.DeleteRange(schema.ChangeKey(f, 0), schema.ChangeKey(f+1, 0))
	t.w.DeleteRange(schema.TombstoneKey(f, 0), schema.TombstoneKey(f+1, 0))
	t.counters.Folders--
	return nil
}

// subscribe sets the caller's own mark. The fixed folders that IMAP shows are subscribed unless someone says no.
func subscribe(t *tx, q *exmdb.SubscribeRequest) (*exmdb.Empty, error) {
	if _, _, err := t.folder(q.Folder); err != nil {
		return nil, err
	}
	key := schema.SubscriptionKey(t.as.User, q.Folder)
	fixed := schema.Fixed(q.Folder)
	switch {
	case q.Subscribed:
		t.w.Set(key, []byte{})
	case fixed != nil && fixed.IMAP:
		t.w.Set(key, []byte{0})
	default:
		t.w.Delete(key)
	}
	return &exmdb.Empty{}, nil
}
