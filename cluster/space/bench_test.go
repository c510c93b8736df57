package space

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
)

// delivery writes what a small delivery does: 12 keys, 1.3 KB in all.
func delivery(n uint64) UpdateFunc {
	return func(w Writer) ([]byte, error) {
		counter, err := w.Get([]byte("head"))
		if err != nil {
			return nil, err
		}
		var key [16]byte
		for i := range 11 {
			key[0] = byte(i + 1)
			binary.BigEndian.PutUint64(key[1:], n)
			w.Set(key[:12], filler[:i*20])
		}
		w.Set([]byte("head"), binary.BigEndian.AppendUint64(counter[:0], n))
		return key[:], nil
	}
}

var filler = incompressible(1 << 10)

func BenchmarkUpdateLocal(b *testing.B) {
	r := openLocal(b, Config{})
	id := spaceN(1)
	create(b, r.Replica, id)
	b.ReportAllocs()
	n := uint64(0)
	for b.Loop() {
		n++
		if _, err := r.Update(context.Background(), id, cluster.RequestID{}, delivery(n)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEvaluate is the leader's part without applying: run, merge, encode.
func BenchmarkEvaluate(b *testing.B) {
	r := openLocal(b, Config{})
	id := spaceN(1)
	create(b, r.Replica, id)
	silent := New(r.Machine(), accepting{r.Local}, Config{})
	b.Cleanup(silent.Close)
	b.ReportAllocs()
	n := uint64(0)
	for b.Loop() {
		n++
		if _, err := silent.Update(context.Background(), id, cluster.RequestID{}, delivery(n)); err != nil {
			b.Fatal(err)
		}
	}
}

// accepting is a Replicator that says Done and applies nothing.
type accepting struct{ *Local }

func (accepting) Propose(context.Context, uint64, []byte) (Outcome, error) { return Done, nil }

func BenchmarkUpdateCombined(b *testing.B) {
	for _, spaces := range []int{1, 16} {
		b.Run(fmt.Sprintf("spaces=%d", spaces), func(b *testing.B) {
			r := openLocal(b, Config{})
			for i := range spaces {
				create(b, r.Replica, spaceN(i+1))
			}
			var n atomic.Uint64
			b.SetParallelism(32)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					k := n.Add(1)
					id := spaceN(int(k)%spaces + 1)
					if _, err := r.Update(context.Background(), id, cluster.RequestID{}, delivery(k)); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// BenchmarkApply applies entries of 16 parts, one delivery each; the figure is for a part.
func BenchmarkApply(b *testing.B) {
	db := openDB(b)
	m, err := OpenMachine(db, MachineConfig{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { m.Close() })
	index := uint64(0)
	const spaces = 16
	for i := range spaces {
		index++
		apply(b, m, index, encodePart(b, m, partHeader{kind: partCreate, space: spaceN(i + 1)}, set("a", "b")))
	}
	b.ReportAllocs()
	base := uint64(0)
	for n := 0; n < b.N; n += spaces {
		b.StopTimer()
		base++
		parts := make([][]byte, spaces)
		for i := range parts {
			parts[i] = encodePart(b, m, partHeader{kind: partUpdate, space: spaceN(i + 1), base: base}, delivery(base))
		}
		index++
		b.StartTimer()
		apply(b, m, index, parts...)
	}
}

func apply(t testing.TB, m *Machine, index uint64, parts ...[]byte) []Outcome {
	t.Helper()
	out, err := m.Apply([]LogEntry{{Index: index, Term: 1, Data: AppendEntry(nil, 1, parts)}})
	if err != nil {
		t.Fatal(err)
	}
	return out[0]
}

// encodePart runs fn over nothing and codes its effect.
func encodePart(t testing.TB, m *Machine, h partHeader, fn UpdateFunc) []byte {
	t.Helper()
	db, release, err := m.engine()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	w := &writer{reader: newReader(m, db, h.space, &header{sequence: h.base}), limit: MaxEffect}
	w.over = newOverlay()
	if _, err := fn(w); err != nil || w.err != nil {
		t.Fatal(err, w.err)
	}
	e := &effect{}
	if e.batch, err = m.coders.seal(nil, w.over.appendOps(nil), compressBatch); err != nil {
		t.Fatal(err)
	}
	return appendEffect(appendPartHeader(nil, h), e)
}

func BenchmarkView(b *testing.B) {
	r := openLocal(b, Config{})
	id := spaceN(1)
	create(b, r.Replica, id)
	b.ReportAllocs()
	for b.Loop() {
		err := r.View(context.Background(), id, ReadLease, func(v Reader) error {
			_, err := v.Get([]byte("made"))
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
