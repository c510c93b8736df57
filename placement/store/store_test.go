package store

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/internal/lsm"
	"github.com/flotilla-mail/flotilla/internal/wire"
	"github.com/flotilla-mail/flotilla/placement"
	"pgregory.net/rapid"
)

var rewrite = flag.Bool("rewrite", false, "write testdata anew")

// board is a placement space on a state machine without Raft.
type board struct {
	t   testing.TB
	rep *space.LocalReplica
}

func newBoard(t testing.TB) (*board, func()) {
	t.Helper()
	db, err := lsm.Open(lsm.Options{Dir: "/state", FS: lsm.MemFS(), DisableWAL: true})
	if err != nil {
		t.Fatal(err)
	}
	rep, err := space.NewLocalReplica(db, space.Config{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = rep.Create(context.Background(), Space, 1, cluster.RequestID{}, func(w space.Writer) ([]byte, error) {
		return nil, Init(w, placement.FirstLevel)
	})
	if err != nil {
		t.Fatal(err)
	}
	return &board{t, rep}, func() {
		if err := errors.Join(rep.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	}
}

func (b *board) try(fn func(w space.Writer) error) error {
	_, err := b.rep.Update(context.Background(), Space, cluster.RequestID{}, func(w space.Writer) ([]byte, error) { return nil, fn(w) })
	return err
}

func (b *board) do(fn func(w space.Writer) error) {
	b.t.Helper()
	if err := b.try(fn); err != nil {
		b.t.Fatal(err)
	}
}

func (b *board) refused(fn func(w space.Writer) error) {
	b.t.Helper()
	if err := b.try(fn); !errors.Is(err, ErrConflict) {
		b.t.Fatalf("%v, want a conflict", err)
	}
}

func (b *board) view(fn space.ViewFunc) {
	b.t.Helper()
	if err := b.rep.View(context.Background(), Space, space.ReadLocal, fn); err != nil {
		b.t.Fatal(err)
	}
}

func (b *board) load() (m *placement.Map) {
	b.t.Helper()
	b.view(func(r space.Reader) (err error) {
		m, err = Load(r)
		return err
	})
	return m
}

// replicas is what the map has of a group, in words.
func (b *board) replicas(id cluster.GroupID) string {
	b.t.Helper()
	g := b.load().Group(id)
	if g == nil {
		return "none"
	}
	var words []string
	for _, r := range g.Replicas {
		w := string(r.Server) + []string{"", "", " learner"}[r.Suffrage] + []string{"", " assigned", " created", " lost"}[r.State]
		if r.Initial {
			w += " initial"
		}
		words = append(words, w)
	}
	return strings.Join(words, ", ")
}

func (b *board) shows(id cluster.GroupID, want string) {
	b.t.Helper()
	if got := b.replicas(id); got != want {
		b.t.Fatalf("group %d\n got %s\nwant %s", id, got, want)
	}
}

func state(g cluster.GroupID, server cluster.ServerID, s placement.ReplicaState, actual cluster.ServerID) func(space.Writer) error {
	return func(w space.Writer) error {
		return SetReplicaState(w, &ReplicaStateRequest{Group: g, Server: server, State: s, Actual: actual})
	}
}

// TestLifeOfAReplica walks a replica from its assignment over its loss to the successor that takes its place.
func TestLifeOfAReplica(t *testing.T) {
	b, end := newBoard(t)
	defer end()
	create := func(w space.Writer) error {
		return CreateGroup(w, placement.Group{ID: 4}, []cluster.ServerID{"n1.1", "n2.1"})
	}
	b.do(create)
	b.refused(create)
	b.shows(4, "n1.1 assigned initial, n2.1 assigned initial")
	// The node draws the id of its data and says it; saying it again changes nothing.
	for range 2 {
		b.do(state(4, "n1.1", placement.Created, "n1.a"))
	}
	b.do(state(4, "n2.1", placement.Created, "n2.a"))
	b.shows(4, "n1.a created initial, n2.a created initial")
	before := b.load().Sequence
	b.do(state(4, "n1.a", placement.Created, ""))
	if b.load().Sequence != before {
		t.Error("what changes nothing was written")
	}
	b.do(state(4, "n2.a", placement.Lost, ""))
	b.do(state(4, "n2.a", placement.Created, "")) // too late: lost is for ever
	b.shows(4, "n1.a created initial, n2.a lost initial")
	add := func(replaces cluster.ServerID) func(w space.Writer) error {
		return func(w space.Writer) error {
			return AddReplica(w, 4, placement.Replica{Server: "n2.2", Replaces: replaces, Cause: placement.CauseLost})
		}
	}
	b.refused(add("n9.9"))
	b.do(add("n2.a"))
	b.refused(add("n2.a"))
	b.do(state(4, "n2.2", placement.Created, "n2.b"))
	b.shows(4, "n1.a created initial, n2.a lost initial, n2.b learner created")
	if r := b.load().Group(4).Replica("n2"); r.Server != "n2.b" || r.Replaces != "n2.a" || r.Cause != placement.CauseLost {
		t.Errorf("n2's replica is %+v", r)
	}
	b.do(func(w space.Writer) error { return RemoveReplica(w, 4, "n2.a") })
	b.do(func(w space.Writer) error { return SetSuffrage(w, 4, "n2.b", placement.Voter) })
	b.shows(4, "n1.a created initial, n2.b created")
	b.refused(state(4, "n2.a", placement.Created, ""))
	b.refused(state(5, "n2.a", placement.Created, ""))
	b.refused(func(w space.Writer) error { return SetSuffrage(w, 4, "n3.1", placement.Voter) })
	b.refused(func(w space.Writer) error { return AddReplica(w, 5, placement.Replica{Server: "n3.1"}) })
	b.refused(func(w space.Writer) error { return RemoveReplica(w, 5, "n3.1") })
}

// TestAdmitted: the system group is taken over as it is, once, and a node's own replica takes the place of all it had.
func TestAdmitted(t *testing.T) {
	b, end := newBoard(t)
	defer end()
	adopt := func(servers ...cluster.ServerID) func(w space.Writer) error {
		g := placement.Group{ID: cluster.SystemGroup}
		for _, s := range servers {
			g.Replicas = append(g.Replicas, placement.Replica{Server: s, Suffrage: placement.Voter, State: placement.Created, Initial: true})
		}
		return func(w space.Writer) error { return AdoptGroup(w, g) }
	}
	admit := func(s cluster.ServerID) func(w space.Writer) error {
		return func(w space.Writer) error { return AdmitReplica(w, cluster.SystemGroup, s) }
	}
	b.refused(admit("n2.2"))
	b.do(adopt("n1.1", "n2.1"))
	b.do(adopt("n3.1"))
	for range 2 {
		b.do(admit("n2.2"))
		b.shows(0, "n1.1 created initial, n2.1 lost initial, n2.2 learner created")
	}
	b.do(admit("n2.3"))
	b.do(admit("n4.1"))
	b.shows(0, "n1.1 created initial, n2.1 lost initial, n2.2 learner lost, n2.3 learner created, n4.1 learner created")
}

func TestNodesKeepTheAdministratorsWord(t *testing.T) {
	b, end := newBoard(t)
	defer end()
	n := placement.NodeState{ID: "n1", Roles: placement.RoleStore, Address: "a:1"}
	b.do(func(w space.Writer) error { return PutNode(w, n) })
	got := b.load().Node("n1")
	if got == nil || got.Status != placement.Active || got.Address != "a:1" {
		t.Fatalf("%+v", got)
	}
	// A later release has written a field of its own, and the administrator drains the node.
	drained := *got
	drained.Status = placement.Draining
	coded := append(wire.Marshal(&drained), 0xfa, 0x01, 3, 'n', 'e', 'w') // tag 31
	b.do(func(w space.Writer) error {
		w.Set(nodeKey("n1"), coded)
		return nil
	})
	n.Address = "b:2"
	b.do(func(w space.Writer) error { return PutNode(w, n) })
	got = b.load().Node("n1")
	if got.Status != placement.Draining || got.Address != "b:2" || string(got.Unknown) == "" {
		t.Fatalf("%+v", got)
	}
	if b.load().Node("n2") != nil {
		t.Error("a node that never registered")
	}
}

// TestPlaces holds placing and removing spaces against a plain model: the emptiest group takes the next one.
func TestPlaces(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b, end := newBoard(t)
		defer end()
		groups := cluster.GroupID(rapid.IntRange(1, 5).Draw(rt, "groups"))
		b.do(func(w space.Writer) error { return AdoptGroup(w, placement.Group{ID: cluster.SystemGroup}) })
		place := func(id cluster.SpaceID) (p placement.Place, err error) {
			err = b.try(func(w space.Writer) (err error) {
				p, err = PlaceSpace(w, &PlaceSpaceRequest{Space: id})
				return err
			})
			return p, err
		}
		if _, err := place(cluster.SpaceID{9}); cluster.KindOf(err) != cluster.KindUnavailable {
			rt.Fatalf("placed without a group: %v", err)
		}
		for g := cluster.GroupID(1); g <= groups; g++ {
			b.do(func(w space.Writer) error { return CreateGroup(w, placement.Group{ID: g}, []cluster.ServerID{"n1.1"}) })
		}
		model, counts := map[cluster.SpaceID]cluster.GroupID{}, map[cluster.GroupID]int{}
		for range rapid.IntRange(1, 30).Draw(rt, "ops") {
			id := cluster.SpaceID{byte(rapid.IntRange(0, 9).Draw(rt, "space"))}
			if rapid.IntRange(0, 2).Draw(rt, "op") == 0 {
				if p, ok := model[id]; ok && rapid.Bool().Draw(rt, "late") {
					err := b.try(func(w space.Writer) error { return RemoveSpace(w, &RemoveSpaceRequest{Space: id, Epoch: 2}) })
					if cluster.KindOf(err) != cluster.KindMoving {
						rt.Fatalf("the place in group %d was removed under another epoch: %v", p, err)
					}
				}
				b.do(func(w space.Writer) error { return RemoveSpace(w, &RemoveSpaceRequest{Space: id, Epoch: 1}) })
				if g, ok := model[id]; ok {
					counts[g]--
					delete(model, id)
				}
				continue
			}
			p, err := place(id)
			if err != nil {
				rt.Fatal(err)
			}
			if _, ok := model[id]; !ok {
				best := cluster.GroupID(1)
				for g := cluster.GroupID(2); g <= groups; g++ {
					if counts[g] < counts[best] {
						best = g
					}
				}
				model[id] = best
				counts[best]++
			}
			if p.Group != model[id] || p.Epoch != 1 {
				rt.Fatalf("space %d is placed in %+v, want group %d", id[0], p, model[id])
			}
		}
		b.sameAs(rt, model, counts)
	})
}

func (b *board) sameAs(t *rapid.T, model map[cluster.SpaceID]cluster.GroupID, counts map[cluster.GroupID]int) {
	b.view(func(r space.Reader) error {
		have, err := Counts(r)
		if err != nil {
			return err
		}
		for g, n := range counts {
			if have[g] != n {
				t.Fatalf("group %d counts %d, want %d", g, have[g], n)
			}
		}
		for n := range byte(10) {
			p, ok, err := Lookup(r, cluster.SpaceID{n})
			want, there := model[cluster.SpaceID{n}]
			if err != nil || ok != there || p.Group != want {
				t.Fatalf("space %d: %+v, %v, %v; want group %d, %v", n, p, ok, err, want, there)
			}
		}
		return nil
	})
}

// served is a node that leads the system group.
type served struct{ b *board }

// Replica implements ops.Replicas.
func (s served) Replica(cluster.GroupID) *space.Replica { return s.b.rep.Replica }

// TestOps sends every row of the table over the wire: a good request and its answer, and one that does not decode.
func TestOps(t *testing.T) {
	b, end := newBoard(t)
	defer end()
	b.do(func(w space.Writer) error {
		return errors.Join(CreateGroup(w, placement.Group{ID: 1}, []cluster.ServerID{"n1.1"}), CreateGroup(w, placement.Group{ID: 2}, nil))
	})
	server := ops.NewServer(served{b}, ops.Events{}, Handlers())
	send := func(op ops.ID, payload []byte) ([]byte, error) {
		return server.Handle(context.Background(), wire.Marshal(&ops.Request{Op: op, Space: Space, Epoch: 1, Payload: payload}))
	}
	requests := map[ops.ID]any{
		OpPutNode:         &placement.NodeState{ID: "n1", Address: "a:1", MinLevel: 1, MaxLevel: 1},
		OpSetReplicaState: &ReplicaStateRequest{Group: 1, Server: "n1.1", State: placement.Created, Actual: "n1.2"},
		OpPlaceSpace:      &PlaceSpaceRequest{Space: cluster.SpaceID{7}},
		OpReadMap:         &struct{}{},
		OpDrawToken:       &DrawTokenRequest{ID: TokenID{1}, Hash: [32]byte{2}, Valid: time.Hour},
		OpUseToken:        &UseTokenRequest{ID: TokenID{1}, Hash: [32]byte{2}, Key: [32]byte{3}, Node: placement.NodeState{ID: "n4", Address: "d:1", MinLevel: 1, MaxLevel: 1}},
		OpNodeAddress:     &NodeAddressRequest{Node: "n4", Address: "e:1"},
		OpSetNodeStatus:   &NodeStatusRequest{Node: "n4", Status: placement.Draining},
		OpRemoveSpace:     &RemoveSpaceRequest{Space: cluster.SpaceID{9}, Epoch: 1}, // the next ones need the other
		OpSetLevel:        &SetLevelRequest{Level: 1},
		OpSetPolicy:       &SetPolicyRequest{Pairs: []string{"replicas=5"}},
		OpStartMove:       &MoveRequest{Space: cluster.SpaceID{7}, ID: placement.MoveID{1}, To: 2},
		OpFlipMove:        &MoveRequest{Space: cluster.SpaceID{7}, ID: placement.MoveID{1}, Attempt: 9},
		OpThawMove:        &MoveRequest{Space: cluster.SpaceID{7}, ID: placement.MoveID{1}, Attempt: 1},
		OpAbortMove:       &MoveRequest{Space: cluster.SpaceID{7}},
		OpEndMove:         &MoveRequest{Space: cluster.SpaceID{7}, ID: placement.MoveID{2}},
		OpListMoves:       &struct{}{},
		OpRecoverGroup:    &Recovery{Group: 2, Server: "n3.5", Epoch: 1},
		OpMergeGroup:      &MergeRequest{Group: 2, Into: 1},
		OpGrowGroups:      &GrowRequest{},
	}
	var place placement.Place
	// The last rows need what the first have written.
	rows := slices.SortedFunc(slices.Values(Handlers()), func(a, b ops.Handler) int { return cmp.Compare(a.ID, b.ID) })
	for _, h := range rows {
		q, ok := requests[h.ID]
		if !ok {
			t.Fatalf("op %s is not tested", h.Name)
		}
		if h.Mode == ops.Write {
			if _, err := send(h.ID, []byte{0xff}); cluster.KindOf(err) != cluster.KindBadRequest {
				t.Errorf("%s takes garbage: %v", h.Name, err)
			}
		}
		answer, err := send(h.ID, wire.Marshal(q))
		if err != nil {
			t.Fatalf("%s: %v", h.Name, err)
		}
		if h.ID == OpPlaceSpace {
			if err := wire.Unmarshal(answer, &place); err != nil || place.Group != 1 || place.Epoch != 1 {
				t.Errorf("place %+v, %v", place, err)
			}
		}
	}
	var moves MovesResponse
	answer, err := send(OpListMoves, nil)
	if err == nil {
		err = wire.Unmarshal(answer, &moves)
	}
	if err != nil || len(moves.Moves) != 1 || moves.Moves[0].State != placement.MoveAborted || moves.Moves[0].Attempt != 2 {
		t.Errorf("moves %+v, %v", moves, err)
	}
	answer, err = send(OpReadMap, nil)
	var m MapResponse
	if err == nil {
		err = wire.Unmarshal(answer, &m)
	}
	want := b.load()
	if err != nil || m.Sequence != want.Sequence || m.Level != placement.FirstLevel || !reflect.DeepEqual(m.Groups, want.Groups) ||
		!reflect.DeepEqual(m.Nodes, want.Nodes) || m.Groups[0].Replicas[0].Server != "n1.2" || m.Nodes[0].Address != "a:1" {
		t.Errorf("map %+v, %v; want %+v", m, err, want)
	}
}

func TestBrokenRecordsAreErrors(t *testing.T) {
	for name, pair := range map[string][2]string{
		"group": {"g\x00\x00\x00\x01", "\xff"}, "node": {"nn1", "\xff"}, "level": {"l", "\xff"}, "count": {"c\x00\x00\x00\x01", "\xff"}, "move": {"m1", "\xff"},
		"count of a group that is none": {"c1", "\x01"},
	} {
		b, end := newBoard(t)
		b.do(func(w space.Writer) error {
			w.Set([]byte(pair[0]), []byte(pair[1]))
			return nil
		})
		err := b.rep.View(context.Background(), Space, space.ReadLocal, func(r space.Reader) error {
			_, err := Load(r)
			_, cerr := Counts(r)
			return errors.Join(err, cerr)
		})
		if err == nil {
			t.Errorf("%s: read without an error", name)
		}
		end()
	}
}

// TestFormsAreForEver holds the keys and records of a small map against testdata.
func TestFormsAreForEver(t *testing.T) {
	b, end := newBoard(t)
	defer end()
	b.do(func(w space.Writer) error {
		g := placement.Group{ID: 3, Home: "fra", RecoveryEpoch: 2, Replicas: []placement.Replica{
			{Server: "n1.1", Suffrage: placement.Voter, State: placement.Created, Initial: true},
			{Server: "n2.9", Suffrage: placement.Nonvoter, State: placement.Lost},
			{Server: "n3.2", Suffrage: placement.Nonvoter, State: placement.Assigned, Replaces: "n2.9", Cause: placement.CauseDead}},
			Sites: []string{"fra", "muc"}}
		n := placement.NodeState{ID: "n1", Status: placement.Draining, Roles: placement.RoleStore, Address: "a:1", Gossip: "a:2",
			External: "mail", DC: "fra", Zone: "z1", Weight: 50, MinLevel: 1, MaxLevel: 2, Version: "v1",
			Successor: "n2"}
		p := placement.Policy{Replicas: 5, Groups: 9, Survive: placement.SurviveSite, Home: "fra", Sites: []string{"fra", "muc"},
			MaxGroup: 1 << 30, MaxOps: 700, Grace: time.Minute}
		rule := placement.Rule{Domain: "example.org", Home: "muc", Sites: []string{"muc"}, Groups: 2}
		w.Set(ruleKey(&rule), wire.Marshal(&rule))
		rule = placement.Rule{Mailbox: cluster.SpaceID{8}, Home: "fra"}
		w.Set(ruleKey(&rule), wire.Marshal(&rule))
		_, err := PlaceSpace(w, &PlaceSpaceRequest{Space: cluster.SpaceID{1}})
		if cluster.KindOf(err) != cluster.KindUnavailable {
			return fmt.Errorf("placed without a group: %w", err)
		}
		err = errors.Join(AdoptGroup(w, g), PutNode(w, n), InitPolicy(w, p), InitPolicy(w, placement.DefaultPolicy()),
			AdoptGroup(w, placement.Group{ID: 4}))
		_, perr := PlaceSpace(w, &PlaceSpaceRequest{Space: cluster.SpaceID{1, 2}})
		return errors.Join(err, perr)
	})
	var lines []string
	b.view(func(r space.Reader) error {
		it := r.Iter(nil, nil)
		for it.Next() {
			lines = append(lines, fmt.Sprintf("%q %s\n", it.Key(), hex.EncodeToString(it.Value())))
		}
		return it.Close()
	})
	for _, q := range []any{&ReplicaStateRequest{Group: 1, Server: "n1.1", State: placement.Lost, Actual: "n1.2"},
		&PlaceSpaceRequest{Space: cluster.SpaceID{7}, Domain: "example.org"},
		&SetPolicyRequest{Pairs: []string{"home=fra"}, Domain: "example.org", Mailbox: cluster.SpaceID{7}, Remove: true},
		&Token{Hash: [32]byte{1}, Until: time.Unix(5, 0), Key: [32]byte{2}, Node: "n4", Used: time.Unix(4, 0), Replaces: "n3"},
		&DrawTokenRequest{ID: TokenID{1}, Hash: [32]byte{2}, Valid: time.Hour, Replaces: "n3"}, &DrawTokenAnswer{Until: time.Unix(5, 0)},
		&UseTokenRequest{ID: TokenID{1}, Hash: [32]byte{2}, Key: [32]byte{3}, Node: placement.NodeState{ID: "n4"}},
		&UseTokenAnswer{Refusal: NameRemoved, Until: time.Unix(5, 0), By: "n4", Level: 2}, &NodeAddressRequest{Node: "n4", Address: "d:1", Gossip: "d:2"},
		&NodeStatusRequest{Node: "n4", Status: placement.Removed, Force: true, Successor: "n2"},
		&placement.Move{Space: cluster.SpaceID{7}, ID: placement.MoveID{1}, From: 1, To: 2, Epoch: 3, State: placement.MoveAborted,
			Attempt: 2, Since: time.Unix(5, 0), Cause: "admin", Trouble: "why"},
		&MergeRequest{Group: 1, Into: 2}, &placement.Group{ID: 1, Into: 2},
		&MoveRequest{Space: cluster.SpaceID{7}, ID: placement.MoveID{1}, To: 2, Cause: "admin", Attempt: 2, Trouble: "why"},
		&RemoveSpaceRequest{Space: cluster.SpaceID{7}, Epoch: 3}, &SetLevelRequest{Level: 2}, &SetLevelAnswer{Before: 1, Level: 2},
		&Recovery{Group: 1, Server: "n3.5", Epoch: 1, Index: 9, At: time.Unix(5, 0), Dropped: []cluster.ServerID{"n1.1"}}} {
		lines = append(lines, fmt.Sprintf("%T %s\n", q, hex.EncodeToString(wire.Marshal(q))))
	}
	for _, h := range Handlers() {
		lines = append(lines, fmt.Sprintf("op %d %s\n", h.ID, h.Name))
	}
	got := strings.Join(lines, "")
	const file = "testdata/forms.txt"
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || got != string(want) {
		t.Fatalf("%v\n got\n%swant\n%s", err, got, want)
	}
}
