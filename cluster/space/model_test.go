package space

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/lsm"
)

// world is a replica beside the plain maps that its spaces must look like.
type world struct {
	r      *LocalReplica
	now    time.Time
	off    time.Duration                         // of the leader's calendar
	spaces map[cluster.SpaceID]map[string]string // nil map: dropped
	held   map[ref]bool
	bodies map[Hash]string
	sent   map[requestID]sentUpdate
	next   int
}

type sentUpdate struct {
	space  cluster.SpaceID
	fn     UpdateFunc
	at     time.Time
	answer string
}

func newWorld(t *rapid.T) *world {
	o := lsm.StateOptions("state")
	o.FS = lsm.MemFS()
	db, err := lsm.Open(o)
	check(t, err)
	w := &world{
		now: time.Unix(1_700_000_000, 0), spaces: map[cluster.SpaceID]map[string]string{},
		held: map[ref]bool{}, bodies: map[Hash]string{},
		sent: map[requestID]sentUpdate{},
	}
	w.r, err = NewLocalReplica(db, Config{Now: func() time.Time { return w.now.Add(w.off) }})
	check(t, err)
	w.r.Local.Record()
	t.Cleanup(func() {
		check(t, w.r.Close())
		check(t, db.Close())
	})
	return w
}

var spaceGen = rapid.Map(rapid.IntRange(1, 3), spaceN)

func (w *world) request() cluster.RequestID {
	w.next++
	return requestN(w.next)
}

func kindIs(err error, kind cluster.Kind) bool {
	var e *cluster.Error
	return errors.As(err, &e) && e.Kind == kind
}

func (w *world) create(t *rapid.T) {
	id := spaceGen.Draw(t, "space")
	_, err := w.r.Create(context.Background(), id, 1, cluster.RequestID{}, set("made", id.String()))
	if _, taken := w.spaces[id]; taken {
		if !kindIs(err, cluster.KindExists) {
			t.Fatalf("create over a space: %v", err)
		}
		return
	}
	check(t, err)
	w.spaces[id] = map[string]string{"made": id.String()}
}

// edit is a random function and what it does to the model.
func (w *world) edit(t *rapid.T, id cluster.SpaceID) (fn UpdateFunc, onModel func(map[string]string)) {
	var steps []func(Writer)
	var models []func(map[string]string)
	for range rapid.IntRange(1, 6).Draw(t, "steps") {
		k, v := keyGen.Draw(t, "k"), fmt.Sprint("v", rapid.IntRange(0, 99).Draw(t, "v"))
		switch rapid.IntRange(0, 6).Draw(t, "step") {
		case 0, 1, 2:
			steps = append(steps, func(w Writer) { w.Set([]byte(k), []byte(v)) })
			models = append(models, func(m map[string]string) { m[k] = v })
		case 3:
			steps = append(steps, func(w Writer) { w.Delete([]byte(k)) })
			models = append(models, func(m map[string]string) { delete(m, k) })
		case 4:
			steps = append(steps, func(w Writer) { w.DeleteRange([]byte(k), nil) })
			models = append(models, func(m map[string]string) {
				maps.DeleteFunc(m, func(key, _ string) bool { return key >= k })
			})
		case 5:
			steps = append(steps, func(w Writer) { w.PutContent([]byte(v)) })
			models = append(models, func(map[string]string) {
				w.held[ref{HashOf([]byte(v)), id}] = true
				w.bodies[HashOf([]byte(v))] = v
			})
		case 6:
			steps = append(steps, func(w Writer) { w.Unref(HashOf([]byte(v))) })
			models = append(models, func(map[string]string) { delete(w.held, ref{HashOf([]byte(v)), id}) })
		}
	}
	fn = func(w Writer) ([]byte, error) {
		for _, s := range steps {
			s(w)
		}
		return fmt.Append(nil, "at ", w.Sequence()), nil
	}
	return fn, func(m map[string]string) {
		for _, s := range models {
			s(m)
		}
	}
}

