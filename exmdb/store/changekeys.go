package store

import (
	"cmp"
	"slices"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// replicaRow is a row of the table of replicas.
type replicaRow struct {
	id mapi.ReplicaID
	schema.Replica
}

// replicaTable is the table of replicas (MAILBOX 1) as one op reads it.
type replicaTable struct {
	rows []replicaRow // ascending by id
	// former are the GUIDs that this mailbox had in epochs before, by the last stamp given under them.
	former []replicaRow
}

func (v *view) replicas() (*replicaTable, error) {
	if v.replicaRows != nil {
		return v.replicaRows, nil
	}
	table := &replicaTable{}
	it := v.r.Iter(schema.ReplicaKey(0), []byte{schema.PrefixReplica + 1})
	var err error
	for it.Next() && err == nil {
		row := replicaRow{}
		if row.id, err = schema.ParseReplicaKey(it.Key()); err == nil {
			err = schema.Decode(it.Value(), &row.Replica)
		}
		table.rows = append(table.rows, row)
		if row.Last != 0 {
			table.former = append(table.former, row)
		}
	}
	if cerr := it.Close(); err == nil {
		err = cerr
	}
	slices.SortFunc(table.former, func(a, b replicaRow) int { return cmp.Compare(a.Last, b.Last) })
	v.replicaRows = table
	return table, err
}

// before are the replicas that ruled before a stamp was given, and the one that gave it. A stamp of one epoch lies
// above all of the epochs before (MAILBOX 2).
func (rt *replicaTable) before(now mapi.GUID, s mapi.Stamp) (past []replicaRow, ruler mapi.GUID) {
	i, _ := slices.BinarySearchFunc(rt.former, s, func(r replicaRow, s mapi.Stamp) int { return cmp.Compare(r.Last, s) })
	if i < len(rt.former) {
		return rt.former[:i], rt.former[i].GUID
	}
	return rt.former, now
}

// version is what change key and predecessor change list are made of: a stamp of ours, and what foreign clients left.
type version struct {
	cn             mapi.Stamp
	changeKey, pcl []byte
}

func versionOf(row *schema.Row) version { return version{row.CN, row.ChangeKey, row.PCL} }

// gid names an object or change of this mailbox to all others.
func (v *view) gid(c mapi.GlobalCounter) (mapi.GID, error) {
	table, err := v.replicas()
	if err != nil {
		return mapi.GID{}, err
	}
	_, ruler := table.before(v.header.ReplicaGUID, mapi.Stamp(c))
	return mapi.GID{Replica: ruler, Counter: c}, nil
}

// changeKey is PidTagChangeKey: the foreign client's while the last change is his, else that of cn.
func (v *view) changeKey(of version) ([]byte, error) {
	if len(of.changeKey) > 0 {
		return of.changeKey, nil
	}
	g, err := v.gid(mapi.GlobalCounter(of.cn))
	return g.Append(nil), err
}

// predecessors is PidTagPredecessorChangeList. Of this mailbox's own changes only the last of each epoch is in it: one
// replica's later change is made on top of its earlier ones. Under a foreign change key the list is what came with it,
// because our own cn is then no change of the object.
func (v *view) predecessors(of version) (mapi.PCL, error) {
	list, err := mapi.ParsePCL(of.pcl)
	if err != nil {
		return nil, cluster.Errorf(cluster.KindDamaged, "stored predecessor change list: %v", err)
	}
	if len(of.changeKey) > 0 {
		return list, nil
	}
	table, err := v.replicas()
	if err != nil {
		return nil, err
	}
	past, ruler := table.before(v.header.ReplicaGUID, of.cn)
	for i := range past {
		list = list.Add(mapi.ChangeKey(past[i].GUID, past[i].Last))
	}
	return list.Add(mapi.ChangeKey(ruler, of.cn)), nil
}
