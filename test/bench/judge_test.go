package bench

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
)

// flat is up to how many times as much the largest mailbox may cost as any other, of which the smallest is 400 times smaller: what is flat or
// logarithmic stays below. steep is the same for what may grow as the mailbox does: a square would be 160,000.
const (
	flat  = 10
	steep = 1000
)

const ofFirstSort = "an order that is not among those that clients offer is made of every row when somebody first asks for it: once in the life of a folder, in steps that keep nobody waiting"

// linear are the figures that may grow as the mailbox does, each with why.
var linear = map[string]string{
	"sort by message id, for the first time ms":   ofFirstSort,
	"sort by message id, for the first time keys": ofFirstSort,
	"memory kept with the sort by message id MB":  "an order that was just made keeps the place of each row, all such orders together up to their bound",
}

// floors are from where on growth is judged, by the unit and by the figure: below, it is the clock's and the collector's.
var floors = map[string]float64{
	"ms": 0.2,
	"us": 1,
	"MB": 1,
	// A step ends by the clock, 20 ms after it began.
	"sort by message id, longest step ms": 20,
}

func floor(what string) float64 {
	if f, own := floors[what]; own {
		return f
	}
	return max(floors[what[strings.LastIndexByte(what, ' ')+1:]], 0.001)
}

// grown is how many times as much a figure is in the largest mailbox as in that of the others where it is least.
func grown(what string, costs []cost) float64 {
	f, last := floor(what), len(costs)-1
	least := math.Inf(1)
	for _, c := range costs[:last] {
		least = min(least, c.of[what].(float64))
	}
	return max(costs[last].of[what].(float64), f) / max(least, f)
}

// judge tells of figures that grow more than they may, and of those that may and are none.
func judge(costs []cost, tell func(format string, args ...any)) {
	first := costs[0]
	for what := range first.of {
		most := float64(flat)
		if linear[what] != "" {
			most = steep
		}
		if g := grown(what, costs); g > most {
			tell("%s: %.1f times as much with %d mails as with fewer, may be %.0f times", what, g, costs[len(costs)-1].mails, most)
		}
	}
	for what := range linear {
		if _, is := first.of[what]; !is {
			tell("%s may grow, and is measured no more", what)
		}
	}
}

// TestGrowthIsJudged: what grows as the mailbox does, and may not, is told of, by keys and by time; noise is not.
func TestGrowthIsJudged(t *testing.T) {
	costs := func(change func(small, large map[string]any)) []cost {
		smallest := map[string]any{"open ms": 2.0, "open keys": 900.0, "delivery ms": 2.0} // where everything is looked at
		small, large := map[string]any{"open ms": 0.03, "open keys": 9.0, "delivery ms": 0.8}, map[string]any{"open ms": 0.09, "open keys": 21.0, "delivery ms": 1.9}
		for what := range linear {
			smallest[what], small[what], large[what] = 2.0, 3.0, 1200.0
		}
		change(small, large)
		maps.DeleteFunc(smallest, func(what string, _ any) bool { return small[what] == nil })
		return []cost{{1000, smallest}, {10_000, small}, {400_000, large}}
	}
	for name, x := range map[string]struct {
		change func(small, large map[string]any)
		told   []string
	}{
		"as it is":         {func(_, _ map[string]any) {}, nil},
		"noise":            {func(small, large map[string]any) { small["open ms"], large["open ms"] = 0.002, 0.3 }, nil},
		"linear keys":      {func(_, large map[string]any) { large["open keys"] = 3600.0 }, []string{"open keys"}},
		"linear time":      {func(_, large map[string]any) { large["delivery ms"] = 320.0 }, []string{"delivery ms"}},
		"a square":         {func(_, large map[string]any) { large["memory kept with the sort by message id MB"] = 480_000.0 }, []string{"memory kept with the sort by message id MB"}},
		"measured no more": {func(small, large map[string]any) { delete(small, "memory kept with the sort by message id MB") }, []string{"memory kept with the sort by message id MB"}},
	} {
		var told []string
		judge(costs(x.change), func(format string, args ...any) { told = append(told, fmt.Sprintf(format, args...)) })
		if !slices.EqualFunc(told, x.told, strings.HasPrefix) {
			t.Errorf("%s: told is %q, wanted is %q", name, told, x.told)
		}
	}
}
