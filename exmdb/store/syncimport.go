package store

import (
	"slices"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// What a client brings may come twice, and in another order than what others bring: an import looks at what is there and
// at what was deleted, and does what is still to be done. A deletion stands against changes that do not know of it.

// maxImports bounds the objects that one request names.
const maxImports = 10_000

// keyCounter is the counter of an object of this mailbox, by its source key; false is another replica's. An id that was
// granted and lost with a restore would now be another object's (MAILBOX 2).
func (v *view) keyCounter(sourceKey []byte) (mapi.GlobalCounter, bool, error) {
	id, err := mapi.ParseGID(sourceKey)
	if err != nil {
		return 0, false, cluster.Errorf(cluster.KindBadRequest, "source key: %v", err)
	}
	list, err := v.reigns(mapi.Stamp(mapi.MaxGlobalCounter))
	if err != nil {
		return 0, false, err
	}
	for _, r := range list {
		if r.guid != id.Replica {
			continue
		}
		if id.Counter < r.from || id.Counter > r.to {
			return 0, false, cluster.Errorf(exmdb.KindStaleToken, "source key %#x is of before a restore", uint64(id.Counter))
		}
		return id.Counter, true, nil
	}
	return 0, false, nil
}

// importedMID is the MID of a message that a client brings.
func (v *view) importedMID(sourceKey []byte) (mapi.MID, error) {
	c, own, err := v.keyCounter(sourceKey)
	if err == nil && !own {
		err = cluster.Errorf(cluster.KindBadRequest, "source key of another replica")
	}
	return mapi.NewMID(mapi.LocalReplica, c), err
}

// deletedAmong are those of some counters that tombstones of a folder name; which says what of a tombstone. A tombstone of
// a number is newer than the number.
func (v *view) deletedAmong(fid mapi.FID, counters mapi.GLOBSET, which func(*schema.Tombstone) schema.Runs) (deleted mapi.GLOBSET, err error) {
	if counters.IsEmpty() {
		return deleted, nil
	}
	low := counters.Ranges()[0].Low
	it := v.r.Iter(schema.TombstoneKey(fid, mapi.Stamp(low)), schema.TombstoneKey(fid+1, 0))
	defer closing(it, &err)
	var found []mapi.GlobalCounter
	for it.Next() {
		var ts schema.Tombstone
		if err := schema.Decode(it.Value(), &ts); err != nil {
			return deleted, err
		}
		which(&ts).Each(func(n uint64) bool {
			if counters.Contains(mapi.GlobalCounter(n)) {
				found = append(found, mapi.GlobalCounter(n))
			}
			return true
		})
	}
	return mapi.GLOBSETOf(found), nil
}

func midsOf(ts *schema.Tombstone) schema.Runs    { return ts.MIDs }
func foldersOf(ts *schema.Tombstone) schema.Runs { return ts.Folders }

// notDeleted refuses what was deleted.
func (v *view) notDeleted(fid mapi.FID, c mapi.GlobalCounter, which func(*schema.Tombstone) schema.Runs) error {
	deleted, err := v.deletedAmong(fid, mapi.GLOBSETOf([]mapi.GlobalCounter{c}), which)
	if err == nil && !deleted.IsEmpty() {
		err = gone(c)
	}
	return err
}

func gone(c mapi.GlobalCounter) error {
	return cluster.Errorf(exmdb.KindObjectDeleted, "object %#x was deleted", uint64(c))
}

// toMember keeps what is wrong with a request from who has nothing to change in the mailbox.
func (v *view) toMember(err error) error { return orElse(v.hold(rightChange), err) }

// toImport is what an imported message needs: to edit the one that is there, else to make one.
func toImport(v *view, req *exmdb.ImportMessageRequest) (grant, error) {
	mid, err := v.importedMID(req.SourceKey)
	if err != nil {
		return grant{}, v.toMember(err)
	}
	fid, _, err := v.find(mid)
	switch {
	case err == nil && fid == req.Folder:
		return grant{}, v.onMessage(mid, toEdit)
	case err != nil && cluster.KindOf(err) != exmdb.KindNoMessage:
		return grant{}, err
	case req.Associated:
		return toOwn, nil
	}
	return toCreate, nil
}

// importMessage is OpImportMessage.
func importMessage(t *tx, req *exmdb.ImportMessageRequest) (*exmdb.ImportResponse, error) {
	v, err := readVersion(&req.Version)
	if err != nil {
		return nil, err
	}
	mid, err := t.importedMID(req.SourceKey)
	if err != nil {
		return nil, err
	}
	fid, m, err := t.find(mid)
	switch {
	case cluster.KindOf(err) == exmdb.KindNoMessage && err != nil:
		return t.importFirst(mid, v, req)
	case err != nil:
		return nil, err
	case fid != req.Folder:
		return nil, noMessage(mid)
	case m.associated() != req.Associated:
		return nil, cluster.Errorf(cluster.KindBadRequest, "message %#x is of the other kind", uint64(mid))
	}
	d, err := t.reopen(mid, &req.Payload)
	if err != nil {
		return nil, err
	}
	outcome, err := d.importOver(&req.Message, v, req.FailOnConflict)
	if err != nil {
		return nil, err
	}
	return d.imported(outcome)
}

// importFirst makes a message that the mailbox does not have, unless it was deleted.
func (t *tx) importFirst(mid mapi.MID, v *foreignVersion, req *exmdb.ImportMessageRequest) (*exmdb.ImportResponse, error) {
	if _, _, err := t.findDeleted(mid); err == nil {
		return nil, gone(mid.Counter())
	} else if cluster.KindOf(err) != exmdb.KindNoMessage {
		return nil, err
	}
	d, err := t.newDraft(req.Folder, &req.Payload)
	if err != nil {
		return nil, err
	}
	if err := t.notDeleted(req.Folder, mid.Counter(), midsOf); err != nil {
		return nil, err
	}
	kind := schema.RowBits(0)
	if req.Associated {
		kind = schema.RowAssociated
	}
	d.begin(kind)
	if err := d.grantedMID(mid); err != nil {
		return nil, err
	}
	if err := d.importNew(&req.Message, v); err != nil {
		return nil, err
	}
	return d.imported(exmdb.ImportApplied)
}

func (d *draft) imported(outcome exmdb.ImportOutcome) (*exmdb.ImportResponse, error) {
	resp, err := d.importedAs(outcome, d.fid, &d.after)
	if err == nil {
		resp.Problems = d.problems
	}
	return resp, err
}

// importedAs answers an import of a message.
func (t *tx) importedAs(outcome exmdb.ImportOutcome, fid mapi.FID, m *message) (*exmdb.ImportResponse, error) {
	resp := &exmdb.ImportResponse{Outcome: outcome}
	var err error
	if resp.State, err = t.state(fid, m); err != nil {
		return nil, err
	}
	if resp.Source, err = t.gid(m.row.MID.Counter()); err != nil {
		return nil, err
	}
	resp.Change, err = t.gid(mapi.GlobalCounter(m.row.CN))
	return resp, err
}

// importedMove is a move that a client brings.
type importedMove struct {
	source, target mapi.MID
	pcl            mapi.PCL
	key            mapi.XID
}

func (t *tx) readMove(req *exmdb.ImportMoveRequest) (*importedMove, error) {
	v, err := readVersion(&exmdb.ImportedVersion{ChangeKey: req.ChangeKey, PCL: req.PCL})
	if err != nil {
		return nil, err
	}
	m := &importedMove{key: v.changeKey}
	if m.pcl, err = mapi.ParsePCL(req.PCL); err != nil {
		return nil, cluster.Errorf(cluster.KindBadRequest, "predecessor change list: %v", err)
	}
	if m.source, err = t.importedMID(req.SourceKey); err != nil {
		return nil, err
	}
	m.target, err = t.importedMID(req.Target)
	if err == nil && (m.source == m.target || req.From == req.Folder) {
		err = cluster.Errorf(cluster.KindBadRequest, "a move to where it is")
	}
	return m, err
}

// importMove is OpImportMove.
func importMove(t *tx, req *exmdb.ImportMoveRequest) (*exmdb.ImportResponse, error) {
	move, err := t.readMove(req)
	if err != nil {
		return nil, err
	}
	s, err := t.newSet(req.From, nil, toRead, toDelete)
	if err != nil {
		return nil, err
	}
	s.into = req.Folder
	if _, err := t.edit(req.Folder); err != nil {
		return nil, err
	}
	fid, m, err := t.find(move.source)
	if cluster.KindOf(err) == exmdb.KindNoMessage && err != nil || err == nil && fid != req.From {
		return t.movedBefore(req.Folder, move)
	}
	if err != nil {
		return nil, err
	}
	if may, err := s.may(m); err != nil || !may {
		return nil, orElse(err, t.denied())
	}
	if err := t.freeMID(move.target); err != nil {
		return nil, err
	}
	if err := t.notDeleted(req.Folder, move.target.Counter(), midsOf); err != nil {
		return nil, err
	}
	outcome, err := s.carryAs(move, m)
	if err != nil {
		return nil, err
	}
	return t.importedAs(outcome, req.Folder, m)
}

// carryAs moves a message to where the set's are carried, under the number that a client gave it.
func (s *messageSet) carryAs(move *importedMove, m *message) (outcome exmdb.ImportOutcome, err error) {
	version, err := s.predecessors(versionOf(&m.row))
	if err != nil {
		return 0, err
	}
	var gone schema.Tombstone
	bury(&gone, m)
	s.take(s.fid, s.counts, m)
	own, err := s.reader(s.fid)
	if err != nil {
		return 0, err
	}
	told := own.readCN(&m.row)
	if err := s.takeSeen(s.fid, &m.row); err != nil {
		return 0, err
	}
	if outcome, err = s.versionMoved(&m.row, move, version); err != nil {
		return 0, err
	}
	target, err := s.edit(s.into)
	if err != nil {
		return 0, err
	}
	m.row.MID, m.row.Bits = move.target, m.row.Bits|schema.RowGrantedMID
	if m.uid, err = s.placeAs(s.into, target, &m.row); err != nil {
		return 0, err
	}
	carried := carriage{from: s.fid, to: s.into}
	carried.add(s.tx, move.source, &m.row)
	if err := s.moved(s.counts, gone, &carried); err != nil || told == 0 {
		return outcome, err
	}
	return outcome, s.tellRead(s.into, target, m)
}

// tellRead gives the read state of a message a stamp, though it is as it was. A client that has moved a message counts it
// as seen, and need not have known that it was read meanwhile.
func (t *tx) tellRead(fid mapi.FID, c *schema.FolderCounts, m *message) error {
	own, err := t.reader(fid)
	if err != nil {
		return err
	}
	if own != nil {
		return t.markRead(fid, own, &m.row, own.seen(&m.row), t.stamp())
	}
	t.touch(fid, c, m, schema.ChangeRead)
	return nil
}

// movedBefore answers for a message that is not where it was: this move was made before, or another was, or it was deleted.
func (t *tx) movedBefore(target mapi.FID, move *importedMove) (*exmdb.ImportResponse, error) {
	fid, m, err := t.find(move.target)
	switch {
	case err != nil && cluster.KindOf(err) != exmdb.KindNoMessage:
		return nil, err
	case err != nil || fid != target:
		return nil, gone(move.source.Counter())
	}
	if known, err := t.mayOn(fid, m, toRead); err != nil || !known {
		return nil, orElse(err, gone(move.source.Counter()))
	}
	return t.importedAs(exmdb.ImportIgnored, fid, m)
}

// versionMoved gives a message that a client moved its version. What the client does not have yet is made one with his move,
// and he is to fetch it. Where he has more himself, the version stays as it was, so that what he brings next is upon it.
func (t *tx) versionMoved(row *schema.Row, move *importedMove, version mapi.PCL) (exmdb.ImportOutcome, error) {
	switch version.Compare(move.pcl) {
	case mapi.PCLEqual:
		row.ChangeKey, row.PCL = move.key.Append(nil), version.Add(move.key).Append(nil)
		return exmdb.ImportApplied, nil
	case mapi.PCLNewer:
		row.ChangeKey, row.PCL = nil, version.Add(move.key).Append(nil)
		return exmdb.ImportConflict, nil
	}
	key, err := t.changeKey(versionOf(row))
	row.ChangeKey, row.PCL = slices.Clone(key), version.Append(nil)
	return exmdb.ImportClientNewer, err
}

// importReadStates is OpImportReadStates.
func importReadStates(t *tx, req *exmdb.ImportReadStatesRequest) (*exmdb.ImportReadStatesResponse, error) {
	if len(req.Changes) > maxImports {
		return nil, cluster.Errorf(cluster.KindBadRequest, "%d messages at once, %d at most", len(req.Changes), maxImports)
	}
	wanted := make(map[mapi.MID]bool, len(req.Changes))
	mids := make([]mapi.MID, len(req.Changes))
	for i := range req.Changes {
		c, own, err := t.keyCounter(req.Changes[i].SourceKey)
		if err != nil {
			return nil, err
		}
		if own {
			mids[i] = mapi.NewMID(mapi.LocalReplica, c)
		}
		wanted[mids[i]] = req.Changes[i].Read
	}
	seen := exmdb.Flags{Bits: exmdb.FlagSeen}
	s, err := t.newSet(req.Folder, mids, t.flagGrants(exmdb.FlagsAdd, seen)...)
	if err != nil {
		return nil, err
	}
	own, err := t.reader(req.Folder)
	if err != nil {
		return nil, err
	}
	resp := &exmdb.ImportReadStatesResponse{}
	var changes []mapi.GID
	err = s.each(mids, func(m *message) error {
		setter := flagSetter{tx: t, req: &exmdb.SetFlagsRequest{Folder: req.Folder}, counts: s.counts, want: wanted1(wanted[m.row.MID]), own: own}
		if err := setter.one(m); err != nil || setter.resp.Changed == 0 {
			return err
		}
		id, err := t.gid(mapi.GlobalCounter(setter.resp.Last))
		changes = append(changes, id)
		return err
	})
	resp.Changes, resp.Next, resp.Denied = mapi.IDSETOfIDs(changes), s.next, s.passedOver
	return resp, err
}

// wanted1 is the change of flags that makes a message read, or not.
func wanted1(read bool) wanted {
	mode := exmdb.FlagsRemove
	if read {
		mode = exmdb.FlagsAdd
	}
	return wanted{mode: mode, bits: exmdb.FlagSeen}
}
