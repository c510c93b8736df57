package fulltext

import (
	"fmt"
	"slices"
	"sync"

	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// recent is what was found last, because who makes a table asks the same for each of its steps. It is of the state of a
// folder's index that its key has, so nothing in it is ever out of date.
type recent struct {
	mu   sync.Mutex
	list []remembered // guarded by mu; the last asked for at the end
}

type remembered struct {
	key recentKey
	set *Set // never changed
}

type recentKey struct {
	box    Mailbox
	folder mapi.FID
	record folderRecord
	query  string
}

// recentMost is how many are remembered.
const recentMost = 8

func (r *recent) find(key recentKey) *Set {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, one := range r.list {
		if one.key == key {
			r.list = append(slices.Delete(r.list, i, i+1), one)
			return one.set
		}
	}
	return nil
}

func (r *recent) keep(key recentKey, set *Set) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.list) == recentMost {
		r.list = slices.Delete(r.list, 0, 1)
	}
	r.list = append(r.list, remembered{key, set})
}

// print tells a query from all others.
func (q *Query) print() string {
	var parts []string
	for _, list := range [][]*Query{q.all, q.any} {
		parts = append(parts, fmt.Sprint(len(list)))
		for _, part := range list {
			parts = append(parts, part.print())
		}
	}
	return fmt.Sprintf("%q %d %q", parts, q.fields, q.probes)
}
