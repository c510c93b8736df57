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
	limit := placement.Policy{MaxGroup: 800, MaxOps: 80}
	muc := placement.Class{Home: "muc"}
	stray := Stray{cluster.SpaceID{0xab}, 2, muc, "its rule"}
	inMuc := func(m *placement.Map, w *Weights) {
		m.Groups[1].Home, m.Groups[3].Home, w.Strays = "muc", "muc", []Stray{stray}
	}
	for _, c := range []struct {
		name   string
		change func(m *placement.Map, w *Weights)
		want   string
	}{
		{"nothing is large", func(*placement.Map, *Weights) {}, "[]"},
		{"a group is large", func(_ *placement.Map, w *Weights) { w.Bytes[2] = 1000 }, "[move a mailbox of group 2 to group 3 200 0]"},
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
		}, "[move a mailbox of group 2 to group 1 200 0]"},
		{"the target has little room", func(_ *placement.Map, w *Weights) {
			w.Bytes = map[cluster.GroupID]uint64{1: 600, 2: 5000, 3: 600}
		}, "[move a mailbox of group 2 to group 1 300 0]"},
		{"a group is merged", func(m *placement.Map, _ *Weights) { m.Groups[1].Into = 2 }, "[move a mailbox of group 1 to group 2 0 0]"},
		{"and empty", func(m *placement.Map, w *Weights) { m.Groups[1].Into, w.Spaces[1] = 2, 0 }, "[]"},
		{"the smallest is merged", func(m *placement.Map, w *Weights) {
			w.Bytes[2], m.Groups[3].Into, w.Spaces[3] = 1000, 1, 0
		}, "[move a mailbox of group 2 to group 1 200 0]"},
		{"a group is busy", func(_ *placement.Map, w *Weights) { w.Ops[2], w.Ops[3] = 100, 10 }, "[move a mailbox of group 2 to group 1 0 90]"},
		{"by less than an eighth", func(_ *placement.Map, w *Weights) { w.Ops[2] = 90 }, "[]"},
		{"busy, and it gave lately", func(_ *placement.Map, w *Weights) { w.Ops[2], w.Resting[2] = 100, true }, "[]"},
		{"the calmest took lately", func(_ *placement.Map, w *Weights) { w.Ops[2], w.Ops[3], w.Resting[1] = 100, 10, true },
			"[move a mailbox of group 2 to group 3 0 80]"},
		{"all others are busy", func(_ *placement.Map, w *Weights) { w.Ops = map[cluster.GroupID]float64{1: 61, 2: 100, 3: 70} }, "[]"},
		{"the calm ones are large", func(_ *placement.Map, w *Weights) {
			w.Ops[2], w.Bytes = 100, map[cluster.GroupID]uint64{1: 700, 2: 10, 3: 700}
		}, "[]"},
		{"a rule wants a space elsewhere", inMuc, "[move mailbox ab000000000000000000000000000000 of group 2 to group 3 0 0]"},
		{"the smallest there is full", func(m *placement.Map, w *Weights) {
			inMuc(m, w)
			w.Ops[3] = 80
		}, "[move mailbox ab000000000000000000000000000000 of group 2 to group 1 0 0]"},
		{"nothing is there yet", func(_ *placement.Map, w *Weights) { w.Strays = []Stray{stray} }, "[]"},
		{"it is there", func(m *placement.Map, w *Weights) {
			inMuc(m, w)
			m.Groups[2].Home = "muc"
		}, "[]"},
		{"one of two goes first", func(m *placement.Map, w *Weights) {
			inMuc(m, w)
			w.Strays = append(w.Strays, Stray{cluster.SpaceID{0xcd}, 2, muc, "its rule"})
		}, "[move mailbox ab000000000000000000000000000000 of group 2 to group 3 0 0]"},
		{"a space of a group that is merged", func(m *placement.Map, w *Weights) {
			inMuc(m, w)
			m.Groups[2].Into = 1
		}, "[move mailbox ab000000000000000000000000000000 of group 2 to group 3 0 0]"},
	} {
		m := groupsOf(3)
		w := Weights{Spaces: map[cluster.GroupID]int{1: 5, 2: 5, 3: 5}, Bytes: map[cluster.GroupID]uint64{1: 300, 2: 300, 3: 200},
			Ops: map[cluster.GroupID]float64{}, Resting: map[cluster.GroupID]bool{}}
		c.change(m, &w)
		words := []string{}
		for _, s := range Shifts(m, limit, w) {
			words = append(words, fmt.Sprint(s, s.Bytes, s.Ops))
		}
		if got := fmt.Sprint(words); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// box is a space of the model.
type box struct {
	bytes  uint64
	ops    float64
	in     cluster.GroupID
	want   placement.Class
	moved  int
	resaid int
}

// TestShiftsEnd carries shifts out until there are none, while the policy's mind changes: then every space is in a group of
// the class that is wanted, those groups that are merged are empty, and no group that could give is too large or too busy
// while another has room. No space is moved more than twice, and once more each time that it is wanted elsewhere.
func TestShiftsEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 6).Draw(t, "groups")
		m, policy := groupsOf(n), placement.Policy{MaxGroup: 1000, MaxOps: 100}
		for g := 1; g <= n; g += 2 + rapid.IntRange(0, 1).Draw(t, "class") {
			m.Groups[g].Home = "muc"
		}
		if rapid.Bool().Draw(t, "merge") && n > 2 && m.Groups[1].Home == m.Groups[3].Home {
			m.Groups[1].Into = 3
		}
		boxes := make([]box, rapid.IntRange(1, 40).Draw(t, "boxes"))
		for i := range boxes {
			boxes[i] = box{bytes: rapid.Uint64Range(1, 300).Draw(t, "bytes"), ops: float64(rapid.IntRange(0, 30).Draw(t, "ops")),
				in: cluster.GroupID(rapid.IntRange(1, n).Draw(t, "group"))}
			boxes[i].want = m.Group(boxes[i].in).Class()
		}
		for range rapid.IntRange(1, 3).Draw(t, "changes of mind") {
			for i := range boxes {
				if home := rapid.SampledFrom([]string{"", "muc"}).Draw(t, "home"); home != boxes[i].want.Home && rapid.Bool().Draw(t, "change") {
					boxes[i].want.Home = home
					boxes[i].resaid++
				}
			}
			shiftAll(t, m, policy, boxes)
		}
	})
}

