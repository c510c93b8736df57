package store

import (
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/content"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// DueCopyOver is the work at a time that forgets a copy of a folder that nobody went on with. Its key is the number of the
// task. The number is on disk.
const DueCopyOver uint16 = 4

// copyKept is how long a copy may rest between its steps, counted from its beginning.
const copyKept = 24 * time.Hour

// toCopyTree is what copying a folder needs in it and, where they are copied too, in those below.
func toCopyTree(_ *view, req *exmdb.CopyFolderRequest) (grant, error) {
	if req.Recursive {
		return toRead, nil
	}
	return grant{}, nil
}

func noTask(n uint64) error {
	return cluster.Errorf(cluster.KindBadRequest, "no copy of a folder has number %d", n)
}

// copyFolder is OpCopyFolder (MS-OXCFOLD 2.2.1.8): each step copies some messages, and makes folders as it comes to them.
func copyFolder(t *tx, req *exmdb.CopyFolderRequest) (*exmdb.CopyFolderResponse, error) {
	number := mapi.GlobalCounter(req.Task)
	var task *schema.CopyTask
	var err error
	if number == 0 {
		number = t.draw()
		task, err = t.beginCopy(req, number)
	} else {
		task, err = t.copyTask(req, number)
	}
	if err != nil {
		return nil, err
	}
	c := &copying{tx: t, CopyTask: task, work: t.measure(toCarry), left: stepItems}
	for int(task.Done) < len(task.Source) && c.left > 0 {
		if err := c.folder(); err != nil {
			return nil, err
		}
	}
	resp := &exmdb.CopyFolderResponse{Task: uint64(number), Messages: task.Messages, Total: task.Total, Folders: task.Done,
		Folder: mapi.LocalFID(task.Made[0]), Done: int(task.Done) == len(task.Source)}
	if resp.Done {
		t.w.Delete(schema.CopyTaskKey(number))
		t.w.Unschedule(copyOver(number, task))
		return resp, nil
	}
	t.set(schema.CopyTaskKey(number), task)
	return resp, nil
}

func copyOver(n mapi.GlobalCounter, task *schema.CopyTask) space.Due {
	return space.Due{At: task.Started.Add(copyKept), Op: DueCopyOver, Key: schema.AppendCounter(n)}
}

// forgetCopy is DueCopyOver.
func (t *tx) forgetCopy(key []byte) error {
	n, err := schema.ParseCounter(key)
	if err == nil {
		t.w.Delete(schema.CopyTaskKey(n))
	}
	return err
}

// copyTask is a copy that was begun, by who goes on with it.
func (v *view) copyTask(req *exmdb.CopyFolderRequest, n mapi.GlobalCounter) (*schema.CopyTask, error) {
	task := new(schema.CopyTask)
	found, err := load(v.r, schema.CopyTaskKey(n), task)
	if err != nil {
		return nil, err
	}
	if !found || task.By != v.as.User || task.Target != req.Parent.Counter() || len(task.Source) == 0 || task.Source[0] != req.Folder.Counter() {
		return nil, noTask(req.Task)
	}
	return task, nil
}

// beginCopy refuses a copy for which there is no room, and lists what is to be copied.
func (t *tx) beginCopy(req *exmdb.CopyFolderRequest, n mapi.GlobalCounter) (*schema.CopyTask, error) {
	path, err := t.cycle(req.Folder, req.Parent)
	if err != nil {
		return nil, err
	}
	if err := t.freeName(req.Parent, req.Name, 0); err != nil {
		return nil, err
	}
	task := &schema.CopyTask{By: t.as.User, Target: req.Parent.Counter(), Name: req.Name, Started: t.now,
		Source: []mapi.GlobalCounter{req.Folder.Counter()}, Parents: []uint32{0}}
	depth := []int{0}
	size := uint64(0)
	for i := 0; i < len(task.Source); i++ {
		fid := mapi.LocalFID(task.Source[i])
		c, err := t.folderCounts(fid)
		if err != nil {
			return nil, err
		}
		size += c.Used + c.AssociatedUsed
		task.Total += uint64(c.Messages) + uint64(c.Associated)
		if len(path)+depth[i] > maxDepth {
			return nil, cluster.Errorf(exmdb.KindBadName, "folders nest deeper than %d", maxDepth)
		}
		if !req.Recursive {
			break
		}
		below, err := t.children(fid)
		if err != nil {
			return nil, err
		}
		for _, child := range below {
			task.Source = append(task.Source, child.Counter())
			task.Parents = append(task.Parents, uint32(i))
			depth = append(depth, depth[i]+1)
		}
	}
	if int(t.counters.Folders)+len(task.Source) > maxFolders {
		return nil, cluster.Errorf(cluster.KindTooLarge, "mailbox has %d folders, %d more do not fit", t.counters.Folders, len(task.Source))
	}
	t.w.Schedule(copyOver(n, task))
	return task, t.room(size)
}

// copying is a step of a copy.
type copying struct {
	*tx
	*schema.CopyTask
	work *work
	left int // messages that the step may still take
}

// folder goes on with the folder that is at work. One that has gone meanwhile, or whose copy has, is passed over. What the caller
// may read of it is asked once more: it need not be below the one that is copied any longer.
func (c *copying) folder() error {
	from := mapi.LocalFID(c.Source[c.Done])
	err := c.inFolder(from, toRead)
	to := mapi.FID(0)
	if err == nil {
		to, err = c.made(from)
	}
	if err == nil {
		err = c.messages(from, to)
	}
	if cluster.KindOf(err) == exmdb.KindNoFolder && err != nil && c.Done > 0 {
		c.Made = append(c.Made[:c.Done], 0)
		c.nextFolder()
		return nil
	}
	return err
}

func (c *copying) nextFolder() {
	c.Done++
	c.Associated, c.Next, c.End = 0, 0, 0
}

// made is the copy of the folder at work, which is made when it is come to.
func (c *copying) made(from mapi.FID) (mapi.FID, error) {
	if int(c.Done) < len(c.Made) {
		return mapi.LocalFID(c.Made[c.Done]), nil
	}
	c.left-- // a folder is some work too
	f, err := c.tx.folder(from)
	if err != nil {
		return 0, err
	}
	counts, err := c.folderCounts(from)
	if err != nil {
		return 0, err
	}
	parent := mapi.LocalFID(c.Target)
	copied := &schema.Folder{Name: c.Name, Class: f.Class, Props: f.Props, PerUserRead: f.PerUserRead, Criteria: f.Criteria}
	if c.Done > 0 {
		parent, copied.Name = mapi.LocalFID(c.Made[c.Parents[c.Done]]), f.Name
	}
	if _, err := c.edit(parent); err != nil {
		return 0, err
	}
	copied.Parent = parent.Counter()
	bag, err := folderBag(f)
	if err != nil {
		return 0, err
	}
	if err := content.Hold(c.w, content.BagHashes(bag), nil); err != nil {
		return 0, err
	}
	fid := mapi.LocalFID(c.draw())
	c.addFolder(fid, copied)
	c.counts[fid].Search = counts.Search
	c.noteFolders(schema.OriginCopied, copied.CN, schema.FolderTrace{Folder: fid.Counter(), Parent: f.Parent, Source: from.Counter()})
	c.Made = append(c.Made, fid.Counter())
	c.Associated, c.Next, c.End = 1, 1, counts.UIDNext-1
	return fid, c.inherit(fid, parent)
}

// messages copies messages while the step lasts, the associated ones first.
func (c *copying) messages(from, to mapi.FID) error {
	var err error
	if c.Associated != 0 {
		if c.Associated, err = c.some(schema.AssociatedKey, from, to, exmdb.UIDRange{First: c.Associated, Last: schema.EndOfUIDs - 1}); err != nil {
			return err
		}
	}
	if c.Associated == 0 && c.Next != 0 {
		if c.Next, err = c.some(schema.RowKey, from, to, exmdb.UIDRange{First: c.Next, Last: c.End}); err != nil {
			return err
		}
	}
	if c.Associated == 0 && c.Next == 0 {
		c.nextFolder()
	}
	return nil
}

// some copies messages of a range while the step lasts, and says where to go on, zero if that was all.
func (c *copying) some(key rowKeys, from, to mapi.FID, r exmdb.UIDRange) (mapi.UID, error) {
	switch {
	case r.First > r.Last:
		return 0, nil
	case c.left <= 0:
		return r.First, nil
	}
	found, rest, err := c.collectRows(key, from, []exmdb.UIDRange{r}, collectLimit{messages: c.left})
	for i := 0; i < len(found) && err == nil; i++ {
		if c.work.full() {
			c.left = 0
			return found[i].uid, nil
		}
		err = c.carry(from, to, &found[i].row)
		c.left--
	}
	if err != nil || len(rest) == 0 {
		return 0, err
	}
	return rest[0].First, nil
}

// carry copies one message.
func (c *copying) carry(from, to mapi.FID, row *schema.Row) error {
	target, err := c.edit(to)
	if err != nil {
		return err
	}
	if err := c.room(row.MessageSize()); err != nil {
		return err
	}
	if err := c.takeSeen(from, row); err != nil {
		return err
	}
	if err := c.duplicate(row); err != nil {
		return err
	}
	c.enter(row)
	_, err = c.place(to, target, row)
	c.Messages++
	return err
}
