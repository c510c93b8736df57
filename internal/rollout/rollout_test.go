package rollout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/frontends/admin/adminclient"
	"github.com/flotilla-mail/flotilla/internal/node"
)

// fleet is three nodes that go over at once; after is called with a node that did.
type fleet struct {
	state    node.UpgradeState
	switched []string
	after    func(f *fleet, s *node.ProgramState)
	silent   int // so many of the next questions are not answered
	refuse   error
	force    bool
}

func newFleet() *fleet {
	f := &fleet{state: node.UpgradeState{Self: "a", Level: 1}, after: func(*fleet, *node.ProgramState) {}}
	for _, id := range []cluster.NodeID{"a", "b", "c"} {
		f.state.Nodes = append(f.state.Nodes, node.ProgramState{Node: id, Release: "v1", Running: "old", Staged: "new", Ready: true, Started: 1})
	}
	return f
}

func (f *fleet) Upload(context.Context, string, io.Reader, any) error {
	return errors.New("not asked for")
}

func (f *fleet) Do(_ context.Context, method, path string, _, out any) error {
	u, err := url.Parse(path)
	if err != nil {
		return err
	}
	if method == "GET" {
		if f.silent > 0 {
			f.silent--
			return fmt.Errorf("%w: refused", adminclient.ErrUnreachable)
		}
		b, err := json.Marshal(f.state)
		if err != nil {
			return err
		}
		return json.Unmarshal(b, out)
	}
	if f.refuse != nil {
		return f.refuse
	}
	name := u.Query().Get("node")
	f.switched = append(f.switched, name)
	i := slices.IndexFunc(f.state.Nodes, func(s node.ProgramState) bool { return string(s.Node) == name })
	s := &f.state.Nodes[i]
	if u.Query().Get("to") == "staged" {
		s.Previous, s.Running, s.Release = s.Running, s.Staged, "v2"
	} else {
		s.Running, s.Previous, s.Release = s.Previous, "", "v1"
	}
	s.Started++
	f.after(f, s)
	return nil
}

func (f *fleet) run(t *testing.T, to Target) ([]Step, error) {
	t.Helper()
	r := Rollout{API: f, Target: to, Force: f.force, Patience: 200 * time.Millisecond, Settle: 5 * time.Millisecond, Look: time.Millisecond, Progress: func(string, string) {}}
	return r.Run(t.Context())
}

func TestThereAndBack(t *testing.T) {
	f := newFleet()
	f.after = func(f *fleet, s *node.ProgramState) {
		if s.Node == f.state.Self {
			f.silent = 5 // who is asked is away
		}
	}
	for _, to := range []Target{Staged, Previous, Staged} {
		f.switched = nil
		steps, err := f.run(t, to)
		if err != nil || len(steps) != 3 || !slices.Equal(f.switched, []string{"b", "c", "a"}) {
			t.Fatalf("%s: %v, %+v, %v", to, f.switched, steps, err)
		}
	}
	f.switched = nil
	steps, err := f.run(t, Staged)
	if err != nil || len(f.switched) > 0 || len(steps) != 3 || !steps[0].Skipped {
		t.Fatalf("again: %v, %+v, %v", f.switched, steps, err)
	}
}

