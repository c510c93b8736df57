package store

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

func byString(set mapi.GUID, name string) mapi.PropertyName {
	return mapi.PropertyName{Set: set, Kind: mapi.NameByString, Name: name}
}

func byLID(set mapi.GUID, lid uint32) mapi.PropertyName {
	return mapi.PropertyName{Set: set, Kind: mapi.NameByLID, LID: lid}
}

// TestNamedProperties: ids are given in order and for good, headers have no case, and PS_MAPI is its own number.
func TestNamedProperties(t *testing.T) {
	b := newBox(t, 0)
	names := []mapi.PropertyName{mapi.PidNameKeywords.PropertyName, byLID(mapi.PSETIDCommon, 0x8503), byString(mapi.PSInternetHeaders, "X-Spam"), byLID(mapi.PSMAPI, 0x37)}
	if r := call(b, exmdb.OpPropertyIDs, &exmdb.NamesRequest{Names: names}); !slices.Equal(r.IDs, []uint16{0, 0, 0, 0x37}) {
		t.Fatalf("%x", r.IDs)
	}
	want := []uint16{0x8000, 0x8001, 0x8002, 0x37}
	if r := call(b, exmdb.OpNameProperties, &exmdb.NamesRequest{Names: names}); !slices.Equal(r.IDs, want) {
		t.Fatalf("%x", r.IDs)
	}
	names[2].Name = "x-SPAM"
	if r := call(b, exmdb.OpNameProperties, &exmdb.NamesRequest{Names: names}); !slices.Equal(r.IDs, want) {
		t.Fatalf("asked again: %x", r.IDs)
	}
	back := call(b, exmdb.OpPropertyNames, &exmdb.PropertyNamesRequest{IDs: []uint16{0x8002, 0x8007, 0x37}}).Names
	if back[0].Name != byString(mapi.PSInternetHeaders, "X-Spam") || back[1].Name.Kind != mapi.NameNone || back[2].Name != byLID(mapi.PSMAPI, 0x37) {
		t.Fatalf("%+v", back)
	}
	if all := call(b, exmdb.OpPropertyNames, &exmdb.PropertyNamesRequest{After: 0x8000}); len(all.Names) != 2 || all.More || all.Names[0].ID != 0x8001 {
		t.Fatalf("%+v", all)
	}
	for _, bad := range []mapi.PropertyName{{Kind: 7}, byString(mapi.PSETIDTask, ""), byString(mapi.PSMAPI, "x"), {Kind: mapi.NameByString, Name: "x", LID: 1}} {
		refused(b, exmdb.OpNameProperties, &exmdb.NamesRequest{Names: []mapi.PropertyName{bad}}, cluster.KindBadRequest)
	}
}

// TestNamesOfARequest: bags cross mailboxes by names, whatever ids they have there (MAILBOX 5).
func TestNamesOfARequest(t *testing.T) {
	b := newBox(t, 0)
	call(b, exmdb.OpNameProperties, &exmdb.NamesRequest{Names: []mapi.PropertyName{byLID(mapi.PSETIDTask, 1), byLID(mapi.PSETIDTask, 2)}})
	payload := exmdb.Payload{Names: []mapi.PropertyName{byLID(mapi.PSETIDCommon, 0x8502), byLID(mapi.PSETIDTask, 2), mapi.PidNameKeywords.PropertyName}}
	st := b.create(&exmdb.CreateMessageRequest{Payload: payload, Message: exmdb.MessageEdit{Set: bagOf(
		mapi.NewTag(0x8000, mapi.TypeInteger32), mapi.Integer32(7), mapi.NewTag(0x8001, mapi.TypeString), mapi.String("two"),
		mapi.NewTag(0x8002, mapi.TypeMultiString), mapi.Strings{"Red", "Blue"})}})
	r := call(b, exmdb.OpReadProps, &exmdb.ReadPropsRequest{Object: mid(st.MID), Names: true})
	got := map[mapi.PropertyName]string{}
	for _, n := range r.Names {
		for _, p := range r.Props.All() {
			if p.Tag.ID() == n.ID {
				got[n.Name] = fmt.Sprint(p.Value)
			}
		}
	}
	if len(got) != 3 || got[payload.Names[0]] != "7" || got[payload.Names[1]] != "two" || got[payload.Names[2]] != "[Red Blue]" {
		t.Fatalf("%v", got)
	}
	if len(st.Flags.Keywords) != 2 {
		t.Fatalf("categories are no keywords: %+v", st.Flags)
	}
	refused(b, exmdb.OpWriteProps, &exmdb.WritePropsRequest{Object: mid(st.MID), Payload: payload,
		Set: bagOf(mapi.NewTag(0x8003, mapi.TypeInteger32), mapi.Integer32(7))}, cluster.KindBadRequest)
}

