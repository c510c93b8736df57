package group

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/transport"
	"github.com/hashicorp/raft"
)

const (
	// heartbeatTimeout bounds one heartbeat and one vote; raft asks again by itself.
	heartbeatTimeout = 2 * time.Second
	// appendTimeout bounds one append, which waits for the peer's disk.
	appendTimeout = 10 * time.Second
	// appendPatience is how long an append waits for a peer that is not there. raft's own pause between attempts
	// doubles with each failure up to 10 s and cannot be cut short; waiting here, the append goes out as soon as
	// the peer is back.
	appendPatience = 10 * time.Second
	// patienceStep is how often that wait looks again.
	patienceStep = 100 * time.Millisecond
	// pipelineWindow is how many appends to one follower may be unanswered.
	pipelineWindow = 16
	// inboundWindow is how many requests of peers may wait for one replica.
	inboundWindow = 64
)

// raftTransport is one replica's raft.Transport over the node's connections (CLUSTER 6.5).
type raftTransport struct {
	self  cluster.ServerID
	group cluster.GroupID
	net   network
	// rpcs is what raft's main loop takes requests from, pending what the answers are waited for in.
	rpcs    chan raft.RPC
	pending chan pendingRPC
	// ctx ends with the replica; raft's calls carry no context of their own.
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	// heartbeat is raft's fast path, once it has set it.
	heartbeat atomic.Pointer[func(raft.RPC)]
	// inTerm reports that the replica is a follower in this term, so that a heartbeat changes nothing on disk.
	inTerm func(term uint64) bool
	// beyond reports that the replica has seen a term above this one, campaigns that it is a candidate.
	beyond    func(term uint64) bool
	campaigns func() bool
	// refused is the highest term in which this replica stood and was refused a vote.
	refused atomic.Uint64
	// pledge is told of every acknowledgement and vote, and may a node whether it may be asked for a vote: see probation.
	pledge func(server cluster.ServerID, p pledge)
	may    func(ctx context.Context, node cluster.NodeID) error

	mu      sync.Mutex
	matched map[cluster.ServerID]uint64 // highest index a follower is known to hold; guarded by mu
	// heard is when a follower last answered a heartbeat, watched since when this replica leads; guarded by mu.
	heard   map[cluster.ServerID]time.Time
	watched time.Time
}

// network is what a replica needs of the node's transport.
type network interface {
	Send(ctx context.Context, m transport.Message) (*transport.Call, error)
	PeerState(node cluster.NodeID) (transport.PeerState, bool)
	OpenStream(ctx context.Context, node cluster.NodeID, group cluster.GroupID, header []byte) (*transport.Stream, error)
}

// pendingRPC is a peer's request that raft has, or will have, to answer.
type pendingRPC struct {
	in     transport.Inbound
	resp   chan raft.RPCResponse
	encode func(response interface{}) []byte
}

func newRaftTransport(ctx context.Context, self cluster.ServerID, group cluster.GroupID, net network) *raftTransport {
	t := &raftTransport{
		self: self, group: group, net: net,
		rpcs:    make(chan raft.RPC, inboundWindow),
		pending: make(chan pendingRPC, inboundWindow),
		matched: map[cluster.ServerID]uint64{},
		heard:   map[cluster.ServerID]time.Time{},
	}
	t.ctx, t.cancel = context.WithCancel(ctx)
	t.wg.Go(t.answer)
	return t
}

// Consumer implements raft.Transport.
func (t *raftTransport) Consumer() <-chan raft.RPC { return t.rpcs }

// LocalAddr implements raft.Transport.
func (t *raftTransport) LocalAddr() raft.ServerAddress { return raft.ServerAddress(t.self) }

// EncodePeer implements raft.Transport: an address is the server id.
func (t *raftTransport) EncodePeer(_ raft.ServerID, a raft.ServerAddress) []byte { return []byte(a) }

// DecodePeer implements raft.Transport.
func (t *raftTransport) DecodePeer(b []byte) raft.ServerAddress { return raft.ServerAddress(b) }

// SetHeartbeatHandler implements raft.Transport.
func (t *raftTransport) SetHeartbeatHandler(fn func(raft.RPC)) { t.heartbeat.Store(&fn) }

// abort ends every call, so that raft's goroutines can end.
func (t *raftTransport) abort() { t.cancel() }

// Close implements raft.WithClose.
func (t *raftTransport) Close() error {
	t.abort()
	t.wg.Wait()
	return nil
}

