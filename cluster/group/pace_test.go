package group

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flotilla-mail/flotilla/internal/lsm"
)

// pacing is a pace in a bubble whose log was last written to at appended.
type pacing struct {
	*pace
	appended time.Time
	closing  chan struct{}
}

func newPacing(rate int64, share int) *pacing {
	p := &pacing{closing: make(chan struct{})}
	p.pace = &pace{rate: rate, share: share, here: func() time.Time { return p.appended }, closing: p.closing, turn: make(chan struct{}, 1)}
	return p
}

// copy moves so many pieces of n bytes, each of which keeps the bubble's disk busy so long, and returns how long they took together.
func (p *pacing) copy(t *testing.T, pieces, n int, each time.Duration) time.Duration {
	t.Helper()
	begin := time.Now()
	for range pieces {
		if err := p.piece(n, func() error { <-time.After(each); return nil }, nil); err != nil {
			t.Fatal(err)
		}
	}
	return time.Since(begin)
}

// about holds that a copy took the time that it should, but for what a pace has it make up for and the last rest.
func about(t *testing.T, what string, took, want time.Duration) {
	t.Helper()
	if took < want-2*pauseLate || took > want {
		t.Errorf("%s took %v, want %v", what, took, want)
	}
}

func TestPaceFollowsCommits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacing(0, 40)
		about(t, "a copy beside nothing", p.copy(t, 1000, pieceBytes, 2*time.Millisecond), 2*time.Second)
		p.appended = time.Now().Add(time.Hour) // commits all the time
		about(t, "a copy beside commits", p.copy(t, 1000, pieceBytes, 2*time.Millisecond), 5*time.Second)
		p.appended = time.Time{}
		p.commitThere()
		if !p.commits() {
			t.Error("others' commits do not count")
		}
		<-time.After(holdEvery + commitsKept)
		if p.commits() {
			t.Error("others' commits count for ever")
		}
		about(t, "a copy when all is over", p.copy(t, 1000, pieceBytes, 2*time.Millisecond), 2*time.Second)
	})
}

func TestPaceHasARate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacing(100<<20, 50)
		about(t, "500 MiB at 100 a second", p.copy(t, 500, 1<<20, time.Millisecond), 5*time.Second)
		<-time.After(time.Minute) // of nothing, which is not made up for
		about(t, "500 more", p.copy(t, 500, 1<<20, time.Millisecond), 5*time.Second)
		p.appended = time.Now().Add(time.Hour)
		about(t, "a slow disk beside commits", p.copy(t, 100, 1<<20, 40*time.Millisecond), 8*time.Second)
	})
}

// TestPaceIsTheNodes: two copies have together what one has.
func TestPaceIsTheNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacing(0, 50)
		p.appended = time.Now().Add(time.Hour)
		begin := time.Now()
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() { p.copy(t, 500, pieceBytes, 2*time.Millisecond) })
		}
		wg.Wait()
		about(t, "two copies of 500 pieces", time.Since(begin), 4*time.Second)
	})
}

func TestPaceEndsWithTheHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacing(1, 50)
		p.copy(t, 1, 3600, 0) // the next one's turn is in an hour
		var errs [2]error
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() { errs[i] = p.piece(1, func() error { return errors.New("not its turn") }, nil) })
		}
		synctest.Wait()
		close(p.closing)
		wg.Wait()
		if !errors.Is(errs[0], errClosing) || !errors.Is(errs[1], errClosing) {
			t.Error(errs)
		}
	})
}

// disk is a file system that notes in which steps files go to the disk.
type disk struct {
	lsm.FS
	ranges bool // it can write a part of a file
	most   int64
	steps  []int64 // up to where each SyncTo went
	syncs  int
	err    error
}

type diskFile struct {
	lsm.File
	d        *disk
	at, gone int64
}

func (d *disk) Create(name string, c lsm.WriteCategory) (lsm.File, error) {
	f, err := d.FS.Create(name, c)
	return &diskFile{File: f, d: d}, err
}

