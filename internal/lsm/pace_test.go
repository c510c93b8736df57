package lsm

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestPace looks at how long writes of compactions, and of others, take beside the work before them.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPace()
		fs := &pacedFS{MemFS(), p}
		rest := func(category WriteCategory, work time.Duration) time.Duration {
			f, err := fs.Create("f", category)
			must(t, err)
			<-time.After(work)
			began := time.Now()
			_, err = f.Write([]byte("block"))
			must(t, err)
			took := time.Since(began)
			if _, err := f.Write([]byte("next")); err != nil || time.Since(began) != took {
				t.Error("rested twice for the same work")
			}
			must(t, f.Close())
			return took
		}
		look := func(when string, category WriteCategory, work, want time.Duration) {
			if got := rest(category, work); got != want {
				t.Errorf("%s: rested %v after %v of %s, want %v", when, got, work, category, want)
			}
		}
		p.began()
		look("at first", compactionFiles, 3*time.Millisecond, 3*time.Millisecond)
		look("at first", rewrittenFiles, 3*time.Millisecond, 3*time.Millisecond)
		look("at first", compactionFiles, paceSlice-1, 0)
		look("at first", compactionFiles, time.Hour, longestPause)
		look("at first", "pebble-memtable-flush", 3*time.Millisecond, 0)
		for range paceFlushes {
			p.afterFlush()
		}
		look("far behind", compactionFiles, 3*time.Millisecond, 0)
		p.began()
		p.ended()
		look("far behind, after one of two", compactionFiles, 3*time.Millisecond, 0)
		p.ended()
		p.began()
		look("begun anew", compactionFiles, 3*time.Millisecond, 3*time.Millisecond)
		close(p.closing)
		look("closing", compactionFiles, 3*time.Millisecond, 0)
	})
}

// TestPaceOfDatabase: the engine marks its files as the pace knows them, and each compaction that begins also ends.
func TestPaceOfDatabase(t *testing.T) {
	seen := &categories{FS: MemFS(), of: make(map[WriteCategory]int)}
	o := StateOptions("d")
	o.FS = seen
	db := open(t, o)
	for n := range 40 {
		set(t, db, false, "k", fmt.Sprint(n), fmt.Sprintf("x%d", n), "v")
		must(t, db.Flush())
	}
	eventually(t, "the end of all compactions", func() bool { return db.pace.running.Load() == 0 })
	must(t, db.Close())
	if seen.of[compactionFiles] == 0 {
		t.Errorf("no file of a compaction among %v", seen.of)
	}
	if n := db.pace.running.Load(); n != 0 {
		t.Errorf("%d compactions never ended", n)
	}
}

// categories counts the files that are made.
type categories struct {
	FS
	mu sync.Mutex
	of map[WriteCategory]int // guarded by mu
}

// Create implements FS.
func (c *categories) Create(name string, category WriteCategory) (File, error) {
	c.mu.Lock()
	c.of[category]++
	c.mu.Unlock()
	return c.FS.Create(name, category)
}
