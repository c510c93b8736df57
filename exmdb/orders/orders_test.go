package orders

import (
	"bytes"
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
		if got := d.Load(one, "a"); string(got) != "new" {
			t.Errorf("a is %q", got)
		}
		if got := d.Load(one, "b"); got == nil || len(got) != 0 {
			t.Errorf("b is %q", got)
		}
		if got := d.Load(one, "c"); got != nil || d.Has(one, "c") {
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
		if d.Load(one, "a") != nil || d.Load(two, "a") != nil || !slices.Equal(d.Names(one), []string{"b"}) {
			t.Errorf("what was removed is there: %q, %q", d.Load(one, "a"), d.Load(two, "a"))
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
			if got := d.Load(id, "a"); got != nil {
				t.Fatalf("%q is taken for %q", content, got)
			}
		}
	}
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
	if got := d.Load(id, "a"); string(got) != "again" {
		t.Errorf("a is %q", got)
	}
}
