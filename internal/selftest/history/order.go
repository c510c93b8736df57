package history

import (
	"cmp"
	"fmt"
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

// model is a mailbox that does one operation at a time.
func model() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return mailbox{} },
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

// order looks for one order of a mailbox's operations, and where reads are of several moments for one of each message's.
func (v *Verdict) order(b *box, seen *identities, limit time.Duration) {
	all := b.operations(seen)
	exact := slices.DeleteFunc(slices.Clone(all), func(o *operation) bool { return o.from.Loose })
	result := decide(exact, limit)
	broken := exact
	if result == porcupine.Ok && len(exact) < len(all) {
		result, broken = v.eachMessage(all, limit)
	}
	switch result {
	case porcupine.Unknown:
		v.Undecided = append(v.Undecided, b.name)
	case porcupine.Illegal:
		v.explain(b, broken, limit)
	}
}

func (v *Verdict) eachMessage(all []*operation, limit time.Duration) (porcupine.CheckResult, []*operation) {
	for _, uid := range uidsOf(all) {
		one := project(all, uid)
		if result := decide(one, limit); result != porcupine.Ok {
			return result, one
		}
	}
	return porcupine.Ok, nil
}

func uidsOf(all []*operation) []uint32 {
	var uids []uint32
	for _, o := range all {
		if o.op == Add && o.uid != 0 {
			uids = append(uids, o.uid)
		}
	}
	slices.Sort(uids)
	return uids
}

// project is what the history says of one message.
func project(all []*operation, uid uint32) []*operation {
	var mine []*operation
	for _, o := range all {
		if o.op != Read && o.uid != uid {
			continue
		}
		own := *o
		if o.op == Read {
			own.next, own.highest = 0, 0
			own.rows = slices.DeleteFunc(slices.Clone(o.rows), func(m message) bool { return m.uid != uid })
		}
		mine = append(mine, &own)
	}
	return mine
}

func decide(all []*operation, limit time.Duration) porcupine.CheckResult {
	return porcupine.CheckOperationsTimeout(model(), events(all), limit)
}

func events(all []*operation) []porcupine.Operation {
	var out []porcupine.Operation
	for i, o := range all {
		out = append(out, porcupine.Operation{ClientId: i, Input: o, Call: o.call, Return: o.back})
	}
	return out
}

// explain reports the violation with as few operations as still have no order: those of one message when its own have
// none, up to the first moment at which there is none, without the reads that do not matter.
func (v *Verdict) explain(b *box, all []*operation, limit time.Duration) {
	text := "no order of these operations explains what they were answered"
	for _, uid := range uidsOf(all) {
		if one := project(all, uid); decide(one, limit) == porcupine.Illegal {
			all, text = one, fmt.Sprintf("no order of what was done to UID %d explains what was answered", uid)
			break
		}
	}
	all = shortest(all, limit)
	slices.SortStableFunc(all, func(x, y *operation) int { return cmp.Compare(x.call, y.call) })
	var records []*Record
	for _, o := range all {
		records = append(records, o.from)
	}
	v.add(RuleOrder, b.name, text, records...)
}

// shortest cuts a history without an order down to one that still has none.
func shortest(all []*operation, limit time.Duration) []*operation {
	limit = min(limit, time.Second)
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(x, y *operation) int { return cmp.Compare(x.back, y.back) })
	n, found := len(all), len(all)
	for low, high := 1, n; low <= high; { // the verdict on longer ones is the same
		mid := (low + high) / 2
		if decide(until(all, mid), limit) == porcupine.Illegal {
			found, high = mid, mid-1
		} else {
			low = mid + 1
		}
	}
	short := until(all, found)
	for i := len(short) - 1; i >= 0 && len(short) > 2; i-- {
		if short[i].op != Read {
			continue
		}
		without := slices.Delete(slices.Clone(short), i, i+1)
		if decide(without, limit) == porcupine.Illegal {
			short = without
		}
	}
	return short
}

// until is the history when the first n operations had returned: of those under way then nobody knows what became.
func until(all []*operation, n int) []*operation {
	end := all[n-1].back
	cut := slices.Clone(all[:n])
	for _, o := range all[n:] {
		if o.call < end && o.op != Read {
			open := *o
			open.back = never
			cut = append(cut, &open)
		}
	}
	return cut
}