// TestNameLimit is row S4: 0x7000 names and no more, each with its id for good.
func TestNameLimit(t *testing.T) {
	b := newBox(t, 0)
	const step = 4096
	start := 0
	if testing.Short() { // as if all but the last had been given
		start = schema.MaxNamedProps - step
		b.update(func(t *tx) error {
			t.counters.NamedProp = uint16(start)
			return nil
		})
	}
	for at := start; at < schema.MaxNamedProps; at += step {
		req := &exmdb.NamesRequest{}
		for i := range step {
			req.Names = append(req.Names, byLID(mapi.PSETIDLog, uint32(at+i)))
		}
		b.rep.Local.Fail(space.FaultVoidTerm)
		for i, id := range call(b, exmdb.OpNameProperties, req).IDs {
			if int(id) != schema.FirstNamedProp+at+i {
				t.Fatalf("name %d has id %#x", at+i, id)
			}
		}
	}
	refused(b, exmdb.OpNameProperties, &exmdb.NamesRequest{Names: []mapi.PropertyName{byLID(mapi.PSETIDTask, 1)}}, exmdb.KindNameLimit)
	known := &exmdb.NamesRequest{Names: []mapi.PropertyName{byLID(mapi.PSETIDLog, uint32(start+5))}}
	if id := call(b, exmdb.OpNameProperties, known).IDs[0]; int(id) != schema.FirstNamedProp+start+5 {
		t.Fatalf("%#x", id)
	}
	n := 0
	for req := (&exmdb.PropertyNamesRequest{}); ; {
		r := call(b, exmdb.OpPropertyNames, req)
		n += len(r.Names)
		if !r.More {
			break
		}
		req.After = r.Names[len(r.Names)-1].ID
	}
	if n != schema.MaxNamedProps-start {
		t.Fatalf("%d names", n)
	}
}

// TestGrantsNeverOverlap is row S5: ten thousand grants, with effects that come out void and leaders that change in
// between, and messages that draw of the same counter.
func TestGrantsNeverOverlap(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 5))
	b := newBox(t, 0)
	grants := 10_000
	if testing.Short() {
		grants = 1000
	}
	var last mapi.GlobalCounter
	var mids []mapi.MID
	granted := make([]schema.ReadRange, 0, grants)
	for i := range grants {
		switch rng.IntN(20) {
		case 0:
			b.rep.Local.Fail(space.FaultVoidTerm)
		case 1:
			b.rep.Local.Fail(space.FaultOvertaken)
		case 2:
			b.rep.Local.Depose()
			b.rep.LeadershipLost()
			b.rep.Local.Elect()
		case 3:
			mids = append(mids, b.create(&exmdb.CreateMessageRequest{}).MID)
		}
		count := uint32(1 + rng.IntN(0x10000))
		g := call(b, exmdb.OpLocalReplicaIDs, &exmdb.LocalReplicaIDsRequest{Count: count})
		if g.First <= last {
			t.Fatalf("seed %d: grant %d begins at %#x, the one before ended at %#x", seed, i, g.First, last)
		}
		last = g.First + mapi.GlobalCounter(count) - 1
		granted = append(granted, schema.ReadRange{First: g.First, Last: last})
	}
	for _, mid := range mids {
		if r, found := schema.ReadRanges(granted).Find(mid.Counter()); found {
			t.Errorf("seed %d: message %#x in the granted range from %#x to %#x", seed, mid, r.First, r.Last)
		}
	}
	refused(b, exmdb.OpLocalReplicaIDs, &exmdb.LocalReplicaIDsRequest{Count: exmdb.MaxLocalReplicaIDs + 1}, cluster.KindBadRequest)
}

// TestGrantedMID: a client gives a message an id of its range, once.
func TestGrantedMID(t *testing.T) {
	b := newBox(t, 0)
	g := call(b, exmdb.OpLocalReplicaIDs, &exmdb.LocalReplicaIDsRequest{Count: 100})
	id := mapi.NewMID(mapi.LocalReplica, g.First+7)
	req := &exmdb.CreateMessageRequest{Folder: schema.Drafts, MID: id}
	st := b.create(req)
	if st.MID != id || b.rowOf(id).Bits&schema.RowGrantedMID == 0 {
		t.Fatalf("%+v", st)
	}
	refused(b, exmdb.OpCreateMessage, req, cluster.KindBadRequest)
	req.MID = mapi.NewMID(mapi.LocalReplica, g.First+10_000)
	refused(b, exmdb.OpCreateMessage, req, cluster.KindBadRequest)
}

