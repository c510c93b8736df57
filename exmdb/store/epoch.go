package store

import (
	"math"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

const (
	// epochStep is how far every counter is raised: beyond whatever was given out after the state that came back.
	epochStep = 1 << 20
	// firstFormerReplica is the first replica id of earlier GUIDs; ids below are reserved.
	firstFormerReplica mapi.ReplicaID = 6
)

// RaiseEpoch makes a mailbox that starts from an older state than was acknowledged safe to use (MAILBOX 2): clients
// that saw the lost part are told to start anew, and no number they saw is given out again. recovery is the
// group's recovery epoch (CLUSTER 7.3).
func RaiseEpoch(w space.Writer, recovery uint64) error {
	t, err := New(Defaults()).begin(w, &exmdb.System, rightAdminister)
	if err != nil {
		return err
	}
	if t.counters.Global > mapi.MaxGlobalCounter-2*epochStep || t.counters.UIDValidity > math.MaxUint32-2*epochStep {
		return cluster.Errorf(cluster.KindTooLarge, "a counter of the mailbox is used up")
	}
	former, err := t.freeReplica()
	if err != nil {
		return err
	}
	t.set(schema.ReplicaKey(former), &schema.Replica{GUID: t.header.ReplicaGUID, Last: mapi.Stamp(t.counters.Global)})
	t.counters.Global += epochStep
	t.counters.Stamp = mapi.Stamp(t.counters.Global)
	t.counters.Object += epochStep
	t.counters.UIDValidity += epochStep // of folders that were made and lost; that of the others stays
	t.header.Epoch++
	t.header.EpochStart = mapi.Stamp(t.counters.Global)
	t.header.ReplicaGUID = mapi.NewGUID()
	t.header.Recovery = recovery
	t.set(schema.HeaderKey(), &t.header)
	t.set(schema.ReplicaKey(mapi.LocalReplica), &schema.Replica{GUID: t.header.ReplicaGUID})
	t.counters.Floor = t.header.EpochStart
	if err := t.raiseFolders(); err != nil {
		return err
	}
	return t.end()
}

// raiseFolders moves every folder's UIDNEXT and HIGHESTMODSEQ beyond what was lost. UIDVALIDITY stays.
func (t *tx) raiseFolders() error {
	seq := t.stamp()
	var fids []mapi.FID
	err := t.each([]byte{schema.PrefixFolderCounts}, []byte{schema.PrefixFolderCounts + 1}, schema.ParseFolderKey,
		func(fid mapi.FID, _ []byte) error {
			fids = append(fids, fid)
			return nil
		})
	if err != nil {
		return err
	}
	for _, fid := range fids {
		c, err := t.edit(fid)
		if err != nil {
			return err
		}
		c.UIDNext = mapi.UID(min(uint64(c.UIDNext)+epochStep, schema.EndOfUIDs-1))
		c.ContentSeq = seq
	}
	return nil
}

func (t *tx) freeReplica() (mapi.ReplicaID, error) {
	for id := firstFormerReplica; id != 0; id++ {
		b, err := t.r.Get(schema.ReplicaKey(id))
		if err != nil || b == nil {
			return id, err
		}
	}
	return 0, cluster.Errorf(cluster.KindTooLarge, "the replica table is full")
}
