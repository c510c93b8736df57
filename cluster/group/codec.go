package group

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/hashicorp/raft"
)

// Bounds of what one frame may claim. An entry is at most 256 KiB of effect (CLUSTER 1.5) with room for its frame.
const (
	raftProtocol = raft.ProtocolVersionMax
	maxAppend    = 64
	maxEntryData = 512 << 10
	maxEntryExt  = 4 << 10
	copyBelow    = 2 << 10 // entry data smaller than this is copied into the frame's run of bytes
)

// header is raft's RPC header for a server: address and id are the same (CLUSTER 6.1).
func header(id cluster.ServerID) raft.RPCHeader {
	return raft.RPCHeader{ProtocolVersion: raftProtocol, ID: []byte(id), Addr: []byte(id)}
}

// An append is from | to | term u64 | previous index u64 | previous term u64 | commit u64 | first index u64 |
// count u16 | { term u64 | type u8 | appended at i64 | ext u32 | data u32 | ext | data }. A heartbeat is the
// same with only from, to and term.

// encodeAppend returns the frame's payload; large entry data is referred to, not copied.
func encodeAppend(to cluster.ServerID, a *raft.AppendEntriesRequest) ([][]byte, error) {
	if len(a.Entries) > maxAppend {
		return nil, fmt.Errorf("append of %d entries, at most %d", len(a.Entries), maxAppend)
	}
	if err := checkTerms(a); err != nil {
		return nil, err
	}
	size := 128
	for _, e := range a.Entries {
		size += 32 + len(e.Extensions)
		if len(e.Data) < copyBelow {
			size += len(e.Data)
		}
	}
	b := make([]byte, 0, size)
	b = appendID(b, cluster.ServerID(a.ID))
	b = appendID(b, to)
	b = binary.LittleEndian.AppendUint64(b, a.Term)
	b = binary.LittleEndian.AppendUint64(b, a.PrevLogEntry)
	b = binary.LittleEndian.AppendUint64(b, a.PrevLogTerm)
	b = binary.LittleEndian.AppendUint64(b, a.LeaderCommitIndex)
	first := uint64(0)
	if len(a.Entries) > 0 {
		first = a.Entries[0].Index
	}
	b = binary.LittleEndian.AppendUint64(b, first)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(a.Entries)))
	return appendEntries(b, first, a.Entries)
}

func appendEntries(b []byte, first uint64, entries []*raft.Log) ([][]byte, error) {
	var out [][]byte
	begin := 0 // of the run in b that is not in out yet
	for i, e := range entries {
		if e.Index != first+uint64(i) {
			return nil, fmt.Errorf("append with entry %d where %d belongs", e.Index, first+uint64(i))
		}
		if len(e.Data) > maxEntryData || len(e.Extensions) > maxEntryExt {
			return nil, fmt.Errorf("entry %d of %d bytes is too large", e.Index, len(e.Data)+len(e.Extensions))
		}
		b = binary.LittleEndian.AppendUint64(b, e.Term)
		b = append(b, byte(e.Type))
		b = binary.LittleEndian.AppendUint64(b, uint64(unixNano(e.AppendedAt)))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(e.Extensions)))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(e.Data)))
		b = append(b, e.Extensions...)
		if len(e.Data) < copyBelow {
			b = append(b, e.Data...)
			continue
		}
		out = append(out, b[begin:len(b):len(b)], e.Data)
		begin = len(b)
	}
	return append(out, b[begin:]), nil
}

