package store

import (
	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

const (
	// maxReplicas bounds the GUIDs of foreign replicas that a mailbox has replica ids for.
	maxReplicas = 4096
	// maxIDsAsked bounds the ids of one request.
	maxIDsAsked = 4096
)

// localReplicaIDs is OpLocalReplicaIDs: the range comes out of the one counter, so nothing else ever gets a number of
// it (MAILBOX 1).
func localReplicaIDs(t *tx, req *exmdb.LocalReplicaIDsRequest) (*exmdb.LocalReplicaIDsResponse, error) {
	if req.Count == 0 || req.Count > exmdb.MaxLocalReplicaIDs {
		return nil, cluster.Errorf(cluster.KindBadRequest, "%d ids asked for, %d at most", req.Count, exmdb.MaxLocalReplicaIDs)
	}
	if t.counters.Global > mapi.MaxGlobalCounter-2*exmdb.MaxLocalReplicaIDs {
		return nil, cluster.Errorf(cluster.KindTooLarge, "the counter of the mailbox is used up")
	}
	resp := &exmdb.LocalReplicaIDsResponse{Replica: t.header.ReplicaGUID, First: t.counters.Global + 1}
	t.counters.Global += mapi.GlobalCounter(req.Count)
	return resp, nil
}

// longTermIDs is OpLongTermIDs. An own id is that of the replica GUID that ruled when it was drawn, so that a restore
// does not rename what it kept (MAILBOX 2).
func longTermIDs(v *view, req *exmdb.LongTermIDsRequest) (*exmdb.LongTermIDsResponse, error) {
	if len(req.IDs) > maxIDsAsked {
		return nil, cluster.Errorf(cluster.KindBadRequest, "%d ids at once, %d at most", len(req.IDs), maxIDsAsked)
	}
	table, err := v.replicas()
	if err != nil {
		return nil, err
	}
	resp := &exmdb.LongTermIDsResponse{GIDs: make([]mapi.GID, len(req.IDs))}
	for i, id := range req.IDs {
		fid := mapi.FID(id)
		if fid.Replica() == mapi.LocalReplica {
			if resp.GIDs[i], err = v.gid(fid.Counter()); err != nil {
				return nil, err
			}
			continue
		}
		for _, row := range table.rows {
			if row.id == fid.Replica() {
				resp.GIDs[i] = mapi.GID{Replica: row.GUID, Counter: fid.Counter()}
			}
		}
	}
	return resp, nil
}

// shortTermIDs is OpShortTermIDs. GUIDs of this mailbox, of whatever epoch, are the local replica.
func shortTermIDs(t *tx, req *exmdb.ShortTermIDsRequest) (*exmdb.ShortTermIDsResponse, error) {
	if len(req.GIDs) > maxIDsAsked {
		return nil, cluster.Errorf(cluster.KindBadRequest, "%d ids at once, %d at most", len(req.GIDs), maxIDsAsked)
	}
	resp := &exmdb.ShortTermIDsResponse{IDs: make([]uint64, len(req.GIDs))}
	for i, g := range req.GIDs {
		if g.Replica.IsZero() || g.Counter > mapi.MaxGlobalCounter {
			return nil, cluster.Errorf(cluster.KindBadRequest, "identifier %d is none", i)
		}
		id, err := t.replicaID(g.Replica)
		if err != nil {
			return nil, err
		}
		resp.IDs[i] = uint64(mapi.NewFID(id, g.Counter))
	}
	return resp, nil
}

// replicaID is the replica id of a GUID, a new one if the mailbox has not met it.
func (t *tx) replicaID(g mapi.GUID) (mapi.ReplicaID, error) {
	table, err := t.replicas()
	if err != nil {
		return 0, err
	}
	for _, row := range table.rows {
		switch {
		case row.GUID != g:
		case row.Last != 0:
			return mapi.LocalReplica, nil
		default:
			return row.id, nil
		}
	}
	if len(table.rows) >= maxReplicas {
		return 0, cluster.Errorf(cluster.KindTooLarge, "the mailbox knows %d replicas", len(table.rows))
	}
	id, err := t.freeReplica()
	if err != nil {
		return 0, err
	}
	row := replicaRow{id, schema.Replica{GUID: g}}
	t.set(schema.ReplicaKey(id), &row.Replica)
	table.rows = append(table.rows, row)
	return id, nil
}
