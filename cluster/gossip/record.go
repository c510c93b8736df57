package gossip

import (
	"bytes"
	"cmp"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// gone says that a node is not there any more. Numbers are for ever.
type gone uint8

const (
	goneNot    gone = 0
	goneSilent gone = 1 // its data centre's pool found it so
	goneLeft   gone = 2 // it went on purpose
)

// record is what a node says of itself, under a number that it raises with every change. Others only pass it on, and
// mark it when the pool of the node's data centre has lost it: under a higher number the node itself shows that it is
// back. So no clocks of two machines are compared, and it does not matter which way a record comes.
type record struct {
	Node string `wire:"1"`
	// Seq starts from the node's clock, so that it also follows that of an earlier run.
	Seq  uint64 `wire:"2"`
	Load Load   `wire:"3"`
	// What follows, but Gone, is said only where there are several data centres.
	Meta Meta `wire:"4"`
	// Addr is ip:port of its gossip.
	Addr string `wire:"5"`
	Gone gone   `wire:"6"`
	// Gateway: the node is in the WAN pool; Hears are the data centres of the others that are alive there.
	Gateway bool     `wire:"7"`
	Hears   []string `wire:"8"`
	Unknown wire.Unknown
}

// newer orders what is known of one node.
func (r *record) newer(than *record) bool {
	return cmp.Or(cmp.Compare(r.Seq, than.Seq), cmp.Compare(r.Gone, than.Gone)) > 0
}

// face is all of a record but what changes every few seconds: a record with another face is told at once.
func (r record) face() []byte {
	r.Seq, r.Load = 0, Load{}
	return wire.Marshal(&r)
}

// wellFormed reports whether a record may be kept.
func (r *record) wellFormed() bool {
	if r.Addr != "" {
		if _, err := netip.ParseAddrPort(r.Addr); err != nil {
			return false
		}
	}
	return cluster.NodeID(r.Node).Valid() && r.Gone <= goneLeft && len(wire.Marshal(r)) <= maxRecord
}

// kept is a record, and when by this node's clock its face last changed and its number last rose.
type kept struct {
	record
	since, heard time.Time
}

// of reports whether the record is of a node of another data centre than dc.
func (r *record) of(dc string) bool { return r.Addr != "" && r.Meta.DC == dc }

// node is the record of a node of another data centre in the form that the owner sees.
func (r *kept) node() Node {
	n := Node{ID: cluster.NodeID(r.Node), Addr: r.Addr, Meta: r.Meta, Alive: r.Gone == goneNot, Since: r.since}
	if r.Gone == goneLeft {
		n.Meta.State = StateLeaving
	}
	return n
}

// change lets fn change what this node says of itself, and numbers it.
func (k *knowledge) change(now time.Time, fn func(own *record)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.changeLocked(now, fn)
}

func (k *knowledge) changeLocked(now time.Time, fn func(own *record)) {
	r := k.own
	fn(&r)
	r.Seq = max(uint64(max(now.UnixNano(), 0)), r.Seq+1) // #nosec G115 -- not negative
	k.own = r
	if !k.wide {
		r.Meta, r.Addr = Meta{}, ""
	}
	for len(r.Hears) > 0 && len(wire.Marshal(&r)) > maxRecord { // or nobody would take it
		r.Hears = r.Hears[:len(r.Hears)-1]
	}
	k.putLocked(r, now)
}

// putLocked keeps a record and, if it has another face, has it told. There must be room.
func (k *knowledge) putLocked(r record, now time.Time) (changed bool) {
	id := cluster.NodeID(r.Node)
	old, known := k.records[id]
	x := kept{record: r, since: old.since, heard: old.heard}
	if !known || r.Seq > old.Seq {
		x.heard = now
	}
	if changed = !known || !bytes.Equal(r.face(), old.face()); changed {
		x.since = now
	}
	k.records[id] = x
	if changed && k.wide {
		for i := range k.boxes {
			k.boxes[i].addRecord(id)
		}
	}
	return changed
}

// learnRecords merges records of others and gives back the news; faces are those with another face.
func (k *knowledge) learnRecords(records []record, now time.Time) (news, faces []record) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, r := range records {
		id := cluster.NodeID(r.Node)
		if id == k.self {
			k.refuteLocked(&r, now)
			continue
		}
		old, known := k.records[id]
		if _, member := k.nodes[id]; !member && r.Addr == "" || known && !r.newer(&old.record) || !r.wellFormed() {
			continue
		}
		if !known && len(k.records) > maxNodes && !k.forgetRecordLocked() {
			continue
		}
		if k.putLocked(r, now) {
			faces = append(faces, r)
		}
		news = append(news, r)
	}
	return news, faces
}

// refuteLocked answers a record of this node that it did not write: one of a run whose clock was ahead, or one that was
// marked because this node was not heard. Its own is numbered above it.
func (k *knowledge) refuteLocked(r *record, now time.Time) {
	if r.newer(&k.own) && r.Seq < math.MaxUint64 && k.own.Gone == goneNot {
		k.own.Seq = r.Seq
		k.changeLocked(now, func(*record) {})
		for i := range k.boxes {
			if k.wide {
				k.boxes[i].addRecord(k.self)
			}
		}
	}
}

// markLocked notes that the pool of this data centre has lost a node. Whoever has the newest record of it marks that
// one, and the mark of the highest number is what is left in the end.
func (k *knowledge) markLocked(id cluster.NodeID, state State, now time.Time) {
	r, known := k.records[id]
	mark := goneSilent
	if state == StateLeaving {
		mark = goneLeft
	}
	if known && id != k.self && r.Gone < mark {
		r.Gone = mark
		k.putLocked(r.record, now)
	}
}

// forgetRecordLocked drops the record whose number has not risen for longest, of nodes that are no live members.
func (k *knowledge) forgetRecordLocked() bool {
	var oldest kept
	for id, r := range k.records {
		if !k.nodes[id].Alive && id != k.self && (oldest.Node == "" || r.heard.Before(oldest.heard)) {
			oldest = r
		}
	}
	delete(k.records, cluster.NodeID(oldest.Node))
	for i := range k.boxes {
		delete(k.boxes[i].records, cluster.NodeID(oldest.Node))
	}
	return oldest.Node != ""
}

// allRecordsLocked is what push/pull carries. Without other data centres nobody asks who is gone.
func (k *knowledge) allRecordsLocked() []record {
	records := make([]record, 0, len(k.records))
	for _, r := range k.records {
		if k.wide || r.Gone == goneNot {
			records = append(records, r.record)
		}
	}
	slices.SortFunc(records, func(a, b record) int { return cmp.Compare(a.Node, b.Node) })
	return records[:min(len(records), maxNodes)]
}
