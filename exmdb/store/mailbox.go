package store

import (
	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// createMailbox makes the header and the fixed folders (MAILBOX 1).
func createMailbox(t *tx, q *exmdb.CreateMailboxRequest) (*exmdb.MailboxInfo, error) {
	if q.Kind < exmdb.MailboxUser || q.Kind > exmdb.MailboxPublic {
		return nil, cluster.Errorf(cluster.KindBadRequest, "mailbox kind %d", q.Kind)
	}
	t.header = schema.Header{Kind: q.Kind, Owner: q.Owner, ReplicaGUID: mapi.NewGUID(), Signature: mapi.NewGUID(),
		Epoch: 1, Quota: q.Quota, Created: t.w.Now(), Language: q.Language, Level: 1}
	t.w.Set(schema.HeaderKey(), wire.Marshal(&t.header))
	t.w.Set(schema.ReplicaKey(mapi.LocalReplica), wire.Marshal(&schema.Replica{GUID: t.header.ReplicaGUID}))
	t.counters.Global = schema.FirstCustom - 1
	for i := range schema.FixedFolders {
		if f := &schema.FixedFolders[i]; f.In(q.Kind) {
			t.putFolder(f.FID(), &schema.Folder{Parent: f.Parent, Name: f.Name, Class: f.Class, SpecialUse: f.SpecialUse})
		}
	}
	return t.info(), nil
}

func mailboxInfo(v *view, _ *exmdb.Empty) (*exmdb.MailboxInfo, error) { return v.info(), nil }

func (v *view) info() *exmdb.MailboxInfo {
	return &exmdb.MailboxInfo{Kind: v.header.Kind, Owner: v.header.Owner, ReplicaGUID: v.header.ReplicaGUID,
		Epoch: v.header.Epoch, Quota: v.header.Quota, Used: v.counters.Used, Messages: v.counters.Messages,
		Folders: v.counters.Folders, Stamp: v.counters.Stamp, Floor: v.counters.Floor, Sequence: v.r.Sequence(),
		Created: v.header.Created}
}

func setQuota(t *tx, q *exmdb.SetQuotaRequest) (*exmdb.Empty, error) {
	t.header.Quota = q.Quota
	t.w.Set(schema.HeaderKey(), wire.Marshal(&t.header))
	return &exmdb.Empty{}, nil
}

// admit refuses what would go over the quota (MAILBOX 3: PidTagMessageSize is what quotas count).
func (t *tx) admit(size uint64) error {
	if t.header.Quota != 0 && t.counters.Used+size > t.header.Quota {
		return cluster.Errorf(exmdb.KindOverQuota, "the mailbox is full: %d of %d bytes used", t.counters.Used, t.header.Quota)
	}
	return nil
}

// epochGap is how far counters are raised past anything that may have been given out (MAILBOX 2).
const epochGap = 1 << 20

// RaiseEpoch makes a mailbox that starts from an older state than it once acknowledged safe to use: identities and
// stamps it may have given out are never given out again, and clients' tokens are refused (MAILBOX 2).
func RaiseEpoch(w writer, recovery uint64) error {
	t := &tx{view: view{r: w, as: &exmdb.System}, w: w, counts: make(map[mapi.FID]*schema.FolderCounts)}
	if err := t.open(false); err != nil {
		return err
	}
	old := t.header.ReplicaGUID
	last := mapi.Stamp(t.counters.Global)
	t.counters.Global += epochGap
	t.counters.Stamp = mapi.Stamp(t.counters.Global)
	t.counters.Object += epochGap
	t.counters.Floor = t.counters.Stamp
	t.header.Epoch++
	t.header.EpochStart, t.header.Recovery, t.header.ReplicaGUID = t.counters.Stamp, recovery, mapi.NewGUID()
	w.Set(schema.ReplicaKey(mapi.ReplicaID(5+t.header.Epoch)), wire.Marshal(&schema.Replica{GUID: old, Last: last}))
	w.Set(schema.ReplicaKey(mapi.LocalReplica), wire.Marshal(&schema.Replica{GUID: t.header.ReplicaGUID}))
	w.Set(schema.HeaderKey(), wire.Marshal(&t.header))
	err := eachFolder(w, func(f mapi.FID, _ *schema.Folder) error {
		c, err := t.countsOf(f)
		if err == nil {
			c.UIDNext += epochGap
			c.ContentSeq = t.counters.Stamp
		}
		return err
	})
	if err != nil {
		return err
	}
	t.flush()
	return nil
}
