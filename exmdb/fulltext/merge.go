package fulltext

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"

	"github.com/flotilla-mail/flotilla/internal/lsm"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

const (
	// mergeWidth is how many runs of about one size become one, firstRun the size of the smallest.
	mergeWidth = 8
	firstRun   = 32
	// mergeMost is the most messages in a run that is merged again, mergeBytes what is written at a time.
	mergeMost  = 1 << 18
	mergeBytes = 1 << 20
)

// level is how often runs were merged to make one of so many messages.
func level(count uint64) int {
	l := 0
	for n := uint64(firstRun * mergeWidth); n <= count; n *= mergeWidth {
		l++
	}
	return l
}

// due is the runs that are to be merged next, nil if none are.
func due(runs []run) []run {
	byLevel := make(map[int][]run)
	for _, r := range runs {
		l := level(r.count)
		if byLevel[l] = append(byLevel[l], r); len(byLevel[l]) == mergeWidth && r.count < mergeMost {
			return byLevel[l]
		}
	}
	return nil
}

// Merge puts runs of a folder together if there are enough of one size, and reports whether there were. What ends in the
// middle is begun anew by the next call. Between two terms it calls breathe, where the caller may rest.
func (ix *Index) Merge(ctx context.Context, m Mailbox, f mapi.FID, breathe func()) (bool, error) {
	ix.write.Lock()
	defer ix.write.Unlock()
	record, found, err := ix.record(ix.db, m, f)
	if err != nil || !found {
		return false, err
	}
	runs, err := runsOf(ix.db, m.Space, f)
	if err != nil {
		return false, ix.noticed(err)
	}
	runs = due(runs)
	if runs == nil && record.merging == 0 {
		return false, nil
	}
	w := &merging{ix: ix, box: m, folder: f, record: record, batch: ix.db.NewBatch(), breathe: breathe}
	defer w.batch.Close()
	return runs != nil, ix.noticed(w.run(ctx, runs))
}

// merging is runs on their way into one.
type merging struct {
	ix     *Index
	box    Mailbox
	folder mapi.FID
	record folderRecord
	batch  *lsm.Batch
	blocks *blockWriter
	uids   []uint32

	breathe func()
}

func (w *merging) run(ctx context.Context, runs []run) error {
	if old := w.record.merging; old != 0 { // a merge that was not finished
		if err := w.forget(prefixTerm, old); err != nil {
			return err
		}
		w.record.merging = 0
	}
	var number uint64
	if runs != nil {
		number = w.record.next
		w.record.next++
		w.record.merging = number
	}
	if err := errors.Join(w.putRecord(), w.commit()); err != nil || runs == nil {
		return err
	}
	w.blocks = newBlockWriter(w.batch, runKey(prefixTerm, w.box.Space, w.folder, number))
	if err := errors.Join(w.terms(ctx, runs), w.blocks.flush()); err != nil {
		return err
	}
	return w.finish(number, runs)
}

func (w *merging) putRecord() error {
	return w.batch.Set(folderKey(prefixFolder, w.box.Space, w.folder), w.record.encode())
}

func (w *merging) forget(prefix byte, number uint64) error {
	lo := runKey(prefix, w.box.Space, w.folder, number)
	return w.batch.DeleteRange(lo, after(lo))
}

func (w *merging) commit() error {
	err := w.batch.Commit(false)
	w.batch.Reset()
	return err
}

// terms writes all terms of the runs.
func (w *merging) terms(ctx context.Context, runs []run) (err error) {
	cursors := make([]*cursor, len(runs))
	for i, r := range runs {
		cursors[i] = newCursor(w.ix.db, runKey(prefixTerm, w.box.Space, w.folder, r.number))
		defer func() { err = errors.Join(err, cursors[i].close()) }()
		cursors[i].seek(nil)
	}
	var term []byte
	for ; ctx.Err() == nil; w.breathe() {
		term = least(term[:0], cursors)
		if len(term) == 0 {
			return nil
		}
		w.uids = w.uids[:0]
		for _, c := range cursors {
			for c.there && bytes.Equal(c.term(), term) {
				c.each(func(uid uint32) { w.uids = append(w.uids, uid) })
				c.next()
			}
		}
		if err := w.put(term); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// least is the lowest term that any cursor stands on, empty when all are at their end.
func least(dst []byte, cursors []*cursor) []byte {
	for _, c := range cursors {
		if c.there && (len(dst) == 0 || bytes.Compare(c.term(), dst) < 0) {
			dst = append(dst[:0], c.term()...)
		}
	}
	return dst
}

// put writes a term with the messages that were gathered.
func (w *merging) put(term []byte) error {
	if err := w.blocks.put(term, w.uids); err != nil || w.batch.Len() < mergeBytes {
		return err
	}
	return w.commit()
}

// finish puts the new run in place of the old ones.
func (w *merging) finish(number uint64, runs []run) error {
	count := uint64(0)
	for _, r := range runs {
		count += r.count
		if err := errors.Join(w.forget(prefixTerm, r.number), w.batch.Delete(runKey(prefixRun, w.box.Space, w.folder, r.number))); err != nil {
			return err
		}
	}
	w.record.merging = 0
	return errors.Join(w.batch.Set(runKey(prefixRun, w.box.Space, w.folder, number), binary.AppendUvarint(nil, count)), w.putRecord(), w.commit())
}