// call sends one frame and waits for its answer.
func (t *raftTransport) call(d time.Duration, m transport.Message) ([]byte, error) {
	ctx, cancel := context.WithTimeout(t.ctx, d)
	defer cancel()
	m.Group = t.group
	c, err := t.net.Send(ctx, m)
	if err != nil {
		return nil, err
	}
	resp, _, err := c.Wait(ctx)
	return resp, err
}

// incarnation is of the process that a replica's node last showed.
func (t *raftTransport) incarnation(of cluster.ServerID) uint64 {
	s, _ := t.net.PeerState(of.Node())
	return s.Incarnation
}

func nodeOf(id raft.ServerID) cluster.NodeID { return cluster.ServerID(id).Node() }

// AppendEntries implements raft.Transport.
func (t *raftTransport) AppendEntries(id raft.ServerID, _ raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	if isHeartbeat(args) {
		// raft has a timer for each follower of each group: all leave with the node's next beat.
		m := transport.Message{To: nodeOf(id), Class: transport.Control, Kind: kindHeartbeat, Later: true,
			Payload: [][]byte{encodeHeartbeat(cluster.ServerID(id), args)}}
		b, err := t.call(heartbeatTimeout+transport.BeatEvery, m)
		if err == nil {
			err = decodeAppendReply(b, resp)
		}
		if err == nil {
			t.answered(cluster.ServerID(id))
		}
		return err
	}
	payload, err := encodeAppend(cluster.ServerID(id), args)
	if err != nil {
		return err
	}
	t.leads(args)
	m := transport.Message{To: nodeOf(id), Class: transport.Bulk, Kind: kindAppend, Payload: payload}
	b, err := t.patientCall(m, args.Term)
	if err == nil {
		err = decodeAppendReply(b, resp)
	}
	t.note(cluster.ServerID(id), args, resp, err)
	return err
}

// lastOf is the index up to which a log is as the leader's if the append succeeds.
func lastOf(a *raft.AppendEntriesRequest) uint64 { return a.PrevLogEntry + uint64(len(a.Entries)) }

// note remembers how far a follower is.
func (t *raftTransport) note(id cluster.ServerID, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse, err error) {
	if err != nil || !resp.Success {
		return
	}
	index := lastOf(args)
	t.pledge(id, pledge{term: args.Term, index: index})
	t.mu.Lock()
	defer t.mu.Unlock()
	t.matched[id] = max(t.matched[id], index)
}

// leads notes what this replica is bound to by what it sends as a leader: its own log counts.
func (t *raftTransport) leads(args *raft.AppendEntriesRequest) {
	t.pledge(t.self, pledge{term: args.Term, index: lastOf(args)})
}

// answered notes that a follower has answered a heartbeat; those of all members come again and again while this
// replica leads.
func (t *raftTransport) answered(id cluster.ServerID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.heard[id] = time.Now()
}

// watch begins to listen for the followers of a leader anew.
func (t *raftTransport) watch() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.heard)
	t.watched = time.Now()
}

// silence is how long a follower has answered no heartbeat; one that never did counts from the leadership's beginning.
func (t *raftTransport) silence(id cluster.ServerID) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if at, ok := t.heard[id]; ok {
		return time.Since(at)
	}
	return time.Since(t.watched)
}

// progress is the highest index that a follower is known to hold.
func (t *raftTransport) progress(id cluster.ServerID) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.matched[id]
}

// patientCall repeats a call that did not reach a replica, or one whose disk is full, until it does, or patience ends.
func (t *raftTransport) patientCall(m transport.Message, term uint64) (b []byte, err error) {
	err = t.patiently(m.To, func() bool { return !t.beyond(term) }, func() error {
		b, err = t.call(appendTimeout, m)
		return err
	})
	return b, err
}

// patiently tries again what a node cannot do yet, as long as it is worth it.
func (t *raftTransport) patiently(node cluster.NodeID, worth func() bool, try func() error) error {
	deadline := time.NewTimer(appendPatience)
	defer deadline.Stop()
	for {
		err := try()
		if kind := cluster.KindOf(err); err == nil || kind != cluster.KindUnavailable && kind != cluster.KindDiskFull {
			return err
		}
		if !t.awaitPeer(node, deadline.C) || !worth() {
			return err
		}
	}
}

// awaitPeer pauses, longer while the peer has no connection, and reports whether to try again.
func (t *raftTransport) awaitPeer(node cluster.NodeID, deadline <-chan time.Time) bool {
	for range 10 {
		pause := time.NewTimer(patienceStep)
		select {
		case <-pause.C:
		case <-deadline:
			pause.Stop()
			return false
		case <-t.ctx.Done():
			pause.Stop()
			return false
		}
		if state, ok := t.net.PeerState(node); ok && state.Up {
			return true
		}
	}
	return true
}