func unixNano(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// decodeAppend reads an append; the entries' data alias b.
func decodeAppend(b []byte) (to cluster.ServerID, a *raft.AppendEntriesRequest, err error) {
	r := &reader{b: b}
	from := r.id()
	to = r.id()
	a = &raft.AppendEntriesRequest{
		RPCHeader: header(from),
		//lint:ignore SA1019 raft 1.8.0 still reads it
		Leader:            []byte(from),
		Term:              r.u64(),
		PrevLogEntry:      r.u64(),
		PrevLogTerm:       r.u64(),
		LeaderCommitIndex: r.u64(),
	}
	first, n := r.u64(), int(r.u16())
	if n > maxAppend {
		return "", nil, fmt.Errorf("append of %d entries, at most %d", n, maxAppend)
	}
	if n > 0 && (first == 0 || first+uint64(n) < first) {
		return "", nil, errors.New("append of entries without a position")
	}
	for i := range n {
		e, err := decodeEntry(r)
		if err != nil {
			return "", nil, err
		}
		e.Index = first + uint64(i)
		a.Entries = append(a.Entries, e)
	}
	if err := r.done(); err != nil {
		return "", nil, fmt.Errorf("append: %w", err)
	}
	return to, a, checkTerms(a)
}

// checkTerms keeps out what no leader of a term sends: a log with later terms. raft does send it: its goroutine for a follower
// pauses after a failure, does not hear meanwhile that its replica leads no more, and then tells in its own term what the next
// leader has written into the log (raft 1.8.0, replicateTo). A follower that had not heard of that leader would keep the entries,
// and its stored term would lie behind its log, as if an older file had come back (raftlog.CauseTermBehind).
func checkTerms(a *raft.AppendEntriesRequest) error {
	if err := checkTerm(a.Term, a.PrevLogTerm); err != nil {
		return err
	}
	for _, e := range a.Entries {
		if err := checkTerm(a.Term, e.Term); err != nil {
			return err
		}
	}
	return nil
}

func checkTerm(own, of uint64) error {
	if of > own {
		return fmt.Errorf("a leader of term %d has nothing of term %d", own, of)
	}
	return nil
}

func decodeEntry(r *reader) (*raft.Log, error) {
	e := &raft.Log{Term: r.u64(), Type: raft.LogType(r.u8())}
	if at := int64(r.u64()); at != 0 {
		e.AppendedAt = time.Unix(0, at)
	}
	ext, data := r.u32(), r.u32()
	if ext > maxEntryExt || data > maxEntryData {
		return nil, fmt.Errorf("entry of %d bytes is too large", uint64(ext)+uint64(data))
	}
	if ext > 0 {
		e.Extensions = r.take(int(ext))
	}
	if data > 0 {
		e.Data = r.take(int(data))
	}
	if r.err != nil {
		return nil, fmt.Errorf("append: %w", r.err)
	}
	return e, checkEntryType(e)
}

// checkEntryType keeps out what raft would panic on: types it no longer writes, and memberships it cannot read.
func checkEntryType(e *raft.Log) error {
	switch e.Type {
	case raft.LogCommand, raft.LogNoop, raft.LogBarrier:
		return nil
	case raft.LogConfiguration:
		_, err := decodeRaftMembers(e.Data)
		return err
	}
	return fmt.Errorf("entry of unknown type %d", e.Type)
}

// encodeHeartbeat and decodeHeartbeat code an append without position: from | to | term u64.
func encodeHeartbeat(to cluster.ServerID, a *raft.AppendEntriesRequest) []byte {
	b := make([]byte, 0, 2+len(a.ID)+len(to)+8)
	b = appendID(b, cluster.ServerID(a.ID))
	b = appendID(b, to)
	return binary.LittleEndian.AppendUint64(b, a.Term)
}

func decodeHeartbeat(b []byte) (to cluster.ServerID, a *raft.AppendEntriesRequest, err error) {
	r := &reader{b: b}
	from := r.id()
	to = r.id()
	//lint:ignore SA1019 raft 1.8.0 still reads Leader
	a = &raft.AppendEntriesRequest{RPCHeader: header(from), Leader: []byte(from), Term: r.u64()}
	if err := r.done(); err != nil {
		return "", nil, fmt.Errorf("heartbeat: %w", err)
	}
	return to, a, nil
}

// isHeartbeat tells raft's heartbeats from its appends, as raft's own transport does.
func isHeartbeat(a *raft.AppendEntriesRequest) bool {
	return a.PrevLogEntry == 0 && a.PrevLogTerm == 0 && len(a.Entries) == 0 && a.LeaderCommitIndex == 0
}

const (
	replySuccess   = 1 << 0
	replyNoBackoff = 1 << 1
)

// An append's answer is from | term u64 | last log u64 | flags u8.
func encodeAppendReply(p *raft.AppendEntriesResponse) []byte {
	b := make([]byte, 0, 1+len(p.ID)+17)
	b = appendID(b, cluster.ServerID(p.ID))
	b = binary.LittleEndian.AppendUint64(b, p.Term)
	b = binary.LittleEndian.AppendUint64(b, p.LastLog)
	var flags byte
	if p.Success {
		flags |= replySuccess
	}
	if p.NoRetryBackoff {
		flags |= replyNoBackoff
	}
	return append(b, flags)
}

func decodeAppendReply(b []byte, p *raft.AppendEntriesResponse) error {
	r := &reader{b: b}
	from := r.id()
	term, last, flags := r.u64(), r.u64(), r.u8()
	if err := r.done(); err != nil {
		return fmt.Errorf("answer to append: %w", err)
	}
	*p = raft.AppendEntriesResponse{RPCHeader: header(from), Term: term, LastLog: last,
		Success: flags&replySuccess != 0, NoRetryBackoff: flags&replyNoBackoff != 0}
	return nil
}

// voteRequest is what a vote and a pre-vote have in common: from | to | term u64 | last index u64 | last term u64 |
// flags u8.
type voteRequest struct {
	from, to            cluster.ServerID
	term                uint64
	lastIndex, lastTerm uint64
	transfer            bool
}

func (v voteRequest) encode() []byte {
	b := make([]byte, 0, 2+len(v.from)+len(v.to)+25)
	b = appendID(b, v.from)
	b = appendID(b, v.to)
	b = binary.LittleEndian.AppendUint64(b, v.term)
	b = binary.LittleEndian.AppendUint64(b, v.lastIndex)
	b = binary.LittleEndian.AppendUint64(b, v.lastTerm)
	if v.transfer {
		return append(b, 1)
	}
	return append(b, 0)
}

func decodeVote(b []byte) (voteRequest, error) {
	r := &reader{b: b}
	v := voteRequest{from: r.id(), to: r.id(), term: r.u64(), lastIndex: r.u64(), lastTerm: r.u64(),
		transfer: r.u8() == 1}
	if err := r.done(); err != nil {
		return v, fmt.Errorf("vote request: %w", err)
	}
	return v, nil
}

// A vote's answer is from | term u64 | granted u8.
func encodeVoteReply(from cluster.ServerID, term uint64, granted bool) []byte {
	b := make([]byte, 0, 1+len(from)+9)
	b = appendID(b, from)
	b = binary.LittleEndian.AppendUint64(b, term)
	if granted {
		return append(b, 1)
	}
	return append(b, 0)
}

func decodeVoteReply(b []byte) (from cluster.ServerID, term uint64, granted bool, err error) {
	r := &reader{b: b}
	from, term, granted = r.id(), r.u64(), r.u8() == 1
	if err := r.done(); err != nil {
		return "", 0, false, fmt.Errorf("answer to vote request: %w", err)
	}
	return from, term, granted, nil
}

// snapshotHeader opens an InstallSnapshot stream: from | to | group u32 | term u64 | last index u64 |
// last term u64 | membership index u64 | size u64 | membership (u32 length).
type snapshotHeader struct {
	from, to            cluster.ServerID
	group               cluster.GroupID
	term                uint64
	lastIndex, lastTerm uint64
	memberIndex         uint64
	size                int64
	members             []Member
}

func (h snapshotHeader) encode() []byte {
	b := appendID(make([]byte, 0, 256), h.from)
	b = appendID(b, h.to)
	b = binary.LittleEndian.AppendUint32(b, uint32(h.group))
	for _, v := range []uint64{h.term, h.lastIndex, h.lastTerm, h.memberIndex, uint64(h.size)} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	members := appendMembers(nil, h.members)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(members)))
	return append(b, members...)
}

// decodeSnapshotHeader reads a stream's header.
func decodeSnapshotHeader(b []byte) (snapshotHeader, error) {
	r := &reader{b: b}
	h := snapshotHeader{from: r.id(), to: r.id(), group: cluster.GroupID(r.u32()), term: r.u64(),
		lastIndex: r.u64(), lastTerm: r.u64(), memberIndex: r.u64(), size: int64(r.u64())}
	members := r.take(int(r.u32()))
	if err := r.done(); err != nil {
		return h, fmt.Errorf("snapshot header: %w", err)
	}
	if h.size <= 0 || h.lastIndex == 0 || len(members) == 0 {
		return h, errors.New("snapshot header: position or size out of range")
	}
	err := checkTerm(h.term, h.lastTerm)
	if err == nil {
		h.members, err = decodeMembers(members)
	}
	return h, err
}

// A snapshot's answer is from | term u64 | success u8, the same as a vote's.
