package lsm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func open(t testing.TB, o Options) *DB {
	t.Helper()
	db, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func set(t testing.TB, db *DB, sync bool, pairs ...string) {
	t.Helper()
	b := db.NewBatch()
	for i := 0; i < len(pairs); i += 2 {
		must(t, b.Set([]byte(pairs[i]), []byte(pairs[i+1])))
	}
	must(t, b.Commit(sync))
	must(t, b.Close())
}

func get(t testing.TB, r Reader, key string) (string, bool) {
	t.Helper()
	v, err := r.Get([]byte(key))
	must(t, err)
	return string(v), v != nil
}

func keys(t testing.TB, r Reader, lo, hi []byte) []string {
	t.Helper()
	var all []string
	it := r.NewIter(lo, hi)
	for ok := it.First(); ok; ok = it.Next() {
		all = append(all, string(it.Key()))
	}
	must(t, it.Close())
	return all
}

func TestReaders(t *testing.T) {
	db := open(t, Options{Dir: "d", FS: MemFS(), DisableWAL: true})
	set(t, db, true, "a", "1", "b", "", "c", "3")
	if v, ok := get(t, db, "b"); !ok || v != "" {
		t.Fatalf("empty value: %q %v", v, ok)
	}
	if _, ok := get(t, db, "x"); ok {
		t.Fatal("absent key is present")
	}
	snap := db.Snapshot()
	batch := db.NewIndexedBatch()
	must(t, batch.Set([]byte("d"), []byte("4")))
	must(t, batch.DeleteRange([]byte("a"), []byte("b")))
	if got := fmt.Sprint(keys(t, batch, nil, nil)); got != "[b c d]" {
		t.Fatalf("batch sees %s", got)
	}
	if got := fmt.Sprint(keys(t, db, nil, nil)); got != "[a b c]" {
		t.Fatalf("uncommitted batch shows: %s", got)
	}
	must(t, batch.Commit(false))
	must(t, batch.Close())
	if got := fmt.Sprint(keys(t, snap, []byte("a"), []byte("c"))); got != "[a b]" {
		t.Fatalf("snapshot moved: %s", got)
	}
	it := db.NewIter(nil, nil)
	if !it.SeekLT([]byte("d")) || string(it.Key()) != "c" || !it.Prev() || string(it.Key()) != "b" || !it.Last() ||
		string(it.Value()) != "4" || !it.SeekGE([]byte("bb")) || string(it.Key()) != "c" || !it.Valid() {
		t.Fatal("moves")
	}
	must(t, it.Err())
	must(t, it.Close())
	must(t, snap.Close())
	must(t, db.Close())
	if err := db.Close(); !errors.Is(err, ErrClosed) {
		t.Fatalf("second close: %v", err)
	}
}

func TestCheckpointOnDisk(t *testing.T) {
	dir := t.TempDir()
	db := open(t, StateOptions(filepath.Join(dir, "db")))
	big := string(bytes.Repeat([]byte("x"), 10<<10))
	set(t, db, false, "k", "v", "big", big)
	must(t, db.Checkpoint(filepath.Join(dir, "cp")))
	set(t, db, false, "later", "v")
	must(t, db.Close())
	cp := open(t, StateOptions(filepath.Join(dir, "cp")))
	if got := fmt.Sprint(keys(t, cp, nil, nil)); got != "[big k]" {
		t.Fatalf("checkpoint holds %s", got)
	}
	if v, _ := get(t, cp, "big"); v != big {
		t.Fatal("separated value differs")
	}
	if cp.Metrics().BlobBytes == 0 || cp.Size() == 0 {
		t.Fatal("large value is not separated")
	}
	if n, err := cp.DiskUsage([]byte("a"), []byte("z")); err != nil || n == 0 {
		t.Fatalf("disk usage %d, %v", n, err)
	}
	must(t, cp.Close())
}

// TestSizeFollowsFiles: what has been counted is counted again when files came and when they went.
func TestSizeFollowsFiles(t *testing.T) {
	db := open(t, StateOptions(filepath.Join(t.TempDir(), "db")))
	before := db.Size()
	big := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte{1}).Read(big) //nolint:errcheck // it never fails
	set(t, db, false, "a", string(big))
	must(t, db.Flush())
	full := db.Size()
	if full < before+1<<20 {
		t.Fatalf("%d bytes, %d with one MiB more", before, full)
	}
	b := db.NewBatch()
	must(t, b.Delete([]byte("a")))
	must(t, b.Commit(false))
	must(t, b.Close())
	must(t, db.Flush())
	must(t, db.p.Compact(t.Context(), []byte("a"), []byte("b"), false))
	for deadline := time.Now().Add(time.Minute); db.Size() > full-1<<20; <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes, still %d when all is deleted", full, db.Size())
		}
	}
	must(t, db.Close())
}

