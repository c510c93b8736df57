package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/exmdb/store"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// mail is a delivery of a message of so many octets.
func mail(octets int) *exmdb.DeliverRequest {
	raw := append([]byte("Message-ID: <1@example.test>\r\n\r\n"), bytes.Repeat([]byte{'x'}, octets)...)[:octets]
	return &exmdb.DeliverRequest{Message: exmdb.NewMessage{Recipe: exmdb.Recipe{Segments: []exmdb.Segment{{Raw: raw}}}},
		Key: [32]byte{1}, Received: time.Unix(1.8e9, 0)}
}

// TestConfigReachesTheStore: whether a mail is known again, and how large it may be, is the configuration's to say.
func TestConfigReachesTheStore(t *testing.T) {
	for _, c := range []struct {
		window    time.Duration
		duplicate bool
	}{{0, false}, {time.Hour, true}} {
		h := configured(t, store.Config{DuplicateWindow: c.window, MaxMessage: 1000})
		first := call(h, exmdb.System, exmdb.OpDeliver, mail(1000))
		second := call(h, exmdb.System, exmdb.OpDeliver, mail(1000))
		if second.Duplicate != c.duplicate || (second.UID == first.UID) != c.duplicate {
			t.Errorf("window %v: first %+v, second %+v", c.window, first, second)
		}
		large := mail(1001)
		large.Key[1] = 1
		if _, err := try(t.Context(), h, exmdb.System, exmdb.OpDeliver, large); cluster.KindOf(err) != exmdb.KindTooBig {
			t.Errorf("a mail above the limit: %v", err)
		}
	}
}

// TestEveryOpHasItsRow joins the table of the store and says how each op is carried.
func TestEveryOpHasItsRow(t *testing.T) {
	rows := map[ops.ID]ops.Handler{}
	for _, row := range Handlers(store.Defaults()) {
		if _, twice := rows[row.ID]; twice {
			t.Errorf("%s has two rows", row.Name)
		}
		rows[row.ID] = row
	}
	want := map[ops.ID]ops.Mode{ops.ID(exmdb.OpWatch.ID): ops.Wait, ops.ID(exmdb.OpEvents.ID): ops.Wait, ops.ID(exmdb.OpUploadChunk.ID): ops.Serve,
		ops.ID(exmdb.OpCreateMailbox.ID): ops.Create}
	for _, h := range store.New(store.Defaults()).Handlers() {
		if _, special := want[ops.ID(h.ID)]; !special {
			want[ops.ID(h.ID)] = map[bool]ops.Mode{true: ops.Write, false: ops.Read}[h.Write]
		}
	}
	if len(rows) != len(want) {
		t.Errorf("%d rows, want %d", len(rows), len(want))
	}
	for id, mode := range want {
		row := rows[id]
		funcs := [...]bool{ops.Read: row.View != nil, ops.Write: row.Update != nil, ops.Create: row.Update != nil,
			ops.Serve: row.Serve != nil, ops.Wait: row.Serve != nil}
		if row.Mode != mode || !funcs[mode] {
			t.Errorf("op %d (%s): mode %d, want %d with its function", id, row.Name, row.Mode, mode)
		}
	}
}

// TestAnUpdateThatRunsAgain: an op is run anew when another effect came first, with the identity it was sent with.
func TestAnUpdateThatRunsAgain(t *testing.T) {
	h := newHost(t)
	h.rep.Local.Fail(space.FaultOvertaken, space.FaultVoidTerm)
	made := call(h, h.owner, exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: schema.IPMSubtree, Name: "once"})
	listed := call(h, h.owner, exmdb.OpListFolders, &exmdb.ListFoldersRequest{})
	n := 0
	for i := range listed.Folders {
		if listed.Folders[i].Name == "once" {
			n++
		}
	}
	if n != 1 || made.Folder.Name != "once" {
		t.Errorf("%d folders, answered %+v", n, made.Folder)
	}
}

// watching begins a watch and returns where its outcome comes.
func watching(h *host, after uint64) <-chan error {
	done := make(chan error, 1)
	go func() {
		resp, err := try(context.Background(), h, h.owner, exmdb.OpWatch, &exmdb.WatchRequest{After: after})
		if err == nil && resp.Sequence <= after {
			err = fmt.Errorf("sequence %d after %d", resp.Sequence, after)
		}
		done <- err
	}()
	return done
}

