package orders

import (
	"bytes"
	"io"
	"slices"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/lsm"
)

func open(t *testing.T, fs lsm.FS) *Dir {
	t.Helper()
	d, err := Open(Options{Dir: "/node/orders", FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func save(t *testing.T, d *Dir, id cluster.SpaceID, name, content string) {
	t.Helper()
	if err := d.Save(id, name, []byte(content)); err != nil {
		t.Fatal(err)
	}
}

// load reads all of an order; nil if there is none, or not any more.
func load(d *Dir, id cluster.SpaceID, name string) []byte {
	f := d.Load(id, name)
	if f == nil {
		return nil
	}
	content, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
	if err != nil {
		return nil
	}
	return content
}

// TestOrdersOutlastTheProcess: what is saved is there again, the newest of a name, and nothing else is.
func TestOrdersOutlastTheProcess(t *testing.T) {
	fs := lsm.MemFS()
	one, two := cluster.SpaceID{1}, cluster.SpaceID{2}
	d := open(t, fs)
	save(t, d, one, "a", "old")
	save(t, d, one, "a", "new")
	save(t, d, one, "b", "")
	save(t, d, two, "a", "other")
	for range 2 {
		if got := load(d, one, "a"); string(got) != "new" {
			t.Errorf("a is %q", got)
		}
		if got := load(d, one, "b"); got == nil || len(got) != 0 {
			t.Errorf("b is %q", got)
		}
		if got := load(d, one, "c"); got != nil || d.Has(one, "c") {
			t.Errorf("c is %q", got)
		}
		if names := d.Names(one); !slices.Equal(names, []string{"a", "b"}) || len(d.Spaces()) != 2 {
			t.Errorf("%q in %d mailboxes", names, len(d.Spaces()))
		}
		d = open(t, fs)
	}
	if err := d.Remove(one, "a"); err != nil {
		t.Fatal(err)
	}
	if err := d.Drop(two); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if load(d, one, "a") != nil || load(d, two, "a") != nil || !slices.Equal(d.Names(one), []string{"b"}) {
			t.Errorf("what was removed is there: %q, %q", load(d, one, "a"), load(d, two, "a"))
		}
		d = open(t, fs)
	}
	if err := d.Remove(one, "a"); err != nil {
		t.Errorf("removed twice: %v", err)
	}
}

// TestDamagedOrdersAreNone: a file that is cut, changed or too short is not there, and what is no order is removed.
func TestDamagedOrdersAreNone(t *testing.T) {
	fs := lsm.MemFS()
	id := cluster.SpaceID{1}
	d := open(t, fs)
	save(t, d, id, "a", "the order of a folder")
	large := string(bytes.Repeat([]byte("0123456789"), 2*blockBytes/10+5))
	save(t, d, id, "large", large)
	whole, err := lsm.ReadFile(fs, d.file(id, "a"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		changed := bytes.Clone(whole)
		changed[i] ^= 1
		for _, content := range [][]byte{changed, whole[:i]} {
			if err := lsm.WriteFile(fs, d.file(id, "a"), content); err != nil {
				t.Fatal(err)
			}
			if got := load(d, id, "a"); got != nil {
				t.Fatalf("%q is taken for %q", content, got)
			}
		}
	}
	damageOneBlock(t, d, fs, id, large)
	for _, name := range []string{d.file(id, "b.tmp"), "/node/orders/what"} {
		if err := lsm.WriteFile(fs, name, whole); err != nil {
			t.Fatal(err)
		}
	}
	d = open(t, fs)
	for _, name := range []string{d.file(id, "b.tmp"), "/node/orders/what"} {
		if content, err := lsm.ReadFile(fs, name); content != nil || err != nil {
			t.Errorf("%s stays: %q, %v", name, content, err)
		}
	}
	save(t, d, id, "a", "again")
	if got := load(d, id, "a"); string(got) != "again" {
		t.Errorf("a is %q", got)
	}
}

// damageOneBlock: what is in other blocks can be read; with the first byte that cannot the file is none.
func damageOneBlock(t *testing.T, d *Dir, fs lsm.FS, id cluster.SpaceID, content string) {
	t.Helper()
	sealed, err := lsm.ReadFile(fs, d.file(id, "large"))
	if err != nil {
		t.Fatal(err)
	}
	sealed[blockBytes+7] ^= 1
	if err := lsm.WriteFile(fs, d.file(id, "large"), sealed); err != nil {
		t.Fatal(err)
	}
	f := d.Load(id, "large")
	for _, at := range []int64{0, blockBytes - 9, 2 * blockBytes, int64(len(content)) - 9} {
		part := make([]byte, 9)
		if _, err := f.ReadAt(part, at); err != nil || string(part) != content[at:at+9] {
			t.Errorf("at %d is %q, %v", at, part, err)
		}
	}
	if !d.Has(id, "large") {
		t.Error("it is none before anybody knows")
	}
	if n, err := f.ReadAt(make([]byte, 9), blockBytes-8); err == nil || n != 0 || d.Has(id, "large") || d.Load(id, "large") != nil {
		t.Errorf("%d bytes of a damaged block are read, %v", n, err)
	}
}

// TestOpenOrdersStay: who reads an order reads it to its end, whatever becomes of its name; no part of it is outside it.
func TestOpenOrdersStay(t *testing.T) {
	for what, fs := range map[string]lsm.FS{"in memory": lsm.MemFS(), "on disk": lsm.OSFS()} {
		id := cluster.SpaceID{1}
		d, err := Open(Options{Dir: fs.PathJoin(t.TempDir(), "orders"), FS: fs})
		if err != nil {
			t.Fatal(err)
		}
		save(t, d, id, "a", "old")
		f := d.Load(id, "a")
		save(t, d, id, "a", "newer")
		part := make([]byte, 4)
		if n, err := f.ReadAt(part, 1); n != 2 || err != io.EOF || string(part[:n]) != "ld" {
			t.Errorf("%s: %q, %v", what, part[:n], err)
		}
		for _, at := range []int64{-1, 3, 4} {
			if n, err := f.ReadAt(part, at); n != 0 || err != io.EOF {
				t.Errorf("%s: %d bytes at %d, %v", what, n, at, err)
			}
		}
		if err := d.Drop(id); err != nil {
			t.Fatal(err)
		}
		if n, err := f.ReadAt(part[:3], 0); n != 3 || err != nil {
			t.Errorf("%s: dropped, %d bytes are read, %v", what, n, err)
		}
	}
}
