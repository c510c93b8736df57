package store

import (
	goflag "flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

var rewrite = goflag.Bool("rewrite", false, "rewrite the golden files")

// stamps are all stamps that the golden script looks at: those of one message, wherever it is, and of the folders that
// it visits. A message is followed by its object, which stays when it moves.
func (b *box) stamps(o mapi.ObjectNumber, folders map[string]mapi.FID) map[string]mapi.Stamp {
	b.t.Helper()
	all := map[string]mapi.Stamp{}
	for name, fid := range folders {
		f := b.folder(fid)
		all[name+" cn"], all[name+" contentSeq"] = f.CN, f.ContentSeq
		for _, row := range b.rows(fid) {
			if row.Object != o {
				continue
			}
			raw := b.raw(fid, row.UID)
			all["message cn"], all["message readCN"], all["message modseq"] = raw.CN, raw.ReadCN, raw.ModSeq
			if raw.ModSeq > f.ContentSeq || raw.ModSeq < raw.CN || raw.ModSeq < raw.ReadCN {
				b.t.Errorf("modseq %d, cn %d, readCN %d in a folder at %d", raw.ModSeq, raw.CN, raw.ReadCN, f.ContentSeq)
			}
		}
	}
	return all
}

// TestStamps is the golden script of MAILBOX 2: which stamps move on what.
func TestStamps(t *testing.T) {
	b := newBox(t, 0)
	work := call(b, exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: schema.IPMSubtree, Name: "Work"}).Folder.FID
	folders := map[string]mapi.FID{"Inbox": schema.Inbox, "Work": work}
	object := b.deliver(text("x")).Object
	edit := func(tag mapi.Tag, v mapi.Value) func() {
		return func() {
			at := call(b, exmdb.OpLocate, &exmdb.LocateRequest{Objects: []mapi.ObjectNumber{object}}).Messages[0]
			b.write(mid(at.MID), tag, v)
		}
	}
	flags := func(mode exmdb.FlagMode, bits exmdb.FlagBits, keywords ...string) func() {
		return func() { b.flags(mode, bits, keywords, 1) }
	}
	expunge := func(fid mapi.FID) func() {
		return func() {
			call(b, exmdb.OpExpunge, &exmdb.ExpungeRequest{Folder: fid, UIDs: ranges(2), All: true})
		}
	}
	var out strings.Builder
	for _, step := range []struct {
		name string
		do   func()
	}{
		{`\Seen`, flags(exmdb.FlagsAdd, exmdb.FlagSeen)},
		{`\Seen again`, flags(exmdb.FlagsAdd, exmdb.FlagSeen)},
		{`\Deleted`, flags(exmdb.FlagsAdd, exmdb.FlagDeleted)},
		{`\Flagged`, flags(exmdb.FlagsAdd, exmdb.FlagFlagged)},
		{`a category`, flags(exmdb.FlagsAdd, 0, "Red Category")},
		{`\Seen goes and \Answered comes`, flags(exmdb.FlagsReplace, exmdb.FlagAnswered)},
		{`\Draft of a received mail`, flags(exmdb.FlagsAdd, exmdb.FlagDraft)},
		{`an edit that MIME does not show`, edit(mapi.PidTagReplyRequested, mapi.Boolean(true))},
		{`an associated message is made`, func() { b.create(&exmdb.CreateMessageRequest{Folder: schema.Inbox, Associated: true}) }},
		{`a delivery`, func() { b.deliver(text("y")) }},
		{`an expunge of another message`, expunge(schema.Inbox)},
		{`a copy into Work`, func() {
			call(b, exmdb.OpCopy, &exmdb.CopyRequest{Folder: schema.Inbox, UIDs: ranges(1), Target: work})
		}},
		{`an append to Work`, func() {
			call(b, exmdb.OpAppend, &exmdb.AppendRequest{Folder: work, Message: text("z")})
		}},
		{`an expunge in Work`, expunge(work)},
		{`a move into Work`, func() {
			call(b, exmdb.OpMove, &exmdb.CopyRequest{Folder: schema.Inbox, UIDs: ranges(1), Target: work})
		}},
		{`Work renamed`, func() {
			call(b, exmdb.OpMoveFolder, &exmdb.MoveFolderRequest{Folder: work, Parent: schema.IPMSubtree, Name: "Play"})
		}},
		{`Work moved below Inbox`, func() {
			call(b, exmdb.OpMoveFolder, &exmdb.MoveFolderRequest{Folder: work, Parent: schema.Inbox, Name: "Play"})
		}},
		{`Work renamed to the name it has`, func() {
			call(b, exmdb.OpMoveFolder, &exmdb.MoveFolderRequest{Folder: work, Parent: schema.Inbox, Name: "Play"})
		}},
		{`Work subscribed`, func() { call(b, exmdb.OpSubscribe, &exmdb.SubscribeRequest{Folder: work, Subscribed: true}) }},
		{`a folder made below Work`, func() {
			call(b, exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: work, Name: "Deep"})
		}},
		{`an edit of the subject`, edit(mapi.PidTagSubject, mapi.String("other"))},
		{`the same edit again`, edit(mapi.PidTagSubject, mapi.String("other"))},
		{`another quota`, func() { call(b, exmdb.OpSetQuota, &exmdb.SetQuotaRequest{Quota: 1 << 30}) }},
	} {
		was := b.stamps(object, folders)
		step.do()
		is := b.stamps(object, folders)
		fmt.Fprintf(&out, "%s\n", step.name)
		for _, stamp := range []string{"message cn", "message readCN", "message modseq", "Inbox contentSeq", "Inbox cn", "Work contentSeq", "Work cn"} {
			switch {
			case is[stamp] == 0 && was[stamp] != 0:
				fmt.Fprintf(&out, "  %s: none\n", stamp)
			case is[stamp] < was[stamp]:
				t.Errorf("%s: %s went back from %d to %d", step.name, stamp, was[stamp], is[stamp])
			case is[stamp] != was[stamp]:
				fmt.Fprintf(&out, "  %s moved\n", stamp)
			}
		}
	}
	compareGolden(t, "testdata/stamps.golden", out.String())
}

func compareGolden(t *testing.T, file, got string) {
	t.Helper()
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs:\n%s", file, got)
	}
}