// TestAWatchWakesAllAndEndsWithOwnership has many wait for one mailbox: a change wakes each of them. When another
// node is to lead, those that wait are told, and so are those that wait for a mailbox that goes.
func TestAWatchWakesAllAndEndsWithOwnership(t *testing.T) {
	h := newHost(t)
	at := call(h, h.owner, exmdb.OpMailboxInfo, &exmdb.Empty{}).Sequence
	outcomes := func() (all []<-chan error) {
		for range 20 {
			all = append(all, watching(h, at))
		}
		return all
	}
	changed := outcomes()
	call(h, h.owner, exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: schema.IPMSubtree, Name: "new"})
	for _, done := range changed {
		if err := <-done; err != nil {
			t.Fatalf("after a change: %v", err)
		}
	}
	at++
	if err := <-watching(h, at-1); err != nil {
		t.Fatalf("of a change that was before: %v", err)
	}
	deposed := outcomes()
	h.rep.Local.Depose()
	h.rep.LeadershipLost()
	for _, done := range deposed {
		if err := <-done; !errors.Is(err, cluster.ErrNotLeader) {
			t.Fatalf("after the leadership: %v", err)
		}
	}
	h.rep.Local.Elect()
	dropped := outcomes()
	if err := h.rep.Drop(t.Context(), cluster.SpaceID(h.box)); err != nil {
		t.Fatal(err)
	}
	for _, done := range dropped {
		if err := <-done; !errors.Is(err, cluster.ErrNoSpace) {
			t.Fatalf("after the mailbox: %v", err)
		}
	}
}

// TestAWatchHasAnEnd: a caller without a deadline is answered after half an hour with the sequence it had.
func TestAWatchHasAnEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		at := call(h, h.owner, exmdb.OpMailboxInfo, &exmdb.Empty{}).Sequence
		began := time.Now()
		resp, err := try(context.Background(), h, h.owner, exmdb.OpWatch, &exmdb.WatchRequest{After: at})
		if err != nil || resp.Sequence != at || time.Since(began) != maxWatch {
			t.Errorf("%+v, %v after %v", resp, err, time.Since(began))
		}
	})
}

// TestUploadsOfOneChunk: what the group has is not sent again; where the group is not led nothing is taken; an upload whose
// outcome is lost says so, and does no harm when it comes again.
func TestUploadsOfOneChunk(t *testing.T) {
	h := newHost(t)
	chunk := &exmdb.UploadChunkRequest{Data: bytes.Repeat([]byte("content"), 10_000)}
	h.rep.Local.Record()
	h.rep.Local.Fail(space.FaultLostAnswer)
	if _, err := try(t.Context(), h, h.owner, exmdb.OpUploadChunk, chunk); !errors.Is(err, cluster.ErrUnknownOutcome) {
		t.Errorf("a lost answer: %v", err)
	}
	call(h, h.owner, exmdb.OpUploadChunk, chunk)
	held, err := h.rep.HasContent(space.HashOf(chunk.Data))
	log := h.rep.Local.Log()
	if err != nil || !held || len(log) != 2 || len(log[1].Data) > 200 {
		t.Errorf("held %t, %v; %d entries, the last of %d bytes", held, err, len(log), len(log[len(log)-1].Data))
	}
	h.rep.Local.Depose()
	h.rep.LeadershipLost()
	if _, err := try(t.Context(), h, exmdb.System, exmdb.OpUploadChunk, chunk); !errors.Is(err, cluster.ErrNotLeader) {
		t.Errorf("where the group is not led: %v", err)
	}
}

