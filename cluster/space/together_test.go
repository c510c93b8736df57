package space

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"github.com/flotilla-mail/flotilla/cluster"
)

// togetherCall is one of several calls at once on one space. It claims a name before its script, which is refused when
// another has the name, and writes itself into a list.
type togetherCall struct {
	script  script
	id      cluster.RequestID
	claim   string
	list    string
	insists bool // asks again until the outcome is known
	twin    bool // another call has the same id

	err    error
	answer string
}

// taken is a refusal that names whom it is for.
type taken string

func (t taken) Error() string { return "taken by " + string(t) }

func (c *togetherCall) name() string { return fmt.Sprintf("%x", c.id.ID) }

func (c *togetherCall) run(w Writer) ([]byte, error) {
	owner, err := w.Get([]byte(c.claim))
	if err != nil {
		return nil, err
	}
	if owner != nil {
		return nil, taken(owner)
	}
	list, err := w.Get([]byte(c.list))
	if err != nil {
		return nil, err
	}
	w.Set([]byte(c.claim), []byte(c.name()))
	w.Set([]byte(c.list), append(append(list, c.name()...), ' '))
	return c.script.run(w)
}

// together makes several calls at once. The first waits until all have come, so that the others are combined; some come
// twice.
func (w *world) together(t *rapid.T) {
	id := spaceGen.Draw(t, "space")
	if w.spaces[id] == nil {
		return
	}
	w.next++
	round := w.next
	calls := make([]*togetherCall, rapid.IntRange(2, 6).Draw(t, "calls"))
	for i := range calls {
		c := &togetherCall{id: w.request(), script: w.script(t), list: fmt.Sprintf("\x00list%d", round), insists: rapid.Bool().Draw(t, "insists")}
		c.claim = fmt.Sprintf("\x00claim%d-%d", round, rapid.IntRange(0, 2).Draw(t, "claim"))
		if i > 0 && rapid.IntRange(0, 3).Draw(t, "twice") == 0 {
			first := calls[i-1]
			c.id, c.script, c.claim, c.twin, first.twin = first.id, first.script, first.claim, true, true
		}
		calls[i] = c
	}
	w.fail(t)
	w.runTogether(id, calls)
	w.calm(t)
	w.judgeTogether(t, id, calls)
}

func (w *world) runTogether(id cluster.SpaceID, calls []*togetherCall) {
	all := make(chan struct{})
	done := make(chan struct{}, len(calls))
	for i, c := range calls {
		go func() {
			defer func() { done <- struct{}{} }()
			c.call(w.r.Replica, id, func() {
				if i == 0 {
					<-all
				}
			})
		}()
		for w.r.callers() <= i { // the first holds its round, and nobody leaves
			runtime.Gosched()
		}
	}
	close(all)
	for range calls {
		<-done
	}
}

func (c *togetherCall) call(r *Replica, id cluster.SpaceID, first func()) {
	for {
		b, err := r.Update(context.Background(), id, c.id, func(wr Writer) ([]byte, error) {
			first()
			return c.run(wr)
		})
		c.answer, c.err = string(b), err
		if !c.insists || !kindIs(err, cluster.KindUnknownOutcome) {
			return
		}
	}
}

// judgeTogether does to the model what the list says has happened, in its order, and holds the answers against that: what
// succeeded is in the list, and what was refused for another was refused for one that is.
func (w *world) judgeTogether(t *rapid.T, id cluster.SpaceID, calls []*togetherCall) {
	var list []byte
	check(t, w.r.View(context.Background(), id, ReadLease, func(v Reader) (err error) {
		list, err = v.Get([]byte(calls[0].list))
		return err
	}))
	byName := map[string]*togetherCall{}
	for _, c := range calls {
		byName[c.name()] = c
	}
	model := w.spaces[id]
	happened := strings.Fields(string(list))
	for i, name := range happened {
		c := byName[name]
		if slices.Contains(happened[:i], name) || c.script.refuses || model.pairs[c.claim] != "" {
			t.Fatalf("%s should not have happened (again): %s", name, happened)
		}
		model.pairs[c.claim] = name
		model.pairs[c.list] += name + " "
		c.script.onModel(model)
	}
	for name := range byName {
		if !slices.Contains(happened, name) {
			delete(byName, name)
		}
	}
	for _, c := range calls {
		if !c.right(byName) {
			t.Fatalf("%s is told %q, %v; happened are %s", c.name(), c.answer, c.err, happened)
		}
		if other := byName[c.name()]; c.err == nil && other.err == nil && c.answer != other.answer {
			t.Fatalf("%s is told %q and %q", c.name(), c.answer, other.answer)
		}
	}
}

// right reports whether what the call was told agrees with what happened.
func (c *togetherCall) right(happened map[string]*togetherCall) bool {
	var owner taken
	did := happened[c.name()] != nil
	switch {
	case c.err == nil:
		return did
	case errors.As(c.err, &owner):
		other := happened[string(owner)]
		return !did && other != nil && other.claim == c.claim && other.name() != c.name()
	case errors.Is(c.err, errRefused):
		return !did && c.script.refuses
	case kindIs(c.err, cluster.KindUnknownOutcome):
		return !c.insists
	}
	return !did || c.twin
}
