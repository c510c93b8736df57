package inspect

import (
	"context"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Changes is what has moved in a mailbox, or in one folder, since a stamp.
type Changes struct {
	Since   mapi.Stamp     `json:"since"`
	Stamp   mapi.Stamp     `json:"stamp"`
	Folders []FolderChange `json:"folders"`
}

// FolderChange is a folder with what has moved in it: its own properties, where Own says so, messages and what is gone.
type FolderChange struct {
	ID       ID         `json:"id"`
	Path     string     `json:"path"`
	CN       mapi.Stamp `json:"cn"`
	Own      bool       `json:"own"`
	Messages []Changed  `json:"messages"`
	// Vanished are first and last of ranges of UIDs.
	Vanished [][2]mapi.UID `json:"vanished"`
	// More says that there is more: to be asked for with the folder and Next as the stamp.
	More bool       `json:"more"`
	Next mapi.Stamp `json:"next"`
}

// Changed is a message that is new, or that something has changed of that IMAP shows.
type Changed struct {
	ID     ID         `json:"id"`
	UID    mapi.UID   `json:"uid"`
	ModSeq mapi.Stamp `json:"modseq"`
	Flags  []string   `json:"flags"`
}

func (m *Mailbox) changes(ctx context.Context, q *Query) (*Changes, error) {
	info, err := do(ctx, m, exmdb.OpMailboxInfo, &exmdb.Empty{})
	if err != nil {
		return nil, err
	}
	if mapi.Stamp(q.Since) > info.Stamp {
		return nil, cluster.Errorf(cluster.KindBadRequest, "stamp %d is none of this mailbox, which is at %d", q.Since, info.Stamp)
	}
	t, only, err := m.folder(ctx, q.Folder, 0)
	if err != nil {
		return nil, err
	}
	out := &Changes{Since: mapi.Stamp(q.Since), Stamp: info.Stamp, Folders: []FolderChange{}}
	for i := range t.list {
		f := &t.list[i]
		if only != 0 && f.FID != only || only == 0 && f.CN <= out.Since && f.ContentSeq <= out.Since {
			continue
		}
		c, err := m.folderChanges(ctx, q, f.FID)
		if err != nil {
			return nil, err
		}
		c.Path = t.path(f.FID)
		if only != 0 || c.Own || len(c.Messages) > 0 || len(c.Vanished) > 0 {
			out.Folders = append(out.Folders, *c)
		}
	}
	if only != 0 && len(out.Folders) == 0 {
		return nil, cluster.Errorf(cluster.KindBadRequest, "the root has no messages: name a folder below it")
	}
	return out, nil
}

func (m *Mailbox) folderChanges(ctx context.Context, q *Query, fid mapi.FID) (*FolderChange, error) {
	resp, err := do(ctx, m, exmdb.OpChanges, &exmdb.ChangesRequest{Folder: fid, Since: mapi.Stamp(q.Since),
		Fields: exmdb.RowFlags | exmdb.RowMeta, Limit: uint32(q.limit())})
	if err != nil {
		return nil, err
	}
	c := &FolderChange{ID: ID(fid), CN: resp.Folder.CN, Own: resp.Folder.CN > mapi.Stamp(q.Since), Messages: []Changed{},
		Vanished: [][2]mapi.UID{}, More: resp.More, Next: resp.Stamp}
	for i := range resp.Rows {
		r := &resp.Rows[i]
		c.Messages = append(c.Messages, Changed{ID: ID(r.MID), UID: r.UID, ModSeq: r.ModSeq, Flags: flagNames(r.Flags)})
	}
	for _, v := range resp.Vanished {
		c.Vanished = append(c.Vanished, [2]mapi.UID{v.First, v.Last})
	}
	return c, nil
}
