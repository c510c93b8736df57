package planner

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/placement"
)

func groupsOf(n int) *placement.Map {
	m := &placement.Map{}
	for i := range n + 1 {
		m.Groups = append(m.Groups, placement.Group{ID: cluster.GroupID(i)})
	}
	return m
}

func TestShifts(t *testing.T) {
	limit := placement.Policy{MaxGroup: 800}
	for _, c := range []struct {
		name   string
		change func(m *placement.Map, w *Weights)
		want   string
	}{
		{"nothing is large", func(*placement.Map, *Weights) {}, "[]"},
		{"a group is large", func(_ *placement.Map, w *Weights) { w.Bytes[2] = 1000 }, "[{2 3 200 group 2 is larger than the policy wants}]"},
		{"by less than an eighth", func(_ *placement.Map, w *Weights) { w.Bytes[2] = 900 }, "[]"},
		{"it gave lately", func(_ *placement.Map, w *Weights) { w.Bytes[2], w.Resting[2] = 1000, true }, "[]"},
		{"with one space", func(_ *placement.Map, w *Weights) { w.Bytes[2], w.Spaces[2] = 1000, 1 }, "[]"},
		{"no other has room", func(_ *placement.Map, w *Weights) { w.Bytes = map[cluster.GroupID]uint64{1: 700, 2: 1000, 3: 601} }, "[]"},
		{"others are of another class", func(m *placement.Map, w *Weights) { w.Bytes[2], m.Groups[2].Home = 1000, "muc" }, "[]"},
		{"it gives already", func(m *placement.Map, w *Weights) {
			w.Bytes[2], m.Moves = 1000, []placement.Move{{From: 2, To: 1}}
		}, "[]"},
		{"the smallest takes already", func(m *placement.Map, w *Weights) {
			w.Bytes[2], m.Moves = 1000, []placement.Move{{From: 4, To: 3}}
		}, "[{2 1 200 group 2 is larger than the policy wants}]"},
		{"the target has little room", func(_ *placement.Map, w *Weights) {
			w.Bytes = map[cluster.GroupID]uint64{1: 600, 2: 5000, 3: 600}
		}, "[{2 1 300 group 2 is larger than the policy wants}]"},
		{"a group is merged", func(m *placement.Map, _ *Weights) { m.Groups[1].Into = 2 }, "[{1 2 0 group 1 is merged into group 2}]"},
		{"and empty", func(m *placement.Map, w *Weights) { m.Groups[1].Into, w.Spaces[1] = 2, 0 }, "[]"},
		{"the smallest is merged", func(m *placement.Map, w *Weights) {
			w.Bytes[2], m.Groups[3].Into, w.Spaces[3] = 1000, 1, 0
		}, "[{2 1 200 group 2 is larger than the policy wants}]"},
	} {
		m := groupsOf(3)
		w := Weights{Spaces: map[cluster.GroupID]int{1: 5, 2: 5, 3: 5}, Bytes: map[cluster.GroupID]uint64{1: 300, 2: 300, 3: 200},
			Resting: map[cluster.GroupID]bool{}}
		c.change(m, &w)
		if got := fmt.Sprint(Shifts(m, limit, w)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// TestShiftsEnd carries shifts out until there are none: then no group that could give is too large while another has room,
// and those that are merged are empty. No space is moved more than twice.
func TestShiftsEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 6).Draw(t, "groups")
		m, policy := groupsOf(n), placement.Policy{MaxGroup: 1000}
		if rapid.Bool().Draw(t, "merge") {
			m.Groups[1].Into = 2
		}
		boxes := rapid.SliceOfN(rapid.Uint64Range(1, 300), 1, 40).Draw(t, "boxes")
		in := make([]cluster.GroupID, len(boxes))
		for i := range boxes {
			in[i] = cluster.GroupID(rapid.IntRange(1, n).Draw(t, "group"))
		}
		moved := make([]int, len(boxes))
		for rounds := 0; ; rounds++ {
			w := Weights{Spaces: map[cluster.GroupID]int{}, Bytes: map[cluster.GroupID]uint64{}}
			for i, g := range in {
				w.Spaces[g]++
				w.Bytes[g] += boxes[i]
			}
			shifts := Shifts(m, policy, w)
			if len(shifts) == 0 {
				if m.Groups[1].Into != 0 && w.Spaces[1] > 0 {
					t.Fatalf("group 1 keeps %d spaces", w.Spaces[1])
				}
				return
			}
			for _, s := range shifts {
				i := pick(boxes, in, s)
				in[i] = s.To
				if moved[i]++; moved[i] > 2 || rounds > 200 {
					t.Fatalf("space %d of %d bytes is moved again: %+v", i, boxes[i], s)
				}
			}
		}
	})
}

// pick is the largest space that fits, else the smallest.
func pick(boxes []uint64, in []cluster.GroupID, s Shift) int {
	best := -1
	fits := func(i int) bool { return s.Bytes == 0 || boxes[i] <= s.Bytes }
	for i, g := range in {
		switch {
		case g != s.From:
		case best < 0, fits(i) && (!fits(best) || boxes[i] > boxes[best]), !fits(i) && !fits(best) && boxes[i] < boxes[best]:
			best = i
		}
	}
	return best
}
