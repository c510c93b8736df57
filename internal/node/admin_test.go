package node

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
)

// at is a node whose copy of the directory has come so far.
func at(node cluster.NodeID, seq uint64) Status {
	return Status{Node: node, Directory: seq, Groups: []GroupStatus{{Group: cluster.SystemGroup, CaughtUp: true}}}
}

func TestAwaitCopiesUntilAllHaveSeen(t *testing.T) {
	looks := 0
	err := awaitCopies(t.Context(), 7, func(context.Context) []Status {
		looks++
		all := []Status{at("a", 9), at("b", 6), {Node: "c", Err: "no answer"}}
		if looks == 3 {
			all[1] = at("b", 7)
		}
		return all
	})
	if err != nil || looks != 3 {
		t.Fatalf("%v after %d looks", err, looks)
	}
}

// The change is made: whoever waited too long is told so, and which nodes lag, not that the server has made a mistake.
func TestAwaitCopiesSaysWhoLags(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	looks := 0
	err := awaitCopies(ctx, 7, func(ctx context.Context) []Status {
		if looks++; looks == 2 {
			cancel()
			return []Status{{Node: "a", Err: ctx.Err().Error()}, {Node: "b", Err: ctx.Err().Error()}}
		}
		return []Status{at("a", 7), at("b", 6), at("c", 5)}
	})
	if cluster.KindOf(err) != cluster.KindDeadline || !strings.Contains(err.Error(), "the change is made") || !strings.Contains(err.Error(), "b, c") {
		t.Fatalf("%v", err)
	}
	gone, end := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer end()
	err = awaitCopies(gone, 7, func(context.Context) []Status { return nil })
	if cluster.KindOf(err) != cluster.KindDeadline {
		t.Fatalf("without a look: %v", err)
	}
}
