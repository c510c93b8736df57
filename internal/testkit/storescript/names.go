package storescript

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

var nameCommands = []command{
	{"names", 1, "names PREFIX [n=]: gives ids to names, or finds them", false, (*run).names},
	{"grants", 1, "grants N [size=]: ranges of local ids, of which no two overlap", false, (*run).grants},
	{"receive", -1, "receive CLASS [PATH]: where mail of a class comes in, or shall", false, (*run).receive},
	{"receivetable", 0, "receivetable", false, (*run).receiveTable},
}

// names makes names known, or asks for those that are. Of each name it holds that its id is what it was.
func (r *run) names() error {
	n, err := r.number("n", 1)
	if err != nil {
		return err
	}
	given := 0
	for i := 0; i < n; {
		q := &exmdb.NamesRequest{}
		for ; i < n && len(q.Names) < 2048; i++ {
			q.Names = append(q.Names, mapi.PropertyName{Set: mapi.PSPublicStrings, Kind: mapi.NameByString, Name: fmt.Sprintf("%s%d", r.cmd.words[0], i)})
		}
		resp, err := do(r, exmdb.OpNameProperties, q)
		if err != nil {
			r.say("ids for %s", plural(uint64(given), "name"))
			return err
		}
		for j, id := range resp.IDs {
			key := "name " + q.Names[j].Name
			if was, ok := r.marks[key]; ok && was != id || id < 0x8000 {
				return mistake("%s has id %#x, had %v", key, id, was)
			}
			r.marks[key] = id
		}
		given += len(q.Names)
	}
	r.say("ids for %s", plural(uint64(given), "name"))
	return nil
}

// grants takes ranges of local ids beside each other. All of a script's ranges in a mailbox are compared.
func (r *run) grants() error {
	n, err := number32(r.cmd.words[0])
	size, err2 := r.number("size", 10)
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	key := "grants " + r.cmd.box.id.String()
	all, _ := r.marks[key].([]mapi.GlobRange)
	var mu sync.Mutex
	var g errgroup.Group
	g.SetLimit(64)
	for range n {
		g.Go(func() error {
			resp, err := do(r, exmdb.OpLocalReplicaIDs, &exmdb.LocalReplicaIDsRequest{Count: uint32(size)})
			if err == nil {
				mu.Lock()
				all = append(all, mapi.GlobRange{Low: resp.First, High: resp.First + mapi.GlobalCounter(size) - 1})
				mu.Unlock()
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b mapi.GlobRange) int { return cmp.Compare(a.Low, b.Low) })
	for i := 1; i < len(all); i++ {
		if all[i].Low <= all[i-1].High {
			return mistake("ranges %v and %v overlap", all[i-1], all[i])
		}
	}
	r.marks[key] = all
	r.say("%d ranges, none overlaps", len(all))
	return nil
}

func (r *run) receive() error {
	class := r.cmd.words[0]
	if class == "*" {
		class = ""
	}
	if len(r.cmd.words) > 1 {
		q := &exmdb.SetReceiveFolderRequest{Class: class}
		if r.cmd.words[1] != "none" {
			var err error
			if q.Folder, err = r.folder(r.cmd.words[1]); err != nil {
				return err
			}
		}
		_, err := do(r, exmdb.OpSetReceiveFolder, q)
		return err
	}
	resp, err := do(r, exmdb.OpReceiveFolder, &exmdb.ReceiveFolderRequest{Class: class})
	if err == nil {
		err = r.sayReceive(resp)
	}
	return err
}

func (r *run) sayReceive(f *exmdb.ReceiveFolder) error {
	path, err := r.look().Path(r.cmd.ctx, f.Folder)
	r.say("%q comes into %s", f.Class, path)
	return err
}

func (r *run) receiveTable() error {
	resp, err := do(r, exmdb.OpReceiveFolders, &exmdb.Empty{})
	if err != nil {
		return err
	}
	for i := range resp.Rows {
		if err := r.sayReceive(&resp.Rows[i]); err != nil {
			return err
		}
	}
	return nil
}
