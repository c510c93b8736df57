package store

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// offline is a client that edits messages without the server, under a GUID and a counter of his own.
type offline struct {
	guid mapi.GUID
	last mapi.CN
}

// edit is his next version of what has the PCL.
func (o *offline) edit(pcl mapi.PCL, at time.Time) exmdb.ImportedVersion {
	o.last++
	key := mapi.ChangeKey(o.guid, o.last)
	return exmdb.ImportedVersion{ChangeKey: key.Append(nil), PCL: pcl.Add(key).Append(nil), Modified: at}
}

// bring imports a version of a message.
func (b *box) bring(id mapi.MID, v exmdb.ImportedVersion, edit exmdb.MessageEdit, failOnConflict bool) (outcome exmdb.ImportOutcome, err error) {
	b.t.Helper()
	b.update(func(t *tx) error {
		err = nil
		version, rerr := readVersion(&v)
		if rerr != nil {
			err = rerr
			return nil
		}
		d, derr := t.reopen(id, &exmdb.Payload{})
		if derr != nil {
			err = derr
			return nil
		}
		outcome, err = d.importOver(&edit, version, failOnConflict)
		return nil
	})
	return outcome, err
}

func (b *box) brought(id mapi.MID, v exmdb.ImportedVersion, edit exmdb.MessageEdit, want exmdb.ImportOutcome) {
	b.t.Helper()
	if got, err := b.bring(id, v, edit, false); err != nil || got != want {
		b.t.Fatalf("outcome %d, %v; want %d", got, err, want)
	}
}

func subjectEdit(s string) exmdb.MessageEdit {
	return exmdb.MessageEdit{Clear: true, Set: bagOf(mapi.PidTagSubject, mapi.String(s))}
}

