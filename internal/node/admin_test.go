package node

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/frontends/admin"
	"github.com/flotilla-mail/flotilla/internal/auth"
	"github.com/flotilla-mail/flotilla/internal/directory"
	"github.com/flotilla-mail/flotilla/internal/directory/builtin"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// townsfolk is a directory with the domain example.test and anna, who is also a@example.test.
func townsfolk(t *testing.T) builtin.Reader {
	t.Helper()
	rep := replicaInMemory(t)
	if _, err := rep.Create(t.Context(), builtin.Space, 1, cluster.RequestID{}, func(space.Writer) ([]byte, error) { return nil, nil }); err != nil {
		t.Fatal(err)
	}
	s := ops.NewServer(lone{rep}, ops.Events{}, builtin.Handlers())
	for _, x := range []struct {
		op  ops.ID
		req any
	}{
		{builtin.OpAddDomain, &builtin.DomainRequest{Name: "example.test"}},
		{builtin.OpAdd, &builtin.AddRequest{Object: directory.Object{Kind: directory.KindUser, Address: "anna@example.test", Aliases: []string{"a@example.test"}}}},
	} {
		if _, err := s.Serve(t.Context(), &ops.Request{Op: x.op, Space: builtin.Space, Epoch: 1, Payload: wire.Marshal(x.req)}); err != nil {
			t.Fatal(err)
		}
	}
	return builtin.Reader{System: rep}
}

// A refused add makes no mailbox: the node of this test has nothing that could make one.
func TestRefusedAddMakesNoMailbox(t *testing.T) {
	people := townsfolk(t)
	passwords, err := auth.NewPasswords(people, auth.Throttle{}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	b := backend{&Node{people: people, passwords: passwords}}
	many := make([]string, builtin.MaxAliases+1)
	for i := range many {
		many[i] = fmt.Sprintf("x%d@example.test", i)
	}
	for name, c := range map[string]struct {
		o    admin.NewObject
		kind cluster.Kind
	}{
		"no kind":         {admin.NewObject{Kind: "person", Address: "new@example.test"}, cluster.KindBadRequest},
		"no booking":      {admin.NewObject{Kind: "room", Address: "new@example.test", Booking: "never"}, cluster.KindBadRequest},
		"no zone":         {admin.NewObject{Kind: "user", Address: "new@example.test", Zone: "Europe/Nowhere"}, cluster.KindBadRequest},
		"this machine's":  {admin.NewObject{Kind: "user", Address: "new@example.test", Zone: "Local"}, cluster.KindBadRequest},
		"no address":      {admin.NewObject{Kind: "user", Address: "new"}, exmdb.KindBadAddress},
		"foreign domain":  {admin.NewObject{Kind: "user", Address: "new@example.org"}, exmdb.KindBadAddress},
		"taken":           {admin.NewObject{Kind: "shared", Address: "Anna@Example.TEST"}, exmdb.KindExists},
		"taken as alias":  {admin.NewObject{Kind: "user", Address: "a@example.test"}, exmdb.KindExists},
		"alias taken":     {admin.NewObject{Kind: "user", Address: "new@example.test", Aliases: []string{"n@example.test", "A@example.test"}}, exmdb.KindExists},
		"alias elsewhere": {admin.NewObject{Kind: "resource", Address: "new@example.test", Aliases: []string{"n@example.org"}}, exmdb.KindBadAddress},
		"alias twice":     {admin.NewObject{Kind: "user", Address: "new@example.test", Aliases: []string{"New@example.test"}}, exmdb.KindExists},
		"bad alias":       {admin.NewObject{Kind: "user", Address: "new@example.test", Aliases: []string{"x"}}, exmdb.KindBadAddress},
		"too many":        {admin.NewObject{Kind: "user", Address: "new@example.test", Aliases: many}, cluster.KindTooLarge},
		"long password":   {admin.NewObject{Kind: "user", Address: "new@example.test", Password: strings.Repeat("x", auth.MaxPassword+1)}, cluster.KindBadRequest},
	} {
		if o, err := b.AddObject(t.Context(), c.o); cluster.KindOf(err) != c.kind || err == nil {
			t.Errorf("%s: %+v, %v", name, o, err)
		}
	}
	if o, err := b.AddObject(t.Context(), admin.NewObject{Kind: "user", Address: "New@example.test", Check: true}); err != nil || o.Address != "new@example.test" {
		t.Errorf("one that could be made: %+v, %v", o, err)
	}
	if err := b.free(t.Context(), []string{"new@example.test", "n@example.test"}); err != nil {
		t.Errorf("addresses that nobody has: %v", err)
	}
}

// A zone is kept under one name, whichever it was given by.
func TestZonesByEitherName(t *testing.T) {
	for name, want := range map[string]string{"": "", "Europe/Berlin": "Europe/Berlin", "W. Europe Standard Time": "Europe/Berlin",
		"w. europe standard time": "Europe/Berlin", "UTC": "Etc/UTC"} {
		if got, err := zoneOf(name); err != nil || got != want {
			t.Errorf("%q is %q, %v", name, got, err)
		}
	}
	for _, name := range []string{"Nowhere", "Local", "../etc/passwd", " ", strings.Repeat("x", 1000)} {
		if got, err := zoneOf(name); cluster.KindOf(err) != cluster.KindBadRequest || err == nil {
			t.Errorf("%q is %q, %v", name, got, err)
		}
		if _, err := (backend{}).ChangeObject(t.Context(), "a@example.test", admin.Change{Zone: &name}); cluster.KindOf(err) != cluster.KindBadRequest || err == nil {
			t.Errorf("%q is set: %v", name, err)
		}
	}
}

// at is a node whose copy of the directory has come so far.
func at(node cluster.NodeID, seq uint64) Status {
	return Status{Node: node, Directory: seq, Groups: []GroupStatus{{Group: cluster.SystemGroup, CaughtUp: true}}}
}

func TestAwaitCopiesUntilAllHaveSeen(t *testing.T) {
	looks := 0
	err := awaitCopies(t.Context(), 7, func(context.Context) []Status {
		looks++
		all := []Status{at("a", 9), at("b", 6), {Node: "c", Err: "no answer"}}
		if looks == 3 {
			all[1] = at("b", 7)
		}
		return all
	})
	if err != nil || looks != 3 {
		t.Fatalf("%v after %d looks", err, looks)
	}
}

// The change is made: whoever waited too long is told so, and which nodes lag, not that the server has made a mistake.
func TestAwaitCopiesSaysWhoLags(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	looks := 0
	err := awaitCopies(ctx, 7, func(ctx context.Context) []Status {
		if looks++; looks == 2 {
			cancel()
			return []Status{{Node: "a", Err: ctx.Err().Error()}, {Node: "b", Err: ctx.Err().Error()}}
		}
		return []Status{at("a", 7), at("b", 6), at("c", 5)}
	})
	if cluster.KindOf(err) != cluster.KindDeadline || !strings.Contains(err.Error(), "the change is made") || !strings.Contains(err.Error(), "b, c") {
		t.Fatalf("%v", err)
	}
	gone, end := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer end()
	err = awaitCopies(gone, 7, func(context.Context) []Status { return nil })
	if cluster.KindOf(err) != cluster.KindDeadline {
		t.Fatalf("without a look: %v", err)
	}
}
