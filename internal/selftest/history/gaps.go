package history

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Gaps is for how long a mailbox was unavailable at the longest, by protocol: from the first try of an operation, whatever
// became of that one, to the first acknowledgement of one that began no earlier. It is never too short; where nobody tried
// again at once it is longer than what a client that did would have seen.
func Gaps(records []Record) map[string]time.Duration {
	type place struct{ by, box string }
	tries := map[place][]*Record{}
	for i := range records {
		r := &records[i]
		switch r.Op {
		case Add, Flag, Expunge, Read:
			p := place{r.By, r.Box}
			tries[p] = append(tries[p], r)
		}
	}
	longest := map[string]time.Duration{}
	for p, all := range tries {
		longest[p.by] = max(longest[p.by], gap(all))
	}
	return longest
}

// gap is the longest among the tries of one mailbox. After a try that is followed by no acknowledgement nothing is known but
// how long it took itself.
func gap(tries []*Record) (longest time.Duration) {
	slices.SortFunc(tries, func(x, y *Record) int { return cmp.Compare(y.Call, x.Call) })
	next := int64(math.MaxInt64) // the first acknowledgement of what began later
	for _, r := range tries {
		if r.Outcome == OK {
			next = min(next, r.Return)
		}
		until := next
		if next == math.MaxInt64 {
			until = r.Return
		}
		longest = max(longest, time.Duration(until-r.Call))
	}
	return longest
}
