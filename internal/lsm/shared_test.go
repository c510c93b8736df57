package lsm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// eventually waits for a condition that background work brings about.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for !holds() {
		select {
		case <-deadline:
			t.Fatalf("never: %s", what)
		case <-time.After(time.Millisecond):
		}
	}
}

// TestBudget writes more than the node's budget into databases whose own memtables are never full: the fullest one is
// flushed.
func TestBudget(t *testing.T) {
	shared := NewShared(Budget{CacheBytes: 1 << 20, OpenFiles: 100, MemTableBytes: 1 << 20})
	flushes := make([]atomic.Int32, 3)
	var dbs []*DB
	for i := range flushes {
		o := StateOptions("d")
		o.FS, o.Shared, o.MemTableSize = MemFS(), shared, 32<<20
		o.Events.Flush = func(uint64, time.Duration) { flushes[i].Add(1) }
		dbs = append(dbs, open(t, o))
	}
	value := string(make([]byte, 1000))
	for n := range 1500 {
		set(t, dbs[1], false, fmt.Sprint(n), value)
		if n%10 == 0 {
			set(t, dbs[0], false, fmt.Sprint(n), value)
		}
	}
	eventually(t, "a flush brings the node below its budget", func() bool { return shared.Unflushed() <= 1<<20 })
	if flushes[1].Load() == 0 || flushes[2].Load() != 0 {
		t.Fatal("another database than the fullest was flushed")
	}
	for _, db := range dbs {
		must(t, db.Close())
	}
	if n := shared.Unflushed(); n != 0 {
		t.Fatalf("%d bytes are left of closed databases", n)
	}
	shared.Close()
}

// TestSharedCompactions lets several databases compact at once through one slot: none starves, the slot is given back.
func TestSharedCompactions(t *testing.T) {
	shared := NewShared(Budget{CacheBytes: 1 << 20, OpenFiles: 1000, Compactions: 1})
	var all sync.WaitGroup
	dbs := make([]*DB, 4)
	for i := range dbs {
		o := StateOptions("d")
		o.FS, o.Shared = MemFS(), shared
		dbs[i] = open(t, o)
		all.Go(func() {
			for n := range 12 {
				set(t, dbs[i], false, "k", fmt.Sprint(n), fmt.Sprintf("x%d", n), "v")
				must(t, dbs[i].Flush())
			}
		})
	}
	all.Wait()
	for i, db := range dbs {
		eventually(t, "compaction of the newest tables", func() bool { return db.Metrics().L0Files <= 4 })
		if v, _ := get(t, db, "k"); v != "11" {
			t.Fatalf("database %d reads %q", i, v)
		}
	}
	eventually(t, "all slots are back", func() bool {
		shared.compactions.mu.Lock()
		defer shared.compactions.mu.Unlock()
		return shared.compactions.running == 0
	})
	for _, db := range dbs {
		must(t, db.Close())
	}
	if n := len(shared.compactions.members); n != 0 {
		t.Fatalf("%d members are left", n)
	}
	shared.Close()
}

// walOf makes a database with n synced batches in its newest log and returns what a power cut leaves, the log's name
// and content, and the log's length before the last batch.
func walOf(t testing.TB, n int) (fs *CrashFS, name string, wal []byte, lastAt int) {
	t.Helper()
	live := CrashableMemFS()
	o := LogOptions("d")
	o.FS = live
	db := open(t, o)
	for i := range n {
		cut := live.CrashClone(nil, 0)
		newest, _, err := newestWAL(cut, "d")
		must(t, err)
		before, err := ReadFile(cut, path.Join("d", newest))
		must(t, err)
		lastAt = len(before)
		set(t, db, true, fmt.Sprint(i), string(bytes.Repeat([]byte{byte(i)}, 30+i%7*500)))
	}
	fs = live.CrashClone(nil, 0)
	must(t, db.Close())
	newest, _, err := newestWAL(fs, "d")
	must(t, err)
	name = path.Join("d", newest)
	wal, err = ReadFile(fs, name)
	must(t, err)
	return fs, name, wal, lastAt
}

