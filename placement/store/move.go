package store

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/internal/wire"
	"github.com/flotilla-mail/flotilla/placement"
)

// prefixMove begins the keys of moves, for ever.
const prefixMove = 'm' // space id → placement.Move

// The ops on moves, for ever. All but the last answer with the record as it is then, of which the caller sees whether what
// it wanted came to be; without an ID when there is none.
const (
	OpStartMove ops.ID = 1530
	OpFlipMove  ops.ID = 1531
	OpThawMove  ops.ID = 1532
	OpAbortMove ops.ID = 1533
	OpEndMove   ops.ID = 1534
	OpListMoves ops.ID = 1535
	// OpMergeGroup says that a group's spaces go to another, or no longer do. It answers with nothing.
	OpMergeGroup ops.ID = 1536
	// OpGrowGroups asks for one group more. It answers with a GrowResponse.
	OpGrowGroups ops.ID = 1537
)

// GrowRequest asks for another group: for what the rule for a domain or a mailbox speaks of, or for what none does.
type GrowRequest struct {
	Domain  string          `wire:"1"`
	Mailbox cluster.SpaceID `wire:"2"`
}

// GrowResponse names a group that was merged and empty and takes mailboxes again; zero says that one will be made.
type GrowResponse struct {
	Reopened cluster.GroupID `wire:"1"`
}

// MergeRequest names a group and the one that its spaces go to, zero to keep those that are still there.
type MergeRequest struct {
	Group cluster.GroupID `wire:"1"`
	Into  cluster.GroupID `wire:"2"`
}

// MoveRequest names a move; what else is set depends on the op.
type MoveRequest struct {
	Space cluster.SpaceID  `wire:"1"`
	ID    placement.MoveID `wire:"2"`
	// To and Cause are of OpStartMove.
	To    cluster.GroupID `wire:"3"`
	Cause string          `wire:"4"`
	// Attempt is of OpFlipMove and OpThawMove.
	Attempt uint64 `wire:"5"`
	// Trouble is of OpAbortMove, which takes any move of the space when ID is zero.
	Trouble string `wire:"6"`
}

// MovesResponse are the moves that are under way.
type MovesResponse struct {
	Moves []placement.Move `wire:"1"`
}

// maxMoves bounds the moves that are under way at once: the map holds them all.
const maxMoves = 64

func moveKey(id cluster.SpaceID) []byte { return append([]byte{prefixMove}, id[:]...) }

func moveHandlers() []ops.Handler {
	step := func(id ops.ID, name string, do func(space.Writer, *MoveRequest) (placement.Move, error)) ops.Handler {
		return ops.Handler{ID: id, Name: name, Mode: ops.Write, Update: func(w space.Writer, q *ops.Request) ([]byte, error) {
			var r MoveRequest
			if err := decode(q, &r); err != nil {
				return nil, err
			}
			m, err := do(w, &r)
			if err != nil {
				return nil, err
			}
			return wire.Marshal(&m), nil
		}}
	}
	return []ops.Handler{
		step(OpStartMove, "StartMove", StartMove), step(OpFlipMove, "FlipMove", FlipMove), step(OpThawMove, "ThawMove", ThawMove),
		step(OpAbortMove, "AbortMove", AbortMove), step(OpEndMove, "EndMove", EndMove),
		{ID: OpMergeGroup, Name: "MergeGroup", Mode: ops.Write, Update: func(w space.Writer, q *ops.Request) ([]byte, error) {
			var r MergeRequest
			if err := decode(q, &r); err != nil {
				return nil, err
			}
			return nil, MergeGroup(w, &r)
		}},
		{ID: OpGrowGroups, Name: "GrowGroups", Mode: ops.Write, Update: func(w space.Writer, q *ops.Request) ([]byte, error) {
			var r GrowRequest
			if err := decode(q, &r); err != nil {
				return nil, err
			}
			answer, err := GrowGroups(w, &r)
			return wire.Marshal(&answer), err
		}},
		{ID: OpListMoves, Name: "ListMoves", Mode: ops.Read, View: func(r space.Reader, _ *ops.Request) ([]byte, error) {
			moves, err := Moves(r)
			return wire.Marshal(&MovesResponse{Moves: moves}), err
		}},
	}
}

