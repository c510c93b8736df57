package space

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/lsm"
)

// world is a replica beside what its spaces must look like.
type world struct {
	r      *LocalReplica
	now    time.Time
	off    time.Duration                   // of the leader's calendar
	spaces map[cluster.SpaceID]*modelSpace // nil: dropped
	bodies map[Hash]string
	sent   map[requestID]sentUpdate
	next   int
	pump   *Pump
	due    *DueRunner
	t      *rapid.T // of the operation that runs
}

type sentUpdate struct {
	update Update
	at     time.Time
	answer string
}

func newWorld(t *rapid.T) *world {
	o := lsm.StateOptions("state")
	o.FS = lsm.MemFS()
	db, err := lsm.Open(o)
	check(t, err)
	w := &world{
		now: time.Unix(1_700_000_000, 0), spaces: map[cluster.SpaceID]*modelSpace{}, bodies: map[Hash]string{},
		sent: map[requestID]sentUpdate{},
	}
	clock := func() time.Time { return w.now.Add(w.off) }
	w.r, err = NewLocalReplica(db, Config{Now: clock})
	check(t, err)
	w.r.Local.Record()
	for n := range 2 {
		_, err = w.r.Create(context.Background(), spaceN(n+1), 1, cluster.RequestID{}, func(Writer) ([]byte, error) { return nil, nil })
		check(t, err)
		w.spaces[spaceN(n+1)] = newModelSpace()
	}
	w.pump = NewPump(w.r.Replica, w, WorkConfig{})
	w.due = NewDueRunner(w.r.Replica, w, WorkConfig{Now: clock, Retry: time.Minute, RetryMost: time.Hour})
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

// fail draws what the next parts meet.
func (w *world) fail(t *rapid.T) LocalFault {
	return w.failAs(t, FaultNone, FaultVoidTerm, FaultOvertaken, FaultLostAnswer, FaultLostEntry, FaultRefused, FaultLate)
}

func (w *world) failAs(t *rapid.T, faults ...LocalFault) LocalFault {
	fault := rapid.SampledFrom(faults).Draw(t, "fault")
	w.r.Local.Fail(make([]LocalFault, rapid.SampledFrom([]int{0, 0, 0, 1, 2}).Draw(t, "parts before it"))...)
	w.r.Local.Fail(fault)
	return fault
}

// calm ends faults and commits what is late.
func (w *world) calm(t *rapid.T) {
	l := w.r.Local
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults = nil
	check(t, l.settleLocked())
}

// sequence is how many effects the space has seen.
func (w *world) sequence(id cluster.SpaceID) uint64 {
	hdr, err := readHeader(w.r.Machine().db, id)
	check(w.t, err)
	if hdr == nil {
		return 0
	}
	return hdr.sequence
}

// lacks reports whether the script refers to content that the group has not.
func (w *world) lacks(t *rapid.T, s script) bool {
	for h, how := range s.held {
		has, err := w.r.HasContent(h)
		check(t, err)
		if how == refHold && !has {
			return true
		}
	}
	return false
}

func (w *world) update(t *rapid.T) {
	s := w.script(t)
	w.attempt(t, Update{Space: spaceGen.Draw(t, "space"), ID: w.request(), Func: s.run}, s)
}

func (w *world) create(t *rapid.T) {
	s := w.script(t)
	w.attempt(t, Update{Space: spaceGen.Draw(t, "space"), ID: w.request(), Creates: true, Epoch: 1, Func: s.run}, s)
}

// attempt makes an update under faults, asks again for a while when its outcome is unknown, and does to the model what
// must have happened.
func (w *world) attempt(t *rapid.T, u Update, s script) {
	_, taken := w.spaces[u.Space]
	here := w.spaces[u.Space] != nil
	lacks, before := w.lacks(t, s), w.sequence(u.Space)
	fault := w.fail(t)
	got, err := w.r.Do(context.Background(), u)
	for kindIs(err, cluster.KindUnknownOutcome) && rapid.IntRange(0, 3).Draw(t, "ask again") > 0 {
		got, err = w.r.Do(context.Background(), u)
	}
	w.calm(t)
	happens := (here || u.Creates && !taken) && !s.refuses && !lacks
	right := false
	switch cluster.KindOf(err) {
	case cluster.KindUnknownOutcome: // and nobody asks any more
		if right = fault != FaultNone; w.sequence(u.Space) > before {
			w.happened(u.Space, s)
		}
	case cluster.KindUnavailable, cluster.KindOverloaded:
		right = fault != FaultNone
	case cluster.KindExists:
		right = u.Creates && taken
	case cluster.KindNoSpace:
		right = !u.Creates && !here
	case cluster.KindContentMissing:
		right = lacks && !s.refuses
	default:
		if right = err == nil && happens || errors.Is(err, errRefused) && s.refuses; err == nil {
			w.happened(u.Space, s)
			w.sent[u.ID.ID] = sentUpdate{u, w.now, string(got)}
		}
	}
	if !right {
		t.Fatalf("space here %v, id taken %v, refuses %v, lacks %v, fault %d: %q, %v", here, taken, s.refuses, lacks, fault, got, err)
	}
}

func (w *world) happened(id cluster.SpaceID, s script) {
	if w.spaces[id] == nil {
		w.spaces[id] = newModelSpace()
	}
	s.onModel(w.spaces[id])
}

// retry sends an old request again: it must not run.
func (w *world) retry(t *rapid.T) {
	if len(w.sent) == 0 {
		return
	}
	ids := slices.SortedFunc(maps.Keys(w.sent), func(a, b requestID) int { return bytes.Compare(a[:], b[:]) })
	s := w.sent[rapid.SampledFrom(ids).Draw(t, "request")]
	age := w.now.Sub(s.at)
	s.update.ID.Drawn = time.Now().Add(-age)
	got, err := w.r.Do(context.Background(), s.update)
	var want error
	switch {
	case w.spaces[s.update.Space] == nil && s.update.Creates:
		want = cluster.ErrExists
	case w.spaces[s.update.Space] == nil:
		want = cluster.ErrNoSpace
	case age >= cluster.RequestWindow:
		want = cluster.ErrStaleRequest
	}
	if !errors.Is(err, want) || want == nil && string(got) != s.answer {
		t.Fatalf("retry: %q, %v, want %v; first answer %q", got, err, want, s.answer)
	}
}

// upload brings content that no space holds yet.
func (w *world) upload(t *rapid.T) {
	fault := w.failAs(t, FaultNone, FaultVoidTerm, FaultLostAnswer, FaultLostEntry, FaultRefused, FaultLate) // no sequence
	u, err := w.r.Upload(context.Background())
	check(t, err)
	var names []Hash
	for range rapid.IntRange(1, 3).Draw(t, "chunks") {
		b, h := w.body(t)
		names = append(names, h)
		if _, err := u.Put(context.Background(), []byte(b)); err != nil && fault == FaultNone {
			t.Fatalf("chunk: %v", err)
		}
	}
	err = u.Close()
	w.calm(t)
	if err != nil && fault == FaultNone {
		t.Fatalf("upload: %v", err)
	}
	for _, h := range names {
		if has, hasErr := w.r.HasContent(h); hasErr != nil || !has && err == nil {
			t.Fatalf("uploaded content is not there: %v", hasErr)
		}
	}
}

func (w *world) drop(t *rapid.T) {
	if rapid.IntRange(0, 14).Draw(t, "really") > 0 {
		return
	}
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
		if !maps.Equal(got, model.pairs) {
			t.Fatalf("space %s holds %.200v, want %.200v", id, got, model.pairs)
		}
		w.compareHeld(t, id, model)
		w.compareWork(t, id, model)
	}
}

func (w *world) compareHeld(t *rapid.T, id cluster.SpaceID, model *modelSpace) {
	for h := range model.held {
		err := w.r.View(context.Background(), id, ReadLocal, func(v Reader) error {
			b, err := v.Content(h)
			if err == nil && string(b) != w.bodies[h] {
				err = errors.New("other bytes")
			}
			return err
		})
		if err != nil {
			t.Fatalf("content %q held by %s: %v", w.bodies[h], id, err)
		}
	}
}

// TestModel drives spaces with random operations and faults and holds them against a plain model; then it replays the
// log in other splits and with a crash, and holds the replicas against each other (CLUSTER 8).
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		actions := map[string]func(*rapid.T){
			"create":   w.create,
			"update":   w.update,
			"update2":  w.update,
			"update3":  w.update,
			"together": w.together,
			"retry":    w.retry,
			"upload":   w.upload,
			"deliver":  w.deliver,
			"fall due": w.fallDue,
			"drop":     w.drop,
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
		}
		for name, do := range actions {
			actions[name] = func(t *rapid.T) {
				w.t = t
				do(t)
			}
		}
		t.Repeat(actions)
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