func (w *world) update(t *rapid.T) {
	id := spaceGen.Draw(t, "space")
	fn, onModel := w.edit(t, id)
	req := w.request()
	fault := LocalFault(rapid.IntRange(int(FaultNone), int(FaultRefused)).Draw(t, "fault"))
	model := w.spaces[id]
	if model == nil {
		_, err := w.r.Update(context.Background(), id, req, fn)
		if !kindIs(err, cluster.KindNoSpace) {
			t.Fatalf("update without space: %v", err)
		}
		return
	}
	w.r.Local.Fail(fault)
	got, err := w.r.Update(context.Background(), id, req, fn)
	switch fault {
	case FaultRefused, FaultLostEntry:
		if err == nil {
			t.Fatal("an update that did not commit succeeded")
		}
		return
	case FaultLostAnswer:
		if !kindIs(err, cluster.KindUnknownOutcome) {
			t.Fatalf("lost answer: %v", err)
		}
		got, err = w.r.Update(context.Background(), id, req, fn)
	}
	check(t, err)
	onModel(model)
	w.sent[req.ID] = sentUpdate{id, fn, w.now, string(got)}
}

// retry sends an old request again: it must not run.
func (w *world) retry(t *rapid.T) {
	if len(w.sent) == 0 {
		return
	}
	ids := slices.SortedFunc(maps.Keys(w.sent), func(a, b requestID) int { return bytes.Compare(a[:], b[:]) })
	id := rapid.SampledFrom(ids).Draw(t, "request")
	s := w.sent[id]
	age := w.now.Sub(s.at)
	got, err := w.r.Update(context.Background(), s.space, cluster.RequestID{ID: id, Drawn: time.Now().Add(-age)}, s.fn)
	switch {
	case w.spaces[s.space] == nil:
		if !kindIs(err, cluster.KindNoSpace) {
			t.Fatalf("retry at a dropped space: %v", err)
		}
	case age >= cluster.RequestWindow:
		if !kindIs(err, cluster.KindStaleRequest) {
			t.Fatalf("old request: %v", err)
		}
	case err != nil || string(got) != s.answer:
		t.Fatalf("retry: %q, %v, first answer %q", got, err, s.answer)
	}
}

func (w *world) drop(t *rapid.T) {
	id := spaceGen.Draw(t, "space")
	err := w.r.Drop(context.Background(), id)
	if _, known := w.spaces[id]; !known {
		if !kindIs(err, cluster.KindNoSpace) {
			t.Fatalf("drop of no space: %v", err)
		}
		return
	}
	check(t, err)
	w.spaces[id] = nil
	maps.DeleteFunc(w.held, func(r ref, _ bool) bool { return r.space == id })
}

func (w *world) compare(t *rapid.T) {
	for id, model := range w.spaces {
		got := map[string]string{}
		err := w.r.View(context.Background(), id, ReadLease, func(v Reader) error {
			it := v.Iter(nil, nil)
			for it.Next() {
				got[string(it.Key())] = string(it.Value())
			}
			return it.Close()
		})
		if model == nil {
			if !kindIs(err, cluster.KindNoSpace) {
				t.Fatalf("view of a dropped space: %v", err)
			}
			continue
		}
		check(t, err)
		if !maps.Equal(got, model) {
			t.Fatalf("space %s holds %v, want %v", id, got, model)
		}
	}
	for r := range w.held {
		err := w.r.View(context.Background(), r.space, ReadLocal, func(v Reader) error {
			b, err := v.Content(r.hash)
			if err == nil && string(b) != w.bodies[r.hash] {
				err = errors.New("other bytes")
			}
			return err
		})
		if err != nil {
			t.Fatalf("content %q held by %s: %v", w.bodies[r.hash], r.space, err)
		}
	}
}

