package content

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/invariant"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Hashes is the content a recipe refers to, each once, in an order that depends on nothing else.
func Hashes(r *exmdb.Recipe) []space.Hash {
	var hs []space.Hash
	for i := range r.Segments {
		for _, c := range r.Segments[i].Chunks {
			hs = append(hs, c.Hash)
		}
	}
	return unique(hs)
}

// ChunkHashes is the hashes of chunks, in their order.
func ChunkHashes(chunks []exmdb.ChunkRef) []space.Hash {
	hs := make([]space.Hash, len(chunks))
	for i, c := range chunks {
		hs[i] = c.Hash
	}
	return hs
}

// BagHashes is the content a property bag refers to, each once.
func BagHashes(b *mapi.PropBag) []space.Hash { return ReferenceHashes(b.References()) }

// ReferenceHashes is the content that values of properties stand for, each once.
func ReferenceHashes(refs []mapi.ContentRef) []space.Hash {
	var hs []space.Hash
	for _, c := range refs {
		hs = append(hs, c.Hash)
	}
	return unique(hs)
}

func unique(hs []space.Hash) []space.Hash {
	slices.SortFunc(hs, func(a, b space.Hash) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(hs)
}

func uniqueChunks(all []exmdb.ChunkRef) []exmdb.ChunkRef {
	slices.SortFunc(all, func(a, b exmdb.ChunkRef) int { return bytes.Compare(a.Hash[:], b.Hash[:]) })
	return slices.CompactFunc(all, func(a, b exmdb.ChunkRef) bool { return a.Hash == b.Hash })
}

// Hold counts one more holder of each hash. The first one makes the space hold it: with the data, where inline has
// it, else of what the group already has.
func Hold(w space.Writer, hashes []space.Hash, inline map[space.Hash][]byte) error {
	for _, h := range hashes {
		n, err := holders(w, h)
		if err != nil {
			return err
		}
		if n == 0 {
			take(w, h, inline)
		}
		w.Set(schema.ContentKey(h), binary.AppendUvarint(nil, n+1))
	}
	return nil
}

func take(w space.Writer, h space.Hash, inline map[space.Hash][]byte) {
	if b, ok := inline[h]; ok {
		w.PutContent(b)
		return
	}
	w.Ref(h)
}

// Release counts one holder less; the last one lets go.
func Release(w space.Writer, hashes []space.Hash) error {
	for _, h := range hashes {
		n, err := holders(w, h)
		switch {
		case err != nil:
			return err
		case n == 0:
			invariant.Failf("content %x is released but not held", h[:8])
		case n == 1:
			w.Delete(schema.ContentKey(h))
			w.Unref(h)
		default:
			w.Set(schema.ContentKey(h), binary.AppendUvarint(nil, n-1))
		}
	}
	return nil
}

func holders(r space.Reader, h space.Hash) (uint64, error) {
	b, err := r.Get(schema.ContentKey(h))
	if err != nil || b == nil {
		return 0, err
	}
	n, size := binary.Uvarint(b)
	if size != len(b) || n == 0 {
		return 0, fmt.Errorf("holders of %x: %w", h[:8], cluster.ErrDamaged)
	}
	return n, nil
}