func (f *diskFile) Write(b []byte) (int, error) {
	f.at += int64(len(b))
	f.d.most = max(f.d.most, f.at-f.gone)
	return f.File.Write(b)
}

func (f *diskFile) SyncTo(to int64) (bool, error) {
	f.d.steps = append(f.d.steps, to)
	f.gone = to
	return !f.d.ranges, f.d.err
}

func (f *diskFile) Sync() error { f.d.syncs++; return f.File.Sync() }

// TestFilesGoToDiskPieceByPiece: no file has more than a piece that waits to be written, however it is handed over.
func TestFilesGoToDiskPieceByPiece(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	content := make([]byte, 5*pieceBytes+12345)
	for i := range content {
		content[i] = byte(rng.Uint32())
	}
	for _, x := range []struct {
		name            string
		ranges, commits bool
		steps           int
	}{{"no commits", true, false, 6}, {"commits", true, true, 12}, {"commits, whole files only", false, true, 6}} {
		t.Run(x.name, func(t *testing.T) {
			d := &disk{FS: lsm.MemFS(), ranges: x.ranges}
			p := newPacing(0, 100)
			if x.commits {
				p.appended = time.Now().Add(time.Hour)
			}
			files := snapshotFiles{d, "", p.pace}
			f, err := files.Create("a")
			if err != nil {
				t.Fatal(err)
			}
			for rest := content; len(rest) > 0; {
				n := min(len(rest), 1+rng.IntN(3*pieceBytes))
				if wrote, err := f.Write(slices.Clone(rest[:n])); wrote != n || err != nil {
					t.Fatal(wrote, err)
				}
				rest = rest[n:]
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			if d.most > pieceBytes || len(d.steps) != x.steps || d.syncs != 1 {
				t.Errorf("up to %d bytes wait, steps %v, %d syncs", d.most, d.steps, d.syncs)
			}
			r, err := files.Open("a")
			if err != nil {
				t.Fatal(err)
			}
			if back, err := io.ReadAll(r); err != nil || !bytes.Equal(back, content) {
				t.Errorf("%d bytes came back, %v", len(back), err)
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestFileThatCannotBeWritten(t *testing.T) {
	d := &disk{FS: lsm.MemFS(), err: errKilled}
	f, err := snapshotFiles{d, "", nil}.Create("a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(make([]byte, 2*pieceBytes)); !errors.Is(err, errKilled) {
		t.Errorf("write: %v", err)
	}
	if _, err := f.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); !errors.Is(err, errKilled) || d.syncs != 0 {
		t.Errorf("close: %v, %d syncs", err, d.syncs)
	}
}

// TestFilesPassTheCacheBy: beside commits a file comes back as it was written to a real disk, whatever its length and however it
// is handed over.
func TestFilesPassTheCacheBy(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	p := newPacing(0, 100)
	p.appended = time.Now().Add(time.Hour)
	files := snapshotFiles{lsm.OSFS(), t.TempDir(), p.pace}
	for _, length := range []int{0, 1, lsm.DirectBlock, pieceBytes - 1, pieceBytes, pieceBytes + 1, 4*pieceBytes + 777} {
		content := make([]byte, length)
		for i := range content {
			content[i] = byte(rng.Uint32())
		}
		f, err := files.Create("a")
		if err != nil {
			t.Fatal(err)
		}
		for rest := content; len(rest) > 0; {
			n := min(len(rest), 1+rng.IntN(2*pieceBytes))
			if wrote, err := f.Write(rest[:n]); wrote != n || err != nil {
				t.Fatal(wrote, err)
			}
			rest = rest[n:]
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if back, err := readFile(files.fs, files.fs.PathJoin(files.dir, "a")); err != nil || !bytes.Equal(back, content) {
			t.Errorf("%d of %d bytes came back, %v", len(back), length, err)
		}
	}
}
