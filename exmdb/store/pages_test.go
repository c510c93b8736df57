package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// largestAnswer is what no answer may come near: 8 MiB is the most that goes from node to node.
const largestAnswer = 4 << 20

// between calls do before each call but the first.
type between struct {
	*box
	calls int
	do    func(call int)
}

func (c *between) Call(ctx context.Context, as exmdb.Identity, id mapi.MailboxID, op exmdb.OpInfo, req, resp any) error {
	if c.calls++; c.calls > 1 && c.do != nil {
		do := c.do
		c.do = nil
		do(c.calls)
		c.do = do
	}
	return c.box.Call(ctx, as, id, op, req, resp)
}

// TestAllFoldersOfAFullMailbox: as many folders as there may be, with names as long as they may be, come in pages, and
// what moves, comes and goes between two of them does no harm.
func TestAllFoldersOfAFullMailbox(t *testing.T) {
	t.Parallel()
	b := newBox(t, 0)
	long := strings.Repeat("長", maxNameRunes-5)
	var tops []mapi.FID
	most := uint32(maxFolders)
	if testing.Short() {
		most = 4000
	}
	b.update(func(t *tx) error {
		for i := 0; t.counters.Folders < most; i++ {
			parent := schema.IPMSubtree
			if i%3 > 0 {
				parent = tops[len(tops)-1]
			}
			fid := mapi.LocalFID(t.draw())
			if i%3 == 0 {
				tops = append(tops, fid)
			}
			t.addFolder(fid, &schema.Folder{Parent: parent.Counter(), Name: fmt.Sprintf("%05d%s", i, long), Class: schema.ClassMail})
		}
		return nil
	})
	quiet := &between{box: b}
	all, err := exmdb.ListFolders(t.Context(), quiet, b.as, mapi.MailboxID(b.id))
	if err != nil || len(all.Folders) != int(most)-1 || quiet.calls < 3 || b.largest > largestAnswer { // the root is not listed
		t.Fatalf("%d folders in %d pages of up to %d bytes, %v", len(all.Folders), quiet.calls, b.largest, err)
	}
	checkTree(t, all)
	moving := &between{box: b, do: func(call int) { moveAndDelete(b, tops, call) }}
	all, err = exmdb.ListFolders(t.Context(), moving, b.as, mapi.MailboxID(b.id))
	if err != nil {
		t.Fatal(err)
	}
	checkTree(t, all)
	listed := map[mapi.FID]bool{}
	for _, f := range all.Folders {
		listed[f.FID] = true
	}
	for _, fid := range tops {
		if _, err := try(b, exmdb.OpFolder, &exmdb.FolderRequest{Folder: fid}); err == nil && !listed[fid] {
			t.Errorf("folder %v is there and was not listed", fid)
		}
	}
}

// moveAndDelete puts a folder that is listed late below one that is listed early, and deletes one with what is in it.
func moveAndDelete(b *box, tops []mapi.FID, i int) {
	call(b, exmdb.OpMoveFolder, &exmdb.MoveFolderRequest{Folder: tops[len(tops)-i], Parent: tops[i], Name: fmt.Sprint("moved ", i)})
	call(b, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: tops[i*10], Recursive: true})
}

// checkTree looks at the order of a list: each folder once, behind its parent, and siblings by name.
func checkTree(t *testing.T, all *exmdb.ListFoldersResponse) {
	t.Helper()
	last := map[mapi.FID]string{}
	seen := map[mapi.FID]bool{schema.Root: true, all.IPM: true}
	for _, f := range all.Folders {
		if seen[f.FID] && f.FID != all.IPM || f.Name < last[f.Parent] {
			t.Fatalf("%+v is listed twice or behind %q", f, last[f.Parent])
		}
		if !seen[f.Parent] && slices.ContainsFunc(all.Folders, func(p exmdb.Folder) bool { return p.FID == f.Parent }) {
			t.Fatalf("%+v is listed in front of its parent", f)
		}
		seen[f.FID], last[f.Parent] = true, f.Name
	}
}

// TestAllUIDsOfATornFolder: a folder whose UIDs are all gaps is listed in pages, and mail that comes and goes between
// two of them is what OpChanges tells from the list's stamp on.
func TestAllUIDsOfATornFolder(t *testing.T) {
	t.Parallel()
	b := newBox(t, 0)
	n := maxUIDRanges + 50
	b.update(func(t *tx) error {
		c, err := t.edit(schema.Inbox)
		for i := 0; i < n && err == nil; i++ {
			row := schema.Row{Object: t.object(), Bits: schema.RowBits(exmdb.FlagSeen)}
			if i == n-10 {
				row.Bits = 0
			}
			c.UIDNext++ // a UID that is gone
			t.counters.Messages++
			_, err = t.place(schema.Inbox, c, &row)
		}
		return err
	})
	b.update(func(t *tx) error {
		_, err := t.internKeywords([]string{"one"})
		return err
	})
	c := &between{box: b, do: func(int) {
		call(b, exmdb.OpExpunge, &exmdb.ExpungeRequest{Folder: schema.Inbox, UIDs: ranges(2, mapi.UID(2*n)), All: true})
		b.deliver(text("x"))
	}}
	all, err := exmdb.UIDs(t.Context(), c, b.as, mapi.MailboxID(b.id), schema.Inbox)
	if err != nil || c.calls != 2 || b.largest > largestAnswer || all.Next != 0 {
		t.Fatalf("%d pages of up to %d bytes, next %d, %v", c.calls, b.largest, all.Next, err)
	}
	if len(all.UIDs) != n-1 || all.Folder.Messages != uint32(n) || all.FirstUnseen != mapi.UID(2*(n-9)) || len(all.Keywords) != 1 {
		t.Fatalf("%d ranges, first unseen %d, keywords %v, %+v", len(all.UIDs), all.FirstUnseen, all.Keywords, all.Folder)
	}
	for i, r := range all.UIDs {
		if r.First != mapi.UID(2*(i+1)) || r.Last != r.First {
			t.Fatalf("range %d is %+v", i, r)
		}
	}
	ch := call(b, exmdb.OpChanges, &exmdb.ChangesRequest{Folder: schema.Inbox, Since: all.Folder.ContentSeq})
	if len(ch.Rows) != 1 || ch.Rows[0].UID != mapi.UID(2*n+1) || len(ch.Vanished) != 2 {
		t.Fatalf("%+v", ch)
	}
}
