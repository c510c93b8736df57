package group

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/transport"
	"github.com/hashicorp/raft"
)

const (
	// streamIdle is how long a snapshot stream may stand still.
	streamIdle = 30 * time.Second
	// streamAnswer is how long the receiver may take to switch a snapshot in.
	streamAnswer = 2 * time.Minute
	streamBuffer = 256 << 10
	maxReply     = 64 << 10
)

// register tells the transport what this package receives.
func (h *Host) register() {
	net := h.cfg.Net
	net.HandleFast(kindHeartbeat, h.receiveHeartbeat)
	net.HandleFast(kindConfirm, h.receiveConfirm)
	net.HandleFast(kindCompare, h.receiveCompare)
	net.HandleFast(kindDeclare, h.receiveDeclare)
	for _, row := range []struct {
		kind   transport.Kind
		handle func(transport.Inbound)
	}{
		{kindAppend, h.receiveAppend},
		{kindVote, h.receiveVote},
		{kindPreVote, h.receivePreVote},
		{kindTimeout, h.receiveTimeout},
		{kindReadIndex, h.receiveReadIndex},
		{kindHandOver, h.receiveHandOver},
		{kindSuspect, h.deaths.receive},
		{kindIdentity, h.receiveIdentity},
		{kindHold, h.receiveHold},
	} {
		net.Handle(row.kind, row.handle)
	}
	net.HandleStreams(h.receiveStream)
}

// target is the local replica a request is for, nil after it was refused: the sender must mean this incarnation, and
// be the node it claims.
func (h *Host) target(in transport.Inbound, from []byte, to cluster.ServerID, err error) *Group {
	if err != nil {
		in.Refuse(cluster.Errorf(cluster.KindBadRequest, "%v", err))
		return nil
	}
	g := h.Group(in.Group)
	if g == nil || g.self != to {
		in.Refuse(cluster.Errorf(cluster.KindUnavailable, "group %d: replica %s is not running here", in.Group, to))
		return nil
	}
	if cluster.ServerID(from).Node() != in.From {
		in.Refuse(cluster.Errorf(cluster.KindBadRequest, "node %s speaks for replica %s", in.From, from))
		return nil
	}
	return g
}

// admitted is target for what asks the replica to vote, to acknowledge or to stand: it waits a moment for the replica's
// probation to end.
func (h *Host) admitted(in transport.Inbound, from []byte, to cluster.ServerID, err error) *Group {
	g := h.target(in, from, to, err)
	if g == nil {
		return nil
	}
	if err := g.probation.await(g.trans.ctx, in.From); err != nil {
		in.Refuse(err)
		return nil
	}
	return g
}

func (h *Host) receiveHeartbeat(in transport.Inbound) {
	to, a, err := decodeHeartbeat(in.Payload)
	if err != nil {
		in.Refuse(cluster.Errorf(cluster.KindBadRequest, "%v", err))
		return
	}
	g := h.target(in, a.ID, to, nil)
	if g == nil {
		return
	}
	if ok, _ := g.probation.admits(in.From); !ok {
		in.Refuse(g.probation.refusal())
		return
	}
	g.trans.receiveHeartbeat(in, a)
}

func (h *Host) receiveAppend(in transport.Inbound) {
	to, a, err := decodeAppend(in.Payload)
	if err != nil {
		in.Refuse(cluster.Errorf(cluster.KindBadRequest, "%v", err))
		return
	}
	g := h.admitted(in, a.ID, to, nil)
	switch {
	case g == nil:
	case len(a.Entries) > 0 && h.cfg.DiskFull():
		in.Refuse(h.diskFull())
	default:
		g.trans.pledge(cluster.ServerID(a.ID), pledge{term: a.Term, index: lastOf(a)})
		g.trans.receive(in, a, g.trans.acknowledge(a))
	}
}

func (h *Host) diskFull() error {
	return cluster.Errorf(cluster.KindDiskFull, "the disk of %s is full", h.cfg.Node)
}

func (h *Host) receiveVote(in transport.Inbound) {
	v, err := decodeVote(in.Payload)
	if g := h.admitted(in, []byte(v.from), v.to, err); g != nil {
		g.trans.receive(in, &raft.RequestVoteRequest{RPCHeader: header(v.from), Term: v.term,
			//lint:ignore SA1019 raft 1.8.0 still reads it
			Candidate: []byte(v.from), LastLogIndex: v.lastIndex, LastLogTerm: v.lastTerm,
			LeadershipTransfer: v.transfer}, g.trans.grant(v.term))
	}
}