func TestReplicaTable(t *testing.T) {
	b := newBox(t, 0)
	own := call(b, exmdb.OpMailboxInfo, &exmdb.Empty{}).ReplicaGUID
	foreign := mapi.GUID{9}
	r := call(b, exmdb.OpShortTermIDs, &exmdb.ShortTermIDsRequest{GIDs: []mapi.GID{{Replica: own, Counter: 5}, {Replica: foreign, Counter: 6}, {Replica: foreign, Counter: 7}}})
	if r.IDs[0] != uint64(mapi.LocalFID(5)) || mapi.FID(r.IDs[1]).Replica() < 6 || r.IDs[2] != r.IDs[1]+1 {
		t.Fatalf("%x", r.IDs)
	}
	b.update(func(t *tx) error { return RaiseEpoch(t.w, 1) })
	raised := call(b, exmdb.OpMailboxInfo, &exmdb.Empty{})
	newest := uint64(mapi.LocalFID(mapi.GlobalCounter(raised.Stamp)))
	long := call(b, exmdb.OpLongTermIDs, &exmdb.LongTermIDsRequest{IDs: []uint64{r.IDs[0], r.IDs[1], newest, uint64(mapi.NewFID(99, 1))}}).GIDs
	if long[0] != (mapi.GID{Replica: own, Counter: 5}) || long[1] != (mapi.GID{Replica: foreign, Counter: 6}) ||
		long[2].Replica != raised.ReplicaGUID || long[3] != (mapi.GID{}) {
		t.Fatalf("%+v", long)
	}
	again := call(b, exmdb.OpShortTermIDs, &exmdb.ShortTermIDsRequest{GIDs: []mapi.GID{{Replica: own, Counter: 5}, {Replica: raised.ReplicaGUID, Counter: 6}}})
	if again.IDs[0] != uint64(mapi.LocalFID(5)) || again.IDs[1] != uint64(mapi.LocalFID(6)) {
		t.Fatalf("%x", again.IDs)
	}
	refused(b, exmdb.OpShortTermIDs, &exmdb.ShortTermIDsRequest{GIDs: []mapi.GID{{Counter: 5}}}, cluster.KindBadRequest)
}

// TestReceiveFolders is row S14.
func TestReceiveFolders(t *testing.T) {
	b := newBox(t, 0)
	fid := call(b, exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: schema.IPMSubtree, Name: "Reports"}).Folder.FID
	set := func(class string, folder mapi.FID) {
		t.Helper()
		call(b, exmdb.OpSetReceiveFolder, &exmdb.SetReceiveFolderRequest{Class: class, Folder: folder})
	}
	where := func(class string, folder mapi.FID, explicit string) {
		t.Helper()
		r := call(b, exmdb.OpReceiveFolder, &exmdb.ReceiveFolderRequest{Class: class})
		if r.Folder != folder || r.Class != explicit {
			t.Fatalf("%q comes into %#x by %q, want %#x by %q", class, r.Folder, r.Class, folder, explicit)
		}
	}
	where("IPM.Note", schema.Inbox, "IPM")
	where("IPC.Game", schema.Root, "IPC")
	where("Strange", schema.Inbox, "")
	set("REPORT.IPM.Note.NDR", fid)
	set("IPM.Note.Fax", fid)
	where("report.ipm.note.ndr.x", fid, "REPORT.IPM.Note.NDR")
	where("IPM.Note.Faxes", schema.Inbox, "IPM")
	if rows := call(b, exmdb.OpReceiveFolders, &exmdb.Empty{}).Rows; len(rows) != 6 || rows[0].Class != "" || rows[5].Class != "REPORT.IPM.Note.NDR" {
		t.Fatalf("%+v", rows)
	}
	bounce := mail(t, []byte("Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nAction: failed\r\n--b--\r\n"))
	if d := b.deliver(bounce); d.Folder != fid {
		t.Fatalf("%+v", d)
	}
	if d := b.deliver(sample(t)); d.Folder != schema.Inbox {
		t.Fatalf("%+v", d)
	}
	set("IPM.Note.Fax", 0)
	where("IPM.Note.Fax", schema.Inbox, "IPM")
	call(b, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: fid})
	if d := b.deliver(bounce); d.Folder != schema.Inbox {
		t.Fatalf("a mail for a folder that is gone: %+v", d)
	}
	for _, req := range []exmdb.SetReceiveFolderRequest{{Class: "ipm", Folder: schema.Sent}, {Class: "Report.IPM"}} {
		refused(b, exmdb.OpSetReceiveFolder, &req, exmdb.KindAccessDenied)
	}
	refused(b, exmdb.OpSetReceiveFolder, &exmdb.SetReceiveFolderRequest{}, cluster.KindBadRequest)
	for _, class := range []string{".x", "x.", "a..b", "ä", "a\x01"} {
		refused(b, exmdb.OpSetReceiveFolder, &exmdb.SetReceiveFolderRequest{Class: class, Folder: schema.Inbox}, cluster.KindBadRequest)
	}
	refused(b, exmdb.OpSetReceiveFolder, &exmdb.SetReceiveFolderRequest{Class: "IPM.X", Folder: mapi.LocalFID(0x999)}, exmdb.KindNoFolder)
}