// RequestVote implements raft.Transport.
func (t *raftTransport) RequestVote(id raft.ServerID, _ raft.ServerAddress, args *raft.RequestVoteRequest, resp *raft.RequestVoteResponse) error {
	v := voteRequest{from: t.self, to: cluster.ServerID(id), term: args.Term, lastIndex: args.LastLogIndex,
		lastTerm: args.LastLogTerm, transfer: args.LeadershipTransfer}
	from, term, granted, err := t.patientVote(kindVote, v)
	if err != nil {
		return err
	}
	if granted {
		t.pledge(v.to, pledge{vote: v.term})
	} else {
		t.refused.Store(max(t.refused.Load(), v.term))
	}
	*resp = raft.RequestVoteResponse{RPCHeader: header(from), Term: term, Granted: granted}
	return nil
}

// RequestPreVote implements raft.WithPreVote.
func (t *raftTransport) RequestPreVote(id raft.ServerID, _ raft.ServerAddress, args *raft.RequestPreVoteRequest, resp *raft.RequestPreVoteResponse) error {
	v := voteRequest{from: t.self, to: cluster.ServerID(id), term: args.Term, lastIndex: args.LastLogIndex,
		lastTerm: args.LastLogTerm}
	from, term, granted, err := t.patientVote(kindPreVote, v)
	if err != nil {
		return err
	}
	*resp = raft.RequestPreVoteResponse{RPCHeader: header(from), Term: term, Granted: granted}
	return nil
}

// patientVote asks a voter that is not there, or does not take part yet, again and again while the replica is a candidate: raft
// would ask it only when the next election is due.
func (t *raftTransport) patientVote(kind transport.Kind, v voteRequest) (from cluster.ServerID, term uint64, granted bool, err error) {
	err = t.patiently(v.to.Node(), func() bool { return t.campaigns() && !t.beyond(v.term) }, func() error {
		from, term, granted, err = t.vote(kind, v)
		return err
	})
	return from, term, granted, err
}

func (t *raftTransport) vote(kind transport.Kind, v voteRequest) (cluster.ServerID, uint64, bool, error) {
	if err := t.may(t.ctx, v.to.Node()); err != nil {
		return "", 0, false, err
	}
	b, err := t.call(heartbeatTimeout, transport.Message{To: v.to.Node(), Class: transport.Control, Kind: kind,
		Payload: [][]byte{v.encode()}})
	if err != nil {
		return "", 0, false, err
	}
	return decodeVoteReply(b)
}

// TimeoutNow implements raft.Transport.
func (t *raftTransport) TimeoutNow(id raft.ServerID, _ raft.ServerAddress, _ *raft.TimeoutNowRequest, resp *raft.TimeoutNowResponse) error {
	ctx, cancel := context.WithTimeout(t.ctx, heartbeatTimeout)
	defer cancel()
	*resp = raft.TimeoutNowResponse{RPCHeader: header(cluster.ServerID(id))}
	return t.askToStand(ctx, cluster.ServerID(id))
}

// askToStand makes another replica a candidate at once.
func (t *raftTransport) askToStand(ctx context.Context, id cluster.ServerID) error {
	c, err := t.net.Send(ctx, transport.Message{To: id.Node(), Class: transport.Control, Group: t.group, Kind: kindTimeout,
		Payload: [][]byte{appendID(appendID(nil, t.self), id)}})
	if err != nil {
		return err
	}
	_, _, err = c.Wait(ctx)
	return err
}

// AppendEntriesPipeline implements raft.Transport.
func (t *raftTransport) AppendEntriesPipeline(id raft.ServerID, _ raft.ServerAddress) (raft.AppendPipeline, error) {
	return newPipeline(t, cluster.ServerID(id)), nil
}

// receive takes a peer's request to raft. It waits while many are waiting; the answer goes out when raft gives it.
func (t *raftTransport) receive(in transport.Inbound, command interface{}, encode func(interface{}) []byte) {
	rpc, p := t.prepare(in, command, encode)
	select {
	case t.rpcs <- rpc:
	case <-t.ctx.Done():
		in.Refuse(notHere(t.group))
		return
	}
	select {
	case t.pending <- p:
	case <-t.ctx.Done():
		in.Refuse(notHere(t.group))
	}
}

