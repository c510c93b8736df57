package store

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

func (b *box) newBelow(parent mapi.FID, name string) mapi.FID {
	b.t.Helper()
	return call(b, exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: parent, Name: name}).Folder.FID
}

// mails puts so many small mails into a folder.
func (b *box) mails(fid mapi.FID, n int) {
	b.t.Helper()
	for range n {
		call(b, exmdb.OpAppend, &exmdb.AppendRequest{Folder: fid, Message: sample(b.t)})
	}
}

// empty empties a folder, and says in how many steps.
func (b *box) empty(q exmdb.EmptyFolderRequest) (last *exmdb.EmptyFolderResponse, steps int) {
	b.t.Helper()
	for last = (&exmdb.EmptyFolderResponse{}); !last.Done; steps++ {
		q.Cursor = last.Cursor
		last = call(b, exmdb.OpEmptyFolder, &q)
		if last.Cursor.Messages > uint64(stepItems*(steps+1)) || steps > 100_000 {
			b.t.Fatalf("%d messages in %d steps", last.Cursor.Messages, steps+1)
		}
	}
	return last, steps
}

func (b *box) copyAll(q exmdb.CopyFolderRequest) (last *exmdb.CopyFolderResponse, steps int) {
	b.t.Helper()
	for last = (&exmdb.CopyFolderResponse{Task: q.Task}); !last.Done; steps++ {
		q.Task = last.Task
		was := last.Messages
		last = call(b, exmdb.OpCopyFolder, &q)
		if last.Messages-was > stepItems && was > 0 || steps > 100_000 {
			b.t.Fatalf("%d messages in a step", last.Messages-was)
		}
	}
	return last, steps
}

// TestEmptyFolder: what was there goes in bounded steps, what comes in meanwhile stays.
func TestEmptyFolder(t *testing.T) {
	b := newBox(t, 0)
	work := b.newBelow(schema.IPMSubtree, "Work")
	n := 2*stepItems + 50
	b.mails(work, n)
	for range 3 {
		b.create(&exmdb.CreateMessageRequest{Folder: work, Associated: true})
	}
	first := call(b, exmdb.OpEmptyFolder, &exmdb.EmptyFolderRequest{Folder: work})
	if first.Done || first.Cursor.Messages != stepItems || first.Left != uint64(n-stepItems+3) {
		t.Fatalf("%+v", first)
	}
	late := call(b, exmdb.OpAppend, &exmdb.AppendRequest{Folder: work, Message: text("late")})
	q := exmdb.EmptyFolderRequest{Folder: work, Cursor: first.Cursor}
	var last *exmdb.EmptyFolderResponse
	for range 2 {
		last = call(b, exmdb.OpEmptyFolder, &q)
		q.Cursor = last.Cursor
	}
	if !last.Done || last.Cursor.Messages != uint64(n) || last.Left != 4 || last.Cursor.Denied {
		t.Fatalf("%+v", last)
	}
	if rows := b.rows(work); len(rows) != 1 || rows[0].UID != late.UID || b.deleted(work).Count != uint32(n) {
		t.Errorf("%d messages are left", len(rows))
	}
	b.audit("emptied")
	last, _ = b.empty(exmdb.EmptyFolderRequest{Folder: work, Associated: true, Hard: true})
	if last.Cursor.Messages != 4 || last.Left != 0 || b.deleted(work).Count != uint32(n) {
		t.Errorf("%+v", last)
	}
	if last, steps := b.empty(exmdb.EmptyFolderRequest{Folder: work, Associated: true, Folders: true}); steps != 1 || last.Cursor.Messages != 0 {
		t.Errorf("an empty folder took %d steps: %+v", steps, last)
	}
	refused(b, exmdb.OpEmptyFolder, &exmdb.EmptyFolderRequest{Folder: 0x999}, exmdb.KindNoFolder)
	b.audit("emptied for good")
}