func (h *Host) receivePreVote(in transport.Inbound) {
	v, err := decodeVote(in.Payload)
	if g := h.admitted(in, []byte(v.from), v.to, err); g != nil {
		g.trans.receive(in, &raft.RequestPreVoteRequest{RPCHeader: header(v.from), Term: v.term,
			LastLogIndex: v.lastIndex, LastLogTerm: v.lastTerm}, encodePreVoteResponse)
	}
}

// decodePair reads from | to, the beginning of several messages; rest is what follows.
func decodePair(b []byte) (from, to cluster.ServerID, rest *reader) {
	rest = &reader{b: b}
	from = rest.id()
	to = rest.id()
	return from, to, rest
}

func (h *Host) receiveTimeout(in transport.Inbound) {
	from, to, rest := decodePair(in.Payload)
	if g := h.admitted(in, []byte(from), to, rest.done()); g != nil {
		g.trans.receive(in, &raft.TimeoutNowRequest{RPCHeader: header(from)}, encodeNothing)
	}
}

// receiveIdentity tells which replica of a group the node holds.
func (h *Host) receiveIdentity(in transport.Inbound) {
	g := h.Group(in.Group)
	if g == nil {
		in.Refuse(notHere(in.Group))
		return
	}
	in.Respond(appendID(nil, g.self))
}

// Identity is the server id of the replica of a group that runs on a node.
func (h *Host) Identity(ctx context.Context, node cluster.NodeID, id cluster.GroupID) (cluster.ServerID, error) {
	if node == h.cfg.Node {
		if g := h.Group(id); g != nil {
			return g.self, nil
		}
		return "", notHere(id)
	}
	call, err := h.cfg.Net.Send(ctx, transport.Message{To: node, Class: transport.Control, Group: id, Kind: kindIdentity})
	if err != nil {
		return "", err
	}
	b, _, err := call.Wait(ctx)
	if err != nil {
		return "", unavailableFrom(err)
	}
	r := &reader{b: b}
	self := r.id()
	if err := r.done(); err != nil || self.Node() != node {
		return "", fmt.Errorf("identity of group %d on %s: %q: %w", id, node, self, err)
	}
	return self, nil
}

// InstallSnapshot implements raft.Transport: a stream of its own, then the answer on it.
func (t *raftTransport) InstallSnapshot(id raft.ServerID, _ raft.ServerAddress, args *raft.InstallSnapshotRequest, resp *raft.InstallSnapshotResponse, data io.Reader) error {
	if err := checkTerm(args.Term, args.LastLogTerm); err != nil {
		return err
	}
	members, err := decodeRaftMembers(args.Configuration)
	if err != nil {
		return err
	}
	h := snapshotHeader{from: t.self, to: cluster.ServerID(id), group: t.group, term: args.Term,
		lastIndex: args.LastLogIndex, lastTerm: args.LastLogTerm, memberIndex: args.ConfigurationIndex,
		size: args.Size, members: members}
	s, err := t.net.OpenStream(t.ctx, nodeOf(id), t.group, h.encode())
	if err != nil {
		return err
	}
	defer s.Close()
	defer context.AfterFunc(t.ctx, func() { s.Close() })()
	if _, err := io.CopyBuffer(struct{ io.Writer }{&movingStream{s, streamIdle}}, data, make([]byte, streamBuffer)); err != nil {
		return fmt.Errorf("send snapshot: %w", err)
	}
	if err := s.CloseWrite(); err != nil {
		return fmt.Errorf("send snapshot: %w", err)
	}
	b, err := io.ReadAll(io.LimitReader(&movingStream{s, streamAnswer}, maxReply))
	if err != nil {
		return fmt.Errorf("answer to snapshot: %w", err)
	}
	if err := decodeSnapshotReply(b, resp); err != nil {
		return err
	}
	if resp.Success {
		t.pledge(cluster.ServerID(id), pledge{term: args.Term, index: args.LastLogIndex})
	}
	return nil
}

// movingStream gives each read and write of a stream its own deadline.
type movingStream struct {
	s    *transport.Stream
	idle time.Duration
}

func (m *movingStream) Write(p []byte) (int, error) {
	if err := m.s.SetDeadline(time.Now().Add(m.idle)); err != nil {
		return 0, err
	}
	return m.s.Write(p)
}

func (m *movingStream) Read(p []byte) (int, error) {
	if err := m.s.SetDeadline(time.Now().Add(m.idle)); err != nil {
		return 0, err
	}
	return m.s.Read(p)
}

// A snapshot's answer is status u8 (0 answer, 1 refusal) | a vote's answer, or the refusal's error.
func encodeSnapshotReply(from cluster.ServerID, r *raft.InstallSnapshotResponse, err error) []byte {
	if err != nil {
		return transport.AppendError([]byte{1}, err)
	}
	return append([]byte{0}, encodeVoteReply(from, r.Term, r.Success)...)
}