func (b *box) pcl(id mapi.MID) mapi.PCL {
	b.t.Helper()
	v, _ := b.prop(mid(id), mapi.PidTagPredecessorChangeList).(mapi.Binary)
	p, err := mapi.ParsePCL(v)
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

// TestImportInOrder: versions that know of the one before take its place with their own change key; what is known
// already changes nothing.
func TestImportInOrder(t *testing.T) {
	b := newBox(t, 0)
	st := b.create(&exmdb.CreateMessageRequest{Message: subjectEdit("first")})
	client := offline{guid: mapi.GUID{7}}
	v := client.edit(b.pcl(st.MID), b.now.Add(-time.Hour))
	b.brought(st.MID, v, subjectEdit("second"), exmdb.ImportApplied)
	id := mid(st.MID)
	if b.prop(id, mapi.PidTagSubject) != mapi.String("second") || string(b.prop(id, mapi.PidTagChangeKey).(mapi.Binary)) != string(v.ChangeKey) ||
		string(b.prop(id, mapi.PidTagPredecessorChangeList).(mapi.Binary)) != string(v.PCL) || b.prop(id, mapi.PidTagLastModificationTime) != mapi.FileTimeOf(v.Modified) {
		t.Fatal(b.props(id))
	}
	row := b.rowOf(st.MID)
	if row.CN <= st.CN {
		t.Fatalf("an imported version has no number of its own: %+v", row)
	}
	b.brought(st.MID, v, subjectEdit("second again"), exmdb.ImportIgnored)
	next := client.edit(b.pcl(st.MID), b.now)
	b.brought(st.MID, next, subjectEdit("third"), exmdb.ImportApplied)
	// A change of ours knows of all; then a client that has not seen it conflicts, one that has does not.
	before := b.pcl(st.MID)
	b.write(id, mapi.PidTagSubject, mapi.String("fourth"))
	after := b.pcl(st.MID)
	if after.Compare(before) != mapi.PCLNewer || len(after) != 2 {
		t.Fatalf("%v after %v", after, before)
	}
	if _, err := b.bring(st.MID, client.edit(before, b.now), subjectEdit("x"), true); cluster.KindOf(err) != exmdb.KindConflict {
		t.Fatalf("conflict is %v", err)
	}
	b.brought(st.MID, client.edit(after, b.now), subjectEdit("fifth"), exmdb.ImportApplied)
	if _, err := b.bring(st.MID, exmdb.ImportedVersion{ChangeKey: []byte("short"), PCL: nil}, subjectEdit("x"), false); cluster.KindOf(err) != cluster.KindBadRequest {
		t.Fatalf("a malformed change key: %v", err)
	}
}

// versions are the versions in a conflict resolve message, by subject.
func (b *box) versions(id mapi.MID) map[string]bool {
	b.t.Helper()
	found := map[string]bool{}
	for _, a := range call(b, exmdb.OpReadMessage, &exmdb.ReadMessageRequest{Object: mid(id), Nested: true}).Content.Attachments {
		if a.Props.Get(mapi.PidTagInConflict) == mapi.Boolean(true) {
			found[string(a.Embedded.Props.Get(mapi.PidTagSubject).(mapi.String))] = true
		}
	}
	return found
}

// TestTwoOfflineClients is row S6: both edit one item, and none of the two versions is lost.
func TestTwoOfflineClients(t *testing.T) {
	b := newBox(t, 0)
	st := b.create(&exmdb.CreateMessageRequest{Message: exmdb.MessageEdit{Set: bagOf(mapi.PidTagSubject, mapi.String("base")),
		Attachments: []exmdb.AttachmentEdit{{Number: 4, Set: bagOf(mapi.PidTagAttachDataBinary, mapi.Binary(make([]byte, 20_000)))}}}})
	base := b.pcl(st.MID)
	anna, bert := offline{guid: mapi.GUID{1}}, offline{guid: mapi.GUID{2}}
	fromAnna, fromBert := anna.edit(base, b.now.Add(2*time.Minute)), bert.edit(base, b.now.Add(time.Minute))
	b.brought(st.MID, fromAnna, subjectEdit("anna"), exmdb.ImportApplied)
	b.brought(st.MID, fromBert, subjectEdit("bert"), exmdb.ImportConflict)
	id := mid(st.MID)
	if b.prop(id, mapi.PidTagSubject) != mapi.String("anna") || b.prop(id, mapi.PidTagMessageStatus).(mapi.Integer32)&mapi.MessageStatusInConflict == 0 {
		t.Fatal(b.props(id))
	}
	if v := b.versions(st.MID); len(v) != 2 || !v["anna"] || !v["bert"] {
		t.Fatalf("%v", v)
	}
	merged := b.pcl(st.MID)
	for _, v := range []exmdb.ImportedVersion{fromAnna, fromBert} {
		p, err := mapi.ParsePCL(v.PCL)
		if err != nil || merged.Compare(p) != mapi.PCLNewer {
			t.Fatalf("%v does not follow %v", merged, p)
		}
	}
	// A third client joins in, then anna brings a version upon her own: it takes the place of hers alone.
	carl := offline{guid: mapi.GUID{3}}
	b.brought(st.MID, carl.edit(base, b.now.Add(3*time.Minute)), subjectEdit("carl"), exmdb.ImportConflict)
	hers, _ := mapi.ParsePCL(fromAnna.PCL)
	b.brought(st.MID, anna.edit(hers, b.now.Add(4*time.Minute)), subjectEdit("anna again"), exmdb.ImportConflict)
	if v := b.versions(st.MID); len(v) != 3 || !v["anna again"] || !v["bert"] || !v["carl"] || b.prop(id, mapi.PidTagSubject) != mapi.String("anna again") {
		t.Fatalf("%v", v)
	}
	// Whoever has seen all of it ends the conflict.
	b.brought(st.MID, bert.edit(b.pcl(st.MID), b.now), subjectEdit("peace"), exmdb.ImportApplied)
	if v := b.versions(st.MID); len(v) != 0 || b.prop(id, mapi.PidTagMessageStatus) != mapi.Integer32(0) || b.prop(id, mapi.PidTagSubject) != mapi.String("peace") {
		t.Fatalf("%v", v)
	}
	b.update(func(t *tx) error { return t.remove(st.MID) })
	b.checkEmpty()
}

// TestLastWriterWins: associated messages, and folders that say so, have no conflict messages.
func TestLastWriterWins(t *testing.T) {
	b := newBox(t, 0)
	b.write(exmdb.ObjectID{Folder: schema.Drafts}, mapi.PidTagResolveMethod, mapi.Integer32(1))
	for _, associated := range []bool{true, false} {
		folder := schema.Drafts
		if associated {
			folder = schema.Inbox
		}
		st := b.create(&exmdb.CreateMessageRequest{Folder: folder, Associated: associated, Message: subjectEdit("base")})
		base := b.pcl(st.MID)
		anna, bert := offline{guid: mapi.GUID{1}}, offline{guid: mapi.GUID{2}}
		at := b.now.Add(time.Minute)
		b.brought(st.MID, bert.edit(base, at), subjectEdit("bert"), exmdb.ImportApplied)
		b.brought(st.MID, anna.edit(base, at), subjectEdit("anna"), exmdb.ImportConflict)
		id := mid(st.MID)
		if b.prop(id, mapi.PidTagSubject) != mapi.String("bert") || len(b.versions(st.MID)) != 0 {
			t.Fatal(b.props(id)) // of one time the greater GUID wins
		}
		late := anna.edit(base, at.Add(time.Hour))
		b.now = b.now.Add(3 * time.Hour)
		b.brought(st.MID, late, subjectEdit("late"), exmdb.ImportConflict)
		if b.prop(id, mapi.PidTagSubject) != mapi.String("late") || len(b.pcl(st.MID)) != 3 {
			t.Fatal(b.props(id))
		}
		carl := offline{guid: mapi.GUID{3}}
		b.brought(st.MID, carl.edit(base, at.Add(2*time.Hour)), subjectEdit("later"), exmdb.ImportConflict)
		if b.prop(id, mapi.PidTagSubject) != mapi.String("later") {
			t.Fatal(b.props(id)) // written after the one that is there, though before that came
		}
	}
}

// TestImportsConverge: whichever order versions come in, the mailbox ends with one that knows of all, and with every
// version that no other knows of.
func TestImportsConverge(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 6))
	for range 20 {
		b := newBox(t, 0)
		st := b.create(&exmdb.CreateMessageRequest{Message: subjectEdit("base")})
		base := b.pcl(st.MID)
		var all []exmdb.ImportedVersion
		var tips []string
		for i := range 4 {
			c := offline{guid: mapi.GUID{byte(i + 1)}}
			pcl := base
			for j := range 1 + rng.IntN(3) {
				v := c.edit(pcl, b.now.Add(time.Duration(rng.IntN(1000))*time.Second))
				pcl, _ = mapi.ParsePCL(v.PCL)
				all = append(all, v)
				if j == 0 {
					tips = append(tips, "")
				}
				tips[i] = string(v.ChangeKey)
			}
		}
		rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for _, v := range all {
			if _, err := b.bring(st.MID, v, subjectEdit(string([]byte{'a' + v.ChangeKey[0], '0' + v.ChangeKey[len(v.ChangeKey)-1]})), false); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
		merged := b.pcl(st.MID)
		for _, v := range all {
			p, _ := mapi.ParsePCL(v.PCL)
			if !merged.Covers(p) {
				t.Fatalf("seed %d: %v is not in %v", seed, p, merged)
			}
		}
		found := b.versions(st.MID)
		for _, tip := range tips {
			if name := string([]byte{'a' + tip[0], '0' + tip[len(tip)-1]}); !found[name] {
				t.Fatalf("seed %d: version %s is lost, there are %v", seed, name, found)
			}
		}
		if len(found) != len(tips) {
			t.Fatalf("seed %d: %v for %d versions", seed, found, len(tips))
		}
	}
}

