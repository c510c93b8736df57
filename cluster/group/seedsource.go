package group

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/transport"
)

// sendSeed answers a node that makes a new replica with a checkpoint of this one's state (CLUSTER 5.4).
func (h *Host) sendSeed(ctx context.Context, s *transport.Stream) {
	defer context.AfterFunc(ctx, func() { s.Close() })()
	moving := &movingStream{s, streamIdle}
	err := h.seedTo(s, moving)
	if err != nil {
		status := transport.AppendError([]byte{seedRefused}, err)
		if errors.Is(err, errSeedSmall) {
			status = []byte{seedSmall}
		}
		if errors.Is(err, errSeedBroken) {
			return // in the middle of a file nobody looks for a status
		}
		if _, err := moving.Write(status); err != nil {
			return
		}
	}
	s.CloseWrite() //nolint:errcheck // the receiver sees that the seed is not whole
}

// errSeedBroken: the seed did not arrive whole.
var errSeedBroken = errors.New("seed was not sent whole")

func (h *Host) seedTo(s *transport.Stream, moving *movingStream) error {
	if len(s.Header) != 2 || s.Header[1] != seedVersion {
		return cluster.Errorf(cluster.KindBadRequest, "seed of version %x", s.Header)
	}
	list, err := io.ReadAll(io.LimitReader(moving, maxSeedHave))
	if err != nil {
		return err
	}
	have, err := decodeHave(list)
	if err != nil {
		return cluster.Errorf(cluster.KindBadRequest, "what the new replica has: %v", err)
	}
	g := h.Group(s.Group)
	switch {
	case g == nil || g.fenced() != nil || !g.caughtUp.Load():
		return cluster.Errorf(cluster.KindUnavailable, "group %d: no sound replica is running here", s.Group)
	case g.snaps.size() < h.cfg.SeedBytes:
		return errSeedSmall
	}
	select {
	case h.sending <- struct{}{}:
		defer func() { <-h.sending }()
	default:
		return cluster.Errorf(cluster.KindOverloaded, "group %d: %v", s.Group, errSnapshotsBusy)
	}
	return g.sendSeed(moving, s.Peer, have)
}

func (g *Group) sendSeed(to *movingStream, peer cluster.NodeID, have map[string]hadFile) (err error) {
	meta, files, release, err := g.snaps.checkpoint()
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	defer func() { err = errors.Join(err, release()) }()
	all, err := files.Files()
	if err != nil {
		return err
	}
	missing, err := missingFiles(files, all, have)
	if err != nil {
		return err
	}
	offer := seedOffer{files: all, head: snapshotHeader{from: g.self, to: cluster.NewServerID(peer, 0), group: g.id, term: meta.Term,
		lastIndex: meta.Index, lastTerm: meta.Term, memberIndex: meta.ConfigurationIndex, size: 1, members: membersOf(meta.Configuration)}}
	for _, f := range all {
		offer.head.size += f.size
	}
	if _, err := to.Write(offer.encode()); err != nil {
		return errors.Join(errSeedBroken, err)
	}
	if len(missing) == 0 {
		return nil
	}
	stream, err := newStreamReader(listedFiles{files, missing})
	if err == nil {
		_, err = io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{stream}, make([]byte, streamBuffer))
		err = errors.Join(err, stream.Close())
	}
	if err != nil {
		return errors.Join(errSeedBroken, err)
	}
	return nil
}

// listedFiles are some of a directory's files.
type listedFiles struct {
	snapshotFiles
	list []streamFile
}

// Files implements fileSource.
func (l listedFiles) Files() ([]streamFile, error) { return l.list, nil }

// missingFiles are those that the new replica does not have as they are here.
func missingFiles(files snapshotFiles, all []streamFile, have map[string]hadFile) (missing []streamFile, err error) {
	for _, f := range all {
		had, ok := have[f.name]
		if ok && had.size == f.size {
			sum, err := files.sum(f.name)
			if err != nil {
				return nil, err
			}
			ok = sum == had.sum
		}
		if !ok || had.size != f.size {
			missing = append(missing, f)
		}
	}
	return missing, nil
}

// sum is the CRC of a file.
func (s snapshotFiles) sum(name string) (uint32, error) {
	f, err := s.Open(name)
	if err != nil {
		return 0, err
	}
	sum := crc32.New(castagnoli)
	_, err = io.CopyBuffer(struct{ io.Writer }{sum}, struct{ io.Reader }{f}, make([]byte, streamBuffer))
	return sum.Sum32(), errors.Join(err, f.Close())
}

// holdKept is how long the log is held for a seed after its node last asked.
const holdKept = 30 * time.Second

// seedHold keeps the log of a group for a replica that is being made on a node.
type seedHold struct {
	index uint64
	until time.Time
}

// holdLog keeps the log from index on for a node, for a while, and returns where the log begins.
func (g *Group) holdLog(node cluster.NodeID, index uint64, now time.Time) (first uint64, err error) {
	g.snaps.mu.Lock()
	if g.snaps.seeds == nil {
		g.snaps.seeds = map[cluster.NodeID]seedHold{}
	}
	g.snaps.seeds[node] = seedHold{index, now.Add(holdKept)}
	g.snaps.mu.Unlock()
	return g.log.FirstIndex()
}

// heldForSeeds is the index from which on the log is held for seeds, the highest of all when it is for none. When the log
// has grown beyond room, nothing is held: what has been seeded begins anew.
func (s *snapshotStore) heldForSeeds(now time.Time, logBytes, room uint64) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := ^uint64(0)
	for node, hold := range s.seeds {
		if now.After(hold.until) || logBytes > room {
			delete(s.seeds, node)
			continue
		}
		held = min(held, hold.index)
	}
	return held
}

// seedRoom is how large a group's log may grow for a seed: a quarter of what the disk has free.
func (h *Host) seedRoom() uint64 {
	usage, err := h.cfg.FS.GetDiskUsage(h.cfg.Dir)
	if err != nil {
		return 0 // who cannot ask holds nothing
	}
	return usage.AvailBytes / 4
}

// What the answer to a hold says, in one byte; the index at which the log begins follows.
const (
	holdLeads   = 1 << 0 // the replica leads
	holdCommits = 1 << 1 // its node commits, so the copy is to leave room for that
)

// receiveHold notes that a node makes a replica from a state of index.
func (h *Host) receiveHold(in transport.Inbound) {
	r := &reader{b: in.Payload}
	index := r.u64()
	if err := r.done(); err != nil {
		in.Refuse(cluster.Errorf(cluster.KindBadRequest, "%v", err))
		return
	}
	g := h.Group(in.Group)
	if g == nil {
		in.Refuse(notHere(in.Group))
		return
	}
	first, err := g.holdLog(in.From, index, time.Now())
	if err != nil {
		in.Refuse(err)
		return
	}
	flags := byte(0)
	if _, ok := g.lead.term(); ok {
		flags |= holdLeads
	}
	if h.pace.commits() {
		flags |= holdCommits
	}
	in.Respond(appendU64([]byte{flags}, first))
}
