package group

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/lsm"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// pledge is what a server has bound itself to by its answers (CLUSTER 6.3): in term it acknowledged the log up to index,
// as a follower or as the leader that sent it, and it gave a vote in the term vote. Each was durable there before it was
// said, so data of that server which knows less is older than the answer.
type pledge struct {
	term, index uint64
	vote        uint64
}

// raise adds what another pledge says, and reports whether that was new.
func (p *pledge) raise(o pledge) bool {
	was := *p
	if o.term > p.term || o.term == p.term && o.index > p.index {
		p.term, p.index = o.term, o.index
	}
	p.vote = max(p.vote, o.vote)
	return *p != was
}

// standing is what a replica's files hold when it starts.
type standing struct {
	term, vote uint64 // its current term, and the latest in which it voted
	index      uint64 // the last entry, in log or state
}

// with is the standing after what was promised since.
func (s standing) with(p pledge) standing {
	if p.term > s.term || p.term == s.term && p.index > s.index {
		s.term, s.index = p.term, p.index
	}
	s.vote = max(s.vote, p.vote)
	return s
}

// forgotten says what of a pledge the files of a replica no longer know, nothing when they hold it all. Within one term a
// log never falls behind what was acknowledged; with a later term a leader may have cut it, and that term is on disk before
// the cut. So an honest restart is never taken for an old directory.
func (s standing) forgotten(p pledge) string {
	switch {
	case p.vote > s.vote:
		return fmt.Sprintf("it voted in term %d, its files know of no vote after term %d", p.vote, s.vote)
	case p.term > s.term:
		return fmt.Sprintf("it acknowledged entry %d in term %d, its files end in term %d", p.index, p.term, s.term)
	case p.term == s.term && p.index > s.index:
		return fmt.Sprintf("it acknowledged entry %d in term %d, its files end with entry %d", p.index, p.term, s.index)
	}
	return ""
}

// pledges are those of all servers that this node has heard, and of its own replicas since the process began.
type pledges struct {
	writing sync.Mutex // held while the file is written

	mu      sync.Mutex
	of      map[cluster.GroupID]map[cluster.ServerID]pledge // guarded by mu
	changed bool                                            // since it was written; guarded by mu
}

// note is called for every acknowledgement and vote, before it has any effect.
func (p *pledges) note(group cluster.GroupID, server cluster.ServerID, new pledge) {
	p.mu.Lock()
	defer p.mu.Unlock()
	servers := p.of[group]
	if servers == nil {
		servers = map[cluster.ServerID]pledge{}
		p.of[group] = servers
	}
	old := servers[server]
	if old.raise(new) {
		servers[server] = old
		p.changed = true
	}
}

func (p *pledges) get(group cluster.GroupID, server cluster.ServerID) pledge {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.of[group][server]
}

// prune forgets the servers of a group that are no longer among its members.
func (p *pledges) prune(group cluster.GroupID, members []Member) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for server := range p.of[group] {
		if suffrageOf(members, server) == 0 {
			delete(p.of[group], server)
			p.changed = true
		}
	}
}

// forget drops a group that the node has no replica of.
func (p *pledges) forget(group cluster.GroupID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.of[group]; ok {
		delete(p.of, group)
		p.changed = true
	}
}

func (p *pledges) groups() []cluster.GroupID {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Sorted(maps.Keys(p.of))
}

// pledgesFile is beside the replicas' directories. It is magic | version u8 | crc32c u32 of what follows | records.
const (
	pledgesFile    = "PLEDGES"
	pledgesMagic   = "FLPG"
	pledgesVersion = 1
	pledgesHeader  = 9
)

// pledgeRecords is the file's content. Tags are for ever.
type pledgeRecords struct {
	Pledges []pledgeRecord `wire:"1"`
}

type pledgeRecord struct {
	Group  uint32 `wire:"1"`
	Server string `wire:"2"`
	Term   uint64 `wire:"3"`
	Index  uint64 `wire:"4"`
	Vote   uint64 `wire:"5"`
}

// encode leaves out the node's own replicas: their directories say what they know, and what they said the others keep.
func (p *pledges) encode(self cluster.NodeID) []byte {
	var all pledgeRecords
	for _, group := range slices.Sorted(maps.Keys(p.of)) {
		for _, server := range slices.Sorted(maps.Keys(p.of[group])) {
			if k := p.of[group][server]; server.Node() != self {
				all.Pledges = append(all.Pledges, pledgeRecord{Group: uint32(group), Server: string(server),
					Term: k.term, Index: k.index, Vote: k.vote})
			}
		}
	}
	body := wire.Marshal(&all)
	b := append([]byte(pledgesMagic), pledgesVersion)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(body, castagnoli))
	return append(b, body...)
}

func decodePledges(b []byte) (map[cluster.GroupID]map[cluster.ServerID]pledge, error) {
	of := map[cluster.GroupID]map[cluster.ServerID]pledge{}
	if len(b) < pledgesHeader || string(b[:4]) != pledgesMagic {
		return of, errors.New("is not a file of pledges")
	}
	if b[4] != pledgesVersion {
		return of, fmt.Errorf("is of version %d", b[4])
	}
	body := b[pledgesHeader:]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(b[5:]) {
		return of, errors.New("does not check")
	}
	var all pledgeRecords
	if err := wire.Unmarshal(body, &all); err != nil {
		return of, err
	}
	for _, r := range all.Pledges {
		id := cluster.GroupID(r.Group)
		if of[id] == nil {
			of[id] = map[cluster.ServerID]pledge{}
		}
		of[id][cluster.ServerID(strings.Clone(r.Server))] = pledge{term: r.Term, index: r.Index, vote: r.Vote}
	}
	return of, nil
}

// load reads the file. What cannot be read is lost: this node then has less to say to a replica that starts.
func (p *pledges) load(fs lsm.FS, path string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.of = map[cluster.GroupID]map[cluster.ServerID]pledge{}
	b, err := readFile(fs, path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil {
		p.of, err = decodePledges(b)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// store writes the file if anything changed.
func (p *pledges) store(fs lsm.FS, path string, self cluster.NodeID) error {
	p.writing.Lock()
	defer p.writing.Unlock()
	p.mu.Lock()
	changed := p.changed
	p.changed = false
	b := p.encode(self)
	p.mu.Unlock()
	if !changed {
		return nil
	}
	if err := lsm.WriteFile(fs, path, b); err != nil {
		p.mu.Lock()
		p.changed = true
		p.mu.Unlock()
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
