package store

import (
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/placement"
)

// mover makes steps of moves on a board.
func (b *board) move(step func(space.Writer, *MoveRequest) (placement.Move, error), q MoveRequest) (m placement.Move, err error) {
	err = b.try(func(w space.Writer) (err error) {
		m, err = step(w, &q)
		return err
	})
	return m, err
}

func newMoves(t testing.TB) (*board, func()) {
	b, end := newBoard(t)
	b.do(func(w space.Writer) error {
		var err error
		for n := range 3 {
			err = errors.Join(err, CreateGroup(w, placement.Group{ID: cluster.GroupID(n + 1)}, []cluster.ServerID{"n1.1"}))
		}
		_, perr := PlaceSpace(w, &PlaceSpaceRequest{Space: cluster.SpaceID{1}})
		return errors.Join(err, perr)
	})
	return b, end
}

func TestMoveIsRefused(t *testing.T) {
	b, end := newMoves(t)
	defer end()
	id := placement.MoveID{1}
	for _, c := range []struct {
		name string
		q    MoveRequest
		want cluster.Kind
	}{
		{"of no space", MoveRequest{Space: cluster.SpaceID{9}, ID: id, To: 2}, cluster.KindNoSpace},
		{"to where it is", MoveRequest{Space: cluster.SpaceID{1}, ID: id, To: 1}, cluster.KindExists},
		{"to the system group", MoveRequest{Space: cluster.SpaceID{1}, ID: id}, cluster.KindBadRequest},
		{"to no group", MoveRequest{Space: cluster.SpaceID{1}, ID: id, To: 9}, cluster.KindBadRequest},
		{"without an id", MoveRequest{Space: cluster.SpaceID{1}, To: 2}, cluster.KindBadRequest},
	} {
		if m, err := b.move(StartMove, c.q); cluster.KindOf(err) != c.want {
			t.Errorf("a move %s: %+v, %v", c.name, m, err)
		}
	}
	if len(b.load().Moves) > 0 {
		t.Fatalf("moves %+v", b.load().Moves)
	}
	first, err := b.move(StartMove, MoveRequest{Space: cluster.SpaceID{1}, ID: id, To: 2, Cause: "test"})
	if err != nil || first.From != 1 || first.Epoch != 1 || first.Attempt != 1 || first.Cause != "test" {
		t.Fatalf("%+v, %v", first, err)
	}
	again, err := b.move(StartMove, MoveRequest{Space: cluster.SpaceID{1}, ID: placement.MoveID{2}, To: 2})
	if err != nil || again.ID != id {
		t.Fatalf("asked for again: %+v, %v", again, err)
	}
	if _, err := b.move(StartMove, MoveRequest{Space: cluster.SpaceID{1}, ID: placement.MoveID{2}, To: 3}); cluster.KindOf(err) != cluster.KindExists {
		t.Fatalf("to another group meanwhile: %v", err)
	}
}

// TestPlaceGoesWhileMoving has the mailbox's place removed under a move.
func TestPlaceGoesWhileMoving(t *testing.T) {
	b, end := newMoves(t)
	defer end()
	q := MoveRequest{Space: cluster.SpaceID{1}, ID: placement.MoveID{1}, To: 2, Attempt: 1}
	if _, err := b.move(StartMove, q); err != nil {
		t.Fatal(err)
	}
	b.do(func(w space.Writer) error {
		return RemoveSpace(w, &RemoveSpaceRequest{Space: cluster.SpaceID{1}, Epoch: 1})
	})
	if m, err := b.move(FlipMove, q); err != nil || m.State != placement.MoveAborted || m.Trouble == "" {
		t.Fatalf("%+v, %v", m, err)
	}
}

