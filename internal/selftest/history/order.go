package history

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// operation is a record in the form in which an order is looked for: flags are bits, and what was unknown has been settled
// as far as the rest of the history settles it.
type operation struct {
	op         Op
	uid        uint32
	mail       string
	set, clear uint64
	modseq     uint64
	next       uint32 // of a read
	highest    uint64
	rows       []message
	from       *Record
	call, back int64
}

// message is a row of the model.
type message struct {
	uid    uint32
	mail   string
	flags  uint64
	modseq uint64 // 0: not known
}

// mailbox is the state of the model. It is never changed, only replaced.
type mailbox struct {
	next    uint32
	highest uint64
	rows    []message
}

// flagBits numbers the flags of one mailbox.
type flagBits map[string]int

func (f flagBits) mask(names []string) (mask uint64) {
	for _, n := range names {
		if _, known := f[n]; !known {
			f[n] = len(f)
		}
		mask |= 1 << (f[n] % 64)
	}
	return mask
}

// model is a mailbox that does one operation at a time, from start on.
func model(start mailbox) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return start },
		Step: func(state, input, _ any) (bool, any) {
			m, o := state.(mailbox), input.(*operation)
			switch o.op {
			case Add:
				return m.added(o)
			case Flag:
				return m.flagged(o)
			case Expunge:
				return m.expunged(o)
			}
			return m.shown(o)
		},
		Equal: func(x, y any) bool {
			a, b := x.(mailbox), y.(mailbox)
			return a.next == b.next && a.highest == b.highest && slices.Equal(a.rows, b.rows)
		},
	}
}

// moved gives the state the change number of an operation; false if it is not above what there was.
func (m mailbox) moved(modseq uint64) (mailbox, bool) {
	if modseq == 0 {
		return m, true
	}
	ok := modseq > m.highest
	m.highest = max(modseq, m.highest)
	return m, ok
}

func (m mailbox) added(o *operation) (bool, any) {
	if o.uid == 0 { // nobody ever saw it
		return true, m
	}
	if o.uid < m.next {
		return false, m
	}
	n, ok := m.moved(o.modseq)
	n.next = o.uid + 1
	n.rows = append(slices.Clone(m.rows), message{uid: o.uid, mail: o.mail, flags: o.set, modseq: o.modseq})
	return ok, n
}

func (m mailbox) find(uid uint32) (int, bool) {
	return slices.BinarySearchFunc(m.rows, uid, func(r message, uid uint32) int { return cmp.Compare(r.uid, uid) })
}

func (m mailbox) flagged(o *operation) (bool, any) {
	i, found := m.find(o.uid)
	if !found {
		return o.modseq == 0, m
	}
	flags := m.rows[i].flags&^o.clear | o.set
	if flags == m.rows[i].flags {
		return true, m
	}
	n, ok := m.moved(o.modseq)
	n.rows = slices.Clone(m.rows)
	n.rows[i].flags, n.rows[i].modseq = flags, o.modseq
	return ok, n
}

func (m mailbox) expunged(o *operation) (bool, any) {
	i, found := m.find(o.uid)
	if !found {
		return o.modseq == 0, m
	}
	n, ok := m.moved(o.modseq)
	n.rows = slices.Delete(slices.Clone(m.rows), i, i+1)
	return ok, n
}

// shown compares the state with a read, and learns from it the change numbers that nobody was told.
func (m mailbox) shown(o *operation) (bool, any) {
	if len(o.rows) != len(m.rows) || o.next != 0 && o.next < m.next || o.highest != 0 && o.highest < m.highest {
		return false, m
	}
	learns := false
	for i, r := range o.rows {
		own := m.rows[i]
		if r.uid != own.uid || r.mail != own.mail || r.flags != own.flags || r.modseq != own.modseq && r.modseq != 0 && own.modseq != 0 {
			return false, m
		}
		learns = learns || r.modseq != own.modseq && r.modseq != 0
	}
	n := m
	n.next, n.highest = max(m.next, o.next), max(m.highest, o.highest)
	if learns {
		n.rows = slices.Clone(m.rows)
		for i, r := range o.rows {
			n.rows[i].modseq = max(n.rows[i].modseq, r.modseq)
		}
	}
	return true, n
}

// operations puts a mailbox's history into the form of the model.
func (b *box) operations(seen *identities) []*operation {
	bits := flagBits{}
	var all []*operation
	for _, r := range b.adds {
		uid := seen.uidOf[r.Mail]
		if r.Outcome == Fail || r.Outcome == Unknown && uid == 0 {
			continue // never seen: it makes no difference
		}
		all = append(all, &operation{op: Add, uid: uid, mail: r.Mail, set: bits.mask(r.Set), modseq: r.ModSeq, from: r, call: r.Call, back: b.settled(r, uid)})
	}
	for _, r := range b.changes {
		back := b.settled(r, r.UID)
		if r.Outcome == Fail || back == never && b.unseen(r) {
			continue
		}
		all = append(all, &operation{op: r.Op, uid: r.UID, set: bits.mask(r.Set), clear: bits.mask(r.Clear), modseq: r.ModSeq, from: r, call: r.Call, back: back})
	}
	for _, r := range b.reads {
		o := &operation{op: Read, next: r.State.UIDNext, highest: r.State.ModSeq, from: r, call: r.Call, back: r.Return}
		for _, row := range r.State.Rows {
			o.rows = append(o.rows, message{row.UID, row.Mail, bits.mask(row.Flags), row.ModSeq})
		}
		all = append(all, o)
	}
	return all
}