func decodeSnapshotReply(b []byte, resp *raft.InstallSnapshotResponse) error {
	if len(b) == 0 {
		return errShort
	}
	if b[0] != 0 {
		return transport.DecodeError(b[1:])
	}
	from, term, success, err := decodeVoteReply(b[1:])
	if err != nil {
		return err
	}
	*resp = raft.InstallSnapshotResponse{RPCHeader: header(from), Term: term, Success: success}
	return nil
}

// receiveStream takes a snapshot to raft, which reads it on its main loop; heartbeats pass meanwhile.
func (h *Host) receiveStream(ctx context.Context, s *transport.Stream) {
	if isSeedHeader(s.Header) {
		h.sendSeed(ctx, s)
		return
	}
	g, header, err := h.streamTarget(s)
	var r *raft.InstallSnapshotResponse
	if err == nil {
		r, err = g.trans.receiveSnapshot(ctx, s, header)
	}
	answerSnapshot(s, g, r, err)
	if g != nil && g.snaps.outgrown.Load() { // whether or not the sender is there still
		h.reopen(g)
	}
}

// answerSnapshot says how the installation ended. A sender that is not there any more sends another.
func answerSnapshot(s *transport.Stream, g *Group, r *raft.InstallSnapshotResponse, err error) {
	var self cluster.ServerID
	if g != nil {
		self = g.self
	}
	if s.SetDeadline(time.Now().Add(streamIdle)) != nil {
		return
	}
	if _, err := s.Write(encodeSnapshotReply(self, r, err)); err == nil {
		s.CloseWrite() //nolint:errcheck // the sender sees that the answer is not whole
	}
}

func (h *Host) streamTarget(s *transport.Stream) (*Group, snapshotHeader, error) {
	head, err := decodeSnapshotHeader(s.Header)
	if err != nil {
		return nil, head, cluster.Errorf(cluster.KindBadRequest, "%v", err)
	}
	g := h.Group(s.Group)
	switch {
	case g == nil || g.self != head.to || head.group != s.Group:
		return nil, head, cluster.Errorf(cluster.KindUnavailable, "group %d: replica %s is not running here", s.Group, head.to)
	case head.from.Node() != s.Peer:
		return nil, head, cluster.Errorf(cluster.KindBadRequest, "node %s speaks for replica %s", s.Peer, head.from)
	}
	if h.cfg.DiskFull() {
		return nil, head, h.diskFull()
	}
	if err := g.probation.await(g.trans.ctx, s.Peer); err != nil {
		return nil, head, err
	}
	return g, head, nil
}

func (t *raftTransport) receiveSnapshot(ctx context.Context, s *transport.Stream, h snapshotHeader) (*raft.InstallSnapshotResponse, error) {
	stop := context.AfterFunc(t.ctx, func() { s.Close() })
	defer stop()
	resp := make(chan raft.RPCResponse, 1)
	rpc := raft.RPC{RespChan: resp, Reader: &movingStream{s, streamIdle}, Command: &raft.InstallSnapshotRequest{
		RPCHeader: header(h.from), SnapshotVersion: raft.SnapshotVersionMax, Term: h.term, Leader: []byte(h.from),
		LastLogIndex: h.lastIndex, LastLogTerm: h.lastTerm, Size: h.size,
		Configuration: raft.EncodeConfiguration(configurationOf(h.members)), ConfigurationIndex: h.memberIndex,
	}}
	select {
	case t.rpcs <- rpc:
	case <-t.ctx.Done():
		return nil, notHere(t.group)
	case <-ctx.Done():
		return nil, notHere(t.group)
	}
	select {
	case r := <-resp:
		if r.Error != nil {
			return nil, &cluster.Error{Kind: cluster.KindInternal, Text: r.Error.Error()}
		}
		answer, ok := r.Response.(*raft.InstallSnapshotResponse)
		if !ok {
			return nil, errors.New("snapshot was answered with something else")
		}
		if answer.Success {
			t.pledge(t.self, pledge{term: h.term, index: h.lastIndex})
		}
		return answer, nil
	case <-t.ctx.Done():
		return nil, notHere(t.group)
	}
}

// receiveHandOver notes a leader's word that its lease has ended (CLUSTER 4.2).
func (h *Host) receiveHandOver(in transport.Inbound) {
	from, to, rest := decodePair(in.Payload)
	term := rest.u64()
	g := h.target(in, []byte(from), to, rest.done())
	if g == nil {
		return
	}
	g.lead.mu.Lock()
	if term >= g.lead.handed.term {
		g.lead.handed = handOver{term: term, from: from}
	}
	g.lead.mu.Unlock()
	in.Respond()
}

func encodeHandOver(from, to cluster.ServerID, term uint64) []byte {
	return binary.LittleEndian.AppendUint64(appendID(appendID(nil, from), to), term)
}