// TestOneDecision makes random steps of moves, from carriers that know the newest record and such that know an older, and
// holds the map against what must have been decided: a flip and a thaw of one attempt never both count.
func TestOneDecision(t *testing.T) {
	outer := t
	rapid.Check(t, func(t *rapid.T) {
		b, end := newMoves(outer)
		defer end()
		model := placement.Move{}
		place := placement.Place{Group: 1, Epoch: 1}
		moves := byte(0)
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			q := MoveRequest{Space: cluster.SpaceID{1}, ID: model.ID, Attempt: model.Attempt, To: cluster.GroupID(rapid.IntRange(1, 3).Draw(t, "to"))}
			if late := rapid.IntRange(0, 3).Draw(t, "late"); late == 0 {
				q.ID[0]--
			} else if late == 1 {
				q.Attempt--
			}
			current := model.ID != placement.MoveID{} && q.ID == model.ID
			open := current && model.State == placement.MoveCopying
			var got placement.Move
			var err error
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0:
				moves++
				q.ID = placement.MoveID{moves}
				got, err = b.move(StartMove, q)
				if model.State == 0 && q.To != place.Group {
					model = placement.Move{Space: q.Space, ID: q.ID, From: place.Group, To: q.To, Epoch: place.Epoch, Attempt: 1, State: placement.MoveCopying}
				} else if err == nil && (model.State != placement.MoveCopying || model.To != q.To) {
					t.Fatalf("started %+v beside %+v", got, model)
				}
				if err != nil {
					got, err = model, nil
				}
			case 1:
				if open && q.Attempt == model.Attempt {
					model.State, place = placement.MoveFlipped, placement.Place{Group: model.To, Epoch: place.Epoch + 1}
				}
				got, err = b.move(FlipMove, q)
			case 2:
				if open && q.Attempt == model.Attempt {
					model.Attempt++
				}
				got, err = b.move(ThawMove, q)
			case 3:
				if open {
					model.State = placement.MoveAborted
				}
				if q.ID != (placement.MoveID{}) {
					got, err = b.move(AbortMove, q)
				} else {
					got = model
				}
			case 4:
				if current && model.State != placement.MoveCopying {
					model = placement.Move{}
				}
				got, err = b.move(EndMove, q)
			}
			if err != nil || got.ID != model.ID || got.State != model.State || got.Attempt != model.Attempt {
				t.Fatalf("%+v, %v; want %+v", got, err, model)
			}
			b.placed(t, place)
		}
	})
}

func (b *board) placed(t *rapid.T, want placement.Place) {
	b.view(func(r space.Reader) error {
		p, ok, err := Lookup(r, cluster.SpaceID{1})
		if err != nil || !ok || p.Group != want.Group || p.Epoch != want.Epoch {
			t.Fatalf("place %+v, want %+v: %v", p, want, err)
		}
		counts, err := Counts(r)
		for g, n := range counts {
			if (g == want.Group) != (n == 1) {
				t.Fatalf("counts %v of a space in group %d", counts, want.Group)
			}
		}
		return err
	})
}

// TestMerge: a group that is merged takes nothing more, spaces are found wherever the search begins, and nothing goes round.
func TestMerge(t *testing.T) {
	b, end := newMoves(t)
	defer end()
	refused := func(group, into cluster.GroupID) {
		t.Helper()
		err := b.try(func(w space.Writer) error { return MergeGroup(w, &MergeRequest{Group: group, Into: into}) })
		if cluster.KindOf(err) != cluster.KindBadRequest {
			t.Errorf("group %d into %d: %v", group, into, err)
		}
	}
	refused(1, 1)
	refused(1, 9)
	refused(9, 1)
	refused(0, 1)
	b.do(func(w space.Writer) error { return MergeGroup(w, &MergeRequest{Group: 1, Into: 2}) })
	refused(2, 3)
	refused(3, 1)
	for n := range byte(6) {
		b.do(func(w space.Writer) error {
			p, err := PlaceSpace(w, &PlaceSpaceRequest{Space: cluster.SpaceID{n + 2}})
			if p.Group == 1 {
				t.Errorf("space %d went to a group that is merged", n+2)
			}
			return err
		})
	}
	if _, err := b.move(StartMove, MoveRequest{Space: cluster.SpaceID{2}, ID: placement.MoveID{1}, To: 1}); cluster.KindOf(err) != cluster.KindBadRequest {
		t.Errorf("moved to a group that is merged: %v", err)
	}
	b.view(func(r space.Reader) error {
		one, err := Sample(r, 1, cluster.SpaceID{5}, 10)
		if err != nil || len(one) != 1 || one[0] != (cluster.SpaceID{1}) {
			t.Errorf("of group 1: %v, %v", one, err)
		}
		for from := range byte(9) {
			two, err := Sample(r, 2, cluster.SpaceID{from}, 2)
			three, terr := Sample(r, 3, cluster.SpaceID{from}, 10)
			if err != nil || terr != nil || len(two) != 2 || len(three) != 3 {
				t.Errorf("from %d: %v and %v, %v, %v", from, two, three, err, terr)
			}
		}
		return nil
	})
	b.do(func(w space.Writer) error { return MergeGroup(w, &MergeRequest{Group: 1}) })
	if g := b.load().Group(1); g.Into != 0 {
		t.Errorf("after it was taken back: %+v", g)
	}
}