// TestModel drives spaces with random operations and faults and holds them against plain maps; then it replays the
// log in other splits and with a crash, and holds the replicas against each other (CLUSTER 8).
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		t.Repeat(map[string]func(*rapid.T){
			"create":  w.create,
			"update":  w.update,
			"update2": w.update,
			"retry":   w.retry,
			"drop": func(t *rapid.T) {
				if rapid.IntRange(0, 4).Draw(t, "really") == 0 {
					w.drop(t)
				}
			},
			"later": func(t *rapid.T) {
				w.now = w.now.Add(time.Duration(rapid.IntRange(0, 100).Draw(t, "minutes")) * time.Minute)
			},
			"soon": func(t *rapid.T) {
				w.now = w.now.Add(time.Duration(rapid.IntRange(0, 60).Draw(t, "seconds")) * time.Second)
			},
			"calendar": func(t *rapid.T) {
				w.off = time.Duration(rapid.IntRange(-1, 1).Draw(t, "hours")) * time.Hour
			},
			"collect": func(t *rapid.T) {
				_, err := w.r.Collect(context.Background())
				check(t, err)
			},
			"": w.compare,
		})
		_, want, err := w.r.Machine().Hash(context.Background())
		check(t, err)
		if got := replayAll(t, w.r.Local.Log()); got != want {
			t.Fatalf("the log replayed gives %x, was %x", got, want)
		}
	})
}

// replayAll feeds a log in random splits to a machine that crashes on the way, and returns its hash.
func replayAll(t *rapid.T, log []LogEntry) Hash {
	fs := lsm.CrashableMemFS()
	seed := rapid.Uint64().Draw(t, "seed")
	rng := rand.New(rand.NewPCG(seed, 1))
	at := uint64(0)
	for crash := 0; ; crash++ {
		o := lsm.StateOptions("state")
		o.FS = fs
		db, err := lsm.Open(o)
		check(t, err)
		m, err := OpenMachine(db, MachineConfig{})
		check(t, err)
		if have := m.Applied().Index; have < at {
			t.Fatalf("reopened at %d, flushed %d", have, at)
		}
		limit := len(log)
		if crash < 2 {
			limit = rng.IntN(len(log) + 1)
		}
		at = applySplit(t, m, log[:limit], rng)
		if crash < 2 {
			next := fs.CrashClone(rng, rng.IntN(101))
			check(t, m.Close())
			check(t, db.Close())
			fs = next
			continue
		}
		_, sum, err := m.Hash(context.Background())
		check(t, err)
		check(t, m.Close())
		check(t, db.Close())
		return sum
	}
}

// applySplit applies entries some at a time, those from the start again too, and returns what is durable.
func applySplit(t *rapid.T, m *Machine, log []LogEntry, rng *rand.Rand) (durable uint64) {
	for len(log) > 0 {
		n := 1 + rng.IntN(len(log))
		_, err := m.Apply(log[:n])
		check(t, err)
		if rng.IntN(4) == 0 {
			check(t, m.Flush())
		}
		log = log[n:]
	}
	return m.DurableApplied()
}

// TestConcurrentUpdates holds that what succeeded is there once, what is unknown at most once, and what was
// refused not at all, in the order that the answers say.
func TestConcurrentUpdates(t *testing.T) {
	r := openLocal(t, Config{})
	r.Local.Record()
	const spaces, callers, each = 3, 8, 40
	for i := range spaces {
		create(t, r.Replica, spaceN(i+1))
	}
	var mu sync.Mutex
	status := map[string]error{}
	refused := errors.New("refused")
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(7, uint64(c)))
			for i := range each {
				name := fmt.Sprintf("%d-%d", c, i)
				if rng.IntN(5) == 0 {
					r.Local.Fail(LocalFault(rng.IntN(int(FaultRefused) + 1)))
				}
				says := error(nil)
				if rng.IntN(6) == 0 {
					says = refused
				}
				_, err := r.Update(context.Background(), spaceN(c%spaces+1), cluster.RequestID{}, appendName(name, says))
				mu.Lock()
				status[name] = err
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	counts := map[string]int{}
	for i := range spaces {
		for name := range strings.FieldsSeq(get(t, r.Replica, spaceN(i+1), "names")) {
			counts[name]++
		}
	}
	for name, err := range status {
		n := counts[name]
		switch {
		case err == nil && n != 1,
			kindIs(err, cluster.KindUnknownOutcome) && n > 1,
			err != nil && !kindIs(err, cluster.KindUnknownOutcome) && n != 0:
			t.Errorf("%s: %v, found %d times", name, err, n)
		}
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
