package store

import (
	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// creation is the one op that meets no mailbox.
func (s *Store) creation() Handler {
	op := exmdb.OpCreateMailbox.OpInfo
	return Handler{OpInfo: op, access: rightAdminister.access(), Run: func(w space.Writer, as *exmdb.Identity, b []byte) ([]byte, error) {
		var req exmdb.CreateMailboxRequest
		if err := decode(b, &req); err != nil {
			return nil, err
		}
		info, err := s.create(w, as, &req)
		if err != nil {
			return nil, opError(op, err)
		}
		return wire.Marshal(info), nil
	}}
}

func (s *Store) create(w space.Writer, as *exmdb.Identity, req *exmdb.CreateMailboxRequest) (*exmdb.MailboxInfo, error) {
	v := view{r: w, as: as, config: s.config, compiled: s.compiled}
	if err := v.hold(rightAdminister); err != nil {
		return nil, err
	}
	if req.Kind < exmdb.MailboxUser || req.Kind > exmdb.MailboxPublic {
		return nil, cluster.Errorf(cluster.KindBadRequest, "mailbox of kind %d", req.Kind)
	}
	if len(req.Language) > 64 {
		return nil, cluster.Errorf(cluster.KindBadRequest, "language tag of %d bytes", len(req.Language))
	}
	if b, err := w.Get(schema.HeaderKey()); err != nil || b != nil {
		if err == nil {
			err = cluster.Errorf(exmdb.KindMailboxExists, "mailbox exists")
		}
		return nil, err
	}
	t := &tx{view: v, w: w, now: w.Now(), counts: make(map[mapi.FID]*openCounts)}
	t.header = schema.Header{Kind: req.Kind, Owner: req.Owner, ReplicaGUID: mapi.NewGUID(), Signature: mapi.NewGUID(), Epoch: 1,
		Quota: req.Quota, Created: t.now, Language: req.Language}
	t.counters.Global, t.counters.Plain = schema.FirstCustom-1, true
	// A mailbox made again under an old address must not repeat a validity the client has seen there.
	t.counters.UIDValidity = uint32(t.now.Unix())
	t.set(schema.HeaderKey(), &t.header)
	t.set(schema.ReplicaKey(mapi.LocalReplica), &schema.Replica{GUID: t.header.ReplicaGUID})
	for i := range schema.FixedFolders {
		if f := &schema.FixedFolders[i]; f.In(req.Kind) {
			t.createFixed(f)
		}
	}
	return t.info(), t.end()
}

func (t *tx) createFixed(f *schema.FixedFolder) {
	t.addFolder(f.FID(), &schema.Folder{Parent: f.Parent, Name: f.NameIn(t.header.Language), Class: f.Class, SpecialUse: f.SpecialUse})
}

func (v *view) info() *exmdb.MailboxInfo {
	return &exmdb.MailboxInfo{Kind: v.header.Kind, Owner: v.header.Owner, ReplicaGUID: v.header.ReplicaGUID, Epoch: v.header.Epoch,
		Quota: v.header.Quota, Used: v.counters.Used, Messages: v.counters.Messages, Folders: v.counters.Folders,
		Stamp: v.counters.Stamp, Floor: v.counters.Floor, Sequence: v.r.Sequence(), Created: v.header.Created,
		QuotaWarn: v.warnLimit(), QuotaSend: v.sendLimit(), Retained: v.counters.Retained,
		PerUserRead: v.header.PerUserRead || v.header.Kind == exmdb.MailboxPublic}
}

func mailboxInfo(v *view, _ *exmdb.Empty) (*exmdb.MailboxInfo, error) {
	info := v.info()
	err := v.each(schema.PurgeKey(0), []byte{schema.PrefixPurge + 1}, schema.ParseFolderKey, func(mapi.FID, []byte) error {
		info.Purging++
		return nil
	})
	return info, err
}
