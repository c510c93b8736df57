package group

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/transport"
	"github.com/hashicorp/raft"
)

// repeatEvery is how often an append that says nothing new is sent all the same: a replica that was closed and opened while its
// process went on does not know any more what is committed.
const repeatEvery = 5 * time.Second

// pipeline implements raft.AppendPipeline: appends go out without waiting for answers, answers come in order.
type pipeline struct {
	t     *raftTransport
	to    cluster.ServerID
	slots chan struct{}
	calls chan *pipelined
	ready chan raft.AppendFuture
	// ctx ends with the pipeline.
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	// broken is set once an append did not succeed: raft stops listening then.
	broken atomic.Bool
	// told is what the follower last acknowledged: another append that says no more is not sent.
	told atomic.Pointer[told]
}

// told is what a follower holds and knows once it has acknowledged an append: the term, its last entry, what is committed.
// A process that started since knows nothing of the last.
type told struct {
	term, index, commit, incarnation uint64
	at                               time.Time
}

func saidBy(f *pipelined, at time.Time) told {
	return told{term: f.args.Term, index: lastOf(f.args), commit: f.args.LeaderCommitIndex, incarnation: f.incarnation, at: at}
}

// pipelined implements raft.AppendFuture.
type pipelined struct {
	start time.Time
	args  *raft.AppendEntriesRequest
	resp  *raft.AppendEntriesResponse
	call  *transport.Call // nil if there was nothing new to send
	// incarnation is of the process that the call went to, or of one before it.
	incarnation uint64
	err         error
}

func (f *pipelined) Error() error                          { return f.err }
func (f *pipelined) Start() time.Time                      { return f.start }
func (f *pipelined) Request() *raft.AppendEntriesRequest   { return f.args }
func (f *pipelined) Response() *raft.AppendEntriesResponse { return f.resp }

func newPipeline(t *raftTransport, to cluster.ServerID) *pipeline {
	p := &pipeline{
		t: t, to: to,
		slots: make(chan struct{}, pipelineWindow),
		calls: make(chan *pipelined, pipelineWindow),
		ready: make(chan raft.AppendFuture, 4*pipelineWindow),
	}
	p.ctx, p.cancel = context.WithCancel(t.ctx)
	p.wg.Go(p.collect)
	return p
}

// AppendEntries implements raft.AppendPipeline; it waits while the window is full.
func (p *pipeline) AppendEntries(args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	if p.broken.Load() {
		return nil, io.ErrClosedPipe
	}
	p.t.leads(args)
	select {
	case p.slots <- struct{}{}:
	case <-p.ctx.Done():
		return nil, io.ErrClosedPipe
	}
	f := &pipelined{start: time.Now(), args: args, resp: resp, incarnation: p.t.incarnation(p.to)}
	switch {
	case !p.knows(f):
		if err := p.send(f); err != nil {
			<-p.slots
			return nil, err
		}
	case len(p.slots) == 1: // nothing before it is unanswered
		f.repeat(p.to)
		select {
		case p.ready <- f:
			<-p.slots
			return f, nil
		default:
		}
	}
	p.calls <- f // has room: a slot is held
	return f, nil
}

// repeat answers what the follower has acknowledged before.
func (f *pipelined) repeat(by cluster.ServerID) {
	*f.resp = raft.AppendEntriesResponse{RPCHeader: header(by), Term: f.args.Term, LastLog: f.args.PrevLogEntry, Success: true}
}

func (p *pipeline) send(f *pipelined) error {
	payload, err := encodeAppend(p.to, f.args)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(p.ctx, appendTimeout)
	defer cancel()
	f.call, err = p.t.net.Send(ctx, transport.Message{To: p.to.Node(), Class: transport.Bulk, Group: p.t.group,
		Kind: kindAppend, Payload: payload})
	return err
}

// knows reports that the follower has acknowledged all that an append says: raft repeats the last one again and again, which
// is most of what idle groups would send each other. That the follower is there, heartbeats say, and raft may believe it for
// as long as for its lease.
func (p *pipeline) knows(f *pipelined) bool {
	was := p.told.Load()
	return was != nil && len(f.args.Entries) == 0 && *was == saidBy(f, was.at) &&
		f.start.Sub(was.at) < repeatEvery && p.t.silence(p.to) < raftLease
}

// Consumer implements raft.AppendPipeline.
func (p *pipeline) Consumer() <-chan raft.AppendFuture { return p.ready }

// collect waits for the answers in the order of the requests.
func (p *pipeline) collect() {
	for {
		select {
		case f := <-p.calls:
			p.finish(f)
		case <-p.ctx.Done():
			p.drop()
			return
		}
	}
}

func (p *pipeline) finish(f *pipelined) {
	if f.call == nil {
		f.repeat(p.to)
	} else {
		p.answer(f)
	}
	select {
	case p.ready <- f:
	case <-p.ctx.Done():
	}
	<-p.slots // behind the answer, which the next must not overtake
}

// answer waits for what the follower answers.
func (p *pipeline) answer(f *pipelined) {
	ctx, cancel := context.WithTimeout(p.ctx, appendTimeout)
	defer cancel()
	b, _, err := f.call.Wait(ctx)
	if err == nil {
		err = decodeAppendReply(b, f.resp)
	}
	f.err = err
	p.t.note(p.to, f.args, f.resp, err)
	if err != nil {
		*f.resp = raft.AppendEntriesResponse{}
	}
	if err != nil || !f.resp.Success {
		p.broken.Store(true)
		return
	}
	said := saidBy(f, time.Now())
	p.told.Store(&said)
}

// drop gives up what was sent and not answered.
func (p *pipeline) drop() {
	for {
		select {
		case f := <-p.calls:
			if f.call != nil {
				f.call.Cancel()
			}
		default:
			return
		}
	}
}

// Close implements raft.AppendPipeline.
func (p *pipeline) Close() error {
	p.cancel()
	p.wg.Wait()
	return nil
}