func TestWhatStopsARollout(t *testing.T) {
	on := func(id cluster.NodeID, change func(f *fleet, s *ran)) func(*fleet, *ran) {
		return func(f *fleet, s *ran) {
			if s.Node == id {
				change(f, s)
			}
		}
	}
	for name, c := range map[string]struct {
		after func(*fleet, *ran)
		text  string
	}{
		"not ready":       {on("b", func(_ *fleet, s *ran) { s.Ready, s.Progress = false, "waiting for c" }), "b since it runs the other program: after 200ms it is not ready: waiting for c"},
		"another program": {on("b", func(_ *fleet, s *ran) { s.Running = "third" }), "it runs third and not new"},
		"not begun anew":  {on("b", func(_ *fleet, s *ran) { s.Started-- }), "it has not begun anew"},
		"behind":          {on("b", func(_ *fleet, s *ran) { s.Behind = []cluster.GroupID{3} }), "not caught up in the groups [3]"},
		"silent":          {on("b", func(_ *fleet, s *ran) { s.Err = "no answer" }), "it does not answer: no answer; on its machine 'flotilla upgrade --revert --here'"},
		"fenced":          {on("b", func(_ *fleet, s *ran) { s.Trouble = []string{"replica of group 2 is fenced"} }), "replica of group 2 is fenced; 'flotilla upgrade --all --revert' goes back"},
		"logs errors":     {on("b", func(_ *fleet, s *ran) { s.Errors, s.LastError = 2, "replica lost" }), `logged 2 errors, the last of them "replica lost"`},
		"another suffers": {on("b", func(f *fleet, _ *ran) { f.state.Nodes[2].Ready, f.state.Nodes[2].Progress = false, "cut off" }), "c is not ready: cut off"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet()
			f.after = c.after
			_, err := f.run(t, Staged)
			var worse *RegressionError
			if !errors.As(err, &worse) || !strings.Contains(err.Error(), c.text) || !slices.Equal(f.switched, []string{"b"}) {
				t.Fatalf("%v, %v", f.switched, err)
			}
		})
	}
}

// ran is what is known of a node that was taken over.
type ran = node.ProgramState

func drainC(f *fleet) { f.state.Nodes[2].Ready, f.state.Nodes[2].Progress = false, "drained" }

// A node that did not serve before is no regression of another: those that are broken go back one after the other.
func TestWhoDidNotServeStopsNobody(t *testing.T) {
	for name, c := range map[string]struct {
		to    Target
		force bool
	}{"back": {Previous, false}, "by force": {Staged, true}} {
		t.Run(name, func(t *testing.T) {
			f := newFleet()
			if c.to == Previous {
				if _, err := f.run(t, Staged); err != nil {
					t.Fatal(err)
				}
				f.switched = nil
			}
			drainC(f)
			f.force = c.force
			f.after = func(_ *fleet, s *ran) { s.Ready, s.Progress = true, "ready" }
			if _, err := f.run(t, c.to); err != nil || !slices.Equal(f.switched, []string{"b", "c", "a"}) {
				t.Fatalf("%v, %v", f.switched, err)
			}
		})
	}
}

// One that serves again by the rollout is watched like the others.
func TestWhoServesAgainIsWatched(t *testing.T) {
	f := newFleet()
	drainC(f)
	f.force = true
	f.after = func(f *fleet, s *ran) {
		s.Ready = true
		if s.Node == "a" {
			drainC(f)
		}
	}
	if _, err := f.run(t, Staged); err == nil || !strings.Contains(err.Error(), "c is not ready: drained") {
		t.Fatal(err)
	}
}

func TestWhatIsNotBegun(t *testing.T) {
	for name, c := range map[string]struct {
		change func(f *fleet)
		to     Target
		text   string
	}{
		"a node is silent":                {func(f *fleet) { f.state.Nodes[1].Err = "down" }, Staged, "b does not answer: down"},
		"a silent one that is to go back": {func(f *fleet) { f.state.Nodes[1].Err = "down" }, Previous, "b does not answer: down; on its machine 'flotilla upgrade --revert --here'"},
		"nothing is staged":               {func(f *fleet) { f.state.Nodes[2].Staged = "" }, Staged, "nothing is staged on c"},
		"nothing to go back":              {func(*fleet) {}, Previous, "no node has an earlier program"},
		"a node is drained":               {drainC, Staged, "c is not ready: drained; wait for it, take it back into service ('flotilla undrain c')"},
		"it is not safe": {func(f *fleet) {
			f.refuse = &adminclient.Refused{Kind: cluster.KindUnsafe, Text: "b cannot be spared now"}
		}, Staged, "b cannot be spared now"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet()
			c.change(f)
			if _, err := f.run(t, c.to); err == nil || !strings.Contains(err.Error(), c.text) || len(f.switched) > 0 {
				t.Fatalf("%v, %v", f.switched, err)
			}
		})
	}
}