func (t *raftTransport) prepare(in transport.Inbound, command interface{}, encode func(interface{}) []byte) (raft.RPC, pendingRPC) {
	resp := make(chan raft.RPCResponse, 1)
	return raft.RPC{Command: command, RespChan: resp}, pendingRPC{in: in, resp: resp, encode: encode}
}

// answer gives out raft's answers; raft takes requests one after the other, so they come in about this order.
func (t *raftTransport) answer() {
	for {
		select {
		case p := <-t.pending:
			t.answerOne(p)
		case <-t.ctx.Done():
			return
		}
	}
}

func (t *raftTransport) answerOne(p pendingRPC) {
	select {
	case r := <-p.resp:
		respond(p, r)
	case <-t.ctx.Done():
		p.in.Refuse(notHere(t.group))
	}
}

func respond(p pendingRPC, r raft.RPCResponse) {
	if r.Error != nil {
		p.in.Refuse(&cluster.Error{Kind: cluster.KindInternal, Text: r.Error.Error()})
		return
	}
	p.in.Respond(p.encode(r.Response))
}

func notHere(g cluster.GroupID) error {
	return cluster.Errorf(cluster.KindUnavailable, "group %d: no such replica is running here", g)
}

// receiveHeartbeat answers on the reader's goroutine when nothing but the time of last contact can change; raft
// would else write its term to disk there, at the same time as its main loop.
func (t *raftTransport) receiveHeartbeat(in transport.Inbound, a *raft.AppendEntriesRequest) {
	rpc, p := t.prepare(in, a, encodeAppendResponse)
	fast := t.heartbeat.Load()
	if fast != nil && t.inTerm(a.Term) {
		(*fast)(rpc)
		select {
		case r := <-p.resp:
			respond(p, r)
		default: // raft is shutting down
			in.Refuse(notHere(t.group))
		}
		return
	}
	select {
	case t.pending <- p:
	default:
		in.Refuse(cluster.ErrOverloaded)
		return
	}
	select {
	case t.rpcs <- rpc:
	default:
		p.resp <- raft.RPCResponse{Error: errors.New("replica is busy")}
	}
}

func encodeAppendResponse(response interface{}) []byte {
	return encodeAppendReply(response.(*raft.AppendEntriesResponse))
}

// acknowledge encodes the answer to an append; a success is noted before it is said.
func (t *raftTransport) acknowledge(a *raft.AppendEntriesRequest) func(interface{}) []byte {
	promised := pledge{term: a.Term, index: lastOf(a)}
	return func(response interface{}) []byte {
		if response.(*raft.AppendEntriesResponse).Success {
			t.pledge(t.self, promised)
		}
		return encodeAppendResponse(response)
	}
}

// grant encodes the answer to a request for a vote in term.
func (t *raftTransport) grant(term uint64) func(interface{}) []byte {
	return func(response interface{}) []byte {
		r := response.(*raft.RequestVoteResponse)
		if r.Granted {
			t.pledge(t.self, pledge{vote: term})
		}
		return encodeVoteReply(cluster.ServerID(r.ID), r.Term, r.Granted)
	}
}

func encodePreVoteResponse(response interface{}) []byte {
	r := response.(*raft.RequestPreVoteResponse)
	return encodeVoteReply(cluster.ServerID(r.ID), r.Term, r.Granted)
}

func encodeNothing(interface{}) []byte { return nil }

// stand makes the replica a candidate at once, as if its leader had asked for it (CLUSTER 6.4).
func (t *raftTransport) stand() bool {
	resp := make(chan raft.RPCResponse, 1)
	rpc := raft.RPC{Command: &raft.TimeoutNowRequest{RPCHeader: header(t.self)}, RespChan: resp}
	select {
	case t.rpcs <- rpc:
		return true
	default:
		return false
	}
}

// refusedIn reports that a voter has refused the replica its vote in term.
func (t *raftTransport) refusedIn(term uint64) bool { return t.refused.Load() == term }

// resign ends the replica's campaign in term, which raft does only when the time for it is over. A request for a vote that
// nobody makes does it: in the next term the replica has no leader and has voted for nobody. One that was elected
// meanwhile does not listen to it.
func (t *raftTransport) resign(term uint64) bool {
	resp := make(chan raft.RPCResponse, 1)
	request := &raft.RequestVoteRequest{RPCHeader: header("nobody"), Term: term + 1}
	request.ID = nil // of no member: nobody is asked whether it may vote
	select {
	case t.rpcs <- raft.RPC{Command: request, RespChan: resp}:
	default:
		return false
	}
	select {
	case <-resp:
		return true
	case <-t.ctx.Done():
		return false
	}
}
