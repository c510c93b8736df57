package storescript

import (
	"errors"
	"fmt"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcfxics"
)

var perUserCommands = []command{
	{"readset", 2, "readset PATH NAME: remembers what was read of a public folder, as change numbers", false, (*run).readSet},
	{"setread", 2, "setread PATH NAME: that is what was read", false, (*run).setRead},
	{"keepset", 1, "keepset NAME [forget=yes]: a user's mailbox keeps what was read of the public folder", false, (*run).keepSet},
	{"keptset", 1, "keptset NAME: whether it has that, and of how many folders it has something of that replica", false, (*run).keptSet},
}

// knownSet is what was read of a folder.
type knownSet struct {
	folder mapi.GID
	known  exmdb.PerUserResponse
}

func (r *run) setOf(name string) (knownSet, error) {
	s, ok := r.marks[name].(knownSet)
	if !ok {
		return s, mistake("no set %q", name)
	}
	return s, nil
}

// acrossMailboxes is a folder's identifier there.
func (r *run) acrossMailboxes(path string) (mapi.GID, error) {
	fid, err := r.folder(path)
	if err != nil {
		return mapi.GID{}, err
	}
	resp, err := do(r, exmdb.OpLongTermIDs, &exmdb.LongTermIDsRequest{IDs: []uint64{uint64(fid)}})
	if err != nil {
		return mapi.GID{}, err
	}
	return resp.GIDs[0], nil
}

func (r *run) readSet() error {
	id, err := r.acrossMailboxes(r.cmd.words[0])
	if err != nil {
		return err
	}
	resp, err := do(r, exmdb.OpPerUser, &exmdb.PerUserRequest{Folder: id})
	if err != nil {
		return err
	}
	set, err := oxcfxics.ParseIDSET(resp.Data)
	if err != nil {
		return fmt.Errorf("what was read: %w", err)
	}
	r.marks[r.cmd.words[1]] = knownSet{id, *resp}
	r.say("%s read", plural(set.Len(), "message"))
	return nil
}

func (r *run) setRead() error {
	id, err := r.acrossMailboxes(r.cmd.words[0])
	s, err2 := r.setOf(r.cmd.words[1])
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	q, n := &exmdb.WritePerUserRequest{Folder: id, Data: s.known.Data}, uint64(0)
	err = steps(r, exmdb.OpWritePerUser, q, func(resp *exmdb.WritePerUserResponse) bool {
		n += uint64(resp.Changed)
		q.From = resp.Next
		return resp.Next > 0
	})
	if err == nil {
		r.say("%s changed", plural(n, "message"))
	}
	return err
}

func (r *run) keepSet() error {
	s, err := r.setOf(r.cmd.words[0])
	if err != nil {
		return err
	}
	q := &exmdb.WritePerUserRequest{Folder: s.folder, Replica: s.known.Replica, Data: s.known.Data}
	if r.cmd.is("forget") {
		q.Data = nil
	}
	_, err = do(r, exmdb.OpWritePerUser, q)
	return err
}

func (r *run) keptSet() error {
	s, err := r.setOf(r.cmd.words[0])
	if err != nil {
		return err
	}
	resp, err := do(r, exmdb.OpPerUser, &exmdb.PerUserRequest{Folder: s.folder})
	if err != nil {
		return err
	}
	all, err := do(r, exmdb.OpPerUserFolders, &exmdb.PerUserFoldersRequest{Replica: s.known.Replica})
	if err != nil {
		return err
	}
	what := "nothing"
	switch {
	case resp.Replica.IsZero():
	case resp.Replica == s.known.Replica && string(resp.Data) == string(s.known.Data):
		what = "the same"
	default:
		what = "something else"
	}
	r.say("%s; %s", what, plural(uint64(len(all.Folders)), "folder"))
	return nil
}