// TestEmptyFolderWithFolders: folders below go too, many of them in steps and together; fixed ones stay.
func TestEmptyFolderWithFolders(t *testing.T) {
	b := newBox(t, 0)
	bin := schema.DeletedItems
	for i := range stepFolders {
		b.newBelow(bin, fmt.Sprint(i))
	}
	top := b.newBelow(bin, "top")
	deep := b.newBelow(top, "deep")
	call(b, exmdb.OpAppend, &exmdb.AppendRequest{Folder: deep, Message: text("x")})
	last, steps := b.empty(exmdb.EmptyFolderRequest{Folder: bin, Folders: true})
	if steps < 2 || last.Cursor.Folders != stepFolders+2 || last.Cursor.Denied {
		t.Errorf("%d steps: %+v", steps, last)
	}
	refused(b, exmdb.OpFolder, &exmdb.FolderRequest{Folder: deep}, exmdb.KindNoFolder)
	// What went in several steps comes back as one.
	call(b, exmdb.OpRecoverFolder, &exmdb.RecoverFolderRequest{Folder: top, Parent: schema.IPMSubtree})
	if b.folder(deep).Messages != 1 {
		t.Error("a folder deleted in another step did not come back with the one above it")
	}
	last, _ = b.empty(exmdb.EmptyFolderRequest{Folder: schema.IPMSubtree, Folders: true, Hard: true})
	if !last.Cursor.Denied || last.Cursor.Folders != 2 {
		t.Errorf("%+v", last)
	}
	if b.folder(schema.Inbox).FID != schema.Inbox {
		t.Error("a fixed folder is gone")
	}
	b.checkEmpty()
}

// TestEmptyFolderOfOthers: who may delete his own items only empties of those.
func TestEmptyFolderOfOthers(t *testing.T) {
	b := newBox(t, 0)
	friend := b.asUser(mapi.NewGUID())
	grantTo(b, schema.Inbox, friend.as.User, roleAuthor)
	for range stepItems {
		b.deliver(text("x"))
	}
	for range 3 {
		call(friend, exmdb.OpAppend, &exmdb.AppendRequest{Folder: schema.Inbox, Message: text("mine")})
	}
	last, _ := friend.empty(exmdb.EmptyFolderRequest{Folder: schema.Inbox})
	if last.Cursor.Messages != 3 || !last.Cursor.Denied || b.folder(schema.Inbox).Messages != stepItems {
		t.Errorf("%+v", last)
	}
}

// TestCopyFolder copies a tree in steps, with everything in it; the copy lives on its own.
func TestCopyFolder(t *testing.T) {
	b := newBox(t, 0)
	work := b.newBelow(schema.IPMSubtree, "Work")
	sub := b.newBelow(work, "2026")
	b.write(exmdb.ObjectID{Folder: work}, mapi.PidTagComment, mapi.String("a comment"), mapi.PidTagContainerClass, mapi.String("IPF.Note.x"))
	b.write(exmdb.ObjectID{Folder: sub}, mapi.PidTagExtendedFolderFlags, mapi.Binary(make([]byte, 9000)))
	n := stepItems + 20
	b.mails(work, n)
	for i := range 3 {
		call(b, exmdb.OpAppend, &exmdb.AppendRequest{Folder: sub, Message: large(byte(i+1), 20_000), Flags: exmdb.Flags{Keywords: []string{"Red"}}})
	}
	view := b.create(&exmdb.CreateMessageRequest{Folder: sub, Associated: true, Message: exmdb.MessageEdit{Set: bagOf(mapi.PidTagSubject, mapi.String("a view"))}})
	was := b.info()
	r, steps := b.copyAll(exmdb.CopyFolderRequest{Folder: work, Parent: schema.Inbox, Name: "Copy", Recursive: true})
	if steps != 2 || r.Messages != uint64(n+4) || r.Total != r.Messages || r.Folders != 2 || r.Task == 0 {
		t.Fatalf("%d steps: %+v", steps, r)
	}
	is := b.info()
	if is.Used != 2*was.Used || is.Messages != 2*was.Messages || is.Folders != was.Folders+2 {
		t.Errorf("%+v, of %+v", is, was)
	}
	copied := b.folder(r.Folder)
	if copied.Name != "Copy" || copied.Parent != schema.Inbox || copied.Class != "IPF.Note.x" || copied.Messages != uint32(n) ||
		b.prop(exmdb.ObjectID{Folder: r.Folder}, mapi.PidTagComment) != mapi.String("a comment") {
		t.Errorf("%+v", copied)
	}
	below := b.childOf(r.Folder, "2026")
	rows := b.rows(below)
	if len(rows) != 3 || rows[0].Flags.Keywords[0] != "Red" || b.prop(exmdb.ObjectID{Folder: below}, mapi.PidTagAssociatedContentCount) != mapi.Integer32(1) {
		t.Fatalf("%+v", rows)
	}
	b.audit("copied")
	call(b, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: work, Recursive: true, Hard: true})
	if b.info().Purging == 0 {
		t.Error("of a folder with much in it nothing is left to be removed")
	}
	if b.work(); b.info().Purging != 0 {
		t.Errorf("%d folders are still being purged", b.info().Purging)
	}
	if got := call(b, exmdb.OpReadBytes, &exmdb.ReadBytesRequest{Folder: below, UID: 2, Length: 30_000}); len(got.Data) != 20_014 {
		t.Errorf("%d octets of the copy", len(got.Data))
	}
	refused(b, exmdb.OpReadMessage, &exmdb.ReadMessageRequest{Object: mid(view.MID)}, exmdb.KindNoMessage)
	refused(b, exmdb.OpCopyFolder, &exmdb.CopyFolderRequest{Folder: r.Folder, Parent: below, Name: "x"}, exmdb.KindCycle)
	refused(b, exmdb.OpCopyFolder, &exmdb.CopyFolderRequest{Folder: below, Parent: r.Folder, Name: "2026"}, exmdb.KindFolderExists)
	b.audit("the copy alone")
	if alone, _ := b.copyAll(exmdb.CopyFolderRequest{Folder: r.Folder, Parent: schema.IPMSubtree, Name: "alone"}); alone.Folders != 1 || alone.Messages != uint64(n) {
		t.Errorf("%+v", alone)
	}
}

