package store

import (
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// TestWhatMovesBelowAFolder: PidTagHierarchyChangeNumber counts what came to be right below and what left, PidTagHierRev is when
// that last happened, or one there got another name; nothing else moves either.
func TestWhatMovesBelowAFolder(t *testing.T) {
	b := newBox(t, 0)
	top := b.newFolder("top")
	began := b.now
	var sub mapi.FID
	check := func(what string, number int32, moves bool, do func()) {
		t.Helper()
		before := b.prop(exmdb.ObjectID{Folder: top}, mapi.PidTagHierRev)
		b.now = b.now.Add(time.Minute)
		do()
		if got := b.prop(exmdb.ObjectID{Folder: top}, mapi.PidTagHierarchyChangeNumber); got != mapi.Integer32(number) {
			t.Errorf("%s: change number %v, want %d", what, got, number)
		}
		want := before
		if moves {
			want = mapi.FileTimeOf(b.now)
		}
		if got := b.prop(exmdb.ObjectID{Folder: top}, mapi.PidTagHierRev); got != want {
			t.Errorf("%s: moved at %v, want %v", what, got, want)
		}
	}
	if got := b.prop(exmdb.ObjectID{Folder: top}, mapi.PidTagHierRev); got != mapi.FileTimeOf(began) {
		t.Errorf("a new folder: %v", got)
	}
	move := func(fid, parent mapi.FID, name string) func() {
		return func() {
			call(b, exmdb.OpMoveFolder, &exmdb.MoveFolderRequest{Folder: fid, Parent: parent, Name: name})
		}
	}
	check("a message", 0, false, func() { b.mails(top, 1) })
	check("a folder made", 1, true, func() { sub = b.newBelow(top, "sub") })
	check("a folder below that", 1, false, func() { b.newBelow(sub, "deep") })
	check("renamed", 1, true, func() { move(sub, top, "other")() })
	check("renamed by its properties", 1, true, func() {
		call(b, exmdb.OpWriteProps, &exmdb.WritePropsRequest{Object: exmdb.ObjectID{Folder: sub}, Set: bagOf(mapi.PidTagDisplayName, mapi.String("third"))})
	})
	check("moved away", 2, true, func() { move(sub, schema.Inbox, "sub")() })
	check("moved back", 3, true, func() { move(sub, top, "sub")() })
	check("deleted", 4, true, func() {
		call(b, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: sub, Recursive: true})
	})
	check("recovered", 5, true, func() {
		call(b, exmdb.OpRecoverFolder, &exmdb.RecoverFolderRequest{Folder: sub, Parent: top})
	})
	check("the folder itself renamed", 5, false, func() { move(top, schema.IPMSubtree, "peak")() })
	check("emptied for good", 6, true, func() {
		call(b, exmdb.OpEmptyFolder, &exmdb.EmptyFolderRequest{Folder: top, Hard: true, Folders: true})
	})
	b.audit("after all")
}

// TestFolderFlags is PidTagFolderFlags of each sort of folder.
func TestFolderFlags(t *testing.T) {
	b := newBox(t, 0)
	found := b.searchBelow(finder, "found")
	below := b.newBelow(b.newFolder("a"), "b")
	ruled := b.newFolder("ruled")
	b.rule(ruled, aboutOffer, markRead)
	for what, c := range map[string]struct {
		fid  mapi.FID
		want mapi.Integer32
	}{
		"the root":                   {schema.Root, 0},
		"the IPM subtree":            {schema.IPMSubtree, mapi.FolderFlagIPM | mapi.FolderFlagNormal},
		"a folder below":             {below, mapi.FolderFlagIPM | mapi.FolderFlagNormal},
		"one that users do not see":  {finder, mapi.FolderFlagNormal},
		"a search folder":            {found, mapi.FolderFlagSearch},
		"a search folder in the IPM": {b.searchBelow(schema.IPMSubtree, "s"), mapi.FolderFlagIPM | mapi.FolderFlagSearch},
		"one with rules":             {ruled, mapi.FolderFlagIPM | mapi.FolderFlagNormal | mapi.FolderFlagRules},
	} {
		if got := b.prop(exmdb.ObjectID{Folder: c.fid}, mapi.PidTagFolderFlags); got != c.want {
			t.Errorf("%s has %v, want %v", what, got, c.want)
		}
	}
	refusedProp := call(b, exmdb.OpWriteProps, &exmdb.WritePropsRequest{Object: exmdb.ObjectID{Folder: below}, Set: bagOf(mapi.PidTagFolderFlags, mapi.Integer32(0))})
	if len(refusedProp.Problems) != 1 || refusedProp.Problems[0].Code != mapi.ErrorComputed {
		t.Errorf("%+v", refusedProp.Problems)
	}
}

// TestDeletedFolderCount: how many folders can be recovered that were right below.
func TestDeletedFolderCount(t *testing.T) {
	b := newBox(t, 0)
	top := b.newFolder("top")
	sub := b.newBelow(top, "sub")
	deep := b.newBelow(sub, "deep")
	for _, fid := range []mapi.FID{b.newBelow(top, "other"), sub} {
		call(b, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: fid, Recursive: true})
	}
	count := func(want int32) {
		t.Helper()
		if got := b.prop(exmdb.ObjectID{Folder: top}, mapi.PidTagDeletedFolderCount); got != mapi.Integer32(want) {
			t.Errorf("%v were deleted, want %d", got, want)
		}
	}
	count(2)
	call(b, exmdb.OpRecoverFolder, &exmdb.RecoverFolderRequest{Folder: deep, Parent: schema.Inbox})
	count(2)
	call(b, exmdb.OpRecoverFolder, &exmdb.RecoverFolderRequest{Folder: sub, Parent: top})
	count(1)
	b.letGo()
	count(0)
	spec := listOf(exmdb.TableDeletedFolders, top)
	call(b, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: sub})
	row := b.newOwner(0).readTable(spec, 9, mapi.PidTagFolderFlags, mapi.PidTagDeletedFolderCount)[0]
	if row.Props.Get(mapi.PidTagFolderFlags) != mapi.Integer32(mapi.FolderFlagIPM|mapi.FolderFlagNormal) || row.Props.Get(mapi.PidTagDeletedFolderCount) != mapi.Integer32(0) {
		t.Errorf("%+v", row)
	}
}
