package node

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flotilla-mail/flotilla/cluster/gossip"
	"github.com/flotilla-mail/flotilla/internal/testkit"
)

// slowNode is a node whose moves are counted; err is what they end with.
func slowNode(t *testing.T, err error) (n *Node, moves *atomic.Int32, codes *[]int, log *testkit.Log) {
	log = testkit.NewLog(t, "node")
	moves, codes = new(atomic.Int32), new([]int)
	n = &Node{log: slog.New(slog.NewTextHandler(log, nil)), exit: func(code int) { *codes = append(*codes, code) }}
	n.ctx, n.cancel = context.WithCancel(t.Context())
	var bad error
	if n.gossip, bad = gossip.New(gossip.Config{Node: "n1", Bind: "127.0.0.1:0", Cluster: "c", Key: gossipTestKey}); bad != nil {
		t.Fatal(bad)
	}
	move := func(ctx context.Context) error {
		if _, bounded := ctx.Deadline(); !bounded {
			t.Error("a move without an end")
		}
		moves.Add(1)
		return err
	}
	n.disk.move.Store(&move)
	return n, moves, codes, log
}

// TestSlowDiskMovesLeadershipsAway: at most every ten seconds, however often the disk is complained of.
func TestSlowDiskMovesLeadershipsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, moves, codes, _ := slowNode(t, nil)
		if n.disk.slow(time.Now()) {
			t.Error("slow before anything was")
		}
		for step := range 120 { // half a minute, four times a second
			n.syncSlow(time.Second + time.Duration(step%8)*250*time.Millisecond)
			time.Sleep(250 * time.Millisecond)
			synctest.Wait()
			if want := int32(step/40 + 1); moves.Load() != want {
				t.Fatalf("%d moves after %d complaints, want %d", moves.Load(), step+1, want)
			}
		}
		time.Sleep(slowFor - time.Second)
		if !n.disk.slow(time.Now()) {
			t.Error("well again too early")
		}
		time.Sleep(2 * time.Second)
		if n.disk.slow(time.Now()) {
			t.Error("slow for ever")
		}
		n.wg.Wait()
		if len(*codes) != 0 {
			t.Errorf("ended with %v", *codes)
		}
	})
}

func TestStuckDiskEndsTheProcess(t *testing.T) {
	n, moves, codes, log := slowNode(t, nil)
	n.syncSlow(stuckSync + time.Millisecond)
	n.wg.Wait()
	if !slices.Equal(*codes, []int{1}) || moves.Load() != 0 || !strings.Contains(log.String(), "FL-1006") {
		t.Errorf("ended with %v after %d moves: %s", *codes, moves.Load(), log.String())
	}
}

func TestWhatDoesNotMoveIsSaid(t *testing.T) {
	n, moves, _, log := slowNode(t, errors.New("group 4 has no other voter"))
	n.syncSlow(2 * time.Second)
	n.wg.Wait()
	if moves.Load() != 1 || !strings.Contains(log.String(), "FL-1005") || !strings.Contains(log.String(), "group 4 has no other voter") {
		t.Errorf("%d moves: %s", moves.Load(), log.String())
	}
	n.cancel()
	n.disk = slowDisk{}
	n.syncSlow(2 * time.Second) // stopping: nothing is begun any more, and nothing is there to be moved
	n.wg.Wait()
}
