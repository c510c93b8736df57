package fulltext

import (
	"encoding/binary"
	"fmt"
	"iter"
	"slices"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/lsm"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// The first byte of every key, under formatVersion.
const (
	prefixVersion byte = 0x00 // → formatVersion
	prefixSpace   byte = 0x01 // space → the past that it is indexed from
	prefixFolder  byte = 0x02 // space | folder → folderRecord
	prefixRun     byte = 0x03 // space | folder | run → how many messages
	prefixTerm    byte = 0x04 // space | folder | run | first entry → block of entries
)

const (
	spaceLen  = len(cluster.SpaceID{})
	folderLen = 8
	runLen    = 8
	// termStart is where the first entry begins in the key of a block.
	termStart = 1 + spaceLen + folderLen + runLen
	uidLen    = 4
)

func versionKey() []byte { return []byte{prefixVersion} }

func spaceKey(id cluster.SpaceID) []byte { return append([]byte{prefixSpace}, id[:]...) }

func folderKey(prefix byte, id cluster.SpaceID, f mapi.FID) []byte {
	k := append(append(make([]byte, 0, 64), prefix), id[:]...)
	return binary.BigEndian.AppendUint64(k, uint64(f))
}

func folderOf(key []byte) mapi.FID { return mapi.FID(binary.BigEndian.Uint64(key[1+spaceLen:])) }

func runKey(prefix byte, id cluster.SpaceID, f mapi.FID, run uint64) []byte {
	return binary.BigEndian.AppendUint64(folderKey(prefix, id, f), run)
}

// endOfTerm is below every byte of a term, so that the entry of a term sorts in front of those of longer ones.
const endOfTerm = 0

// after is the lowest key above all that begin with k.
func after(k []byte) []byte {
	end := append([]byte(nil), k...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}

// folderRecord is how far a folder is indexed.
type folderRecord struct {
	// synced is the stamp up to which the folder's changes are in the index; last the highest UID in it.
	synced mapi.Stamp
	last   mapi.UID
	// added counts the messages that were indexed, each as often as it was.
	added uint64
	// next is the number of the next run. merging is a run that is being written, zero if none is.
	next, merging uint64
}

func (r *folderRecord) encode() []byte {
	var b []byte
	for _, n := range []uint64{uint64(r.synced), uint64(r.last), r.added, 0, r.next, r.merging} { // nought was a count
		b = binary.AppendUvarint(b, n)
	}
	return b
}

func decodeFolder(b []byte) (r folderRecord, err error) {
	var n [6]uint64
	for i := range n {
		v, size := binary.Uvarint(b)
		if size <= 0 {
			return r, malformed("folder")
		}
		n[i], b = v, b[size:]
	}
	return folderRecord{mapi.Stamp(n[0]), mapi.UID(n[1]), n[2], n[4], n[5]}, nil
}

func malformed(what string) error {
	return fmt.Errorf("%w: full-text index: malformed %s", lsm.ErrCorrupt, what)
}

// run is a part of a folder's index: the terms of some messages, written at once.
type run struct {
	number uint64
	count  uint64
}

func runsOf(from lsm.Reader, id cluster.SpaceID, f mapi.FID) ([]run, error) {
	var runs []run
	lo := folderKey(prefixRun, id, f)
	it := from.NewIter(lo, after(lo))
	for ok := it.First(); ok; ok = it.Next() {
		count, size := binary.Uvarint(it.Value())
		if size <= 0 || len(it.Key()) != termStart {
			return nil, orElse(it.Close(), malformed("run"))
		}
		runs = append(runs, run{binary.BigEndian.Uint64(it.Key()[len(lo):]), count})
	}
	return runs, it.Close()
}

func orElse(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// postingsInEntry is the most UIDs in one entry.
const postingsInEntry = 4096

// sortedParts sorts UIDs and cuts them into entries.
func sortedParts(uids []uint32) iter.Seq[[]uint32] {
	if !slices.IsSorted(uids) {
		slices.Sort(uids)
	}
	return slices.Chunk(slices.Compact(uids), postingsInEntry)
}

// appendPostings codes ascending UIDs; the first is in the entry.
func appendPostings(dst []byte, uids []uint32) []byte {
	for i := 1; i < len(uids); i++ {
		dst = binary.AppendUvarint(dst, uint64(uids[i]-uids[i-1]))
	}
	return dst
}

// eachPosting calls fn with the UIDs of an entry.
func eachPosting(entry, value []byte, fn func(uid uint32)) error {
	uid := binary.BigEndian.Uint32(entry[len(entry)-uidLen:])
	fn(uid)
	for len(value) > 0 {
		step, size := binary.Uvarint(value)
		if size <= 0 || step == 0 || step > 1<<32-1-uint64(uid) {
			return malformed("postings")
		}
		uid += uint32(step)
		fn(uid)
		value = value[size:]
	}
	return nil
}
