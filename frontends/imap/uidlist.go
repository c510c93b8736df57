package imap

import (
	"slices"
	"sort"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/frontends/imap/imapwire"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// maxUID is the largest UID.
const maxUID mapi.UID = 1<<32 - 1

// uidList is the UIDs of a folder in ascending order: the n-th is the message with sequence number n. It is kept as
// runs of consecutive UIDs, so that an idle session on a large folder stays small.
type uidList struct{ runs []run }

// run is the UIDs first to last; before is how many there are in front of it.
type run struct {
	first, last mapi.UID
	before      uint32
}

func (r run) count() uint32 { return uint32(r.last-r.first) + 1 }

// newUIDList takes ranges that ascend and do not overlap.
func newUIDList(ranges []exmdb.UIDRange) uidList {
	var l uidList
	l.runs = make([]run, 0, len(ranges))
	for _, r := range ranges {
		l.add(r)
	}
	return l
}

// add puts r behind the last UID.
func (l *uidList) add(r exmdb.UIDRange) {
	if n := len(l.runs); n > 0 && l.runs[n-1].last+1 == r.First {
		l.runs[n-1].last = r.Last
		return
	}
	l.runs = append(l.runs, run{r.First, r.Last, l.count()})
}

// count is the number of messages.
func (l *uidList) count() uint32 {
	if len(l.runs) == 0 {
		return 0
	}
	last := l.runs[len(l.runs)-1]
	return last.before + last.count()
}

// highest is the last UID, zero if there is none.
func (l *uidList) highest() mapi.UID {
	if len(l.runs) == 0 {
		return 0
	}
	return l.runs[len(l.runs)-1].last
}

// uid is the UID with sequence number seq, which has to be between 1 and count.
func (l *uidList) uid(seq uint32) mapi.UID {
	i := sort.Search(len(l.runs), func(i int) bool { return l.runs[i].before >= seq }) - 1
	return l.runs[i].first + mapi.UID(seq-l.runs[i].before-1)
}

// seq is the sequence number of uid, zero if it is not in the list.
func (l *uidList) seq(uid mapi.UID) uint32 {
	i := l.runAt(uid)
	if i == len(l.runs) || uid < l.runs[i].first {
		return 0
	}
	return l.runs[i].before + uint32(uid-l.runs[i].first) + 1
}

// runAt is the first run that ends at uid or behind it.
func (l *uidList) runAt(uid mapi.UID) int {
	return sort.Search(len(l.runs), func(i int) bool { return l.runs[i].last >= uid })
}

// within gives the UIDs of the list that lie in ranges, as ranges.
func (l *uidList) within(ranges []exmdb.UIDRange) []exmdb.UIDRange {
	var out []exmdb.UIDRange
	for _, r := range ranges {
		for i := l.runAt(r.First); i < len(l.runs) && l.runs[i].first <= r.Last; i++ {
			out = append(out, exmdb.UIDRange{First: max(r.First, l.runs[i].first), Last: min(r.Last, l.runs[i].last)})
		}
	}
	return out
}

// remove takes the UIDs in ranges, which ascend, out of the list.
func (l *uidList) remove(ranges []exmdb.UIDRange) {
	if len(ranges) == 0 {
		return
	}
	old := l.runs
	l.runs = make([]run, 0, len(old))
	for _, r := range old {
		for len(ranges) > 0 && ranges[0].Last < r.first {
			ranges = ranges[1:]
		}
		from := r.first
		for _, gone := range ranges {
			if gone.First > r.last {
				break
			}
			if gone.First > from {
				l.add(exmdb.UIDRange{First: from, Last: gone.First - 1})
			}
			if gone.Last >= r.last {
				from = 0 // nothing is left; the next UID may not exist
				break
			}
			from = max(from, gone.Last+1)
		}
		if from != 0 {
			l.add(exmdb.UIDRange{First: from, Last: r.last})
		}
	}
	l.runs = slices.Clip(l.runs)
}

// bySeq turns sequence numbers, which have to exist, into UID ranges. A UID inside such a range that is not in the
// list does not exist any more: UIDs up to the highest one known are never given again.
func (l *uidList) bySeq(seqs []imapwire.Range) []exmdb.UIDRange {
	out := make([]exmdb.UIDRange, 0, len(seqs))
	for _, r := range seqs {
		out = append(out, exmdb.UIDRange{First: l.uid(r.First), Last: l.uid(r.Last)})
	}
	return out
}

// clip keeps of ranges what lies between from and to.
func clip(ranges []exmdb.UIDRange, from, to mapi.UID) []exmdb.UIDRange {
	out := make([]exmdb.UIDRange, 0, len(ranges))
	for _, r := range ranges {
		r.First, r.Last = max(r.First, from), min(r.Last, to)
		if r.First <= r.Last {
			out = append(out, r)
		}
	}
	return out
}

// mergeUIDs sorts ranges and joins those that touch.
func mergeUIDs(ranges []exmdb.UIDRange) []exmdb.UIDRange {
	return fromWire(imapwire.Merge(toWire(ranges)))
}

func toWire(ranges []exmdb.UIDRange) []imapwire.Range {
	out := make([]imapwire.Range, len(ranges))
	for i, r := range ranges {
		out[i] = imapwire.Range{First: uint32(r.First), Last: uint32(r.Last)}
	}
	return out
}

func fromWire(ranges []imapwire.Range) []exmdb.UIDRange {
	out := make([]exmdb.UIDRange, len(ranges))
	for i, r := range ranges {
		out[i] = exmdb.UIDRange{First: mapi.UID(r.First), Last: mapi.UID(r.Last)}
	}
	return out
}

// ranges is the list as ranges.
func (l *uidList) ranges() []exmdb.UIDRange {
	out := make([]exmdb.UIDRange, len(l.runs))
	for i, r := range l.runs {
		out[i] = exmdb.UIDRange{First: r.first, Last: r.last}
	}
	return out
}
