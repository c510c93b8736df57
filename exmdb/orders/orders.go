// Package orders keeps the orders of folders that are in use in files of this node: one file for each order of a folder, from
// which whoever becomes the owner begins instead of looking at every row. It knows mailboxes, names and bytes; it never knows
// what an order is made of, nor whether it is still of use.
//
// Invariants: what is read of a file is what was written, as its checksums say, or the file is not there; everything here is derived from what
// a replica applied and may be lost at any time, so nothing but time hangs on it. docs/design/tables.md says what it is for.
package orders

import (
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/lsm"
)

// Options say where a Dir is.
type Options struct {
	Dir string
	// FS holds the files; nil is the operating system's.
	FS lsm.FS
}

// Dir is the orders that a node keeps. Any number of callers read at once; of those that write one at a time does.
type Dir struct {
	fs   lsm.FS
	path string

	mu    sync.Mutex
	known map[cluster.SpaceID]map[string]bool // guarded by mu: the files there are
}

// Open opens or makes a Dir. What no Dir has put there is removed.
func Open(o Options) (*Dir, error) {
	if o.FS == nil {
		o.FS = lsm.OSFS()
	}
	d := &Dir{fs: o.FS, path: o.Dir, known: make(map[cluster.SpaceID]map[string]bool)}
	if err := lsm.MakeDir(d.fs, d.path); err != nil {
		return nil, fmt.Errorf("kept orders: %w", err)
	}
	list, err := d.fs.List(d.path)
	if err != nil {
		return nil, fmt.Errorf("kept orders: %w", err)
	}
	for _, name := range list {
		id, err := parseSpace(name)
		if err == nil {
			err = d.find(id)
		} else {
			err = d.fs.RemoveAll(d.fs.PathJoin(d.path, name))
		}
		if err != nil {
			return nil, fmt.Errorf("kept orders: %w", err)
		}
	}
	return d, nil
}

func parseSpace(name string) (id cluster.SpaceID, err error) {
	b, err := hex.DecodeString(name)
	if err == nil && copy(id[:], b) != len(id) {
		err = errors.New("not of a space")
	}
	return id, err
}

// find notes the files of a space that are there.
func (d *Dir) find(id cluster.SpaceID) error {
	list, err := d.fs.List(d.dir(id))
	for _, name := range list {
		if strings.HasSuffix(name, ".tmp") {
			err = errors.Join(err, d.fs.Remove(d.file(id, name)))
			continue
		}
		d.note(id, name)
	}
	return err
}

func (d *Dir) note(id cluster.SpaceID, name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.known[id] == nil {
		d.known[id] = make(map[string]bool)
	}
	d.known[id][name] = true
}

func (d *Dir) dir(id cluster.SpaceID) string { return d.fs.PathJoin(d.path, hex.EncodeToString(id[:])) }

func (d *Dir) file(id cluster.SpaceID, name string) string { return d.fs.PathJoin(d.dir(id), name) }

// Save puts an order in the place of what was kept under its name, which is letters, digits and dashes.
func (d *Dir) Save(id cluster.SpaceID, name string, content []byte) error {
	if err := lsm.MakeDir(d.fs, d.dir(id)); err != nil {
		return fmt.Errorf("keep an order: %w", err)
	}
	if err := lsm.WriteFile(d.fs, d.file(id, name), sealed(content)); err != nil {
		return fmt.Errorf("keep an order: %w", err)
	}
	d.note(id, name)
	return nil
}

// Load opens an order; nil if none is kept. One that is damaged or cannot be read is none from then on. Whoever has it open reads
// what it was then, whatever is kept under its name afterwards.
func (d *Dir) Load(id cluster.SpaceID, name string) *File {
	if !d.Has(id, name) {
		return nil
	}
	f, err := d.open(id, name)
	if err != nil {
		d.forget(id, name)
		return nil
	}
	return f
}

func (d *Dir) open(id cluster.SpaceID, name string) (*File, error) {
	from, err := d.fs.Open(d.file(id, name))
	if err != nil {
		return nil, err
	}
	f := &File{from: from, lost: func() { d.forget(id, name) }}
	if err := f.begin(); err != nil {
		return nil, errors.Join(err, from.Close())
	}
	runtime.AddCleanup(f, func(from lsm.File) { _ = from.Close() }, from) // nothing was written
	return f, nil
}

func (d *Dir) forget(id cluster.SpaceID, name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.known[id], name)
}

// Has reports whether an order is kept.
func (d *Dir) Has(id cluster.SpaceID, name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.known[id][name]
}

// Names lists the orders that are kept of a mailbox.
func (d *Dir) Names(id cluster.SpaceID) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.known[id]))
}

// Spaces lists the mailboxes of which orders are kept.
func (d *Dir) Spaces() []cluster.SpaceID {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Collect(maps.Keys(d.known))
}

// Remove forgets an order, if it is kept.
func (d *Dir) Remove(id cluster.SpaceID, name string) error {
	if !d.Has(id, name) {
		return nil
	}
	if err := d.fs.Remove(d.file(id, name)); err != nil {
		return fmt.Errorf("forget a kept order: %w", err)
	}
	d.forget(id, name)
	return nil
}

// Drop forgets all orders of a mailbox.
func (d *Dir) Drop(id cluster.SpaceID) error {
	if err := d.fs.RemoveAll(d.dir(id)); err != nil {
		return fmt.Errorf("forget the kept orders of a mailbox: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.known, id)
	return nil
}