// shiftAll carries out shifts until there are none.
func shiftAll(t *rapid.T, m *placement.Map, policy placement.Policy, boxes []box) {
	for rounds := 0; ; rounds++ {
		w := Weights{Spaces: map[cluster.GroupID]int{}, Bytes: map[cluster.GroupID]uint64{}, Ops: map[cluster.GroupID]float64{}}
		for i := range boxes {
			b := &boxes[i]
			w.Spaces[b.in]++
			w.Bytes[b.in] += b.bytes
			w.Ops[b.in] += b.ops
			if m.Group(b.in).Class() != b.want {
				w.Strays = append(w.Strays, Stray{cluster.SpaceID{byte(i + 1)}, b.in, b.want, "its rule"})
			}
		}
		shifts, went := Shifts(m, policy, w), false
		for _, s := range shifts {
			i := pick(boxes, s)
			if i < 0 {
				continue
			}
			b := &boxes[i]
			went, b.in = true, s.To
			if b.moved++; b.moved > 2+2*b.resaid || rounds > 400 {
				t.Fatalf("%+v is moved again: %+v", b, s)
			}
			if s.Ops > 0 && w.Ops[s.To]+b.ops > 9.0/8*float64(policy.MaxOps) {
				t.Fatalf("group %d is too busy after %+v of %+v", s.To, s, b)
			}
		}
		if !went {
			ended(t, m, &w, shifts)
			return
		}
	}
}

// ended checks what there is when no space goes any more.
func ended(t *rapid.T, m *placement.Map, w *Weights, left []Shift) {
	if into := m.Groups[1].Into; into != 0 && w.Spaces[1] > 0 {
		t.Fatalf("group 1 keeps %d spaces", w.Spaces[1])
	}
	if len(w.Strays) > 0 {
		t.Fatalf("%+v stays where it is", w.Strays[0])
	}
	for _, s := range left {
		if s.Ops == 0 {
			t.Fatalf("nothing goes for %+v", s)
		}
	}
}

// pick is the space that goes: the one named; the busiest that may; the largest that fits, else the smallest. It is -1 when
// none may.
func pick(boxes []box, s Shift) int {
	best := -1
	fits := func(i int) bool { return s.Bytes == 0 || boxes[i].bytes <= s.Bytes }
	for i := range boxes {
		switch {
		case s.Space != (cluster.SpaceID{}):
			if s.Space[0] == byte(i+1) {
				return i
			}
		case boxes[i].in != s.From:
		case s.Ops > 0:
			if boxes[i].ops > 0 && boxes[i].ops <= s.Ops && (best < 0 || boxes[i].ops > boxes[best].ops) {
				best = i
			}
		case best < 0, fits(i) && (!fits(best) || boxes[i].bytes > boxes[best].bytes), !fits(i) && !fits(best) && boxes[i].bytes < boxes[best].bytes:
			best = i
		}
	}
	return best
}
