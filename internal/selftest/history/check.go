package history

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// Verdict is what a history shows.
type Verdict struct {
	Operations int `json:"operations"`
	Mailboxes  int `json:"mailboxes"`
	Mails      int `json:"mails"`   // acknowledged
	Unknown    int `json:"unknown"` // operations whose outcome the client does not know
	// Undecided are the mailboxes for which no order of the operations was looked for to the end.
	Undecided  []string    `json:"undecided,omitempty"`
	Violations []Violation `json:"violations,omitempty"`
}

// OK says that the history was judged to the end and nothing is wrong with it.
func (v *Verdict) OK() bool { return len(v.Violations)+len(v.Undecided) == 0 }

// Violation is a promise that was not kept, shown by as few records as were found to show it.
type Violation struct {
	Rule    Rule     `json:"rule"`
	Box     string   `json:"box,omitempty"`
	Text    string   `json:"text"`
	Records []Record `json:"records,omitempty"`
}

// String shows it with its records.
func (v *Violation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: ", v.Rule)
	if v.Box != "" {
		fmt.Fprintf(&b, "mailbox %s: ", v.Box)
	}
	b.WriteString(v.Text)
	for i := range v.Records {
		fmt.Fprintf(&b, "\n  %s", v.Records[i].String())
	}
	return b.String()
}

// Rule is a promise.
type Rule string

// The promises. The words reach verdicts.
const (
	RuleOnce     Rule = "delivered exactly once"
	RuleUID      Rule = "UIDs rise and are not used again"
	RuleChange   Rule = "change numbers rise"
	RuleOrder    Rule = "one order of all operations"
	RuleTold     Rule = "no notification is lost"
	RuleReplicas Rule = "replicas are equal"
)

// Check judges a history. For each mailbox it looks for an order for at most limit.
func Check(records []Record, limit time.Duration) *Verdict {
	v := &Verdict{}
	boxes := map[string]*box{}
	var replicas []*Record
	for i := range records {
		r := &records[i]
		switch {
		case r.Op == Note:
			continue
		case r.Op == Replica:
			replicas = append(replicas, r)
			continue
		}
		v.count(r)
		if boxes[r.Box] == nil {
			boxes[r.Box] = &box{name: r.Box}
		}
		boxes[r.Box].add(r)
	}
	v.Mailboxes = len(boxes)
	for _, name := range slices.Sorted(maps.Keys(boxes)) {
		v.judge(boxes[name], limit)
	}
	v.replicas(replicas)
	return v
}

func (v *Verdict) count(r *Record) {
	switch {
	case r.Op == View || r.Op == Final:
		return
	case r.Outcome == Unknown:
		v.Unknown++
	case r.Outcome == OK && r.Op == Add:
		v.Mails++
	}
	v.Operations++
}

func (v *Verdict) add(rule Rule, box string, why string, records ...*Record) {
	shown := make([]Record, 0, len(records))
	for _, r := range records {
		if r != nil {
			shown = append(shown, *r)
		}
	}
	v.Violations = append(v.Violations, Violation{Rule: rule, Box: box, Text: why, Records: shown})
}

// box is the history of one mailbox.
type box struct {
	name    string
	adds    []*Record
	changes []*Record // Flag and Expunge
	reads   []*Record // Read and Final, by their return
	views   []*Record
}

func (b *box) add(r *Record) {
	switch {
	case r.Op == Add:
		b.adds = append(b.adds, r)
	case r.Op == Flag || r.Op == Expunge:
		b.changes = append(b.changes, r)
	case r.Op == View:
		b.views = append(b.views, r)
	case r.Outcome == OK && r.State != nil:
		b.reads = append(b.reads, r)
	}
}

// judge looks for the violations that are short to tell first, and stops at the first promise that was not kept: what else
// is wrong then mostly follows from it.
func (v *Verdict) judge(b *box, limit time.Duration) {
	slices.SortStableFunc(b.reads, func(x, y *Record) int { return cmp.Compare(x.Return, y.Return) })
	before := len(v.Violations)
	seen := v.identities(b)
	for _, rule := range []func(){
		func() { v.once(b, seen) },
		func() { v.uids(b, seen) },
		func() { v.changeNumbers(b) },
		func() { v.told(b) },
		func() { v.order(b, seen, limit) },
	} {
		if len(v.Violations) > before {
			return
		}
		rule()
	}
}

// identities finds which mail each UID was shown for, and the reverse.
type identities struct {
	uidOf  map[string]uint32
	mailOf map[uint32]string
	first  map[uint32]*Record // the first that showed a UID
}

