package space

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/lsm"
	"github.com/flotilla-mail/flotilla/internal/testkit"
)

// scrubbedOne is a machine with a space that holds a pair and a content, and what its scrubs find.
func scrubbedOne(t *testing.T, rate int64) (*feeder, chan error) {
	t.Helper()
	found := make(chan error, 8)
	m := openMachine(t, MachineConfig{ScrubRate: rate, Events: MachineEvents{
		Hashed: func(_ uint64, _ Hash, err error) { found <- err }}})
	f := &feeder{t: t, m: m, term: 1, wall: time.Unix(1_700_000_000, 0)}
	body := bytes.Repeat([]byte("content "), 1000)
	stored, err := m.coders.seal(nil, body, compressContent)
	check(t, err)
	f.apply(Done, appendContentPart(nil, f.head(partContent, cluster.SpaceID{}, 0), inline{HashOf(body), stored}))
	f.apply(Done, encodePart(t, m, f.head(partCreate, spaceN(1), 0), set("k", "v")))
	return f, found
}

func (f *feeder) scrub() {
	f.apply(Done, appendPartHeader(nil, f.head(partHash, cluster.SpaceID{}, 0)))
}

// change writes behind the machine's back, as a bad disk does.
func (f *feeder) change(do func(db *lsm.DB, b *lsm.Batch) error) {
	f.t.Helper()
	b := f.m.db.NewBatch()
	defer b.Close()
	check(f.t, do(f.m.db, b))
	check(f.t, b.Commit(false))
}

func TestAFlippedPairHasAnotherSum(t *testing.T) {
	sound, soundFound := scrubbedOne(t, 0)
	spoilt, spoiltFound := scrubbedOne(t, 0)
	spoilt.change(func(_ *lsm.DB, b *lsm.Batch) error { return b.Set(dataKey(spaceN(1), []byte("k")), []byte("w")) })
	for _, f := range []*feeder{sound, spoilt} {
		f.scrub()
	}
	check(t, errors.Join(<-soundFound, <-spoiltFound))
	a, _ := sound.m.Scrubbed()
	b, ok := spoilt.m.Scrubbed()
	if !ok || !a.Done || a.Index != 3 || a.Index != b.Index || a.Bytes == 0 || a.Sum == b.Sum || a.Sum == (Hash{}) {
		t.Fatalf("found %+v and %+v", a, b)
	}
	at, read, ok, err := sound.m.LastScrub()
	if err != nil || !ok || !at.Equal(sound.wall) || read != a.Bytes {
		t.Fatalf("record: %v, %d bytes, %v, %v; want %v, %d", at, read, ok, err, sound.wall, a.Bytes)
	}
}

func TestASpoiltContentIsFoundWithoutComparing(t *testing.T) {
	for name, spoil := range map[string]func([]byte) []byte{
		"another content": func(stored []byte) []byte { return append([]byte{codingRaw, 3}, "abc"...) },
		"garbage":         func(stored []byte) []byte { return append([]byte{9}, stored...) },
	} {
		f, found := scrubbedOne(t, 0)
		f.change(func(db *lsm.DB, b *lsm.Batch) error {
			it := db.NewIter([]byte{prefixBody}, []byte{prefixBody + 1})
			it.First()
			return errors.Join(b.Set(it.Key(), spoil(it.Value())), it.Close())
		})
		f.scrub()
		if err := <-found; !errors.Is(err, cluster.ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
		s, _ := f.m.Scrubbed()
		if _, _, ok, err := f.m.LastScrub(); !s.Done || !errors.Is(s.Err, cluster.ErrDamaged) || ok || err != nil {
			t.Errorf("%s: %+v, record %v, %v", name, s, ok, err)
		}
	}
}

// TestALaterScrubEndsTheOneBefore: a slow hash stands in nobody's way, neither of the next nor of the machine's end.
func TestALaterScrubEndsTheOneBefore(t *testing.T) {
	f, found := scrubbedOne(t, 1)
	f.scrub()
	testkit.Eventually(t, time.Minute, func(context.Context) error {
		if s, _ := f.m.Scrubbed(); s.Bytes == 0 {
			return errors.New("it has not begun")
		}
		return nil
	})
	f.scrub()
	if err := <-found; !errors.Is(err, errOvertakenScrub) {
		t.Fatalf("the first ended with %v", err)
	}
	if s, ok := f.m.Scrubbed(); !ok || s.Done || s.Index != 4 {
		t.Fatalf("under way: %+v", s)
	}
	check(t, f.m.Close())
	if err := <-found; !errors.Is(err, errClosed) {
		t.Fatalf("the second ended with %v", err)
	}
}

func TestTheFirstScrubIsWaitedFor(t *testing.T) {
	f, _ := scrubbedOne(t, 0)
	if _, _, ok, err := f.m.LastScrub(); ok || err != nil {
		t.Fatalf("a record of nothing: %v", err)
	}
	check(t, f.m.BeginScrubs(f.wall))
	if at, read, ok, err := f.m.LastScrub(); !ok || err != nil || !at.Equal(f.wall) || read != 0 {
		t.Fatalf("%v, %d, %v, %v", at, read, ok, err)
	}
}
