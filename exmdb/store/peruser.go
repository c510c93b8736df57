package store

import (
	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcfxics"
)

// publicFolder is the folder of this mailbox that an identifier names.
func (v *view) publicFolder(id mapi.GID) (mapi.FID, error) {
	c, err := v.ownCounter(id)
	if err != nil {
		return 0, err
	}
	_, err = v.folderCounts(mapi.LocalFID(c))
	return mapi.LocalFID(c), err
}

// readPerUser is OpPerUser.
func readPerUser(v *view, req *exmdb.PerUserRequest) (*exmdb.PerUserResponse, error) {
	if v.header.Kind == exmdb.MailboxPublic {
		return v.readSet(req.Folder)
	}
	var known schema.PerUser
	_, err := load(v.r, schema.PerUserKey(req.Folder), &known)
	return &exmdb.PerUserResponse{Data: known.Data, Replica: known.Replica}, err
}

// readSet is what the caller has read of a folder here.
func (v *view) readSet(id mapi.GID) (*exmdb.PerUserResponse, error) {
	fid, err := v.publicFolder(id)
	if err != nil {
		return nil, err
	}
	own, err := v.reader(fid)
	if err != nil {
		return nil, err
	}
	var read []mapi.GID
	var failed error
	err = v.everyRow(fid, func(row *schema.Row) {
		if !own.seen(row) || !v.shows(fid, row) || failed != nil {
			return
		}
		cn, err := v.gid(mapi.GlobalCounter(row.CN))
		failed = err
		read = append(read, cn)
	})
	if err = orElse(err, failed); err != nil {
		return nil, err
	}
	data := oxcfxics.AppendIDSET(nil, mapi.IDSETOfIDs(read))
	if len(data) > exmdb.MaxPerUser {
		return nil, cluster.Errorf(cluster.KindTooLarge, "what was read of folder %#x is a set of %d bytes", uint64(fid), len(data))
	}
	return &exmdb.PerUserResponse{Data: data, Replica: v.header.ReplicaGUID}, nil
}

// writePerUser is OpWritePerUser.
func writePerUser(t *tx, req *exmdb.WritePerUserRequest) (*exmdb.WritePerUserResponse, error) {
	if len(req.Data) > exmdb.MaxPerUser {
		return nil, cluster.Errorf(cluster.KindTooLarge, "per-user information of %d bytes", len(req.Data))
	}
	read, err := oxcfxics.ParseIDSET(req.Data)
	if err != nil {
		return nil, cluster.Errorf(cluster.KindBadRequest, "per-user information: %v", err)
	}
	if t.header.Kind == exmdb.MailboxPublic {
		return t.setRead(req, read)
	}
	key := schema.PerUserKey(req.Folder)
	if len(req.Data) == 0 {
		t.w.Delete(key)
		return &exmdb.WritePerUserResponse{}, nil
	}
	if req.Replica.IsZero() {
		return nil, cluster.Errorf(cluster.KindBadRequest, "per-user information of no replica")
	}
	if len(req.Data) > exmdb.MaxPerUserKept {
		return nil, cluster.Errorf(cluster.KindTooLarge, "per-user information of %d bytes, %d at most", len(req.Data), exmdb.MaxPerUserKept)
	}
	if err := t.roomForPerUser(key); err != nil {
		return nil, err
	}
	t.set(key, &schema.PerUser{Replica: req.Replica, Data: req.Data})
	return &exmdb.WritePerUserResponse{}, nil
}

// roomForPerUser refuses information on one more folder than the mailbox keeps.
func (t *tx) roomForPerUser(key []byte) error {
	there, err := t.r.Get(key)
	if err != nil || there != nil {
		return err
	}
	n := 0
	err = t.everyPerUser(func(mapi.GID, *schema.PerUser) { n++ })
	if err == nil && n >= exmdb.MaxPerUserFolders {
		err = cluster.Errorf(cluster.KindTooLarge, "per-user information on %d folders", n)
	}
	return err
}

func (v *view) everyPerUser(fn func(folder mapi.GID, known *schema.PerUser)) (err error) {
	it := v.r.Iter([]byte{schema.PrefixPerUser}, []byte{schema.PrefixPerUser + 1})
	defer closing(it, &err)
	for it.Next() {
		id, err := schema.ParsePerUserKey(it.Key())
		if err != nil {
			return err
		}
		var known schema.PerUser
		if err := schema.Decode(it.Value(), &known); err != nil {
			return err
		}
		fn(id, &known)
	}
	return nil
}

// perUserFolders is OpPerUserFolders.
func perUserFolders(v *view, req *exmdb.PerUserFoldersRequest) (*exmdb.PerUserFoldersResponse, error) {
	resp := &exmdb.PerUserFoldersResponse{}
	return resp, v.everyPerUser(func(folder mapi.GID, known *schema.PerUser) {
		if known.Replica == req.Replica {
			resp.Folders = append(resp.Folders, folder)
		}
	})
}

// setRead has the caller have read of a folder what a set says, and nothing else, a bounded step at a time. Whose read state is
// nobody's own has none to be set.
func (t *tx) setRead(req *exmdb.WritePerUserRequest, read mapi.IDSET) (*exmdb.WritePerUserResponse, error) {
	fid, err := t.publicFolder(req.Folder)
	if err != nil {
		return nil, err
	}
	own, err := t.reader(fid)
	if err != nil || own == nil {
		return nil, orElse(err, t.denied())
	}
	resp, step := &exmdb.WritePerUserResponse{}, t.measure(toMark)
	for ranges := []exmdb.UIDRange{{First: max(req.From, 1), Last: schema.EndOfUIDs - 1}}; ranges != nil; {
		var found []message
		if found, ranges, err = t.collect(fid, ranges, collectLimit{messages: batchMessages}); err != nil {
			return nil, err
		}
		for i := range found {
			m := &found[i]
			if resp.Changed == stepFlags || step.full() {
				resp.Next = m.uid
				return resp, nil
			}
			cn, err := t.gid(mapi.GlobalCounter(m.row.CN))
			if err != nil {
				return nil, err
			}
			if is := read.Contains(cn); is != own.seen(&m.row) {
				resp.Changed++
				if err := t.markRead(fid, own, &m.row, is, t.stamp()); err != nil {
					return nil, err
				}
			}
		}
	}
	return resp, nil
}