// TestCrashLeavesPrefix cuts the power of a database without a log at a random moment: what reopens is the result of
// the first n batches, for some n not below what the last Flush covered.
func TestCrashLeavesPrefix(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		rng := rand.New(rand.NewPCG(seed, 1))
		fs := CrashableMemFS()
		o := StateOptions("d")
		o.FS, o.MemTableSize = fs, 64<<10
		db := open(t, o)
		batches, flushed := 1+rng.IntN(150), 0
		for n := 1; n <= batches; n++ {
			writeNumbered(t, db, rng, n)
			if rng.IntN(40) == 0 {
				must(t, db.Flush())
				flushed = n
			}
		}
		o.FS = fs.CrashClone(rng, rng.IntN(101))
		must(t, db.Close())
		again := open(t, o)
		if n := checkNumbered(t, again); n < flushed || n > batches {
			t.Fatalf("seed %d: reopened at batch %d, flushed %d, written %d", seed, n, flushed, batches)
		}
		must(t, again.Close())
	})
}

const slots = 7

// writeNumbered makes every key carry the batch's number, so any mixture of two batches shows.
func writeNumbered(t testing.TB, db *DB, rng *rand.Rand, n int) {
	t.Helper()
	b := db.NewBatch()
	for s := range slots {
		v := binary.BigEndian.AppendUint64(nil, uint64(n))
		v = append(v, make([]byte, rng.IntN(3)*1500)...)
		must(t, b.Set([]byte{byte(s)}, v))
	}
	must(t, b.Commit(false))
	must(t, b.Close())
}

func checkNumbered(t testing.TB, db *DB) int {
	t.Helper()
	first := uint64(0)
	for s := range slots {
		v, err := db.Get([]byte{byte(s)})
		must(t, err)
		n := uint64(0)
		if v != nil {
			n = binary.BigEndian.Uint64(v)
		}
		if s > 0 && n != first {
			t.Fatalf("slot %d is of batch %d, slot 0 of %d", s, n, first)
		}
		first = n
	}
	return int(first)
}

func TestFullDiskFailsOnce(t *testing.T) {
	for _, wal := range []bool{true, false} {
		faults := &Faults{}
		var failed atomic.Int32
		o := Options{Dir: "d", FS: faults.Wrap(MemFS()), DisableWAL: !wal}
		o.Events.Failed = func(error) { failed.Add(1) }
		db := open(t, o)
		set(t, db, true, "a", "1")
		faults.NoSpace.Store(true)
		b := db.NewBatch()
		must(t, b.Set([]byte("b"), []byte("2")))
		err := b.Commit(true)
		if wal == (err == nil) {
			t.Fatalf("wal %v: commit on a full disk: %v", wal, err)
		}
		if db.Flush() == nil {
			t.Fatal("flush on a full disk")
		}
		if err := b.Commit(true); err == nil || db.Failure() == nil {
			t.Fatal("a failed database took a write")
		}
		must(t, b.Close())
		if err := db.Close(); err == nil || errors.Is(err, ErrClosed) {
			t.Fatalf("wal %v: close of a failed database: %v", wal, err)
		}
		if n := failed.Load(); n != 1 {
			t.Fatalf("wal %v: %d failures reported", wal, n)
		}
	}
}

// TestDamageIsCorrupt removes and garbles the files of a flushed database: each shows as ErrCorrupt, at Open or when
// it is read, and is told to Events.
func TestDamageIsCorrupt(t *testing.T) {
	garble := func(path string) error {
		b, err := os.ReadFile(path)
		for i := range b {
			b[i] ^= 0x55
		}
		return errors.Join(err, os.WriteFile(path, b, 0o600))
	}
	for _, tt := range []struct {
		pattern string
		damage  func(path string) error
		atOpen  bool
	}{
		{"*.sst", os.Remove, true},
		{"MANIFEST-*", os.Remove, true},
		{"MANIFEST-*", garble, true},
		{"*.sst", func(path string) error { return os.Truncate(path, 10) }, true},
		{"*.sst", garble, false},
	} {
		o := StateOptions(t.TempDir())
		db := open(t, o)
		set(t, db, false, "a", "1", "b", strings.Repeat("2", 1000))
		must(t, db.Close())
		found, err := filepath.Glob(filepath.Join(o.Dir, tt.pattern))
		if must(t, err); len(found) == 0 {
			t.Fatalf("no %s", tt.pattern)
		}
		for _, path := range found {
			must(t, tt.damage(path))
		}
		var told atomic.Bool // also by what reads tables in the background
		o.Events.Corrupt = func(err error) { told.Store(errors.Is(err, ErrCorrupt)) }
		db, err = Open(o)
		if errors.Is(err, ErrCorrupt) {
			continue
		}
		if must(t, err); tt.atOpen {
			t.Errorf("%s: opened", tt.pattern)
		}
		_, err = db.Get([]byte("a"))
		it := db.NewIter(nil, nil)
		if it.First() || !errors.Is(it.Close(), ErrCorrupt) || !errors.Is(err, ErrCorrupt) || !told.Load() {
			t.Errorf("%s: get %v, iterate %v, told %v", tt.pattern, err, it.Err(), told.Load())
		}
		if err := db.Close(); err != nil && !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: close: %v", tt.pattern, err)
		}
	}
}