// Moves are the moves that are under way.
func Moves(r space.Reader) (list []placement.Move, err error) {
	err = each(r, prefixMove, func(_, v []byte) error {
		var m placement.Move
		if err := wire.Unmarshal(v, &m); err != nil {
			return err
		}
		list = append(list, m)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read moves: %w", err)
	}
	return list, nil
}

// getMove is the zero move when the space does not move.
func getMove(r space.Reader, id cluster.SpaceID) (m placement.Move, err error) {
	v, err := r.Get(moveKey(id))
	if err != nil || v == nil {
		return m, err
	}
	if err := wire.Unmarshal(v, &m); err != nil {
		return m, fmt.Errorf("move of %s: %w", id, err)
	}
	return m, nil
}

func putMove(w space.Writer, m *placement.Move) { w.Set(moveKey(m.Space), wire.Marshal(m)) }

// StartMove asks for a space to move. One that is on its way there already goes on.
func StartMove(w space.Writer, q *MoveRequest) (placement.Move, error) {
	m, err := getMove(w, q.Space)
	switch {
	case err != nil:
		return m, err
	case m.State == placement.MoveCopying && m.To == q.To:
		return m, nil
	case m.State != 0:
		return m, cluster.Errorf(cluster.KindExists, "the mailbox is on its way to group %d (%s)", m.To, m.State)
	}
	place, ok, err := Lookup(w, q.Space)
	switch {
	case err != nil:
		return m, err
	case !ok:
		return m, cluster.Errorf(cluster.KindNoSpace, "no place for space %s", q.Space)
	case place.Group == q.To:
		return m, cluster.Errorf(cluster.KindExists, "the mailbox lives in group %d already", q.To)
	case q.To == cluster.SystemGroup:
		return m, cluster.Errorf(cluster.KindBadRequest, "group 0 is the cluster's own: no mailbox lives there")
	case q.ID == placement.MoveID{}:
		return m, cluster.Errorf(cluster.KindBadRequest, "a move has an id")
	}
	if _, err := takes(w, q.To); err != nil {
		return m, err
	}
	list, err := Moves(w)
	if err != nil || len(list) >= maxMoves {
		return m, overloaded(len(list), err)
	}
	m = placement.Move{Space: q.Space, ID: q.ID, From: place.Group, To: q.To, Epoch: place.Epoch, State: placement.MoveCopying,
		Attempt: 1, Since: w.Now(), Cause: q.Cause}
	putMove(w, &m)
	return m, nil
}

// takes returns a group of the map if spaces may go to it.
func takes(r space.Reader, id cluster.GroupID) (*placement.Group, error) {
	g, err := getGroup(r, id)
	switch {
	case errors.Is(err, ErrConflict) || err == nil && id == cluster.SystemGroup:
		return nil, cluster.Errorf(cluster.KindBadRequest, "there is no group %d of mailboxes", id)
	case err == nil && g.Into != 0:
		return nil, cluster.Errorf(cluster.KindBadRequest, "the mailboxes of group %d go to group %d themselves", id, g.Into)
	}
	return g, err
}

// MergeGroup says that a group's spaces go to another: it gets no new ones, and those it has are moved one after the other.
func MergeGroup(w space.Writer, q *MergeRequest) error {
	g, err := getGroup(w, q.Group)
	if errors.Is(err, ErrConflict) || q.Group == cluster.SystemGroup {
		return cluster.Errorf(cluster.KindBadRequest, "there is no group %d of mailboxes", q.Group)
	}
	if err != nil || g.Into == q.Into {
		return err
	}
	if q.Into != 0 {
		if err := mergeable(w, q); err != nil {
			return err
		}
	}
	g.Into = q.Into
	putGroup(w, g)
	return nil
}

// mergeable refuses what would send spaces round in circles.
func mergeable(r space.Reader, q *MergeRequest) error {
	if q.Into == q.Group {
		return cluster.Errorf(cluster.KindBadRequest, "group %d is merged into another, not into itself", q.Group)
	}
	into, err := takes(r, q.Into)
	if err != nil {
		return err
	}
	m, err := Load(r)
	if err != nil {
		return err
	}
	if g := m.Group(q.Group); g.Class() != into.Class() {
		return cluster.Errorf(cluster.KindBadRequest, "group %d is made for home %q and sites %q, group %d for home %q and sites %q: "+
			"change the rule, and its mailboxes go where that wants them", q.Group, g.Home, g.Sites, q.Into, into.Home, into.Sites)
	}
	for i := range m.Groups {
		if m.Groups[i].Into == q.Group {
			return cluster.Errorf(cluster.KindBadRequest, "the mailboxes of group %d go to group %d", m.Groups[i].ID, q.Group)
		}
	}
	return nil
}

// GrowGroups takes a group into use again that was merged and is empty: ids are never reused, and a group stays. Where
// there is none it asks for a group more than there are.
func GrowGroups(w space.Writer, q *GrowRequest) (answer GrowResponse, err error) {
	m, err := Load(w)
	if err != nil {
		return answer, err
	}
	policy, err := LoadPolicy(w)
	if err != nil {
		return answer, err
	}
	var class placement.Class
	set := SetPolicyRequest{Domain: q.Domain, Mailbox: q.Mailbox}
	if q.Domain != "" || q.Mailbox != (cluster.SpaceID{}) {
		rule := policy.RuleOf(q.Mailbox, q.Domain)
		if rule == nil {
			return answer, cluster.Errorf(cluster.KindBadRequest, "no rule speaks of it: say its home or sites with 'flotilla placement policy set' first")
		}
		class = rule.Class()
	}
	counts, err := Counts(w)
	if err != nil {
		return answer, err
	}
	for i := range m.Groups {
		if g := &m.Groups[i]; g.Class() == class && g.Into != 0 && counts[g.ID] == 0 {
			answer.Reopened = g.ID
			return answer, MergeGroup(w, &MergeRequest{Group: g.ID})
		}
	}
	set.Pairs = []string{fmt.Sprintf("groups=%d", max(policy.Classes()[class], m.CountGroups(class)+1))}
	return answer, settingRefused(SetPolicy(w, &set))
}

// Sample finds some of a group's spaces: the first from an id on, and then from the lowest.
func Sample(r space.Reader, g cluster.GroupID, from cluster.SpaceID, limit int) (list []cluster.SpaceID, err error) {
	for _, span := range [][2][]byte{{placeKey(from), {prefixPlace + 1}}, {{prefixPlace}, placeKey(from)}} {
		it := r.Iter(span[0], span[1])
		for err == nil && len(list) < limit && it.Next() {
			var p placement.Place
			if err = wire.Unmarshal(it.Value(), &p); err == nil && p.Group == g && len(it.Key()) == 1+len(from) {
				list = append(list, cluster.SpaceID(it.Key()[1:]))
			}
		}
		if err = errors.Join(err, it.Close()); err != nil {
			return nil, fmt.Errorf("read places: %w", err)
		}
	}
	return list, nil
}

func overloaded(n int, err error) error {
	if err != nil {
		return err
	}
	return cluster.Errorf(cluster.KindOverloaded, "%d moves are under way", n)
}

// FlipMove decides that the space lives in the target, if nobody has given the attempt up (CLUSTER 7.1).
func FlipMove(w space.Writer, q *MoveRequest) (placement.Move, error) {
	m, err := getMove(w, q.Space)
	if err != nil || m.ID != q.ID || m.State != placement.MoveCopying || m.Attempt != q.Attempt {
		return m, err
	}
	place, ok, err := Lookup(w, q.Space)
	if err != nil {
		return m, err
	}
	if !ok || place.Group != m.From || place.Epoch != m.Epoch { // it was removed from the map meanwhile
		return abort(w, m, "the mailbox has lost its place")
	}
	place.Group, place.Epoch = m.To, m.Epoch+1
	w.Set(placeKey(q.Space), wire.Marshal(&place))
	if err := count(w, m.From, -1); err != nil {
		return m, err
	}
	if err := count(w, m.To, 1); err != nil {
		return m, err
	}
	m.State = placement.MoveFlipped
	putMove(w, &m)
	return m, nil
}

// count adds to the number of a group's spaces.
func count(w space.Writer, id cluster.GroupID, by int) error {
	key := groupKey(prefixCount, id)
	n, err := number(w, key)
	if err != nil {
		return err
	}
	w.Set(key, binary.AppendUvarint(nil, uint64(max(int(n)+by, 0))))
	return nil
}

// ThawMove gives an attempt up: nothing can be flipped on the strength of its freeze any more.
func ThawMove(w space.Writer, q *MoveRequest) (placement.Move, error) {
	m, err := getMove(w, q.Space)
	if err != nil || m.ID != q.ID || m.State != placement.MoveCopying || m.Attempt != q.Attempt {
		return m, err
	}
	m.Attempt++
	putMove(w, &m)
	return m, nil
}

// AbortMove gives a move up, unless it is decided.
func AbortMove(w space.Writer, q *MoveRequest) (placement.Move, error) {
	m, err := getMove(w, q.Space)
	if err != nil || m.State != placement.MoveCopying || q.ID != m.ID && q.ID != (placement.MoveID{}) {
		return m, err
	}
	return abort(w, m, q.Trouble)
}

func abort(w space.Writer, m placement.Move, trouble string) (placement.Move, error) {
	m.State, m.Trouble = placement.MoveAborted, trouble
	putMove(w, &m)
	return m, nil
}

// EndMove forgets a move that both groups are done with.
func EndMove(w space.Writer, q *MoveRequest) (placement.Move, error) {
	m, err := getMove(w, q.Space)
	if err != nil || m.ID != q.ID || m.State == placement.MoveCopying {
		return m, err
	}
	w.Delete(moveKey(q.Space))
	return placement.Move{}, nil
}