// settled is when an operation had happened at the latest: for one of unknown outcome the return of the first read that
// shows what no other operation does.
func (b *box) settled(r *Record, uid uint32) int64 {
	if r.Outcome == OK {
		return r.Return
	}
	if r.Op != Add && !b.alone(r) {
		return never
	}
	for _, read := range b.reads {
		if read.Return > r.Call && shows(read.State, r, uid) {
			return read.Return
		}
	}
	return never
}

// alone says that a read can show r only if r has happened: no other operation does the same to the message, and what r
// clears had been set before.
func (b *box) alone(r *Record) bool {
	set := len(r.Clear) == 0
	for _, o := range b.changes {
		switch {
		case o == r || o.UID != r.UID || o.Outcome == Fail:
		case r.Op == Expunge:
			if o.Op == Expunge {
				return false
			}
		case o.Op == Expunge:
		case overlap(o.Set, r.Set) > 0 || overlap(o.Clear, r.Clear) > 0:
			return false
		case overlap(o.Set, r.Clear) == len(r.Clear) && len(r.Clear) > 0:
			if o.Outcome != OK || o.Return > r.Call {
				return false
			}
			set = true
		}
	}
	return set || r.Op == Expunge
}

func overlap(x, y []string) (n int) {
	for _, s := range x {
		if slices.Contains(y, s) {
			n++
		}
	}
	return n
}

// unseen says that no read shows the effect of r and no other operation undoes it, so that it may as well not have happened.
func (b *box) unseen(r *Record) bool {
	for _, o := range b.changes {
		if o.UID == r.UID && o.Op == Flag && overlap(o.Clear, r.Set)+overlap(o.Set, r.Clear) > 0 && o.Return > r.Call {
			return false
		}
	}
	for _, read := range b.reads {
		if read.Return > r.Call && shows(read.State, r, r.UID) {
			return false
		}
	}
	return true
}

// shows says that the state has what r does: the message with all flags set and none of those cleared, or no message.
func shows(s *State, r *Record, uid uint32) bool {
	i, found := slices.BinarySearchFunc(s.Rows, uid, func(row Row, uid uint32) int { return cmp.Compare(row.UID, uid) })
	switch {
	case r.Op == Expunge:
		return !found && s.UIDNext > uid
	case !found:
		return false
	case r.Op == Add:
		return true
	}
	return overlap(s.Rows[i].Flags, r.Set) == len(r.Set) && overlap(s.Rows[i].Flags, r.Clear) == 0
}

// part is a stretch of a mailbox's history, with the state at its begin. The first begins with an empty mailbox.
type part struct {
	start mailbox
	after *operation // the read that showed start
	all   []*operation
}

// parts cuts a history, without loss, where a read shows the whole state while nothing else is under way: the order within one part
// does not depend on the order within another. Otherwise time and memory would grow with the square of its length. What may happen
// at any time is in every part from then on where it could make a difference; it does the same each time, so that a second time
// shows only if somebody undid the first.
func parts(all []*operation) []part {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(x, y *operation) int { return cmp.Compare(x.call, y.call) })
	var done []part
	var now part
	var open []*operation
	busy := int64(math.MinInt64) // until when what came before is under way
	for i, o := range all {
		if o.back == never {
			open = append(open, o)
			continue
		}
		now.all = append(now.all, o)
		if o.complete() && busy < o.call && (i+1 == len(all) || all[i+1].call > o.back) {
			done = append(done, now.with(open, o))
			now = part{start: mailbox{next: o.next, highest: o.highest, rows: o.rows}, after: o}
		}
		busy = max(busy, o.back)
	}
	return append(done, now.with(open, nil))
}

// complete says that a read shows all that the model knows, so that there is one state only after it.
func (o *operation) complete() bool {
	return o.op == Read && !o.from.Loose && o.next != 0 && o.highest != 0 &&
		!slices.ContainsFunc(o.rows, func(m message) bool { return m.modseq == 0 })
}

// with adds those open operations that may make a difference before end.
func (p part) with(open []*operation, end *operation) part {
	for _, o := range open {
		if end == nil || p.matters(o, open, end) {
			p.all = append(p.all, o)
		}
	}
	return p
}

// matters says that an open operation may have happened in the part and changed something.
func (p part) matters(o *operation, open []*operation, end *operation) bool {
	_, was := p.start.find(o.uid)
	same := func(x *operation) bool { return x != o && x.uid == o.uid && x.op != Read }
	touched := slices.ContainsFunc(p.all, same)
	if !was && !touched {
		return false // it is not there
	}
	after := mailbox{rows: end.rows}
	i, is := after.find(o.uid)
	if o.op == Expunge {
		return !is
	}
	if !is || touched || slices.ContainsFunc(open, same) {
		return true
	}
	_, changed := p.start.flagged(o)
	j, _ := p.start.find(o.uid)
	return changed.(mailbox).rows[j].flags == after.rows[i].flags && p.start.rows[j].flags != after.rows[i].flags
}

