package space

import (
	"context"
	"encoding/binary"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/lsm"
)

// collectHashes and collectStages bound one entry of a collection.
const (
	collectHashes = 1000
	collectStages = 256
)

// Collect proposes what may be dropped: content whose last known reference ended, uploads and pieces that nobody
// came for, and what dropped spaces held. Applying decides (CLUSTER 3.2). The owner calls it every few minutes; it
// returns how many contents and stages it named.
func (r *Replica) Collect(ctx context.Context) (named int, err error) {
	spaces, err := r.Spaces()
	if err != nil {
		return 0, err
	}
	for _, s := range spaces {
		if !s.State.gone() {
			continue
		}
		n, err := r.collectIn(ctx, s.ID, listKeys(appendSpaceKey(nil, prefixHeld, s.ID)))
		if named += n; err != nil {
			return named, err
		}
	}
	expired := r.config.Now().UnixNano() - uploadKept
	for _, list := range []lister{listKeys([]byte{prefixCandidate}), listUploads(expired)} {
		n, err := r.collectIn(ctx, cluster.SpaceID{}, list)
		if named += n; err != nil {
			return named, err
		}
	}
	n, err := r.collectStages(ctx)
	return named + n, err
}

// lister returns up to collectHashes hashes from after on, in ascending order; none means the end.
type lister func(from lsm.Reader, after *Hash) ([]Hash, error)

func (r *Replica) collectIn(ctx context.Context, space cluster.SpaceID, list lister) (named int, err error) {
	var after *Hash
	for {
		hashes, err := r.listed(list, after)
		if err != nil || len(hashes) == 0 {
			return named, err
		}
		err = r.proposeCollection(ctx, space, collection{hashes: hashes})
		if err != nil {
			return named, err
		}
		named += len(hashes)
		after = &hashes[len(hashes)-1]
	}
}

func (r *Replica) listed(list lister, after *Hash) ([]Hash, error) {
	db, release, err := r.machine.engine()
	if err != nil {
		return nil, err
	}
	defer release()
	return list(db, after)
}

func (r *Replica) proposeCollection(ctx context.Context, space cluster.SpaceID, c collection) error {
	_, err := r.proposeGroup(ctx, func(head partHeader) []byte {
		head.kind, head.space = partCollect, space
		return appendCollection(appendPartHeader(nil, head), c)
	})
	return err
}

// listKeys lists the hashes that stand behind prefix.
func listKeys(prefix []byte) lister {
	return listIf(prefix, func([]byte) bool { return true })
}

// listUploads lists uploads marked at or before wall.
func listUploads(wall int64) lister {
	return listIf([]byte{prefixUpload}, func(mark []byte) bool {
		at, ok := markTime(mark)
		return ok && at <= wall
	})
}

func listIf(prefix []byte, wanted func(value []byte) bool) lister {
	return func(from lsm.Reader, after *Hash) (hashes []Hash, err error) {
		lo := prefix
		if after != nil {
			lo = append(append([]byte(nil), prefix...), after[:]...)
			lo = append(lo, 0)
		}
		it := from.NewIter(lo, prefixEnd(prefix))
		for ok := it.First(); ok && len(hashes) < collectHashes; ok = it.Next() {
			if len(it.Key()) == len(prefix)+hashLen && wanted(it.Value()) {
				hashes = append(hashes, Hash(it.Key()[len(prefix):]))
			}
		}
		return hashes, it.Close()
	}
}

func (r *Replica) collectStages(ctx context.Context) (named int, err error) {
	stages, err := r.oldStages(r.config.Now().UnixNano() - stageKept)
	if err != nil || len(stages) == 0 {
		return 0, err
	}
	return len(stages), r.proposeCollection(ctx, cluster.SpaceID{}, collection{stages: stages})
}

// oldStages lists stages whose first piece came at or before wall.
func (r *Replica) oldStages(wall int64) (stages []stageID, err error) {
	db, release, err := r.machine.engine()
	if err != nil {
		return nil, err
	}
	defer release()
	it := db.NewIter([]byte{prefixPiece}, []byte{prefixPiece + 1})
	for ok := it.First(); ok && len(stages) < collectStages; {
		if len(it.Key()) != 1+stageLen+4 || len(it.Value()) < 8 {
			err = damaged("piece", it.Key(), errSize)
			break
		}
		stage := stageID(it.Key()[1:])
		if int64(binary.BigEndian.Uint64(it.Value())) <= wall {
			stages = append(stages, stage)
		}
		ok = it.SeekGE(prefixEnd(append([]byte{prefixPiece}, stage[:]...)))
	}
	if cerr := it.Close(); err == nil {
		err = cerr
	}
	return stages, err
}
