package group

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
)

// offline opens what a stopped node of the world has.
func (nd *node) offline(fn func(o *Offline)) {
	nd.w.t.Helper()
	nd.openStores()
	fn(NewOffline(Config{Node: nd.id, Dir: nd.dir("groups"), FS: nd.fs, Log: nd.logs, Stable: nd.votes, Shared: nd.shared}))
	if err := errors.Join(nd.logs.Close(), nd.votes.Close()); err != nil {
		nd.w.t.Fatal(err)
	}
	nd.shared.Close()
}

func mark(key string) func(context.Context, *space.Replica, uint32) error {
	return func(ctx context.Context, r *space.Replica, epoch uint32) error {
		_, err := r.Update(ctx, spaceOf(1), cluster.RequestID{}, func(w space.Writer) ([]byte, error) {
			w.Set([]byte(key), []byte{byte('0' + epoch)})
			return nil, nil
		})
		return err
	}
}

// TestOfflineGroupsAreInOrder: what is damaged is listed too, what was never a replica is not.
func TestOfflineGroupsAreInOrder(t *testing.T) {
	dir := t.TempDir()
	for name, identity := range map[string]bool{"g10": true, "g9": true, "g2": true, "g0": true, "g3": false, "other": true} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		if identity {
			if err := os.WriteFile(filepath.Join(dir, name, identityFile), []byte("damaged"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	ids, err := NewOffline(Config{Node: "n1", Dir: dir}).Groups()
	if want := []cluster.GroupID{0, 2, 9, 10}; err != nil || !slices.Equal(ids, want) {
		t.Errorf("%v, %v", ids, err)
	}
}

// TestRecoverGoesOnAlone: two of three are gone; the third goes on with all that it had, in a new epoch, and grows again.
func TestRecoverGoesOnAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, nil)
	t.Cleanup(w.dump)
	leader := w.holding("1")
	for _, nd := range w.nodes {
		nd.awaitValue(1, "a", "1")
	}
	third := w.others(leader)[0]
	before := third.group(1).Self()
	sequence := sequenceOf(t, third)
	for _, nd := range w.nodes {
		nd.stop()
	}
	third.offline(func(o *Offline) {
		ids, err := o.Groups()
		if err != nil || len(ids) != 1 || ids[0] != 1 {
			t.Fatal(ids, err)
		}
		s, err := o.Survey(1)
		if err != nil || s.Server != before || len(s.Members) != 3 || s.Last == 0 || s.LastAt.IsZero() || s.Unfinished || s.Recovery != 0 {
			t.Fatalf("%+v, %v", s, err)
		}
		after, err := o.Recover(within(t), 1, mark("renewed"))
		if err != nil || after.Recovery != 1 || after.Server == before || len(after.Members) != 1 || after.Last <= s.Last || after.LastTerm <= s.Term {
			t.Fatalf("%+v, %v", after, err)
		}
	})
	third.start()
	g := third.open(1)
	if g.RecoveryEpoch() != 1 || g.Self() == before {
		t.Fatalf("%s in epoch %d", g.Self(), g.RecoveryEpoch())
	}
	eventually(t, "a leader", func() bool { return g.State() == Leader })
	third.mustGet(1, space.ReadLease, "a", "1")
	third.mustGet(1, space.ReadLease, "renewed", "1")
	third.mustPut(1, "b", "2")
	if now := sequenceOf(t, third); now < sequence+sequenceStep {
		t.Errorf("sequence was %d and is %d", sequence, now)
	}
	for _, nd := range w.others(third) { // they come back with their old data, and two of three are a quorum of theirs
		nd.start()
		nd.open(1)
	}
	leader.awaitValue(1, "a", "1")
	if err := leader.host.Destroy(within(t), 1); err != nil {
		t.Fatal(err)
	}
	fresh := leader.open(1)
	if err := third.group(1).AddNonvoter(within(t), fresh.Self()); err != nil {
		t.Fatal(err)
	}
	leader.awaitValue(1, "b", "2")
	if err := third.group(1).Promote(within(t), fresh.Self()); err != nil {
		t.Fatal(err)
	}
	record, err := fresh.machine.Group()
	if err != nil || record.RecoveryEpoch != 1 {
		t.Fatalf("the new replica's group is of epoch %d, %v", record.RecoveryEpoch, err)
	}
}

func sequenceOf(t *testing.T, nd *node) (n uint64) {
	t.Helper()
	err := nd.group(1).Replica().View(within(t), spaceOf(1), space.ReadLocal, func(r space.Reader) error {
		n = r.Sequence()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestInterruptedRecovery: until its last step the old replica is there; after that it does not start, and the recovery
// goes on where it was.
func TestInterruptedRecovery(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	nd := w.form(1)
	nd.create(1)
	nd.mustPut(1, "a", "1")
	before := nd.group(1).Self()
	nd.stop()
	broken := errors.New("broken off")
	nd.offline(func(o *Offline) {
		_, err := o.Recover(within(t), 1, func(context.Context, *space.Replica, uint32) error { return broken })
		if !errors.Is(err, broken) {
			t.Fatal(err)
		}
		if s, err := o.Survey(1); err != nil || s.Server != before || s.Unfinished {
			t.Fatalf("%+v, %v", s, err)
		}
		p, err := o.prepare(within(t), 1, mark("renewed"))
		if err != nil || p.recovery != 1 {
			t.Fatal(p, err)
		}
	})
	nd.start()
	if _, err := nd.host.Open(within(t), 1, ReplicaConfig{}); cluster.KindOf(err) != cluster.KindUnavailable {
		t.Fatalf("opened in the middle of a recovery: %v", err)
	}
	nd.stop()
	nd.offline(func(o *Offline) {
		s, err := o.Survey(1)
		if err != nil || !s.Unfinished || s.Recovery != 1 {
			t.Fatalf("%+v, %v", s, err)
		}
		after, err := o.Recover(within(t), 1, func(context.Context, *space.Replica, uint32) error { return broken })
		if err != nil || after.Server != s.Server || after.Unfinished {
			t.Fatalf("%+v, %v", after, err)
		}
	})
	nd.start()
	g := nd.open(1)
	eventually(t, "a leader", func() bool { return g.State() == Leader })
	nd.mustGet(1, space.ReadLease, "renewed", "1")
}
