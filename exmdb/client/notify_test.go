package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

func (f *fleet) feed() *exmdb.Feed {
	f.t.Helper()
	return &exmdb.Feed{Caller: f.Client, As: f.owner, Box: f.box, Since: f.info().Stamp}
}

// TestEventsFollowTheOwner waits for an event under one owner that comes under the next.
func TestEventsFollowTheOwner(t *testing.T) {
	f := newFleet(t)
	feed := f.feed()
	begun := make(chan struct{})
	f.next(func(_ context.Context, _ cluster.NodeID, serve func() ([]byte, error)) ([]byte, error) {
		close(begun)
		return serve()
	})
	told := make(chan error, 1)
	go func() {
		resp, err := feed.Next(f.within(), time.Hour)
		if err == nil && (len(resp.Events) != 2 || !resp.Events[0].NewMail || resp.Events[0].Folder != schema.Inbox) {
			err = fmt.Errorf("told %+v", resp)
		}
		told <- err
	}()
	<-begun
	f.elect("n3")
	if _, err := f.deliver(f.within()); err != nil {
		t.Fatal(err)
	}
	if err := <-told; err != nil {
		t.Fatal(err)
	}
	if resp, err := feed.Next(f.within(), 0); err != nil || len(resp.Events) > 0 || resp.Stamp != f.info().Stamp {
		t.Errorf("asked again: %+v, %v", resp, err)
	}
}

// TestEventsThroughChangesOfOwner has mail delivered, moved and deleted while the owner changes and answers are lost: who
// follows has the mailbox in the end, and was told of each thing once.
func TestEventsThroughChangesOfOwner(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	f := newFleet(t)
	feed := f.feed()
	feed.Limit = 3
	const mails = 40
	done := make(chan error, 1)
	go func() { done <- f.shuffle(rng, mails) }()
	have, changes := make(map[mapi.MID]mapi.FID), 0
	for finished := false; ; {
		resp, err := feed.Next(f.within(), 50*time.Millisecond)
		if err != nil || resp.Overflow {
			t.Fatalf("seed %d: %+v, %v", seed, resp, err)
		}
		for i := range resp.Events {
			e := &resp.Events[i]
			if e.Message == 0 || e.Kind == exmdb.EventModified {
				continue
			}
			changes++
			if _, known := have[e.Message]; known && e.Kind != exmdb.EventDeleted {
				t.Errorf("seed %d: known already: %+v", seed, e)
			}
			delete(have, e.OldMessage)
			if have[e.Message] = e.Folder; e.Kind == exmdb.EventDeleted {
				delete(have, e.Message)
			}
		}
		if finished && len(resp.Events) == 0 && !resp.More {
			break
		}
		select {
		case err := <-done:
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			finished = true
		default:
		}
	}
	f.holds(have)
	if changes < mails {
		t.Errorf("seed %d: %d mails, told of %d", seed, mails, changes)
	}
}

// shuffle delivers mails, moves and deletes some, and makes other nodes lead in between.
func (f *fleet) shuffle(rng *rand.Rand, mails int) error {
	var all []mapi.MID
	leaders := []cluster.NodeID{"n1", "n2", "n3"}
	for range mails {
		switch rng.IntN(6) {
		case 0:
			f.elect(leaders[rng.IntN(3)])
		case 1:
			f.rep.Local.Fail(space.FaultLostAnswer)
		}
		resp, err := f.deliver(f.within())
		if err != nil {
			return err
		}
		all = append(all, resp.MID)
		one := all[rng.IntN(len(all))]
		switch rng.IntN(4) {
		case 0:
			_, err = exmdb.Do(f.within(), f.Client, f.owner, f.box, exmdb.OpMoveMessages, &exmdb.CarryMessagesRequest{Folder: schema.Inbox, Messages: []mapi.MID{one}, Target: schema.Drafts})
		case 1:
			_, err = exmdb.Do(f.within(), f.Client, f.owner, f.box, exmdb.OpDeleteMessages, &exmdb.DeleteMessagesRequest{Folder: schema.Inbox, Messages: []mapi.MID{one}})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// holds compares what a follower has with the mailbox.
func (f *fleet) holds(have map[mapi.MID]mapi.FID) {
	f.t.Helper()
	n := 0
	for _, fid := range []mapi.FID{schema.Inbox, schema.Drafts} {
		rows, err := exmdb.Do(f.within(), f.Client, f.owner, f.box, exmdb.OpRows, &exmdb.RowsRequest{Folder: fid, Fields: exmdb.RowMeta})
		if err != nil {
			f.t.Fatal(err)
		}
		for _, r := range rows.Rows {
			if n++; have[r.MID] != fid {
				f.t.Errorf("message %#x of folder %#x was last seen in %#x", uint64(r.MID), uint64(fid), uint64(have[r.MID]))
			}
		}
	}
	if n != len(have) {
		f.t.Errorf("%d messages, told of %d", n, len(have))
	}
}

// TestAWaitForEventsEnds: with the time asked for, with the caller's, and at once where nothing is to be waited for. What
// does not concern the caller does not end it.
func TestAWaitForEventsEnds(t *testing.T) {
	f := newFleet(t)
	feed := f.feed()
	if resp, err := feed.Next(f.within(), time.Millisecond); err != nil || len(resp.Events) > 0 || resp.Stamp != feed.Since {
		t.Errorf("after the time asked for: %+v, %v", resp, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := feed.Next(ctx, time.Hour); cluster.KindOf(err) != cluster.KindDeadline && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("after the caller's time: %v", err)
	}
	feed.Folders = []mapi.FID{schema.Drafts}
	begun, told := make(chan struct{}), make(chan *exmdb.EventsResponse, 1)
	f.next(func(_ context.Context, _ cluster.NodeID, serve func() ([]byte, error)) ([]byte, error) {
		close(begun)
		return serve()
	})
	go func() {
		resp, err := feed.Next(f.within(), time.Hour)
		if err != nil {
			t.Error(err)
		}
		told <- resp
	}()
	<-begun
	first, err := f.deliver(f.within())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := exmdb.Do(f.within(), f.Client, f.owner, f.box, exmdb.OpMoveMessages, &exmdb.CarryMessagesRequest{Folder: schema.Inbox, Messages: []mapi.MID{first.MID}, Target: schema.Drafts}); err != nil {
		t.Fatal(err)
	}
	resp := <-told
	if resp == nil || !slices.ContainsFunc(resp.Events, func(e exmdb.Event) bool { return e.Kind == exmdb.EventMoved && e.OldMessage == first.MID }) {
		t.Errorf("told %+v", resp)
	}
}