// TestLogEnd: it lies behind the last batch, whatever follows, and what follows is nothing to whoever opens the database.
func TestLogEnd(t *testing.T) {
	fs, name, wal, lastAt := walOf(t, 40)
	rng := rand.New(rand.NewPCG(6, 6))
	noise := make([]byte, 2*walBlock)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	for cut, want := range map[int]int{len(wal): len(wal), len(wal) - 1: lastAt, lastAt: lastAt} {
		for _, behind := range [][]byte{nil, noise[:1], noise[:300], noise, make([]byte, 300)} {
			must(t, WriteFile(fs, name, append(bytes.Clone(wal[:cut]), behind...)))
			got, end, err := LogEnd(fs, "d")
			if err != nil || got != path.Base(name) || end != int64(want) {
				t.Errorf("%d of %d bytes and %d others: %s ends at %d, want %d; %v", cut, len(wal), len(behind), got, end, want, err)
			}
		}
	}
	if got, end, err := LogEnd(MemFS(), "d"); got != "" || end != 0 || err != nil {
		t.Errorf("no database: %q, %d, %v", got, end, err)
	}
}

// TestLogIsProved turns bits of a log before its last batch: each is an error of Open, never a shorter database.
func TestLogIsProved(t *testing.T) {
	fs, name, wal, lastAt := walOf(t, 40)
	rng := rand.New(rand.NewPCG(5, 5))
	for range 300 {
		bad := slices.Clone(wal)
		at, bit := rng.IntN(lastAt), rng.IntN(8)
		bad[at] ^= 1 << bit
		o := LogOptions("d")
		o.FS = fs.CrashClone(nil, 0)
		must(t, WriteFile(o.FS, name, bad))
		db, err := Open(o)
		if errors.Is(err, ErrCorrupt) {
			continue
		}
		if err != nil {
			t.Fatalf("bit %d of byte %d: %v", bit, at, err)
		}
		if n := len(keys(t, db, nil, nil)); n != 40 {
			t.Fatalf("bit %d of byte %d: %d of 40 batches left", bit, at, n)
		}
		must(t, db.Close())
	}
}

func FuzzWALScan(f *testing.F) {
	var wal []byte
	for seq := range byte(3) {
		batch := append(make([]byte, proofAt), proofKind, 8)
		batch[0], batch[8] = seq, 1
		batch = append(batch, seq, 0, 0, 0, 0, 0, 0, 0, 'x')
		chunk := make([]byte, walHeader)
		chunk[4], chunk[6], chunk[7] = byte(len(batch)), walFullTag, 4
		chunk = append(chunk, batch...)
		binary.LittleEndian.PutUint32(chunk, walSum(chunk[6:]))
		wal = append(wal, chunk...)
	}
	f.Add(wal, uint32(4))
	wal = slices.Clone(wal)
	wal[50] ^= 1
	f.Add(wal, uint32(4))
	f.Fuzz(func(t *testing.T, b []byte, number uint32) {
		s := walScan{number: number}
		if err := s.file(bytes.NewReader(b)); err != nil && !s.broken {
			t.Fatalf("an error without an unreadable chunk: %v", err)
		}
	})
}

func BenchmarkStateCommit(b *testing.B) {
	o := StateOptions(b.TempDir() + "/db")
	db := open(b, o)
	small, large := make([]byte, 100), make([]byte, 20<<10)
	b.SetBytes(int64(11*len(small) + len(large)))
	for i := range b.N {
		batch := db.NewBatch()
		for k := range 11 {
			must(b, batch.Set(fmt.Appendf(nil, "m/%d/%d", k, i), small))
		}
		must(b, batch.Set(fmt.Appendf(nil, "c/%d", i), large))
		must(b, batch.Commit(false))
		must(b, batch.Close())
	}
	must(b, db.Close())
}
