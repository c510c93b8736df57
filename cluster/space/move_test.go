package space

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
)

// passage is a space on its way between two groups, one step at a time.
type passage struct {
	*testing.T
	id       cluster.SpaceID
	move     MoveID
	epoch    uint64 // at the target
	from, to *LocalReplica
}

func openPassage(t *testing.T) *passage {
	p := &passage{T: t, id: spaceN(1), move: MoveID{1}, epoch: 2, from: openLocal(t, Config{}), to: openLocal(t, Config{})}
	create(t, p.from.Replica, p.id)
	return p
}

func (p *passage) must(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

func (p *passage) refused(err error, kind cluster.Kind) {
	p.Helper()
	if !kindIs(err, kind) {
		p.Fatalf("%v, want kind %d", err, kind)
	}
}

func (p *passage) begin() {
	p.Helper()
	p.must(p.from.BeginMove(p.Context(), p.id, p.epoch-1, p.move))
	start, err := p.from.MoveStart(p.id, p.move)
	p.must(err)
	p.must(p.to.Arrive(p.Context(), p.id, p.epoch, p.move, start))
}

func (p *passage) status() MoveStatus {
	p.Helper()
	s, err := p.to.MoveStatus(p.id)
	p.must(err)
	return s
}

// bring gives the target the content of a piece.
func (p *passage) bring(piece *Piece) {
	p.Helper()
	for _, h := range piece.Needs {
		stored, err := p.from.Stored(h)
		p.must(err)
		p.must(p.to.PutStored(p.Context(), p.id, h, stored))
	}
}

// piece copies one piece and reports whether more are to come.
func (p *passage) piece(limit int) bool {
	p.Helper()
	s := p.status()
	if !s.Copying {
		return false
	}
	piece, err := p.from.NextPiece(p.id, p.move, s, limit)
	p.must(err)
	p.bring(piece)
	p.must(p.to.ApplyCopy(p.Context(), p.id, p.epoch, piece.Body))
	return true
}

// replay does again what has happened so far.
func (p *passage) replay(whole uint64, limit int) {
	p.Helper()
	for {
		s := p.status()
		piece, err := p.from.NextEffects(p.id, p.move, s.Sequence, whole, limit)
		p.must(err)
		p.bring(piece)
		p.must(p.to.ApplyReplay(p.Context(), p.id, p.epoch, s.Sequence, piece.Body))
		if piece.Behind == 0 {
			return
		}
	}
}

func (p *passage) finish(attempt uint64) {
	p.Helper()
	p.must(p.from.FreezeMove(p.Context(), p.id, p.move, attempt))
	p.replay(attempt, 100)
	p.must(p.to.ActivateMove(p.Context(), p.id, Decision{p.move, p.epoch, attempt, 7}))
	p.must(p.from.LeaveMove(p.Context(), p.id, p.move))
}

// pairs is everything of the space that is moved.
func (p *passage) pairs(r *LocalReplica) string {
	p.Helper()
	var b bytes.Buffer
	for _, prefix := range []byte{prefixData, prefixRequest, prefixHeld} {
		lo := appendSpaceKey(nil, prefix, p.id)
		it := r.Machine().db.NewIter(lo, prefixEnd(lo))
		for ok := it.First(); ok; ok = it.Next() {
			if it.Key()[dataStart] != reservedOrigin {
				fmt.Fprintf(&b, "%x=%x\n", it.Key(), it.Value())
			}
		}
		p.must(it.Close())
	}
	hdr, err := readHeader(r.Machine().db, p.id)
	p.must(err)
	fmt.Fprintln(&b, hdr.sequence, hdr.wall, hdr.clock)
	return b.String()
}

func big(n int) []byte { return bytes.Repeat([]byte{byte(n)}, 2000+n) }

// TestMoveWhileWritten copies a space piece by piece while it is written to between them, and holds both copies against
// each other while nothing happens.
func TestMoveWhileWritten(t *testing.T) {
	p := openPassage(t)
	write := func(n int) {
		t.Helper()
		_, err := p.from.Update(t.Context(), p.id, requestN(n), func(w Writer) ([]byte, error) {
			w.Set(fmt.Appendf(nil, "k%02d", n%30), fmt.Appendf(nil, "value %d", n))
			w.DeleteRange(fmt.Appendf(nil, "k%02d", (n*7)%30), fmt.Appendf(nil, "k%02d", (n*7)%30+3))
			w.PutContent(big(n % 20))
			w.Unref(HashOf(big((n + 5) % 20)))
			w.Schedule(Due{At: time.Unix(int64(n), 0), Op: 3})
			if n%3 == 0 {
				w.Intend(Intent{Target: "queue", Op: 1, Payload: []byte{byte(n)}})
			}
			return fmt.Appendf(nil, "answer %d", n), nil
		})
		p.must(err)
	}
	for n := range 40 {
		write(n)
	}
	p.begin()
	n := 40
	for ; p.piece(300); n++ {
		write(n)
		if n%5 == 0 {
			_, err := p.from.Collect(t.Context())
			p.must(err)
		}
	}
	p.replay(0, 1000)
	write(n)
	p.must(p.from.FreezeMove(t.Context(), p.id, p.move, 1))
	_, err := p.from.Update(t.Context(), p.id, requestN(n+1), set("late", "x"))
	p.refused(err, cluster.KindMoving)
	p.replay(1, 1000)
	want := p.pairs(p.from)
	if got := p.pairs(p.to); got != want {
		t.Fatalf("the copy:\n%s\nthe space:\n%s", got, want)
	}
	p.refused(p.to.View(t.Context(), p.id, ReadLease, func(Reader) error { return nil }), cluster.KindMoving)
	p.finish(1)
	p.refused(p.from.View(t.Context(), p.id, ReadLease, func(Reader) error { return nil }), cluster.KindNoSpace)
	answer, err := p.to.Update(t.Context(), p.id, requestN(n), set("never", "x"))
	p.must(err)
	if want := fmt.Sprint("answer ", n); string(answer) != want {
		t.Fatalf("asked again the space answers %q, want %q", answer, want)
	}
	p.must(p.to.View(t.Context(), p.id, ReadLease, func(r Reader) error {
		if b, err := r.Content(HashOf(big(n % 20))); err != nil || !bytes.Equal(b, big(n%20)) || r.Epoch() != 2 {
			return fmt.Errorf("content of %d bytes, %w, epoch %d", len(b), err, r.Epoch())
		}
		return nil
	}))
}

// TestMoveBack lets a space return to where its content is still being let go of.
func TestMoveBack(t *testing.T) {
	p := openPassage(t)
	hold := func(w Writer) ([]byte, error) {
		w.PutContent(big(1))
		w.Intend(Intent{Target: "queue", Op: 1})
		return nil, nil
	}
	update(t, p.from.Replica, p.id, hold)
	p.begin()
	for p.piece(1 << 10) {
	}
	p.finish(1)
	update(t, p.to.Replica, p.id, func(w Writer) ([]byte, error) {
		w.Unref(HashOf(big(1)))
		w.PutContent(big(2))
		return nil, nil
	})
	p.from, p.to, p.move, p.epoch = p.to, p.from, MoveID{2}, 3
	p.begin()
	for p.piece(1 << 10) {
	}
	p.replay(0, 1000)
	if want, got := p.pairs(p.from), p.pairs(p.to); got != want {
		t.Fatalf("the copy:\n%s\nthe space:\n%s", got, want)
	}
	p.finish(1)
	list, _, err := NewPump(p.to.Replica, nil, WorkConfig{}).oldest(t.Context(), lane{p.id, "queue"})
	p.must(err)
	if len(list) != 1 || list[0].Origin != 7 {
		t.Fatalf("after the move the outbox holds %+v", list)
	}
	update(t, p.to.Replica, p.id, hold)
	list, _, err = NewPump(p.to.Replica, nil, WorkConfig{}).oldest(t.Context(), lane{p.id, "queue"})
	p.must(err)
	if len(list) != 2 || list[0].Origin != 7 || list[1].Origin != 0 {
		t.Fatalf("after the next intent it holds %+v", list)
	}
	_, err = p.to.Collect(t.Context())
	p.must(err)
	if has, err := p.to.HasContent(HashOf(big(2))); err != nil || !has {
		t.Fatalf("content of a space that came back was collected: %v", err)
	}
}

// TestFreezeIsGivenUp lets a move go on after a freeze that led to nothing, and be given up after another.
func TestFreezeIsGivenUp(t *testing.T) {
	p := openPassage(t)
	ctx := t.Context()
	p.begin()
	for p.piece(1 << 10) {
	}
	p.must(p.from.FreezeMove(ctx, p.id, p.move, 1))
	p.replay(1, 1000)
	if s := p.status(); !s.Whole || s.Attempt != 1 {
		t.Fatalf("after all of attempt 1 the target is %+v", s)
	}
	p.must(p.from.ThawMove(ctx, p.id, p.move, 1))
	p.must(p.from.ThawMove(ctx, p.id, p.move, 1))
	p.refused(p.from.FreezeMove(ctx, p.id, p.move, 1), cluster.KindNoSpace) // it comes late
	update(t, p.from.Replica, p.id, set("after", "thaw"))
	p.replay(0, 1000)
	p.refused(p.to.ActivateMove(ctx, p.id, Decision{p.move, p.epoch, 1, 7}), cluster.KindNoSpace)
	p.must(p.from.FreezeMove(ctx, p.id, p.move, 2))
	p.must(p.from.StayMove(ctx, p.id, p.move))
	p.must(p.to.DiscardMove(ctx, p.id, p.move))
	update(t, p.from.Replica, p.id, set("after", "stay"))
	start, err := p.from.MoveStart(p.id, p.move)
	p.refused(err, cluster.KindNoSpace)
	p.refused(p.from.FreezeMove(ctx, p.id, p.move, 3), cluster.KindNoSpace)
	p.refused(p.to.Arrive(ctx, p.id, p.epoch, p.move, start), cluster.KindBadRequest)
	p.move = MoveID{2} // the next move, under the same epoch
	p.begin()
	for p.piece(1 << 10) {
	}
	p.finish(1)
}

// TestPieceComesLate has two who carry one move: what the slower of them brings is refused.
func TestPieceComesLate(t *testing.T) {
	p := openPassage(t)
	update(t, p.from.Replica, p.id, func(w Writer) ([]byte, error) {
		for n := range 20 {
			w.Set([]byte{1, byte(n)}, []byte("old"))
		}
		return nil, nil
	})
	p.begin()
	late, err := p.from.NextPiece(p.id, p.move, p.status(), 100)
	p.must(err)
	update(t, p.from.Replica, p.id, set("\x01\x00", "new"))
	for p.piece(100) {
	}
	p.refused(p.to.ApplyCopy(t.Context(), p.id, p.epoch, late.Body), cluster.KindMoving)
	run, err := p.from.NextEffects(p.id, p.move, p.status().Sequence, 0, 1000)
	p.must(err)
	p.replay(0, 1000)
	p.refused(p.to.ApplyReplay(t.Context(), p.id, p.epoch, p.status().Sequence-1, run.Body), cluster.KindMoving)
	if want, got := p.pairs(p.from), p.pairs(p.to); got != want {
		t.Fatalf("the copy:\n%s\nthe space:\n%s", got, want)
	}
}

// TestLargeEffectsMove moves an effect and a value that fit no entry.
func TestLargeEffectsMove(t *testing.T) {
	p := openPassage(t)
	large := func(w Writer) ([]byte, error) {
		for n := range 3 {
			w.Set([]byte{byte(n) + 1, byte(w.Sequence())}, randomBytes(MaxEntry))
		}
		return nil, nil
	}
	update(t, p.from.Replica, p.id, large)
	p.begin()
	update(t, p.from.Replica, p.id, large)
	for p.piece(MaxEntry / 2) {
	}
	p.replay(0, MaxEntry/2)
	if want, got := p.pairs(p.from), p.pairs(p.to); got != want {
		t.Fatal("the copy differs from the space")
	}
	p.finish(1)
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	x := uint32(n) | 1
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = byte(x)
	}
	return b
}

