package mover

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	mathrand "math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/internal/lsm"
	"github.com/flotilla-mail/flotilla/internal/wire"
	"github.com/flotilla-mail/flotilla/placement"
	"github.com/flotilla-mail/flotilla/placement/store"
)

// world is three groups of one replica each, the system group among them, and one space that moves between the others,
// beside what it must look like. Everything happens in one goroutine, so that a seed gives the same again.
type world struct {
	*testing.T
	rng    *mathrand.Rand
	groups map[cluster.GroupID]*space.LocalReplica
	server *ops.Server
	box    cluster.SpaceID

	now     time.Time
	pairs   map[string]string
	held    map[space.Hash]bool
	effects uint64
	sent    []write // acknowledged, the newest last
	pending []write // not acknowledged
	next    byte
	lag     *placement.Map
	crash   bool            // carriers die
	known   placement.Place // where the clients believe the space to be
	late    []*ops.Request  // steps that come once more
}

// write is an update by a client that insists.
type write struct {
	id     cluster.RequestID
	key    string
	value  string
	body   []byte
	ahead  bool // the body comes, or has come, ahead
	upload bool // and is still to come
	answer string
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{T: t, rng: mathrand.New(mathrand.NewPCG(seed, 7)), groups: map[cluster.GroupID]*space.LocalReplica{}, box: cluster.SpaceID{1},
		now: time.Unix(1.8e9, 0), pairs: map[string]string{}, held: map[space.Hash]bool{}}
	for g := range cluster.GroupID(3) {
		o := lsm.StateOptions("state")
		o.FS = lsm.MemFS()
		db, err := lsm.Open(o)
		w.must(err)
		rep, err := space.NewLocalReplica(db, space.Config{Now: func() time.Time { return w.now }})
		w.must(err)
		w.groups[g] = rep
		t.Cleanup(func() { w.must(errors.Join(rep.Close(), db.Close())) })
	}
	w.server = ops.NewServer(w, ops.Events{}, Handlers(), store.Handlers())
	_, err := w.groups[0].Create(t.Context(), store.Space, 1, cluster.RequestID{}, func(wr space.Writer) ([]byte, error) {
		err := errors.Join(store.Init(wr, placement.FirstLevel), store.CreateGroup(wr, placement.Group{ID: 1}, nil),
			store.CreateGroup(wr, placement.Group{ID: 2}, nil))
		_, perr := store.PlaceSpace(wr, &store.PlaceSpaceRequest{Space: w.box})
		return nil, errors.Join(err, perr)
	})
	w.must(err)
	_, err = w.groups[1].Create(t.Context(), w.box, 1, cluster.RequestID{}, func(space.Writer) ([]byte, error) { return nil, nil })
	w.must(err)
	w.effects, w.known = 1, w.place()
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// Replica implements ops.Replicas.
func (w *world) Replica(g cluster.GroupID) *space.Replica { return w.groups[g].Replica }

// Call implements Caller: it tries again as a client of ops does, under one request id.
func (w *world) Call(ctx context.Context, q *ops.Request, mode ops.Mode) ([]byte, error) {
	q.Group, q.Epoch = 0, 1
	if g, ok := GroupOf(q.Space); ok {
		q.Group = g
	}
	if mode == ops.Write {
		_, err := rand.Read(q.ID[:])
		w.must(err)
	}
	if _, door := GroupOf(q.Space); w.crash && (door && w.rng.IntN(6) == 0 || q.Op == store.OpFlipMove && w.rng.IntN(2) == 0) {
		again := *q
		again.ID[0]++ // another carrier's
		w.late = append(w.late, &again)
	}
	if q.Op == store.OpFlipMove && w.crash && w.rng.IntN(4) == 0 {
		return nil, cluster.ErrUnknownOutcome // it never gets there, or only late
	}
	for tries := 0; ; tries++ {
		answer, err := w.server.Serve(ctx, q)
		if q.Op == store.OpFlipMove && w.crash && w.rng.IntN(4) == 0 {
			return nil, cluster.ErrUnknownOutcome
		}
		if err == nil || !cluster.Retryable(err) || tries == 3 || ctx.Err() != nil {
			return answer, err
		}
	}
}

// Map implements Map: as it is now, or as it was when it was looked at last.
func (w *world) Map() *placement.Map {
	if w.lag == nil || w.rng.IntN(2) == 0 {
		w.must(w.groups[0].View(w.Context(), store.Space, space.ReadLocal, func(r space.Reader) (err error) {
			w.lag, err = store.Load(r)
			return err
		}))
	}
	return w.lag
}

// Changed implements Map.
func (w *world) Changed() <-chan struct{} { return nil }

// step does an op on the moves' records.
func (w *world) step(op ops.ID, q store.MoveRequest) (m placement.Move) {
	w.Helper()
	for {
		answer, err := w.Call(w.Context(), &ops.Request{Op: op, Space: store.Space, Payload: wire.Marshal(&q)}, ops.Write)
		if err != nil && cluster.Retryable(err) {
			continue
		}
		w.must(err)
		w.must(wire.Unmarshal(answer, &m))
		return m
	}
}

func (w *world) place() (p placement.Place) {
	w.Helper()
	w.must(w.groups[0].View(w.Context(), store.Space, space.ReadLocal, func(r space.Reader) (err error) {
		p, _, err = store.Lookup(r, w.box)
		return err
	}))
	return p
}

// write makes an update where the map has the space, and tells the model when it is acknowledged.
func (w *world) write(x *write) bool {
	w.Helper()
	if time.Since(x.id.Drawn) < 0 {
		w.Fatal("request id from the future")
	}
	if x.upload {
		return w.ahead(x)
	}
	for range 4 {
		answer, err := w.groups[w.known.Group].Update(w.Context(), w.box, x.id, func(wr space.Writer) ([]byte, error) {
			if err := (&ops.Request{Epoch: w.known.Epoch}).Placed(wr); err != nil {
				return nil, err
			}
			wr.Set([]byte(x.key), []byte(x.value))
			if x.ahead {
				wr.Ref(space.HashOf(x.body))
			} else {
				wr.PutContent(x.body)
			}
			wr.Unref(space.HashOf(w.content(int(x.body[0]) + 3)))
			wr.Schedule(space.Due{At: time.Unix(int64(x.body[0]), 0), Op: 1})
			wr.Intend(space.Intent{Target: "queue", Op: 1, Payload: []byte(x.value)})
			return fmt.Append(nil, wr.Sequence()), nil
		})
		if err != nil && cluster.Retryable(err) {
			if kind := cluster.KindOf(err); kind == cluster.KindMoving || kind == cluster.KindNoSpace {
				w.known = w.place()
			}
			continue
		}
		w.must(err)
		if string(answer) != fmt.Sprint(w.effects) {
			w.Fatalf("%s was effect %s, want %d", x.value, answer, w.effects)
		}
		w.effects++
		x.answer = string(answer)
		w.pairs[x.key], w.held[space.HashOf(x.body)] = x.value, true
		delete(w.held, space.HashOf(w.content(int(x.body[0])+3)))
		w.sent = append(w.sent, *x)
		return true
	}
	return false
}

// ahead uploads the body of a write, which is then still to be made.
func (w *world) ahead(x *write) bool {
	for x.upload {
		u, err := w.groups[w.known.Group].UploadFor(w.Context(), w.box)
		if err == nil {
			_, err = u.Put(w.Context(), x.body)
			err = errors.Join(err, u.Close())
		}
		switch kind := cluster.KindOf(err); {
		case err == nil:
			x.upload = false
		case kind == cluster.KindMoving || kind == cluster.KindNoSpace:
			w.known = w.place()
			return false
		case !cluster.Retryable(err):
			w.Fatal(err)
		}
	}
	return false
}

func (w *world) content(n int) []byte { return bytes.Repeat([]byte{byte(n % 12)}, 700+n%12) }

// client lets a client do something: write, insist on what was not acknowledged, ask again for what was.
func (w *world) client() {
	w.Helper()
	if len(w.pending) > 0 {
		if w.write(&w.pending[0]) {
			w.pending = w.pending[1:]
		}
		return
	}
	if len(w.sent) > 0 && w.rng.IntN(3) == 0 {
		x := w.sent[max(0, len(w.sent)-1-w.rng.IntN(10))]
		answer, err := w.groups[w.place().Group].Update(w.Context(), w.box, x.id, func(space.Writer) ([]byte, error) {
			return nil, errors.New("it ran again")
		})
		if err == nil && string(answer) != x.answer || err != nil && !cluster.Retryable(err) {
			w.Fatalf("asked again for %s: %q, %v; want %q", x.value, answer, err, x.answer)
		}
		return
	}
	w.next++
	ahead := w.rng.IntN(3) == 0
	x := write{cluster.RequestID{ID: [16]byte{1, w.next, byte(w.rng.IntN(256)), byte(len(w.sent) >> 8), byte(len(w.sent))}, Drawn: time.Now()},
		fmt.Sprint("key", w.rng.IntN(40)), fmt.Sprint("value", w.effects, w.next), w.content(w.rng.IntN(12)), ahead, ahead, ""}
	if !w.write(&x) {
		w.pending = append(w.pending, x)
	}
}

// hardship is what a group meets now and then.
func (w *world) hardship() {
	g := w.groups[cluster.GroupID(w.rng.IntN(3))]
	switch w.rng.IntN(8) {
	case 0:
		faults := []space.LocalFault{space.FaultVoidTerm, space.FaultLostAnswer, space.FaultLostEntry, space.FaultRefused, space.FaultLate}
		g.Local.Fail(faults[w.rng.IntN(len(faults))])
	case 1:
		g.Local.Depose()
		g.LeadershipLost()
		g.Local.Elect()
	case 2:
		w.now = w.now.Add(time.Duration(w.rng.IntN(30)) * time.Second)
	case 3:
		_, err := g.Collect(w.Context())
		if err != nil && !cluster.Retryable(err) {
			w.Fatal(err)
		}
	}
}

var errCrash = errors.New("the node was killed")

// arrow is what happens at each step of a move.
func (w *world) arrow(m *placement.Move, _ string) error {
	for range w.rng.IntN(3) {
		w.client()
	}
	w.hardship()
	if w.rng.IntN(60) == 0 {
		w.step(store.OpAbortMove, store.MoveRequest{Space: w.box, ID: m.ID, Trouble: "somebody said so"})
	}
	for len(w.late) > 0 && w.rng.IntN(4) == 0 {
		i := w.rng.IntN(len(w.late))
		_, _ = w.server.Serve(w.Context(), w.late[i]) // whatever comes of it, nobody hears
		w.late = slices.Delete(w.late, i, i+1)
	}
	if w.crash && w.rng.IntN(12) == 0 {
		return errCrash
	}
	return nil
}

// carry moves the space to a group, with as many carriers as die on the way.
func (w *world) carry(to cluster.GroupID) {
	w.Helper()
	w.next++
	id := placement.MoveID{2, w.next, byte(w.effects), byte(w.effects >> 8)}
	mv := w.step(store.OpStartMove, store.MoveRequest{Space: w.box, ID: id, To: to})
	for carriers := 0; mv.ID == id; carriers++ {
		if carriers == 300 {
			w.Fatalf("it does not end: %+v", mv)
		}
		m := New(Config{Group: mv.From, Replica: w.groups[mv.From].Replica, Ops: w, Map: w, Piece: 100 + w.rng.IntN(4000),
			Retry: time.Microsecond, RetryMost: time.Millisecond,
			Events: Events{Arrow: w.arrow}})
		m.carry(w.Context(), mv)
		mv = placement.Move{}
		w.must(w.groups[0].View(w.Context(), store.Space, space.ReadLocal, func(r space.Reader) error {
			moves, err := store.Moves(r)
			if len(moves) > 0 {
				mv = moves[0]
			}
			return err
		}))
	}
}

// calm ends faults, and what is late comes.
func (w *world) calm() {
	for _, g := range w.groups {
		for tries := 0; tries < 10; tries++ { // each takes a fault that is left
			_ = g.SetGroup(w.Context(), space.GroupRecord{})
		}
		w.must(g.SetGroup(w.Context(), space.GroupRecord{}))
	}
}

// compare holds the space against the model, and the group that it left against nothing.
func (w *world) compare() {
	w.Helper()
	w.calm()
	for len(w.pending) > 0 {
		w.client()
	}
	p := w.place()
	got := map[string]string{}
	w.must(w.groups[p.Group].View(w.Context(), w.box, space.ReadLease, func(r space.Reader) error {
		if r.Sequence() != w.effects || r.Epoch() != p.Epoch {
			return fmt.Errorf("sequence %d, epoch %d, want %d, %d", r.Sequence(), r.Epoch(), w.effects, p.Epoch)
		}
		for h := range w.held {
			if _, err := r.Content(h); err != nil {
				return err
			}
		}
		it := r.Iter(nil, nil)
		for it.Next() {
			got[string(it.Key())] = string(it.Value())
		}
		return it.Close()
	}))
	if !maps.Equal(got, w.pairs) {
		w.Fatalf("the space holds %v, want %v", got, w.pairs)
	}
	w.lag = nil
	for g := range w.groups { // a step that came last of all may have left something
		New(Config{Group: g, Replica: w.groups[g].Replica, Ops: w, Map: w}).sweep(w.Context())
	}
	other := w.groups[3-p.Group]
	for _, rep := range []*space.LocalReplica{w.groups[p.Group], other} {
		status, err := rep.MoveStatus(w.box)
		w.must(err)
		if rep == other && status.State != space.Moved && status.State != 0 || rep != other && (status.State != space.Active || status.Move != space.MoveID{}) {
			w.Fatalf("after the move: %+v", status)
		}
	}
	if w.rng.IntN(2) == 0 {
		w.collect(other)
	}
}

// collect lets the group that the space has left forget its content, and the one that has it what it let go of.
func (w *world) collect(other *space.LocalReplica) {
	w.now = w.now.Add(2 * time.Hour)
	for _, g := range w.groups {
		for range 2 {
			_, err := g.Collect(w.Context())
			w.must(err)
		}
	}
	for n := range 12 {
		h := space.HashOf(w.content(n))
		if has, err := other.HasContent(h); err != nil || has {
			w.Fatalf("content %d is left behind: %v", n, err)
		}
		if has, err := w.groups[w.place().Group].HasContent(h); err != nil || has != w.held[h] {
			w.Fatalf("content %d is there: %v, want %v: %v", n, has, w.held[h], err)
		}
	}
}

// intents are the payloads in the space's outbox.
type outbox struct {
	mu   sync.Mutex
	seen []string
}

// Perform implements space.Performer.
func (o *outbox) Perform(_ context.Context, _ cluster.SpaceID, _ uint64, in space.Intent) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen = append(o.seen, string(in.Payload))
	return nil
}

func (o *outbox) list() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.seen)
}
