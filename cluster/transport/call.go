package transport

import (
	"context"
	"sync/atomic"
	"time"
)

// Call is a request on its way.
type Call struct {
	link  *link
	id    uint64
	size  int64 // bytes of the window
	done  chan struct{}
	state atomic.Uint32
	sent  atomic.Int64 // stamp
	// holds counts what keeps the window's bytes: the queue and the missing answer.
	holds atomic.Int32

	resp []byte // set before done is closed
	err  error  // set before done is closed
}

// States of a Call. It becomes sent just before its first byte is given to TLS; until then cancelling it is
// certain to leave no trace at the peer.
const (
	callQueued uint32 = iota
	callSent
	callDone
)

// Done is closed when the answer, or the certainty that none will come, is there.
func (c *Call) Done() <-chan struct{} { return c.done }

// Wait waits for the answer, which then belongs to the caller. sentAt is a moment before the request's first
// byte left this node (monotonic; the zero time if it never did): a lease begins there (CLUSTER 4.1). When ctx
// ends first the call is given up: with KindUnavailable if it was not sent yet, else KindUnknownOutcome, both
// with ctx's error in the chain. A peer's refusal is the *cluster.Error it gave.
func (c *Call) Wait(ctx context.Context) (resp []byte, sentAt time.Time, err error) {
	select {
	case <-c.done:
	case <-ctx.Done():
		c.giveUp(ctx.Err())
		<-c.done
	}
	return c.resp, c.link.t.at(c.sent.Load()), c.err
}

// Cancel gives the call up; a later answer is dropped.
func (c *Call) Cancel() { c.giveUp(context.Canceled) }

func (c *Call) giveUp(cause error) {
	c.link.forget(c.id)
	c.fail(cause)
}

// fail ends the call without an answer, with the kind that its state asks for.
func (c *Call) fail(cause error) {
	node := c.link.peer.id
	if c.state.CompareAndSwap(callQueued, callDone) {
		c.end(nil, unavailable(node, cause))
		return
	}
	if c.state.CompareAndSwap(callSent, callDone) {
		c.end(nil, unknownOutcome(node, cause))
	}
}

func (c *Call) answer(resp []byte, err error) {
	if c.state.CompareAndSwap(callSent, callDone) {
		c.end(resp, err)
	}
}

func (c *Call) end(resp []byte, err error) {
	c.resp, c.err = resp, err
	c.release()
	close(c.done)
}

// begin says whether the call is still wanted, and if so marks it sent at the given stamp.
func (c *Call) begin(stamp int64) bool {
	c.sent.Store(stamp)
	if c.state.CompareAndSwap(callQueued, callSent) {
		return true
	}
	c.sent.Store(0)
	return false
}

func (c *Call) release() {
	if c.holds.Add(-1) == 0 {
		c.link.window.Release(c.size)
	}
}