// TestUploadsMove has content uploaded before a move, during it and too late, all of it for updates that come after it.
func TestUploadsMove(t *testing.T) {
	p := openPassage(t)
	put := func(r *LocalReplica, n int) error {
		u, err := r.UploadFor(t.Context(), p.id)
		p.must(err)
		_, err = u.Put(t.Context(), big(n))
		return errors.Join(err, u.Close())
	}
	names := func(late bool) map[Hash]bool {
		list, err := p.from.MoveUploads(p.id, p.move, late)
		p.must(err)
		p.bring(&Piece{Needs: list})
		m := map[Hash]bool{}
		for _, h := range list {
			m[h] = true
		}
		return m
	}
	other, err := p.from.Upload(t.Context()) // for nobody in particular
	p.must(err)
	_, err = other.Put(t.Context(), big(9))
	p.must(errors.Join(err, other.Close()))
	p.must(put(p.from, 1))
	p.begin()
	for p.piece(1 << 10) {
	}
	p.must(put(p.from, 2))
	p.must(put(p.from, 1)) // it is there, and wanted once more
	if all := names(false); len(all) != 2 || !all[HashOf(big(1))] || !all[HashOf(big(2))] {
		t.Fatalf("uploads of the space: %v", all)
	}
	p.must(put(p.from, 3))
	p.must(p.from.FreezeMove(t.Context(), p.id, p.move, 1))
	p.refused(put(p.from, 4), cluster.KindMoving)
	if late := names(true); len(late) != 3 || !late[HashOf(big(3))] {
		t.Fatalf("uploads since the move began: %v", late)
	}
	p.finish(1)
	update(t, p.to.Replica, p.id, func(w Writer) ([]byte, error) {
		for n := range 3 {
			w.Ref(HashOf(big(n + 1)))
		}
		return nil, nil
	})
}

// TestWatchEndsWithMoved has watchers told when the space leaves under them.
func TestWatchEndsWithMoved(t *testing.T) {
	p := openPassage(t)
	p.begin()
	for p.piece(1 << 10) {
	}
	ended := make(chan error, 1)
	go func() {
		_, err := p.from.WaitSequence(context.WithoutCancel(t.Context()), p.id, 1)
		ended <- err
	}()
	p.finish(1)
	if err := <-ended; !errors.Is(err, cluster.ErrMoving) && !errors.Is(err, cluster.ErrNoSpace) {
		t.Fatalf("the watch ended with %v", err)
	}
}
