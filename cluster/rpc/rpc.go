// Package rpc makes calls and streams of messages between nodes: a method table, the caller's deadline, error
// kinds as numbers (DESIGN 2). It runs on yamux over the transport's call connections; a call is one exchange on
// a stream that is kept for the next.
//
// It knows nodes and methods. It never knows what a message means, and never repeats a call whose request may
// have reached the peer: that is the caller's, with a request id (CLUSTER 1.7).
//
// Invariants: a call that fails with KindUnavailable, KindOverloaded or KindDeadline ran nothing; one whose
// outcome nobody can tell fails with KindUnknownOutcome; a call to the own node behaves as one to another.
package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hashicorp/yamux"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/transport"
)

// MaxMessage is the most a request, an answer or one message of a stream holds.
const MaxMessage = 8 << 20

// Method is a row of a method table. Its number is for ever; the name is for people.
type Method struct {
	ID   uint16
	Name string
}

func (m Method) String() string { return fmt.Sprintf("%s (%d)", m.Name, m.ID) }

// Peer is who calls.
type Peer struct {
	Node cluster.NodeID
	// Incarnation is the calling process's.
	Incarnation uint64
}

// yamuxConfig is the same at both ends. Silence of a peer is the transport's to notice, so yamux sends no keep
// alives; its write timeout is only a last resort.
func yamuxConfig() *yamux.Config {
	c := yamux.DefaultConfig()
	c.AcceptBacklog = 1024
	c.EnableKeepAlive = false
	c.ConnectionWriteTimeout = 15 * time.Second
	c.StreamOpenTimeout = 0
	c.StreamCloseTimeout = time.Minute
	c.MaxStreamWindowSize = 1 << 20
	c.LogOutput = io.Discard
	return c
}

// past makes a stream's reads and writes end at once.
func past() time.Time { return time.Unix(1, 0) }

// notRun is the error of a call whose context ended before anything was done.
func notRun(cause error) error {
	if errors.Is(cause, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", cluster.ErrDeadline, cause)
	}
	return fmt.Errorf("%w: %w", cluster.ErrUnavailable, cause)
}

func unknown(node cluster.NodeID, m Method, cause error) error {
	return fmt.Errorf("%w: call %s of %s: %w", cluster.ErrUnknownOutcome, m.Name, node, cause)
}

// asSent is what an error of a handler looks like after a wire, so that direct calls give the same.
func asSent(err error) error {
	if err == nil {
		return nil
	}
	return transport.DecodeError(transport.AppendError(nil, err))
}
