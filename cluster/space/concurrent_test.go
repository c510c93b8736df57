package space

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
)

// race is what many callers do at once to a few spaces, by way of two replicas of one machine that overtake each other,
// under faults. Each call is for a slot that only one can have, and notes its name.
type race struct {
	r      *LocalReplica
	mu     sync.Mutex
	status map[string]racer // guarded by mu; by name
}

type racer struct {
	space cluster.SpaceID
	slot  string
	err   error
}

// TestConcurrentUpdates holds that what succeeded is there once, what is unknown at most once, what was refused not at
// all, and that who was refused for another was refused for one who really has the slot.
func TestConcurrentUpdates(t *testing.T) {
	rc := &race{r: openLocal(t, Config{}), status: map[string]racer{}}
	other := New(rc.r.Machine(), rc.r.Local, Config{})
	t.Cleanup(other.Close)
	const spaces, callers, each = 2, 16, 40
	for i := range spaces {
		create(t, rc.r.Replica, spaceN(i+1))
	}
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(7, uint64(c)))
			replica := []*Replica{rc.r.Replica, other}[c/spaces%2]
			for i := range each {
				name, id := fmt.Sprintf("%d-%d", c, i), spaceN(c%spaces+1)
				slot := fmt.Sprint("slot ", i)
				err := rc.enter(replica, rng, id, requestN(c*each+i+1), name, slot)
				rc.mu.Lock()
				rc.status[name] = racer{id, slot, err}
				rc.mu.Unlock()
			}
		})
	}
	wg.Wait()
	rc.r.Local.Elect() // what is late is there now
	rc.judge(t)
}

// enter makes one call, and mostly asks again when its outcome is unknown, at the same replica: another would be a later
// leader, which has applied everything before.
func (rc *race) enter(r *Replica, rng *rand.Rand, id cluster.SpaceID, req cluster.RequestID, name, slot string) error {
	says := error(nil)
	if rng.IntN(6) == 0 {
		says = errRefused
	}
	for asked := false; ; asked = true {
		if rng.IntN(5) == 0 {
			rc.r.Local.Fail(LocalFault(rng.IntN(int(FaultLate) + 1)))
		}
		_, err := r.Update(context.Background(), id, req, func(w Writer) ([]byte, error) {
			owner, err := w.Get([]byte(slot))
			if err != nil {
				return nil, err
			}
			if owner != nil {
				return nil, taken(owner)
			}
			runtime.Gosched() // lets others come
			w.Set([]byte(slot), []byte(name))
			return appendName(name, says)(w)
		})
		switch unknown := kindIs(err, cluster.KindUnknownOutcome); {
		case unknown && rng.IntN(3) > 0:
		case asked && cluster.Retryable(err):
			return cluster.ErrUnknownOutcome // as it was before
		default:
			return err
		}
	}
}

func (rc *race) judge(t *testing.T) {
	counts := map[string]int{}
	for _, id := range []cluster.SpaceID{spaceN(1), spaceN(2)} {
		for name := range strings.FieldsSeq(get(t, rc.r.Replica, id, "names")) {
			counts[name]++
		}
	}
	told := map[cluster.Kind]int{}
	refusals := 0
	for name, s := range rc.status {
		n, owner := counts[name], get(t, rc.r.Replica, s.space, s.slot)
		var winner taken
		right := false
		switch {
		case s.err == nil:
			right = n == 1 && owner == name
		case errors.As(s.err, &winner):
			refusals++
			right = n == 0 && owner == string(winner)
		case kindIs(s.err, cluster.KindUnknownOutcome):
			right = n == 0 || n == 1 && owner == name
		default:
			right = n == 0
		}
		if !right {
			t.Errorf("%s: %v, found %d times; the %s is %s's", name, s.err, n, s.slot, owner)
		}
		if s.err != nil {
			told[cluster.KindOf(s.err)]++
		}
	}
	if refusals == 0 || told[cluster.KindUnknownOutcome] == 0 {
		t.Errorf("nothing was put to the test: %d refusals, kinds %v", refusals, told)
	}
}

func appendName(name string, says error) UpdateFunc {
	return func(w Writer) ([]byte, error) {
		b, err := w.Get([]byte("names"))
		if err != nil {
			return nil, err
		}
		w.Set([]byte("names"), append(append(b, ' '), name...))
		return nil, says
	}
}