func (b *box) childOf(parent mapi.FID, name string) (fid mapi.FID) {
	b.t.Helper()
	b.view(func(v *view) error {
		var err error
		fid, _, err = v.child(parent, name)
		return err
	})
	return fid
}

// TestCopyFolderIsResumed: a copy is gone on with by its task, by whoever began it, until a day has passed; what happens to
// the folders meanwhile does not stop it.
func TestCopyFolderIsResumed(t *testing.T) {
	b := newBox(t, 0)
	work := b.newBelow(schema.IPMSubtree, "Work")
	first, second := b.newBelow(work, "a"), b.newBelow(work, "b")
	b.mails(work, stepItems+1)
	b.mails(second, 5)
	q := &exmdb.CopyFolderRequest{Folder: work, Parent: schema.Inbox, Name: "Copy", Recursive: true}
	begun := call(b, exmdb.OpCopyFolder, q)
	if begun.Done || begun.Messages >= stepItems+1 {
		t.Fatalf("%+v", begun)
	}
	call(b, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: first})
	call(b, exmdb.OpAppend, &exmdb.AppendRequest{Folder: work, Message: text("late")})
	q.Task = begun.Task
	other := *q
	other.Parent = schema.Sent
	refused(b, exmdb.OpCopyFolder, &other, cluster.KindBadRequest)
	friend := b.asUser(mapi.NewGUID())
	friend.as.Privileges = exmdb.PrivilegeSystem
	refused(friend, exmdb.OpCopyFolder, q, cluster.KindBadRequest)
	last, _ := b.copyAll(*q)
	if last.Messages != stepItems+6 || last.Folders != 3 || b.folder(last.Folder).Messages != stepItems+1 || b.childOf(last.Folder, "a") != 0 {
		t.Errorf("%+v", last)
	}
	refused(b, exmdb.OpCopyFolder, q, cluster.KindBadRequest)
	b.audit("resumed")

	q.Task, q.Name = 0, "Another"
	q.Task = call(b, exmdb.OpCopyFolder, q).Task
	b.now = b.now.Add(copyKept + time.Second)
	b.work()
	refused(b, exmdb.OpCopyFolder, q, cluster.KindBadRequest)
	// A copy whose target goes ends with it.
	q.Task, q.Name = 0, "Third"
	begun = call(b, exmdb.OpCopyFolder, q)
	q.Task = begun.Task
	call(b, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: begun.Folder, Recursive: true, Hard: true})
	refused(b, exmdb.OpCopyFolder, q, exmdb.KindNoFolder)
}