// rowsOf counts the messages that the mailbox's space holds for a folder, whether anything reaches them or not.
func rowsOf(h *host, f exmdb.Folder) (n int) {
	h.t.Helper()
	err := h.rep.View(h.t.Context(), cluster.SpaceID(h.box), space.ReadLocal, func(r space.Reader) error {
		n = 0
		it := r.Iter(schema.RowKey(f.FID, 0), schema.RowKey(f.FID, schema.EndOfUIDs))
		for it.Next() {
			n++
		}
		return it.Close()
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

// performed runs what is due until the folder's messages are gone.
func performed(h *host, due space.DuePerformer, f exmdb.Folder) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), time.Minute)
	var wg sync.WaitGroup
	wg.Go(func() { space.NewDueRunner(h.rep.Replica, due, space.WorkConfig{}).Run(ctx) })
	for at := sequenceOf(h); rowsOf(h, f) > 0 && ctx.Err() == nil; {
		var err error
		if at, err = h.rep.WaitSequence(ctx, cluster.SpaceID(h.box), at); err != nil && ctx.Err() == nil {
			h.t.Fatal(err)
		}
	}
	cancel()
	wg.Wait()
	if n := rowsOf(h, f); n != 0 {
		h.t.Fatalf("%d messages of a deleted folder stay", n)
	}
}

func sequenceOf(h *host) (seq uint64) {
	h.t.Helper()
	err := h.rep.View(h.t.Context(), cluster.SpaceID(h.box), space.ReadLocal, func(r space.Reader) error {
		seq = r.Sequence()
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return seq
}

// spy sees what is due before it is done.
type spy struct {
	space.DuePerformer
	seen []space.Due
}

func (s *spy) PerformDue(ctx context.Context, id cluster.SpaceID, work space.Due) error {
	s.seen = append(s.seen, work)
	return s.DuePerformer.PerformDue(ctx, id, work)
}

// TestDueWork deletes a folder: what it held goes by the work that falls due for it, which is done once however often
// it is tried, and is refused where the group is not led or the number is not known.
func TestDueWork(t *testing.T) {
	h := newHost(t)
	f := call(h, h.owner, exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: schema.IPMSubtree, Name: "old"}).Folder
	const messages = 2500 // more than one step takes
	for range messages {
		call(h, h.owner, exmdb.OpAppend, &exmdb.AppendRequest{Folder: f.FID, Message: mail(100).Message, Received: time.Unix(1.8e9, 0)})
	}
	call(h, h.owner, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: f.FID, Hard: true})
	if n := rowsOf(h, f); n != messages {
		t.Fatalf("%d messages wait for their end, want %d", n, messages)
	}
	due := Due{Replica: h.rep.Replica, Config: store.Defaults()}
	s := &spy{DuePerformer: due}
	performed(h, s, f)
	if len(s.seen) < 2 {
		t.Errorf("%d messages went in one step", messages)
	}
	before := sequenceOf(h)
	box := cluster.SpaceID(h.box)
	if err := due.PerformDue(t.Context(), box, s.seen[0]); err != nil || sequenceOf(h) != before {
		t.Errorf("work that was done: %v, sequence %d after %d", err, sequenceOf(h), before)
	}
	unknown := space.Due{At: time.Unix(1.8e9, 0), Op: 999}
	if _, err := h.rep.Update(t.Context(), box, cluster.RequestID{}, func(w space.Writer) ([]byte, error) {
		w.Schedule(unknown)
		return nil, nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := due.PerformDue(t.Context(), box, unknown); cluster.KindOf(err) != cluster.KindInternal {
		t.Errorf("work of no known number: %v", err)
	}
	h.rep.Local.Depose()
	if err := due.PerformDue(t.Context(), box, unknown); !errors.Is(err, cluster.ErrNotLeader) {
		t.Errorf("where the group is not led: %v", err)
	}
}

// FuzzRequests gives every op payloads and identities that nobody coded: they are refused or answered, and the server
// lives.
func FuzzRequests(f *testing.F) {
	for _, row := range Handlers(store.Defaults()) {
		f.Add(uint16(row.ID), wire.Marshal(&exmdb.System), wire.Marshal(mail(50)))
		f.Add(uint16(row.ID), []byte{1}, []byte{})
	}
	f.Fuzz(func(t *testing.T, op uint16, as, payload []byte) {
		h := newHost(t)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond) // a watch waits
		defer cancel()
		_, err := h.Serve(ctx, h.request(ops.ID(op), as, payload))
		if errors.Is(err, cluster.ErrDamaged) {
			t.Errorf("op %d: %v", op, err)
		}
	})
}
