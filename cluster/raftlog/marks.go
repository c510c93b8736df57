package raftlog

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"sync"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/lsm"
)

// mark says that a group's log was synced up to last, whose term is term (0 for not known).
type mark struct{ last, term uint64 }

// marks are kept in a file beside the log, so that a log that lost its end, in a way that looks like a clean end, is
// noticed. They rise every Options.MarkEvery and may lag; they fall before entries are deleted from the back.
type marks struct {
	store *Store
	file  string

	mu    sync.Mutex // guards known, and is held while the file is written; taken before Store.mu and Log.mu
	known map[cluster.GroupID]mark
}

func (m *marks) load() (found bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.known = make(map[cluster.GroupID]mark)
	content, err := lsm.ReadFile(m.store.opts.FS, m.file)
	if err != nil || content == nil {
		return false, err
	}
	m.known, err = decodeMarks(content)
	return true, err
}

func (m *marks) of(g cluster.GroupID) (mark, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k, ok := m.known[g]
	return k, ok
}

// lower takes a group's mark down to index, durably; 0 forgets it.
func (m *marks) lower(g cluster.GroupID, to uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	k, ok := m.known[g]
	if !ok || k.last <= to {
		return nil
	}
	if to == 0 {
		delete(m.known, g)
	} else {
		m.known[g] = mark{last: to}
	}
	return m.writeLocked()
}

func (m *marks) write() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.raiseLocked()
	return m.writeLocked()
}

func (m *marks) writeIfChanged() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.raiseLocked() {
		return nil
	}
	return m.writeLocked()
}

// raiseLocked takes the marks up to what is synced now. A log that is shorter than its mark keeps the mark, for Check.
func (m *marks) raiseLocked() (changed bool) {
	m.store.mu.Lock()
	defer m.store.mu.Unlock()
	for g, l := range m.store.logs {
		now := l.spanNow()
		if now.last > m.known[g].last {
			m.known[g] = mark{last: now.last, term: now.lastTerm}
			changed = true
		}
	}
	return changed
}

func (m *marks) writeLocked() error {
	_, _, err := m.store.watch.over(func() error {
		return lsm.WriteFile(m.store.opts.Faults.Wrap(m.store.opts.FS), m.file, encodeMarks(m.known))
	})
	if err != nil {
		return fmt.Errorf("write marks: %w", err)
	}
	return nil
}

// The file: "FLmk" · format (1) · crc (4) · { group (4) · last (8) · term (8) }, big-endian, by group. The crc covers
// the groups.
const (
	marksMagic  = "FLmk"
	formatMarks = 1
	marksHeader = 9
	markSize    = 20
)

func encodeMarks(known map[cluster.GroupID]mark) []byte {
	b := append([]byte(marksMagic), formatMarks, 0, 0, 0, 0)
	for _, g := range slices.Sorted(maps.Keys(known)) {
		b = binary.BigEndian.AppendUint32(b, uint32(g))
		b = binary.BigEndian.AppendUint64(b, known[g].last)
		b = binary.BigEndian.AppendUint64(b, known[g].term)
	}
	binary.BigEndian.PutUint32(b[5:], crc32.Checksum(b[marksHeader:], castagnoli))
	return b
}

func decodeMarks(b []byte) (map[cluster.GroupID]mark, error) {
	if len(b) < marksHeader || string(b[:4]) != marksMagic || b[4] != formatMarks || (len(b)-marksHeader)%markSize != 0 ||
		binary.BigEndian.Uint32(b[5:]) != crc32.Checksum(b[marksHeader:], castagnoli) {
		return nil, fmt.Errorf("the file MARKS does not check: %w", cluster.ErrDamaged)
	}
	known := make(map[cluster.GroupID]mark)
	for e := b[marksHeader:]; len(e) > 0; e = e[markSize:] {
		known[cluster.GroupID(binary.BigEndian.Uint32(e))] = mark{
			last: binary.BigEndian.Uint64(e[4:]), term: binary.BigEndian.Uint64(e[12:]),
		}
	}
	return known, nil
}