// TestCopyFolderAsksInEachStep: a copy takes of each folder what the caller may read when it is come to, however the step is asked
// for and wherever the folder is by then.
func TestCopyFolderAsksInEachStep(t *testing.T) {
	b := newBox(t, 0)
	friend := b.asUser(mapi.NewGUID())
	work, aside := b.newBelow(schema.IPMSubtree, "Work"), b.newBelow(schema.IPMSubtree, "Aside")
	b.mails(work, stepItems+1)
	for name, c := range map[string]struct {
		rights    exmdb.FolderRights
		recursive bool
		moved     bool
		copies    uint64
		made      bool
	}{
		"as it began":             {exmdb.RightFolderVisible, true, false, 1, true},
		"asked for as a flat one": {exmdb.RightFolderVisible, false, false, 1, true},
		"moved meanwhile":         {exmdb.RightFolderVisible, true, true, 1, true},
		"open to him":             {roleReviewer, false, true, 6, true},
		"closed meanwhile":        {0, true, true, 0, false},
	} {
		below := b.newBelow(work, "below")
		b.mails(below, 5)
		for fid, rights := range map[mapi.FID]exmdb.FolderRights{work: roleReviewer, below: roleReviewer | exmdb.RightCreate, aside: exmdb.RightCreateSubfolder} {
			grantTo(b, fid, friend.as.User, rights)
		}
		call(friend, exmdb.OpAppend, &exmdb.AppendRequest{Folder: below, Message: text("his own")})
		q := &exmdb.CopyFolderRequest{Folder: work, Parent: aside, Name: name, Recursive: true}
		begun := call(friend, exmdb.OpCopyFolder, q)
		grantTo(b, below, friend.as.User, c.rights)
		if c.moved {
			call(b, exmdb.OpMoveFolder, &exmdb.MoveFolderRequest{Folder: below, Parent: schema.IPMSubtree, Name: "below"})
		}
		q.Task, q.Recursive = begun.Task, c.recursive
		for r := begun; !r.Done; {
			var err error
			if r, err = try(friend, exmdb.OpCopyFolder, q); err != nil {
				if c.made {
					t.Errorf("%s: %v", name, err)
				}
				break
			}
		}
		copied := b.childOf(begun.Folder, "below")
		if (copied != 0) != c.made || c.made && uint64(b.folder(copied).Messages) != c.copies {
			t.Errorf("%s: folder %#x, made of %d", name, uint64(copied), b.folder(begun.Folder).Messages)
		}
		call(b, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: below, Hard: true})
	}
}

// TestCopyFolderOverQuota: a copy for which there is no room does not begin, and none goes beyond the quota.
func TestCopyFolderOverQuota(t *testing.T) {
	b := newBox(t, 100_000)
	work := b.newBelow(schema.IPMSubtree, "Work")
	n := stepItems + 10
	b.mails(work, n)
	used := b.info().Used
	quota := func(q uint64) { call(b, exmdb.OpSetQuota, &exmdb.SetQuotaRequest{Quota: q}) }
	q := &exmdb.CopyFolderRequest{Folder: work, Parent: schema.Inbox, Name: "Copy"}
	quota(2*used - 1)
	refused(b, exmdb.OpCopyFolder, q, exmdb.KindOverQuota)
	if b.childOf(schema.Inbox, "Copy") != 0 {
		t.Error("a refused copy made its folder")
	}
	quota(2 * used)
	q.Task = call(b, exmdb.OpCopyFolder, q).Task
	quota(2*used - 1)
	refused(b, exmdb.OpCopyFolder, q, exmdb.KindOverQuota)
	quota(2 * used)
	if last, _ := b.copyAll(*q); last.Messages != uint64(n) || b.info().Used != 2*used {
		t.Errorf("%+v", last)
	}
}

// BenchmarkEmptyBesideOthers empties a folder of 100,000 messages while another client of the mailbox reads and writes, and
// reports how long he waited at most.
func BenchmarkEmptyBesideOthers(b *testing.B) {
	for _, hard := range []bool{false, true} {
		b.Run(map[bool]string{false: "soft", true: "hard"}[hard], func(b *testing.B) {
			for range b.N {
				emptyBeside(b, hard)
			}
		})
	}
}

func emptyBeside(b *testing.B, hard bool) {
	b.StopTimer()
	x := newBox(b, 0)
	work := x.newBelow(schema.IPMSubtree, "Work")
	x.mails(work, 100_000)
	b.StartTimer()
	ctx, stop := context.WithCancel(context.Background())
	var waits []time.Duration
	var other sync.WaitGroup
	other.Go(func() {
		y := *x
		y.due = dueList{}
		for ctx.Err() == nil {
			began := time.Now()
			call(&y, exmdb.OpDeliver, &exmdb.DeliverRequest{Message: text("x")})
			call(&y, exmdb.OpFolder, &exmdb.FolderRequest{Folder: schema.Inbox})
			waits = append(waits, time.Since(began))
		}
	})
	_, steps := x.empty(exmdb.EmptyFolderRequest{Folder: work, Hard: hard})
	stop()
	other.Wait()
	slices.Sort(waits)
	b.ReportMetric(float64(steps), "steps")
	b.ReportMetric(float64(waits[len(waits)-1].Microseconds())/1000, "ms-longest-wait")
	b.ReportMetric(float64(waits[len(waits)*99/100].Microseconds())/1000, "ms-p99-wait")
}