func (v *Verdict) identities(b *box) *identities {
	s := &identities{map[string]uint32{}, map[uint32]string{}, map[uint32]*Record{}}
	see := func(uid uint32, mail string, r *Record) {
		switch was, known := s.mailOf[uid]; {
		case !known:
			s.mailOf[uid], s.first[uid] = mail, r
		case was != mail && was != "":
			v.add(RuleUID, b.name, fmt.Sprintf("UID %d is %s, and was %s", uid, mail, was), s.first[uid], r)
			s.mailOf[uid] = ""
		}
		if was, known := s.uidOf[mail]; !known {
			s.uidOf[mail] = uid
		} else if was != uid && was != 0 {
			v.add(RuleOnce, b.name, fmt.Sprintf("%s has UID %d, and had %d", mail, uid, was), s.first[was], r)
			s.uidOf[mail] = 0
		}
	}
	for _, r := range b.adds {
		if r.Outcome == OK && r.UID != 0 {
			see(r.UID, r.Mail, r)
		}
	}
	for _, r := range b.reads {
		for _, row := range r.State.Rows {
			see(row.UID, row.Mail, r)
		}
	}
	return s
}

// once: what was acknowledged is there, unless somebody removed it; what was refused, or never sent, is not.
func (v *Verdict) once(b *box, seen *identities) {
	sent := map[string]*Record{}
	for _, r := range b.adds {
		sent[r.Mail] = r
	}
	removed := map[uint32]bool{}
	for _, r := range b.changes {
		if r.Op == Expunge && r.Outcome != Fail {
			removed[r.UID] = true
		}
	}
	for _, mail := range slices.Sorted(maps.Keys(seen.uidOf)) {
		switch r := sent[mail]; {
		case r == nil:
			v.add(RuleOnce, b.name, "nobody sent "+mail, seen.first[seen.uidOf[mail]])
		case r.Outcome == Fail:
			v.add(RuleOnce, b.name, mail+" was refused for good, and is there", r, seen.first[seen.uidOf[mail]])
		}
	}
	told := map[string]bool{}
	for _, final := range b.reads {
		if final.Op == Final {
			v.missing(b, final, told, func(mail string) bool { return removed[seen.uidOf[mail]] })
		}
	}
}

// missing looks for acknowledged mail that a final read does not show. Each is told of once.
func (v *Verdict) missing(b *box, final *Record, told map[string]bool, removed func(mail string) bool) {
	there := map[string]bool{}
	for _, row := range final.State.Rows {
		there[row.Mail] = true
	}
	for _, r := range b.adds {
		if r.Outcome == OK && r.Return <= final.Call && !there[r.Mail] && !removed(r.Mail) && !told[r.Mail] {
			v.add(RuleOnce, b.name, r.Mail+" was acknowledged, and is gone", r, final)
			told[r.Mail] = true
		}
	}
}

// uids: a UID that a read did not show, though it lay below UIDNEXT, never comes later; UIDNEXT never falls.
func (v *Verdict) uids(b *box, seen *identities) {
	pending := slices.Sorted(maps.Keys(seen.mailOf))
	gone := map[uint32]*Record{}
	var highest *Record
	for _, r := range b.reads {
		if highest != nil && highest.State.UIDValidity != r.State.UIDValidity {
			v.add(RuleUID, b.name, "UIDVALIDITY is another", highest, r)
			return
		}
		if f := latest(b.reads, r.Call, func(x *Record) uint64 { return uint64(x.State.UIDNext) }, highest); f != nil && r.State.UIDNext != 0 && f.State.UIDNext > r.State.UIDNext {
			v.add(RuleUID, b.name, "UIDNEXT has fallen", f, r)
			return
		}
		if highest == nil || r.State.UIDNext > highest.State.UIDNext {
			highest = r
		}
		there := map[uint32]bool{}
		for _, row := range r.State.Rows {
			there[row.UID] = true
			if g := gone[row.UID]; g != nil && g.Return < r.Call {
				v.add(RuleUID, b.name, fmt.Sprintf("UID %d was not there below UIDNEXT, and is later", row.UID), g, r)
				return
			}
		}
		below, _ := slices.BinarySearch(pending, r.State.UIDNext)
		kept := 0
		for _, uid := range pending[:below] {
			if there[uid] {
				pending[kept] = uid
				kept++
			} else {
				gone[uid] = r
			}
		}
		pending = slices.Delete(pending, kept, below)
	}
	for _, r := range b.adds {
		if g := gone[r.UID]; r.Outcome == OK && r.UID != 0 && g != nil && g.Return < r.Call {
			v.add(RuleUID, b.name, fmt.Sprintf("UID %d was given out below a UIDNEXT that was shown before", r.UID), g, r)
			return
		}
	}
}

// latest is the read with the greatest value among those that had returned before call. guess has the greatest of all up to
// now, and is the answer when it is early enough.
func latest(reads []*Record, call int64, value func(*Record) uint64, guess *Record) *Record {
	if guess == nil || guess.Return < call {
		return guess
	}
	var best *Record
	for i := len(reads) - 1; i >= 0; i-- {
		if r := reads[i]; r.Return < call && (best == nil || value(r) > value(best)) {
			best = r
		}
	}
	return best
}

