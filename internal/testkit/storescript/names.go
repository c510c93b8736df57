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
	{"known", 1, "known PREFIX [n=]: how many of the names have ids", false, (*run).knownNames},
	{"ids", -1, "ids PATH|MESSAGE…: they come back through the identifiers that hold across mailboxes, and so do others'", false, (*run).longTermIDs},
	{"grants", 1, "grants N [size=]: ranges of local ids, of which no two overlap", false, (*run).grants},
	{"receive", -1, "receive CLASS [PATH]: where mail of a class comes in, or shall", false, (*run).receive},
	{"receivetable", 0, "receivetable", false, (*run).receiveTable},
}

func (r *run) nameOf(i int) mapi.PropertyName {
	return mapi.PropertyName{Set: mapi.PSPublicStrings, Kind: mapi.NameByString, Name: fmt.Sprintf("%s%d", r.cmd.words[0], i)}
}

// knownNames gives no ids. One that is there is what it was.
func (r *run) knownNames() error {
	n, err := r.number("n", 1)
	if err != nil {
		return err
	}
	q := &exmdb.NamesRequest{}
	for i := range n {
		q.Names = append(q.Names, r.nameOf(i))
	}
	resp, err := do(r, exmdb.OpPropertyIDs, q)
	if err != nil {
		return err
	}
	known := 0
	for i, id := range resp.IDs {
		if was, ok := r.marks["name "+q.Names[i].Name]; ok && was != id {
			return mistake("%s has id %#x, had %v", q.Names[i].Name, id, was)
		}
		if id != 0 {
			known++
		}
	}
	r.say("%d of %s", known, plural(uint64(n), "name"))
	return nil
}

// longTermIDs asks for identifiers and for what they stand for; one of a replica that the mailbox has never met gets an id that
// stays.
func (r *run) longTermIDs() error {
	q := &exmdb.LongTermIDsRequest{}
	for _, name := range r.cmd.words {
		o, err := r.object(name)
		if err != nil {
			return err
		}
		q.IDs = append(q.IDs, max(uint64(o.Folder), uint64(o.Message)))
	}
	long, err := do(r, exmdb.OpLongTermIDs, q)
	if err != nil {
		return err
	}
	foreign := mapi.GID{Replica: r.user("the GUID of another replica"), Counter: 7}
	short, err := do(r, exmdb.OpShortTermIDs, &exmdb.ShortTermIDsRequest{GIDs: append(long.GIDs, foreign)})
	if err != nil {
		return err
	}
	n := len(q.IDs)
	was, known := r.marks["foreign id"].(uint64)
	if !slices.Equal(short.IDs[:n], q.IDs) || known && short.IDs[n] != was {
		return mistake("ids %x came back as %x; the other's was %x", q.IDs, short.IDs, was)
	}
	r.marks["foreign id"] = short.IDs[n]
	r.say("%s and another's are as they were", plural(uint64(n), "id"))
	return nil
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
			q.Names = append(q.Names, r.nameOf(i))
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
