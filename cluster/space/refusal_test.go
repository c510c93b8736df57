package space

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
)

// cutOff is a Replicator whose node believes that it leads, and that nobody confirms.
type cutOff struct{ *Local }

func (cutOff) BeginRead(context.Context, ReadMode) (func() error, error) {
	return nil, cluster.ErrUnavailable
}

var errFull = errors.New("mailbox is full")

// TestRefusalNeedsTheLease lets a leader that is cut off find reasons to refuse: it may give none of them, since the
// next leader's state is another (CLUSTER 4.1, 4.2).
func TestRefusalNeedsTheLease(t *testing.T) {
	r := openLocal(t, Config{})
	create(t, r.Replica, spaceN(1))
	alone := New(r.Machine(), cutOff{r.Local}, Config{})
	t.Cleanup(alone.Close)
	full := func(Writer) ([]byte, error) { return nil, errFull }
	for name, call := range map[string]func() error{
		"update":   func() error { _, err := alone.Update(t.Context(), spaceN(1), cluster.RequestID{}, full); return err },
		"create":   func() error { _, err := alone.Create(t.Context(), spaceN(2), 1, cluster.RequestID{}, full); return err },
		"no space": func() error { _, err := alone.Update(t.Context(), spaceN(3), cluster.RequestID{}, full); return err },
		"drop":     func() error { return alone.Drop(t.Context(), spaceN(4)) },
	} {
		if err := call(); !kindIs(err, cluster.KindUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// claim takes a name, once.
func claim(name string) UpdateFunc {
	return func(w Writer) ([]byte, error) {
		b, err := w.Get([]byte(name))
		if err != nil {
			return nil, err
		}
		if b != nil {
			return nil, cluster.Errorf(cluster.KindBadRequest, "%s is taken", name)
		}
		w.Set([]byte(name), []byte("taken"))
		return []byte("yours"), nil
	}
}

// TestRefusalNeedsWhatItSaw combines two that want one name. What the second is told holds only when the first one's
// write is there (CLUSTER 1.5).
func TestRefusalNeedsWhatItSaw(t *testing.T) {
	for _, c := range []struct {
		name          string
		fault         LocalFault
		first, second cluster.Kind // 0: success
		runs          int          // of the first
	}{
		{"done", FaultNone, 0, cluster.KindBadRequest, 1},
		{"void", FaultOvertaken, 0, cluster.KindBadRequest, 2},
		{"lost", FaultLostEntry, cluster.KindUnknownOutcome, cluster.KindUnavailable, 1},
		{"answer lost", FaultLostAnswer, cluster.KindUnknownOutcome, cluster.KindUnavailable, 1},
		{"refused", FaultRefused, cluster.KindOverloaded, cluster.KindOverloaded, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, g := openGated(t, Config{})
			ahead := start(t.Context(), r, cluster.RequestID{}, set("k", "v"))
			<-g.arrived
			runs := 0
			first := start(t.Context(), r, cluster.RequestID{}, func(w Writer) ([]byte, error) {
				runs++
				return claim("name")(w)
			})
			waitFor(t, "the first", func() bool { return r.callers() == 2 })
			second := start(t.Context(), r, cluster.RequestID{}, claim("name"))
			waitFor(t, "the second", func() bool { return r.callers() == 3 })
			g.Local.Fail(FaultNone, c.fault)
			g.pass <- struct{}{}
			for range c.runs {
				<-g.arrived
				g.pass <- struct{}{}
			}
			check(t, (<-ahead).err)
			wantOutcome(t, <-first, c.first)
			wantOutcome(t, <-second, c.second)
			if runs != c.runs {
				t.Errorf("the first ran %d times, want %d", runs, c.runs)
			}
		})
	}
}

func wantOutcome(t *testing.T, got outcome, kind cluster.Kind) {
	t.Helper()
	if kind == 0 {
		check(t, got.err)
		return
	}
	wantKind(t, got.err, kind)
}

// TestRefusalStandsOnOneState applies another effect between two reads of a function that refuses when they differ:
// it never sees the two together, and what it then says is that of another run.
func TestRefusalStandsOnOneState(t *testing.T) {
	read := func(w Writer, key string) ([]byte, error) { return w.Get([]byte(key)) }
	walk := func(w Writer, key string) (value []byte, err error) {
		it := w.Iter([]byte(key), append([]byte(key), 0))
		for it.Next() {
			value = bytes.Clone(it.Value())
		}
		return value, it.Close()
	}
	for name, second := range map[string]func(Writer, string) ([]byte, error){"get": read, "iterator": walk} {
		t.Run(name, func(t *testing.T) {
			r := openLocal(t, Config{})
			id := spaceN(1)
			create(t, r.Replica, id)
			create(t, r.Replica, spaceN(2))
			update(t, r.Replica, id, both("old"))
			late := New(r.Machine(), r.Local, Config{})
			t.Cleanup(late.Close)
			var seen []string
			runs := 0
			_, err := late.Update(t.Context(), id, cluster.RequestID{}, func(w Writer) ([]byte, error) {
				a, err := read(w, "a")
				if err != nil {
					return nil, err
				}
				if runs++; runs == 1 {
					update(t, r.Replica, spaceN(2), both("another space's"))
					if c, err := second(w, "a"); string(c) != "old" {
						t.Errorf("after an effect on another space: %q, %v", c, err)
					}
					update(t, r.Replica, id, both("new"))
				}
				b, err := second(w, "b")
				if err == nil {
					seen = append(seen, string(a)+" "+string(b))
				}
				return nil, errors.Join(errFull, err)
			})
			if !errors.Is(err, errFull) || errors.Is(err, errOvertaken) || len(seen) != 1 || seen[0] != "new new" {
				t.Fatalf("%v after seeing %q", err, seen)
			}
		})
	}
}

// both writes two keys that are always the same.
func both(value string) UpdateFunc {
	return func(w Writer) ([]byte, error) {
		w.Set([]byte("a"), []byte(value))
		w.Set([]byte("b"), []byte(value))
		return nil, nil
	}
}

// TestFunctionsSeeOneState lets two replicas of one machine overtake each other all the time.
func TestFunctionsSeeOneState(t *testing.T) {
	r := openLocal(t, Config{})
	id := spaceN(1)
	create(t, r.Replica, id)
	other := New(r.Machine(), r.Local, Config{})
	t.Cleanup(other.Close)
	const each = 200
	var wg sync.WaitGroup
	for _, replica := range []*Replica{r.Replica, other} {
		wg.Go(func() {
			for range each {
				_, err := replica.Update(t.Context(), id, cluster.RequestID{}, func(w Writer) ([]byte, error) {
					a, err := w.Get([]byte("a"))
					if err != nil {
						return nil, err
					}
					runtime.Gosched()
					b, err := w.Get([]byte("b"))
					if err == nil && !bytes.Equal(a, b) {
						t.Errorf("%d and %d bytes together", len(a), len(b))
					}
					return nil, errors.Join(err, errOf(both(string(a)+".")(w)))
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := len(get(t, r.Replica, id, "a")); n != 2*each {
		t.Fatalf("%d of %d updates are there", n, 2*each)
	}
}

func errOf(_ []byte, err error) error { return err }

// TestNoSpaceIsAskedAgain creates the space between the look at it and the refusal.
func TestNoSpaceIsAskedAgain(t *testing.T) {
	r := openLocal(t, Config{})
	o := &overtaking{Local: r.Local, before: func() { create(t, r.Replica, spaceN(1)) }}
	late := New(r.Machine(), o, Config{})
	t.Cleanup(late.Close)
	if got := update(t, late, spaceN(1), set("k", "v")); string(got) != "set k" {
		t.Fatalf("answer %q", got)
	}
}

// TestMissingContentSeenThroughAnother combines an update that refers to content nobody has, and names another, with
// one that follows the name. The first is refused; the second, run without it, finds no name.
func TestMissingContentSeenThroughAnother(t *testing.T) {
	r, g := openGated(t, Config{})
	ahead := start(t.Context(), r, cluster.RequestID{}, set("k", "v"))
	<-g.arrived
	name := sampleHash(1)
	first := start(t.Context(), r, cluster.RequestID{}, func(w Writer) ([]byte, error) {
		w.Ref(sampleHash(2))
		w.Set([]byte("body"), name[:])
		return nil, nil
	})
	waitFor(t, "the first", func() bool { return r.callers() == 2 })
	second := start(t.Context(), r, cluster.RequestID{}, func(w Writer) ([]byte, error) {
		b, err := w.Get([]byte("body"))
		if err != nil || b == nil {
			return []byte("no body"), err
		}
		w.Set([]byte("copy"), b)
		w.Ref(Hash(b))
		return []byte("copied"), nil
	})
	waitFor(t, "the second", func() bool { return r.callers() == 3 })
	close(g.pass)
	<-g.arrived
	check(t, (<-ahead).err)
	wantKind(t, (<-first).err, cluster.KindContentMissing)
	if got := <-second; got.err != nil || got.answer != "no body" {
		t.Fatalf("the second: %+v", got)
	}
}

// TestRefusalWaitsForThePartInDoubt asks again, by request id, for what was reported as unknown. The second run finds a
// reason to refuse, which is not what the caller may be told of an update that happens after all.
func TestRefusalWaitsForThePartInDoubt(t *testing.T) {
	for _, c := range []struct {
		name    string
		fault   LocalFault
		creates bool
		elects  bool // a new term comes before the second run
		happens bool
		entries uint64 // after the first that may have been the update's
	}{
		{"late", FaultLate, false, false, true, 2},
		{"late create", FaultLate, true, false, true, 2},
		{"lost", FaultLostEntry, false, false, false, 1},
		{"lost create", FaultLostEntry, true, false, false, 1},
		{"lost, next term", FaultLostEntry, false, true, false, 0},
		{"late, next term", FaultLate, false, true, true, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := openLocal(t, Config{})
			runs := 0
			u := Update{Space: spaceN(1), ID: requestN(1), Creates: c.creates, Epoch: 1, Func: func(w Writer) ([]byte, error) {
				if runs++; runs > 1 {
					return nil, errFull
				}
				w.Set([]byte("k"), []byte("v"))
				return []byte("done"), nil
			}}
			if !c.creates {
				create(t, r.Replica, u.Space)
			}
			r.Local.Fail(c.fault)
			before := r.Machine().Applied().Index
			_, err := r.Do(t.Context(), u)
			wantKind(t, err, cluster.KindUnknownOutcome)
			if c.elects {
				r.Local.Depose()
				r.LeadershipLost()
				r.Local.Elect()
			}
			for range 2 { // the doubt is settled once
				got, err := r.Do(t.Context(), u)
				if c.happens && (err != nil || string(got) != "done") || !c.happens && !errors.Is(err, errFull) {
					t.Fatalf("asked again: %q, %v after %d runs", got, err, runs)
				}
			}
			if n := r.Machine().Applied().Index - before; n != c.entries {
				t.Fatalf("%d entries, want %d", n, c.entries)
			}
		})
	}
}
