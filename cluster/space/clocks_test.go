package space

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
)

// TestOnceWhateverTheClocks sends writes whose answers are lost, from a node and by way of two owners whose clocks are
// each right, an hour ahead or an hour behind, and retries them at the second owner among other writes: each happens
// once and is answered as it was (CLUSTER 1.7).
func TestOnceWhateverTheClocks(t *testing.T) {
	offsets := []time.Duration{-time.Hour, 0, time.Hour}
	for _, first := range offsets {
		for _, next := range offsets {
			t.Run(fmt.Sprintf("owner %v, next %v", first, next), func(t *testing.T) { onceUnderClocks(t, first, next) })
		}
	}
}

func onceUnderClocks(t *testing.T, first, next time.Duration) {
	now, owner := time.Unix(1_700_000_000, 0), first
	r := openLocal(t, Config{Now: func() time.Time { return now.Add(owner) }})
	id := spaceN(1)
	create(t, r.Replica, id)
	runs := map[int]int{}
	write := func(n int, req cluster.RequestID) (string, error) {
		got, err := r.Update(context.Background(), id, req, func(w Writer) ([]byte, error) {
			runs[n]++
			w.Set(fmt.Append(nil, n), nil)
			return fmt.Append(nil, "answer ", n), nil
		})
		return string(got), err
	}
	var lost []cluster.RequestID
	for n := range 40 {
		now = now.Add(5 * time.Second)
		req := requestN(n + 1)
		r.Local.Fail(FaultLostAnswer)
		if _, err := write(n, req); !kindIs(err, cluster.KindUnknownOutcome) {
			t.Fatalf("write %d: %v", n, err)
		}
		lost = append(lost, req)
		if n == 20 {
			r.Local.Depose()
			r.LeadershipLost()
			r.Local.Elect()
			owner = next
		}
	}
	for n, req := range lost {
		now = now.Add(time.Second)
		if _, err := write(100+n, requestN(100+n)); err != nil {
			t.Fatalf("write between the retries: %v", err)
		}
		got, err := write(n, req)
		if err != nil || got != fmt.Sprint("answer ", n) || runs[n] != 1 {
			t.Fatalf("retry of %d: %q, %v, %d runs", n, got, err, runs[n])
		}
	}
}

// answersHeld counts what a space remembers.
func (f *feeder) answersHeld(id cluster.SpaceID) (n int) {
	f.t.Helper()
	lo := appendSpaceKey(nil, prefixRequest, id)
	it := f.m.db.NewIter(lo, prefixEnd(lo))
	for it.Next() {
		n++
	}
	check(f.t, it.Close())
	return n
}

// TestAnswersAreForgotten writes with an answer each, at several paces, and holds that each answer stays for at least
// what a retry may need, and that there are never more than those of two generations.
func TestAnswersAreForgotten(t *testing.T) {
	for _, c := range []struct {
		pace time.Duration
		held int // at most
	}{{10 * time.Second, 181}, {time.Minute, 31}, {2 * time.Minute, 16}, {time.Hour, 16}} {
		t.Run(c.pace.String(), func(t *testing.T) {
			f := feed(t)
			id := spaceN(1)
			f.apply(Done, encodePart(t, f.m, f.head(partCreate, id, 0), set("k", "v")))
			type kept struct {
				at  time.Time
				key []byte
			}
			var recent []kept
			for n := range 500 {
				f.wall = f.wall.Add(c.pace)
				f.apply(Done, effectPart(f.head(partUpdate, id, uint64(n+1)), &effect{answers: []answer{{requestIDN(n), nil}}}))
				hdr, err := readHeader(f.m.db, id)
				check(t, err)
				recent = append(recent, kept{f.wall, requestKey(id, hdr.generation(), requestIDN(n))})
				for f.wall.Sub(recent[0].at) > cluster.RequestKept {
					recent = recent[1:]
				}
				if f.key(recent[0].key) == nil {
					t.Fatalf("write %d: an answer was forgotten after %v", n, f.wall.Sub(recent[0].at))
				}
				if got := f.answersHeld(id); got > c.held {
					t.Fatalf("write %d: %d answers held", n, got)
				}
			}
		})
	}
}

// TestClockOfASpace holds what advance promises: a calendar that jumps ages answers by no more than maxStep, one that
// stands does not keep them for good.
func TestClockOfASpace(t *testing.T) {
	h := &header{wall: time.Unix(1_700_000_000, 0).UnixNano()}
	now := h.wall
	took := func(wall int64) time.Duration {
		before := h.clock
		h.advance(wall)
		return time.Duration(h.clock - before)
	}
	if got := took(now + int64(time.Second)); got != time.Second {
		t.Errorf("a second later: %v", got)
	}
	future := now + int64(80*365*24*time.Hour)
	if got := took(future); got != time.Duration(maxStep) {
		t.Errorf("a jump of a lifetime: %v", got)
	}
	began := h.generation()
	effects := 0
	for ; h.generation() < began+2; effects++ {
		h.advance(now)
	}
	if h.wall != future {
		t.Errorf("wall time went back to %v", time.Unix(0, h.wall))
	}
	if limit := int(2 * answersKept / minStep); effects > limit {
		t.Errorf("two generations took %d effects under a calendar that stands, want %d at most", effects, limit)
	}
}
