package store

import (
	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// dueWork is a row of the table of work at a time (CLUSTER 2.2). It runs as the system, and does nothing where what it
// was for is gone.
type dueWork struct {
	op  uint16
	run func(t *tx, key []byte) error
}

var dueWorks = []dueWork{
	{DuePurge, ofFolder((*tx).purgeStep)},
	{DueAgeOut, ofFolder((*tx).ageOut)},
	{DueFolderOver, ofFolder((*tx).endFolder)},
	{DueCopyOver, (*tx).forgetCopy},
	{DueQuotaWarning, (*tx).warnOfQuota},
	{DueSend, (*tx).dueSend},
	{DueConversation, (*tx).conversationStep},
}

// ofFolder is work whose key is the counter of a folder.
func ofFolder(run func(*tx, mapi.FID) error) func(*tx, []byte) error {
	return func(t *tx, key []byte) error {
		counter, err := schema.ParseCounter(key)
		if err != nil {
			return err
		}
		return run(t, mapi.LocalFID(counter))
	}
}

// PerformDue does one work at a time inside the update that has taken d out of the due index.
func (s *Store) PerformDue(w space.Writer, d space.Due) error {
	var h schema.Header
	if _, err := load(w, schema.HeaderKey(), &h); err != nil {
		return err
	}
	if !h.Deleted.IsZero() {
		if d.Op != DuePurgeMailbox {
			return nil
		}
		_, err := purgeMailbox(w)
		return err
	}
	for i := range dueWorks {
		if dueWorks[i].op != d.Op {
			continue
		}
		t, err := s.begin(w, &exmdb.System, rightAdminister)
		if err != nil {
			return err
		}
		if err := dueWorks[i].run(t, d.Key); err != nil {
			return err
		}
		return t.end()
	}
	return cluster.Errorf(cluster.KindInternal, "no work of number %d", d.Op)
}

// purgeStep is DuePurge.
func (t *tx) purgeStep(fid mapi.FID) error {
	var p schema.Purge
	found, err := load(t.r, schema.PurgeKey(fid), &p)
	if err != nil || !found {
		return err
	}
	done, err := t.purge(fid, p)
	if err == nil && !done {
		t.w.Schedule(purgeDue(t, fid))
	}
	return err
}
