// Package rollout brings another program to a cluster, one node at a time.
//
// It knows the order, what has to be true before it goes on, and when to stop; what a node does is asked for by the admin
// API. Invariants: one node at a time is away; the next one follows only when the last is ready, has caught up and has
// shown no regression for a while; the node that is asked goes last; run again, it goes on where it stopped.
package rollout

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/frontends/admin/adminclient"
	"github.com/flotilla-mail/flotilla/internal/clock"
	"github.com/flotilla-mail/flotilla/internal/node"
)

// API is the admin API of a node.
type API interface {
	Do(ctx context.Context, method, path string, body, out any) error
	Upload(ctx context.Context, path string, r io.Reader, out any) error
}

// Target is the program that nodes go over to.
type Target string

// The targets.
const (
	Staged   Target = "staged"
	Previous Target = "previous"
)

// Rollout is one way through the nodes.
type Rollout struct {
	API    API
	Target Target
	// Force leaves out whether a node can be spared.
	Force bool
	// Patience is how long a node may take until it is ready, Settle how long it is watched then, Look how often.
	Patience, Settle, Look time.Duration
	// Progress is told of each step.
	Progress func(node, step string)

	// served are the nodes that were ready when it began, or have become so by it.
	served map[cluster.NodeID]bool
}

// Step is what became of a node.
type Step struct {
	Node    string        `json:"node"`
	From    string        `json:"from"`
	To      string        `json:"to"`
	Took    time.Duration `json:"took_ns"`
	Skipped bool          `json:"skipped,omitempty"`
}

// RegressionError stops a rollout: a node is worse off than before.
type RegressionError struct {
	Node string
	What string
	// Back is how to go back.
	Back string
}

func (r *RegressionError) Error() string {
	return fmt.Sprintf("stopped: %s since it runs the other program: %s; %s", r.Node, r.What, r.Back)
}

// backHere is how a node goes back that cannot be asked to.
const backHere = "on its machine 'flotilla upgrade --revert --here' and 'systemctl restart flotilla' bring back the program before"

// worse stops at a node. One that does not answer cannot be told to go back either, and who goes back has nowhere left to go.
func (r *Rollout) worse(was, is *node.ProgramState, what string) error {
	e := &RegressionError{Node: string(was.Node), What: what, Back: "'flotilla upgrade --all --revert' goes back"}
	switch {
	case r.Target == Previous:
		e.Back = "see its log"
	case is.Err != "":
		e.Back = backHere
	}
	return e
}

// Run goes through the nodes and returns what became of those that it got to.
func (r *Rollout) Run(ctx context.Context) ([]Step, error) {
	steps := []Step{}
	before, err := r.state(ctx)
	if err != nil {
		return steps, err
	}
	if err := r.whole(before); err != nil {
		return steps, err
	}
	r.served = make(map[cluster.NodeID]bool)
	for i := range before.Nodes {
		r.served[before.Nodes[i].Node] = before.Nodes[i].Ready
	}
	for _, s := range inOrder(before) {
		if s.Running == r.program(s) || r.program(s) == "" {
			steps = append(steps, Step{Node: string(s.Node), From: s.Release, To: s.Release, Skipped: true})
			r.Progress(string(s.Node), "runs it already")
			continue
		}
		step, err := r.node(ctx, s)
		if err != nil {
			return steps, err
		}
		steps = append(steps, *step)
	}
	return steps, nil
}

// program is the one that a node is to go over to; empty when there is none, which is right for one that goes back.
func (r *Rollout) program(s *node.ProgramState) string {
	if r.Target == Previous {
		return s.Previous
	}
	return s.Staged
}

// whole refuses to begin while a node is silent, does not serve, or has nothing to go over to. What is to be mended by going
// back may not serve.
func (r *Rollout) whole(u *node.UpgradeState) error {
	some := false
	for i := range u.Nodes {
		s := &u.Nodes[i]
		switch {
		case s.Err != "" && r.Target == Previous:
			return fmt.Errorf("%s does not answer: %s; %s", s.Node, s.Err, backHere)
		case s.Err != "":
			return fmt.Errorf("%s does not answer: %s", s.Node, s.Err)
		case r.Target == Staged && s.Staged == "":
			return fmt.Errorf("nothing is staged on %s: name the program with --binary, or 'flotilla upgrade stage' it", s.Node)
		case r.Target == Staged && !s.Ready && !r.Force:
			return fmt.Errorf("%s is not ready: %s; wait for it, take it back into service ('flotilla undrain %s'), or go on without it by --force",
				s.Node, s.Progress, s.Node)
		}
		some = some || r.program(s) != ""
	}
	if !some {
		return errors.New("no node has an earlier program to go back to: nothing was upgraded, or the upgrade was finalized")
	}
	return nil
}

