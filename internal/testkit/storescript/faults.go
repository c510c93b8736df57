package storescript

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

var faultCommands = []command{
	{"kill", 1, "kill NODE|owner", false, (*run).toNode},
	{"restart", 1, "restart NODE|all", false, (*run).toNode},
	{"freeze", 1, "freeze NODE|owner", false, (*run).toNode},
	{"thaw", 1, "thaw NODE|all", false, (*run).toNode},
	{"cut", 1, "cut NODE|owner", false, (*run).toNode},
	{"clear", 1, "clear NODE|all", false, (*run).toNode},
	{"doom", 1, "doom STEP[/N] [how=freeze]: whichever node comes to a step of its own work, for the N-th time, dies right before it, or freezes", true, (*run).doom},
	{"dies", 0, "dies: waits until that has happened to one; the others are doomed no more", true, (*run).dies},
	{"whole", 0, "whole: all nodes run again, and all replicas are the same", false, (*run).whole},
}

func (r *run) toNode() error {
	if err := r.site.Do(r.cmd.ctx, r.cmd.name, r.cmd.words[0], r.cmd.box.id); err != nil {
		return mistakeError{err}
	}
	return nil
}

// doom watches from then on, so that of two nodes that would come to the step one after the other the second lives.
func (r *run) doom() error {
	if r.doomed != nil {
		return mistake("the nodes are doomed already")
	}
	what := r.cmd.text("how", "die") + "-at=" + r.cmd.words[0]
	if err := r.site.Do(r.cmd.ctx, what, "all", mapi.MailboxID{}); err != nil {
		return mistakeError{err}
	}
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	doomed := make(chan error, 1)
	go func() {
		defer cancel()
		doomed <- r.site.Doomed(ctx)
	}()
	r.doomed = doomed
	return nil
}

func (r *run) dies() error {
	if r.doomed == nil {
		return mistake("no node is doomed")
	}
	err := <-r.doomed
	if r.doomed = nil; err != nil {
		return mistakeError{err}
	}
	return nil
}

func (r *run) whole() error {
	if err := r.site.Whole(r.cmd.ctx); err != nil {
		return mistakeError{err}
	}
	if err := r.site.Same(r.cmd.ctx); err != nil {
		return mistakeError{err}
	}
	return nil
}

// perform runs a command; a fault that it asks for hits the owner while a call is under way.
func (r *run) perform(run func(*run) error) error {
	broken, err := r.breaks()
	if err != nil {
		return err
	}
	if broken != nil {
		r.cmd.caller = broken
	}
	err = run(r)
	if broken != nil {
		if fault := broken.wait(); fault != nil {
			return mistakeError{fault}
		}
	}
	for key := range r.cmd.keys {
		if !r.cmd.used[key] && err == nil {
			return mistake("%s does not know %q", r.cmd.name, key)
		}
	}
	return err
}

// breaks is what the keys break and middle say, nil without either.
func (r *run) breaks() (*breaking, error) {
	text, middle := r.cmd.text("middle", ""), true
	if text == "" {
		text, middle = r.cmd.text("break", ""), false
	}
	if text == "" {
		return nil, nil
	}
	fault, at, _ := strings.Cut(text, "@")
	n, err := strconv.Atoi(at)
	if err != nil || n < 1 {
		return nil, mistake("a fault at call %q", at)
	}
	box, ctx := r.cmd.box.id, r.cmd.ctx
	return &breaking{Caller: r.cmd.caller, left: n, middle: middle, do: func() error { return r.site.Do(ctx, fault, "owner", box) }}, nil
}

// breaking is a caller that has something done while a call is under way, which returns behind it.
type breaking struct {
	exmdb.Caller
	do func() error
	// middle: steps of the op that is hit have to have been answered before, and others to be asked for afterwards.
	middle bool

	mu     sync.Mutex
	left   int                // guarded by mu: calls until then
	steps  map[exmdb.OpID]int // guarded by mu: of each op, how many calls were answered before
	hit    exmdb.OpID         // guarded by mu: the op
	over   bool               // guarded by mu: it has been done
	behind int                // guarded by mu: calls of the op that began afterwards
	err    error              // guarded by mu
}

// Call implements exmdb.Caller.
func (b *breaking) Call(ctx context.Context, as exmdb.Identity, box mapi.MailboxID, op exmdb.OpInfo, req, resp any) error {
	hit := b.begins(op.ID)
	var work sync.WaitGroup
	if hit {
		work.Go(b.fault)
	}
	err := b.Caller.Call(ctx, as, box, op, req, resp)
	work.Wait()
	if err == nil && !hit {
		b.answered(op.ID)
	}
	return err
}

// begins counts a call, and reports whether it is the one.
func (b *breaking) begins(op exmdb.OpID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over && op == b.hit {
		b.behind++
	}
	if b.left--; b.left == 0 {
		b.hit = op
	}
	return b.left == 0
}

func (b *breaking) fault() {
	err := b.do()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err, b.over = err, true
}

func (b *breaking) answered(op exmdb.OpID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.steps == nil {
		b.steps = make(map[exmdb.OpID]int)
	}
	if !b.over {
		b.steps[op]++
	}
}

// wait is the fault's outcome; a command that made too few calls was not hit by it, or not in its middle.
func (b *breaking) wait() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.left > 0:
		return fmt.Errorf("the command ended %d calls before the fault", b.left)
	case b.middle && b.err == nil && (b.steps[b.hit] == 0 || b.behind == 0):
		return fmt.Errorf("the fault was not in the middle: %d steps before it and %d behind", b.steps[b.hit], b.behind)
	}
	return b.err
}