// TestGrow: a group more is asked for, of the class of a rule or of none; one that is merged and empty is taken into use
// again first, and what a limit made more of than 'groups' says keeps no other setting from being changed.
func TestGrow(t *testing.T) {
	b, end := newMoves(t)
	defer end()
	sites(b, "fra", "muc")
	b.do(func(w space.Writer) error {
		p := placement.DefaultPolicy()
		p.Groups = 1
		return InitPolicy(w, p)
	})
	b.do(func(w space.Writer) error { return SetPolicy(w, &SetPolicyRequest{Pairs: []string{"grace=1h"}}) })
	grow := func(q GrowRequest) (answer GrowResponse, err error) {
		err = b.try(func(w space.Writer) (err error) {
			answer, err = GrowGroups(w, &q)
			return err
		})
		return answer, err
	}
	wanted := func(home string) int {
		p := b.policy()
		return p.Classes()[placement.Class{Home: home}]
	}
	have := b.load().CountGroups(placement.Class{})
	if a, err := grow(GrowRequest{}); err != nil || a.Reopened != 0 || b.policy().Groups != have+1 {
		t.Errorf("of %d groups: %+v, %v; %d are wanted", have, a, err, b.policy().Groups)
	}
	if a, err := grow(GrowRequest{}); err != nil || a.Reopened != 0 || b.policy().Groups != have+1 {
		t.Errorf("asked again before it is made: %+v, %v; %d are wanted", a, err, b.policy().Groups)
	}
	b.do(func(w space.Writer) error { return MergeGroup(w, &MergeRequest{Group: 3, Into: 2}) })
	if a, err := grow(GrowRequest{}); err != nil || a.Reopened != 3 || b.load().Group(3).Into != 0 || b.policy().Groups != have+1 {
		t.Errorf("group 3 is merged and empty: %+v, %v", a, err)
	}
	if _, err := grow(GrowRequest{Domain: "example.org"}); cluster.KindOf(err) != cluster.KindBadRequest {
		t.Errorf("no rule speaks of the domain: %v", err)
	}
	b.do(func(w space.Writer) error {
		return SetPolicy(w, &SetPolicyRequest{Domain: "example.org", Pairs: []string{"home=muc"}})
	})
	if a, err := grow(GrowRequest{Domain: "example.org"}); err != nil || a.Reopened != 0 || wanted("muc") != 1 {
		t.Errorf("of the rule's: %+v, %v, %d are wanted", a, err, wanted("muc"))
	}
	b.do(func(w space.Writer) error { return CreateGroup(w, placement.Group{ID: 7, Home: "muc"}, nil) })
	if a, err := grow(GrowRequest{Domain: "example.org"}); err != nil || a.Reopened != 0 || wanted("muc") != 2 {
		t.Errorf("of the rule's, of which there is one: %+v, %v, %d are wanted", a, err, wanted("muc"))
	}
	err := b.try(func(w space.Writer) error { return MergeGroup(w, &MergeRequest{Group: 7, Into: 2}) })
	if cluster.KindOf(err) != cluster.KindBadRequest {
		t.Errorf("merged into a group of another class: %v", err)
	}
}