// order looks for one order of a mailbox's operations, and where reads are of several moments for one of each message's.
func (v *Verdict) order(b *box, seen *identities, limit time.Duration) {
	until := time.Now().Add(limit)
	for _, p := range parts(b.operations(seen)) {
		exact := p
		exact.all = slices.DeleteFunc(slices.Clone(p.all), func(o *operation) bool { return o.from.Loose })
		result, broken := exact.decide(time.Until(until)), exact
		if result == porcupine.Ok && len(exact.all) < len(p.all) {
			result, broken = p.eachMessage(until)
		}
		switch result {
		case porcupine.Unknown:
			v.Undecided = append(v.Undecided, b.name)
			return
		case porcupine.Illegal:
			v.explain(b, broken, time.Until(until))
			return
		}
	}
}

func (p part) eachMessage(until time.Time) (porcupine.CheckResult, part) {
	for _, uid := range p.uids() {
		one := p.project(uid)
		if result := one.decide(time.Until(until)); result != porcupine.Ok {
			return result, one
		}
	}
	return porcupine.Ok, part{}
}

func (p part) uids() []uint32 {
	var uids []uint32
	for _, m := range p.start.rows {
		uids = append(uids, m.uid)
	}
	for _, o := range p.all {
		if o.op == Add && o.uid != 0 {
			uids = append(uids, o.uid)
		}
	}
	slices.Sort(uids)
	return uids
}

// project is what the part says of one message.
func (p part) project(uid uint32) part {
	other := func(m message) bool { return m.uid != uid }
	mine := part{after: p.after, start: mailbox{rows: slices.DeleteFunc(slices.Clone(p.start.rows), other)}}
	for _, o := range p.all {
		if o.op != Read && o.uid != uid {
			continue
		}
		own := *o
		if o.op == Read {
			own.next, own.highest = 0, 0
			own.rows = slices.DeleteFunc(slices.Clone(o.rows), other)
		}
		mine.all = append(mine.all, &own)
	}
	return mine
}

// decide looks for an order for at most limit, at least a moment.
func (p part) decide(limit time.Duration) porcupine.CheckResult {
	return porcupine.CheckOperationsTimeout(model(p.start), events(p.all), max(limit, time.Millisecond))
}

func events(all []*operation) []porcupine.Operation {
	var out []porcupine.Operation
	for i, o := range all {
		out = append(out, porcupine.Operation{ClientId: i, Input: o, Call: o.call, Return: o.back})
	}
	return out
}

// explain reports the violation with as few operations as still have no order: those of one message when its own have
// none, up to the first moment at which there is none, without the reads that do not matter; first the read that showed how things
// stood before.
func (v *Verdict) explain(b *box, p part, limit time.Duration) {
	text := "no order of these operations explains what they were answered"
	for _, uid := range p.uids() {
		if one := p.project(uid); one.decide(limit) == porcupine.Illegal {
			p, text = one, fmt.Sprintf("no order of what was done to UID %d explains what was answered", uid)
			break
		}
	}
	all := p.shortest(limit).all
	slices.SortStableFunc(all, func(x, y *operation) int { return cmp.Compare(x.call, y.call) })
	var records []*Record
	if p.after != nil {
		records = append(records, p.after.from)
	}
	for _, o := range all {
		records = append(records, o.from)
	}
	v.add(RuleOrder, b.name, text, records...)
}

// shortest cuts a part without an order down to one that still has none.
func (p part) shortest(limit time.Duration) part {
	limit = min(limit, time.Second)
	p.all = slices.Clone(p.all)
	slices.SortStableFunc(p.all, func(x, y *operation) int { return cmp.Compare(x.back, y.back) })
	n, found := len(p.all), len(p.all)
	for low, high := 1, n; low <= high; { // the verdict on longer ones is the same
		mid := (low + high) / 2
		if p.until(mid).decide(limit) == porcupine.Illegal {
			found, high = mid, mid-1
		} else {
			low = mid + 1
		}
	}
	short := p.until(found)
	for i := len(short.all) - 1; i >= 0 && len(short.all) > 2; i-- {
		if short.all[i].op != Read {
			continue
		}
		without := short
		without.all = slices.Delete(slices.Clone(short.all), i, i+1)
		if without.decide(limit) == porcupine.Illegal {
			short = without
		}
	}
	return short
}

// until is the part when the first n operations had returned: of those under way then nobody knows what became.
func (p part) until(n int) part {
	end := p.all[n-1].back
	cut := slices.Clone(p.all[:n])
	for _, o := range p.all[n:] {
		if o.call < end && o.op != Read {
			open := *o
			open.back = never
			cut = append(cut, &open)
		}
	}
	p.all = cut
	return p
}
