package space

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/flotilla-mail/flotilla/cluster"
)

// deliver lets the pump go through all lanes, whose steps meet faults.
func (w *world) deliver(t *rapid.T) {
	for _, source := range w.live() {
		for _, target := range slices.Sorted(maps.Keys(w.spaces[source].outbox)) {
			for more, err := true, error(nil); more && err == nil; {
				more, err = w.pump.perform(context.Background(), lane{source, target})
			}
			w.calm(t)
		}
	}
}

// live lists the spaces that are there, in order.
func (w *world) live() (ids []cluster.SpaceID) {
	for n := range 3 {
		if id := spaceN(n + 1); w.spaces[id] != nil {
			ids = append(ids, id)
		}
	}
	return ids
}

// Perform implements Performer: it adds the payload to what the target has received.
func (w *world) Perform(_ context.Context, source cluster.SpaceID, number uint64, in Intent) error {
	w.calm(w.t)
	target, err := cluster.ParseSpaceID(in.Target)
	check(w.t, err)
	err = w.work(target, "received", string(in.Payload), func(wr Writer) (bool, error) {
		done, err := Once(wr, source, number)
		return !done, err
	}, func() {
		list := w.spaces[source].outbox[in.Target]
		i := slices.IndexFunc(list, func(s sentIntent) bool { return s.payload == string(in.Payload) })
		if i < 0 || list[i].done || slices.ContainsFunc(list[:i], func(s sentIntent) bool { return !s.done }) {
			w.t.Fatalf("%s is performed out of turn: %v", in.Payload, list)
		}
		list[i].done = true
	})
	if rapid.IntRange(0, 3).Draw(w.t, "forgets to delete") == 0 {
		w.failAs(w.t, FaultLostAnswer, FaultLostEntry, FaultRefused, FaultLate)
	}
	return err
}

// PerformDue implements DuePerformer.
func (w *world) PerformDue(_ context.Context, id cluster.SpaceID, d Due) error {
	if rapid.IntRange(0, 3).Draw(w.t, "fails") == 0 {
		return errors.New("not now")
	}
	return w.work(id, "done", string(d.Key), func(wr Writer) (bool, error) { return Take(wr, d) }, func() {
		if _, ok := w.spaces[id].due[string(dueKey(d))]; !ok || d.At.After(w.now.Add(w.off)) {
			w.t.Fatalf("%v is done at %v, and was scheduled: %v", d, w.now.Add(w.off), ok)
		}
		delete(w.spaces[id].due, string(dueKey(d)))
	})
}

// work adds a word to a key of the space, under faults, if take says so, and calls then when that has happened.
func (w *world) work(id cluster.SpaceID, key, word string, take func(Writer) (bool, error), then func()) error {
	before := w.sequence(id)
	w.fail(w.t)
	took := false
	_, err := w.r.Update(context.Background(), id, cluster.RequestID{}, func(wr Writer) (_ []byte, err error) {
		if took, err = take(wr); !took || err != nil {
			return nil, err
		}
		b, err := wr.Get([]byte(key))
		wr.Set([]byte(key), append(append(b, ' '), word...))
		return nil, err
	})
	w.calm(w.t)
	if took && w.sequence(id) > before {
		then()
		w.spaces[id].pairs[key] += " " + word
	} else if took && err == nil {
		w.t.Fatalf("%s %s reported, and did not happen", key, word)
	}
	return err
}

// fallDue runs what is due; what remains of it must be set aside.
func (w *world) fallDue(t *rapid.T) {
	for _, id := range w.live() {
		now := w.now.Add(w.off)
		next, err := w.due.runSpace(context.Background(), id)
		check(t, err)
		var soonest time.Time
		for key, d := range w.spaces[id].due {
			at := d.At
			if !at.After(now) {
				set, ok := w.due.aside[id][key]
				if !ok {
					t.Fatalf("%v was left", d)
				}
				at = set.until
			}
			soonest = sooner(soonest, at)
		}
		if !soonest.IsZero() && (next.IsZero() || next.After(soonest)) {
			t.Fatalf("looks again at %v, more is due at %v", next, soonest)
		}
	}
}

// compareWork holds the outbox and the due index against the model.
func (w *world) compareWork(t *rapid.T, id cluster.SpaceID, model *modelSpace) {
	outbox, due := map[string][]string{}, map[string]bool{}
	err := w.r.View(context.Background(), id, ReadLease, func(v Reader) error {
		it := v.(*reader).iter([]byte{reservedOutbox}, []byte{reservedOutbox + 1})
		for it.Next() {
			n, err := decodeIntent(it.Key(), it.Value())
			check(t, err)
			outbox[n.Target] = append(outbox[n.Target], string(n.Payload))
		}
		check(t, it.Close())
		it = v.(*reader).iter([]byte{reservedDue}, []byte{reservedDue + 1})
		for it.Next() {
			due[string(it.Key())] = true
		}
		return it.Close()
	})
	check(t, err)
	for target, sent := range model.outbox {
		var all []string
		for _, s := range sent {
			all = append(all, s.payload)
		}
		gone := len(sent) - len(outbox[target])
		if gone < 0 || !slices.Equal(all[gone:], outbox[target]) {
			t.Fatalf("outbox for %s holds %s of %s", target, outbox[target], all)
		}
		for _, s := range sent[:gone] {
			if !s.done {
				t.Fatalf("%s is gone from the outbox for %s and was not performed", s.payload, target)
			}
		}
	}
	if got, want := slices.Sorted(maps.Keys(due)), slices.Sorted(maps.Keys(model.due)); !slices.Equal(got, want) {
		t.Fatalf("scheduled are %d works, want %d", len(got), len(want))
	}
}