// TestImportNew: a message that a client made offline comes in with his id, change key and time, and his copy of it is
// known from then on.
func TestImportNew(t *testing.T) {
	b := newBox(t, 0)
	g := call(b, exmdb.OpLocalReplicaIDs, &exmdb.LocalReplicaIDsRequest{Count: 10})
	id := mapi.NewMID(mapi.LocalReplica, g.First)
	client := offline{guid: mapi.GUID{7}}
	v := client.edit(nil, b.now.Add(-time.Hour))
	b.update(func(t *tx) error {
		d, err := t.newDraft(schema.Inbox, &exmdb.Payload{})
		if err != nil {
			return err
		}
		version, err := readVersion(&v)
		if err != nil {
			return err
		}
		d.begin(schema.RowBits(0))
		if err := d.grantedMID(id); err != nil {
			return err
		}
		edit := subjectEdit("offline")
		return d.importNew(&edit, version)
	})
	bag := b.props(mid(id))
	if bag.Get(mapi.PidTagSubject) != mapi.String("offline") || string(bag.Get(mapi.PidTagChangeKey).(mapi.Binary)) != string(v.ChangeKey) ||
		bag.Get(mapi.PidTagLastModificationTime) != mapi.FileTimeOf(v.Modified) {
		t.Fatal(bag.All())
	}
	b.brought(id, v, subjectEdit("x"), exmdb.ImportIgnored)
	b.brought(id, client.edit(b.pcl(id), b.now), subjectEdit("y"), exmdb.ImportApplied)
}