// changeNumbers: what comes later has a higher change number, and no message changes without one.
func (v *Verdict) changeNumbers(b *box) {
	type version struct {
		uid    uint32
		modseq uint64
	}
	shown := map[version]*Record{}
	flags := map[version]string{}
	var highest *Record
	for _, r := range b.reads {
		if f := latest(b.reads, r.Call, func(x *Record) uint64 { return x.State.ModSeq }, highest); f != nil && r.State.ModSeq != 0 && f.State.ModSeq > r.State.ModSeq {
			v.add(RuleChange, b.name, "HIGHESTMODSEQ has fallen", f, r)
			return
		}
		if highest == nil || r.State.ModSeq > highest.State.ModSeq {
			highest = r
		}
		for _, row := range r.State.Rows {
			key := version{row.UID, row.ModSeq}
			now := strings.Join(row.Flags, " ")
			was, known := flags[key]
			switch {
			case row.ModSeq == 0:
			case !known:
				flags[key], shown[key] = now, r
			case was != now:
				v.add(RuleChange, b.name, fmt.Sprintf("UID %d has other flags under one MODSEQ", row.UID), shown[key], r)
				return
			}
			if row.ModSeq > r.State.ModSeq && r.State.ModSeq != 0 && !r.Loose {
				v.add(RuleChange, b.name, fmt.Sprintf("UID %d has a MODSEQ above the highest", row.UID), r)
				return
			}
		}
	}
	v.acknowledgedNumbers(b)
}

// acknowledgedNumbers: a change that began after another was acknowledged, or read, has the higher number.
func (v *Verdict) acknowledgedNumbers(b *box) {
	var told []*Record
	for _, r := range slices.Concat(b.adds, b.changes) {
		if r.Outcome == OK && r.ModSeq != 0 {
			told = append(told, r)
		}
	}
	all := slices.Concat(told, b.reads)
	number := func(r *Record) uint64 {
		if r.State != nil {
			return r.State.ModSeq
		}
		return r.ModSeq
	}
	slices.SortStableFunc(all, func(x, y *Record) int { return cmp.Compare(x.Return, y.Return) })
	slices.SortStableFunc(told, func(x, y *Record) int { return cmp.Compare(x.Call, y.Call) })
	var highest *Record
	for _, r := range told {
		for len(all) > 0 && all[0].Return < r.Call {
			if highest == nil || number(all[0]) > number(highest) {
				highest = all[0]
			}
			all = all[1:]
		}
		if highest != nil && number(highest) >= r.ModSeq {
			v.add(RuleChange, b.name, fmt.Sprintf("a later change has MODSEQ %d, not above %d", r.ModSeq, number(highest)), highest, r)
			return
		}
	}
}

// told: what a client believes that was told of every change is what is there, and so is what every node shows.
func (v *Verdict) told(b *box) {
	finals := map[int]*Record{}
	for _, r := range b.reads {
		if r.Op != Final {
			continue
		}
		switch f := finals[r.Point]; {
		case f == nil:
			finals[r.Point] = r
		case !same(f.State, r.State):
			v.add(RuleReplicas, b.name, "two nodes show different mailboxes while nothing happens", apart(f, r), apart(r, f))
			return
		}
	}
	for _, r := range b.views {
		f := finals[r.Point]
		if f != nil && !SameRows(f.State.Rows, rowsOf(r)) {
			v.add(RuleTold, b.name, "a client that is told of changes does not see what is there", apart(r, f), apart(f, r))
			return
		}
	}
}

func same(x, y *State) bool {
	return x.UIDNext == y.UIDNext && x.ModSeq == y.ModSeq && x.UIDValidity == y.UIDValidity && SameRows(x.Rows, y.Rows)
}

// SameRows compares what two readers show. It leaves out change numbers that one of the two was not shown, and mails of which it knows the UID only.
func SameRows(x, y []Row) bool {
	return slices.EqualFunc(x, y, func(a, b Row) bool {
		return a.UID == b.UID && (a.Mail == b.Mail || a.Mail == "" || b.Mail == "") && slices.Equal(a.Flags, b.Flags) &&
			(a.ModSeq == b.ModSeq || a.ModSeq == 0 || b.ModSeq == 0)
	})
}

// apart is r with only those messages that o does not show in the same way.
func apart(r, o *Record) *Record {
	own := *r
	s := State{}
	if r.State != nil {
		s = *r.State
	}
	s.Rows = nil
	for _, row := range rowsOf(r) {
		if !slices.ContainsFunc(rowsOf(o), func(x Row) bool { return SameRows([]Row{row}, []Row{x}) }) {
			s.Rows = append(s.Rows, row)
		}
	}
	own.State = &s
	return &own
}

func rowsOf(r *Record) []Row {
	if r.State == nil {
		return nil
	}
	return r.State.Rows
}

// replicas: what nodes hold of a group at one index is the same.
func (v *Verdict) replicas(all []*Record) {
	type place struct{ group, index uint64 }
	first := map[place]*Record{}
	for _, r := range all {
		at := place{r.Group, r.Index}
		switch f := first[at]; {
		case f == nil:
			first[at] = r
		case f.Hash != r.Hash:
			v.add(RuleReplicas, "", fmt.Sprintf("group %d differs at index %d", r.Group, r.Index), f, r)
			return
		}
	}
}

// never is the return of an operation that may happen at any time.
const never = math.MaxInt64