// inOrder puts the node that is asked last: it speaks for the others while they are away.
func inOrder(u *node.UpgradeState) []*node.ProgramState {
	var all []*node.ProgramState
	for i := range u.Nodes {
		all = append(all, &u.Nodes[i])
	}
	slices.SortFunc(all, func(a, b *node.ProgramState) int {
		if (a.Node == u.Self) != (b.Node == u.Self) {
			return map[bool]int{true: 1, false: -1}[a.Node == u.Self]
		}
		return strings.Compare(string(a.Node), string(b.Node))
	})
	return all
}

func (r *Rollout) state(ctx context.Context) (*node.UpgradeState, error) {
	u := new(node.UpgradeState)
	return u, r.API.Do(ctx, "GET", "/v1/upgrade", nil, u)
}

// node takes one node over to the program and watches it.
func (r *Rollout) node(ctx context.Context, was *node.ProgramState) (*Step, error) {
	name, begun := string(was.Node), time.Now()
	r.Progress(name, "is checked, drained and begins anew")
	q := url.Values{"node": {name}, "to": {string(r.Target)}}
	if r.Force {
		q.Set("force", "")
	}
	if err := r.API.Do(ctx, "POST", "/v1/upgrade/switch?"+q.Encode(), nil, nil); err != nil {
		return nil, err
	}
	is, err := r.awaitWell(ctx, was)
	if err != nil {
		return nil, err
	}
	r.served[was.Node] = true
	r.Progress(name, "is ready, and is watched")
	if is, err = r.watch(ctx, was, is); err != nil {
		return nil, err
	}
	r.Progress(name, "runs "+is.Release)
	return &Step{Node: name, From: was.Release, To: is.Release, Took: time.Since(begun)}, nil
}

// find is what is known of a node now. The node that is asked may be the one that is away.
func (r *Rollout) find(ctx context.Context, name string) (*node.ProgramState, *node.UpgradeState, error) {
	u, err := r.state(ctx)
	var refused *adminclient.Refused
	if errors.Is(err, adminclient.ErrUnreachable) || errors.As(err, &refused) {
		return &node.ProgramState{Err: err.Error()}, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	for i := range u.Nodes {
		if string(u.Nodes[i].Node) == name {
			return &u.Nodes[i], u, nil
		}
	}
	return nil, nil, fmt.Errorf("%s is no node of the cluster any more", name)
}

// awaitWell waits until the node runs the program, is ready and has caught up in every group.
func (r *Rollout) awaitWell(ctx context.Context, was *node.ProgramState) (*node.ProgramState, error) {
	name, want := string(was.Node), r.program(was)
	limit, cancel := context.WithTimeout(ctx, r.Patience)
	defer cancel()
	last, missing := was, "it has not begun anew"
	for {
		is, _, err := r.find(limit, name)
		if limit.Err() == nil && err != nil {
			return nil, err
		}
		if limit.Err() == nil {
			if last, missing = is, lacks(was, is, want); missing == "" {
				return is, nil
			}
		}
		if rest(limit, r.Look); limit.Err() != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return nil, r.worse(was, last, fmt.Sprintf("after %v %s", r.Patience, missing))
		}
	}
}

// lacks says what a node still has to become; empty when it is well.
func lacks(was, is *node.ProgramState, want string) string {
	switch {
	case is.Err != "":
		return "it does not answer: " + is.Err
	case is.Started == was.Started:
		return "it has not begun anew"
	case is.Running != want:
		return "it runs " + is.Running + " and not " + want
	case !is.Ready:
		return "it is not ready: " + is.Progress
	case len(is.Behind) > 0:
		return fmt.Sprintf("it has not caught up in the groups %v", is.Behind)
	}
	return ""
}

// watch looks for regressions for a while: of the node itself, and of the readiness of all.
func (r *Rollout) watch(ctx context.Context, was, is *node.ProgramState) (*node.ProgramState, error) {
	name := string(was.Node)
	for end := time.Now().Add(r.Settle); ; {
		now, all, err := r.find(ctx, name)
		if err != nil {
			return nil, err
		}
		if what := r.suffers(was, is, now, all); what != "" {
			return nil, r.worse(was, now, what)
		}
		if time.Now().After(end) {
			return now, nil
		}
		if rest(ctx, r.Look); ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
}

// suffers says what is worse at a node that was well a moment ago, or that another does not serve any more.
func (r *Rollout) suffers(was, is, now *node.ProgramState, all *node.UpgradeState) string {
	switch {
	case now.Err != "":
		return "it stopped answering: " + now.Err
	case now.Started != is.Started:
		return "it began anew by itself"
	case !now.Ready:
		return "it is not ready any more: " + now.Progress
	case len(now.Trouble) > len(was.Trouble):
		return strings.Join(now.Trouble, "; ")
	case now.Errors > 0:
		return fmt.Sprintf("it has logged %d errors, the last of them %q", now.Errors, now.LastError)
	}
	for i := range all.Nodes {
		if s := &all.Nodes[i]; r.served[s.Node] && !s.Ready {
			return fmt.Sprintf("%s is not ready: %s%s", s.Node, s.Err, s.Progress)
		}
	}
	return ""
}

func rest(ctx context.Context, d time.Duration) { _ = clock.System{}.Sleep(ctx, d) }
