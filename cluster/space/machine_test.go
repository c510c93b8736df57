package space

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/lsm"
)

func openMachine(t testing.TB, config MachineConfig) *Machine {
	t.Helper()
	m, err := OpenMachine(openDB(t), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// feeder writes a log by hand.
type feeder struct {
	t     *testing.T
	m     *Machine
	index uint64
	term  uint64
	wall  time.Time
}

func feed(t *testing.T) *feeder {
	return &feeder{t: t, m: openMachine(t, MachineConfig{}), term: 1, wall: time.Unix(1_700_000_000, 0)}
}

func (f *feeder) head(kind partKind, id cluster.SpaceID, base uint64) partHeader {
	return partHeader{kind: kind, space: id, base: base, wall: f.wall.UnixNano()}
}

// entry applies one entry evaluated in the given term.
func (f *feeder) entry(evaluated uint64, parts ...[]byte) []Outcome {
	f.t.Helper()
	f.index++
	out, err := f.m.Apply([]LogEntry{{Index: f.index, Term: f.term, Data: AppendEntry(nil, evaluated, parts)}})
	if err != nil {
		f.t.Fatal(err)
	}
	return out[0]
}

func (f *feeder) apply(want Outcome, parts ...[]byte) {
	f.t.Helper()
	for i, got := range f.entry(f.term, parts...) {
		if got != want {
			f.t.Fatalf("part %d: outcome %d, want %d", i, got, want)
		}
	}
}

func (f *feeder) key(key []byte) []byte {
	f.t.Helper()
	b, err := f.m.db.Get(key)
	if err != nil {
		f.t.Fatal(err)
	}
	return b
}

func (f *feeder) has(h Hash) bool { return f.key(hashKey(prefixContent, h)) != nil }

func effectPart(h partHeader, e *effect) []byte {
	if e.batch == nil {
		e.batch = []byte{codingRaw, 0}
	}
	return appendEffect(appendPartHeader(nil, h), e)
}

func raw(b string) inline {
	return inline{HashOf([]byte(b)), append([]byte{codingRaw, byte(len(b))}, b...)}
}

func TestLateEntryOfDeposedLeaderIsVoid(t *testing.T) {
	f := feed(t)
	id := spaceN(1)
	f.apply(Done, encodePart(t, f.m, f.head(partCreate, id, 0), set("k", "created")))
	late := encodePart(t, f.m, f.head(partUpdate, id, 1), set("k", "late"))
	f.term = 2
	if got := f.entry(1, late, late); got[0] != VoidTerm || got[1] != VoidTerm {
		t.Fatalf("outcomes %v", got)
	}
	f.apply(Done, encodePart(t, f.m, f.head(partUpdate, id, 1), set("k", "new leader's")))
	if got := f.key(dataKey(id, []byte("k"))); string(got) != "new leader's" {
		t.Fatalf("holds %q", got)
	}
}

func TestVoidPartVoidsNoOther(t *testing.T) {
	f := feed(t)
	a, b := spaceN(1), spaceN(2)
	f.apply(Done, encodePart(t, f.m, f.head(partCreate, a, 0), set("k", "0")),
		encodePart(t, f.m, f.head(partCreate, b, 0), set("k", "0")))
	moved := f.head(partUpdate, b, 1)
	moved.epoch = 1
	got := f.entry(1,
		encodePart(t, f.m, f.head(partUpdate, a, 1), set("k", "1")),
		encodePart(t, f.m, f.head(partUpdate, a, 1), set("k", "again")), // sees the part before it
		encodePart(t, f.m, f.head(partUpdate, a, 2), set("k", "2")),
		encodePart(t, f.m, moved, set("k", "moved")),
		encodePart(t, f.m, f.head(partUpdate, spaceN(3), 0), set("k", "nowhere")),
		encodePart(t, f.m, f.head(partCreate, a, 0), set("k", "anew")),
		effectPart(f.head(partUpdate, b, 1), &effect{needs: []Hash{sampleHash(1)}}),
		encodePart(t, f.m, f.head(partUpdate, b, 1), set("k", "1")),
	)
	want := []Outcome{Done, VoidSequence, Done, VoidSpace, VoidSpace, VoidSpace, VoidContent, Done}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("outcomes %v, want %v", got, want)
	}
	if x, y := f.key(dataKey(a, []byte("k"))), f.key(dataKey(b, []byte("k"))); string(x) != "2" || string(y) != "1" {
		t.Fatalf("hold %q and %q", x, y)
	}
}

func TestAppliedEntriesAreSkipped(t *testing.T) {
	f := feed(t)
	id := spaceN(1)
	e := LogEntry{Index: 5, Term: 1, Data: AppendEntry(nil, 1, [][]byte{encodePart(t, f.m, f.head(partCreate, id, 0), set("k", "v"))})}
	conf := LogEntry{Index: 6, Term: 1, Configuration: []byte("three voters")}
	noop := LogEntry{Index: 7, Term: 2}
	for range 2 {
		if _, err := f.m.Apply([]LogEntry{e, conf, noop}); err != nil {
			t.Fatal(err)
		}
	}
	at := f.m.Applied()
	if at.Index != 7 || at.Term != 2 || string(at.Configuration) != "three voters" || at.ConfigurationIndex != 6 {
		t.Fatalf("applied %+v", at)
	}
	reopened, err := OpenMachine(f.m.db, MachineConfig{})
	check(t, err)
	if again := reopened.Applied(); fmt.Sprint(again) != fmt.Sprint(at) {
		t.Fatalf("reopened at %+v", again)
	}
	check(t, reopened.Close())
}

func TestContentReferredToWhileCollected(t *testing.T) {
	f := feed(t)
	a, b := spaceN(1), spaceN(2)
	body := raw("shared body")
	f.apply(Done, effectPart(f.head(partCreate, a, 0), &effect{contents: []inline{body}}),
		encodePart(t, f.m, f.head(partCreate, b, 0), set("k", "v")),
		effectPart(f.head(partUpdate, a, 1), &effect{unrefs: []Hash{body.hash}}))
	collect := appendCollection(appendPartHeader(nil, f.head(partCollect, cluster.SpaceID{}, 0)), collection{hashes: []Hash{body.hash}})
	// The list was made while nobody held it; then b takes it, in the log before the collection.
	f.apply(Done, effectPart(f.head(partUpdate, b, 1), &effect{needs: []Hash{body.hash}}), collect)
	if !f.has(body.hash) {
		t.Fatal("collected although held")
	}
	f.apply(Done, collect)
	f.apply(Done, effectPart(f.head(partUpdate, b, 2), &effect{unrefs: []Hash{body.hash}}), collect)
	if f.has(body.hash) || f.key(hashKey(prefixBody, body.hash)) != nil || f.key(hashKey(prefixCandidate, body.hash)) != nil {
		t.Fatal("not collected although nobody holds it")
	}
	f.apply(VoidContent, effectPart(f.head(partUpdate, b, 3), &effect{needs: []Hash{body.hash}}))
}

func TestUploadIsKeptForAnHour(t *testing.T) {
	f := feed(t)
	c := raw("chunk")
	upload := func(c inline) []byte { return appendContentPart(nil, f.head(partContent, cluster.SpaceID{}, 0), c) }
	collect := func() []byte {
		return appendCollection(appendPartHeader(nil, f.head(partCollect, cluster.SpaceID{}, 0)), collection{hashes: []Hash{c.hash}})
	}
	f.apply(VoidContent, upload(inline{hash: c.hash}))
	f.apply(Done, upload(c), collect())
	f.wall = f.wall.Add(50 * time.Minute)
	f.apply(Done, upload(inline{hash: c.hash}), collect())
	f.wall = f.wall.Add(50 * time.Minute)
	f.apply(Done, collect())
	if !f.has(c.hash) {
		t.Fatal("a renewed upload was collected")
	}
	f.wall = f.wall.Add(50 * time.Minute)
	f.apply(Done, collect())
	if f.has(c.hash) || f.key(hashKey(prefixUpload, c.hash)) != nil {
		t.Fatal("an old upload was kept")
	}
}

func TestStagedPieces(t *testing.T) {
	f := feed(t)
	id := spaceN(1)
	whole := appendEffect(nil, &effect{batch: []byte{codingRaw, 5, opSet, 1, 'k', 1, 'v'}})
	pieceOf := func(stage stageID, n uint32, b []byte) []byte {
		return appendPiece(appendPartHeader(nil, f.head(partPiece, id, 0)), piece{stage, n, b})
	}
	closing := func(stage stageID, base uint64) []byte {
		as := joinedUpdate
		if base == 0 {
			as = joinedCreate
		}
		return appendCommit(appendPartHeader(nil, f.head(partCommit, id, base)), commit{as, stage, 2, HashOf(whole)})
	}
	one, two, three := stageID{1}, stageID{2}, stageID{3}
	f.apply(VoidContent, closing(one, 0)) // nothing there
	f.apply(Done, pieceOf(one, 0, whole[:3]), pieceOf(one, 1, whole[3:]), closing(one, 0))
	f.apply(Done, pieceOf(two, 0, whole[:3]))
	f.apply(VoidContent, closing(two, 1)) // a piece lost on the way
	f.apply(Done, pieceOf(two, 1, whole[3:]))
	f.apply(VoidContent, closing(two, 1)) // and gone with the commit that missed it
	f.apply(Done, pieceOf(three, 0, whole[:3]))
	f.apply(Done, pieceOf(three, 1, whole[3:]))
	f.apply(VoidSequence, closing(three, 7))
	if got := f.key(dataKey(id, []byte("k"))); string(got) != "v" {
		t.Fatalf("holds %q", got)
	}
	f.apply(Done, pieceOf(three, 0, whole))
	drop := func() []byte {
		return appendCollection(appendPartHeader(nil, f.head(partCollect, cluster.SpaceID{}, 0)), collection{stages: []stageID{three}})
	}
	f.apply(Done, drop())
	if f.key(pieceKey(three, 0)) == nil {
		t.Fatal("a fresh piece was collected")
	}
	f.wall = f.wall.Add(time.Hour)
	f.apply(Done, drop())
	if f.key(pieceKey(three, 0)) != nil {
		t.Fatal("an old piece was kept")
	}
}

func TestHeaderTimeNeverGoesBack(t *testing.T) {
	f := feed(t)
	f.apply(Done, encodePart(t, f.m, f.head(partCreate, spaceN(1), 0), set("k", "v")))
	late := f.wall
	f.wall = f.wall.Add(-time.Hour)
	f.apply(Done, encodePart(t, f.m, f.head(partUpdate, spaceN(1), 1), set("k", "w")))
	h, err := readHeader(f.m.db, spaceN(1))
	check(t, err)
	if h.wall != late.UnixNano() || h.sequence != 2 {
		t.Fatalf("header %+v", h)
	}
}

func TestGroupRecordNeverFalls(t *testing.T) {
	f := feed(t)
	for _, g := range []GroupRecord{{2, 0}, {1, 3}} {
		f.apply(Done, appendLevel(appendPartHeader(nil, f.head(partLevel, cluster.SpaceID{}, 0)), g))
	}
	g, err := f.m.Group()
	check(t, err)
	if (g != GroupRecord{2, 3}) {
		t.Fatalf("group record %+v", g)
	}
}

func TestHashEntryHashesTheStateAtIt(t *testing.T) {
	type hashed struct {
		index uint64
		sum   Hash
	}
	var sums [2]hashed
	for split := range sums {
		results := make(chan hashed, 1)
		m := openMachine(t, MachineConfig{Events: MachineEvents{Hashed: func(i uint64, s Hash, err error) {
			check(t, err)
			results <- hashed{i, s}
		}}})
		f := &feeder{t: t, m: m, term: 1, wall: time.Unix(1_700_000_000, 0)}
		parts := [][]byte{
			encodePart(t, m, f.head(partCreate, spaceN(1), 0), set("k", "v")),
			appendPartHeader(nil, f.head(partHash, cluster.SpaceID{}, 0)),
			encodePart(t, m, f.head(partUpdate, spaceN(1), 1), set("k", "w")),
		}
		var log []LogEntry
		for i, p := range parts {
			log = append(log, LogEntry{Index: uint64(i + 1), Term: 1, Data: AppendEntry(nil, 1, [][]byte{p})})
		}
		if split == 0 {
			_, err := m.Apply(log)
			check(t, err)
		}
		for _, e := range log { // skipped when applied already
			_, err := m.Apply([]LogEntry{e})
			check(t, err)
		}
		sums[split] = <-results
	}
	if sums[0] != sums[1] || sums[0].index != 2 {
		t.Fatalf("replicas hashed %v", sums)
	}
}

// TestEffectsKnowTheLevel: it is that of the log as far as it is applied, whatever brought the replica there.
func TestEffectsKnowTheLevel(t *testing.T) {
	dir := t.TempDir()
	o := lsm.StateOptions(filepath.Join(dir, "state"))
	db, err := lsm.Open(o)
	check(t, err)
	r, err := NewLocalReplica(db, Config{})
	check(t, err)
	create(t, r.Replica, spaceN(1))
	expect := func(when string, want uint64) {
		t.Helper()
		var got uint64
		update(t, r.Replica, spaceN(1), func(w Writer) ([]byte, error) {
			got = w.Level()
			return nil, nil
		})
		if got != want {
			t.Fatalf("level %d %s, not %d", got, when, want)
		}
	}
	expect("at first", 1)
	check(t, r.SetGroup(context.Background(), GroupRecord{Level: 2}))
	expect("once it is raised", 2)
	_, err = r.Machine().Checkpoint(filepath.Join(dir, "copy"))
	check(t, err)
	check(t, r.SetGroup(context.Background(), GroupRecord{Level: 3}))
	expect("once it is raised again", 3)
	check(t, r.SetGroup(context.Background(), GroupRecord{Level: 2, RecoveryEpoch: 1}))
	expect("where somebody would lower it", 3)
	restored, err := lsm.Open(lsm.StateOptions(filepath.Join(dir, "copy")))
	check(t, err)
	old, err := r.Machine().Replace(restored)
	check(t, err)
	expect("with a snapshot's state", 2)
	check(t, r.Close())
	check(t, errors.Join(old.Close(), restored.Close()))
	again, err := lsm.Open(lsm.StateOptions(filepath.Join(dir, "copy")))
	check(t, err)
	r, err = NewLocalReplica(again, Config{})
	check(t, err)
	expect("opened again", 2)
	check(t, errors.Join(r.Close(), again.Close()))
}

func TestCheckpointHoldsItsPosition(t *testing.T) {
	dir := t.TempDir()
	o := lsm.StateOptions(filepath.Join(dir, "state"))
	db, err := lsm.Open(o)
	check(t, err)
	r, err := NewLocalReplica(db, Config{})
	check(t, err)
	create(t, r.Replica, spaceN(1))
	update(t, r.Replica, spaceN(1), set("k", "before"))
	check(t, r.Machine().SetLocal("log", []byte("identity")))
	at, err := r.Machine().Checkpoint(filepath.Join(dir, "copy"))
	check(t, err)
	if at.Index != 2 || r.Machine().DurableApplied() != 2 {
		t.Fatalf("checkpoint at %d, durable %d", at.Index, r.Machine().DurableApplied())
	}
	update(t, r.Replica, spaceN(1), set("k", "after"))
	restored, err := lsm.Open(lsm.StateOptions(filepath.Join(dir, "copy")))
	check(t, err)
	woken, forget := r.Machine().Changed(spaceN(1))
	defer forget()
	old, err := r.Machine().Replace(restored)
	check(t, err)
	<-woken
	check(t, old.Close())
	if got := get(t, r.Replica, spaceN(1), "k"); got != "before" || r.Machine().Applied().Index != 2 {
		t.Fatalf("restored %q at %d", got, r.Machine().Applied().Index)
	}
	local, err := r.Machine().Local("log")
	check(t, err)
	if !bytes.Equal(local, []byte("identity")) {
		t.Fatalf("local record %q", local)
	}
	check(t, r.Close())
	check(t, restored.Close())
}

func TestWaitApplied(t *testing.T) {
	f := feed(t)
	done := make(chan error, 2)
	go func() { done <- f.m.WaitApplied(context.Background(), 2) }()
	f.apply(Done, encodePart(t, f.m, f.head(partCreate, spaceN(1), 0), set("k", "v")))
	f.apply(Done, encodePart(t, f.m, f.head(partUpdate, spaceN(1), 1), set("k", "v")))
	check(t, <-done)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { done <- f.m.WaitApplied(ctx, 3) }()
	cancel()
	wantKind(t, <-done, cluster.KindDeadline)
	go func() { done <- f.m.WaitApplied(context.Background(), 3) }()
	check(t, f.m.Close())
	wantKind(t, <-done, cluster.KindUnavailable)
	if _, err := f.m.Apply(nil); !errors.Is(err, errClosed) {
		t.Fatalf("apply after close: %v", err)
	}
}
