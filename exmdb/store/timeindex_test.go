package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/query"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// checkTimes holds the order of delivery of every folder against its rows, and returns how many blocks there are.
func (b *box) checkTimes(fids ...mapi.FID) (blocks int) {
	b.t.Helper()
	b.view(func(v *view) error {
		for _, fid := range fids {
			var want []schema.TimePlace
			err := v.scan(fid, nil, func(uid mapi.UID, stored []byte) (bool, error) {
				var row schema.Row
				err := row.UnmarshalWire(stored)
				want = append(want, schema.TimePlace{Received: row.Received, UID: uid})
				return true, err
			})
			if err != nil {
				return err
			}
			slices.SortFunc(want, schema.TimePlace.Compare)
			c, err := v.folderCounts(fid)
			deleted := err != nil
			if deleted && cluster.KindOf(err) != exmdb.KindNoFolder {
				return err
			}
			n, err := checkOrder(v.r, fid, want, c)
			if err != nil || !deleted && int(c.Messages) != len(want) {
				b.t.Fatalf("folder %#x of %d messages: %v; its counts say %d", uint64(fid), len(want), err, c.Messages)
			}
			blocks += n
		}
		return nil
	})
	return blocks
}

// checkOrder reads the keys and blocks of a folder.
func checkOrder(r space.Reader, fid mapi.FID, want []schema.TimePlace, c *schema.FolderCounts) (blocks int, err error) {
	var got []schema.TimePlace
	it := r.Iter(schema.TimeKey(fid, schema.TimePlace{}), timeEnd(schema.TimeKey, fid, nil))
	defer closing(it, &err)
	for it.Next() {
		p, err := schema.ParseTimeKey(it.Key())
		if err != nil {
			return 0, err
		}
		got = append(got, p)
	}
	if !slices.Equal(got, want) {
		return 0, fmt.Errorf("order %v, want %v", got, want)
	}
	list, err := recordsIn(r, schema.TimeBlockKey, fid, &timeBlock{})
	if err != nil {
		return 0, err
	}
	spans, err := recordsIn(r, schema.TimeSpanKey, fid, &timeBlock{})
	if err != nil {
		return 0, err
	}
	if len(spans) == 0 {
		spans = []timeBlock{{}}
	}
	if len(want) > 0 && len(list) == 0 {
		return 0, errors.New("no block")
	}
	if n := len(list); n > 0 && len(c.NewestBlock) > 0 && !slices.Equal(c.NewestBlock, list[n-1].lo.AppendBytes(nil)) {
		return 0, fmt.Errorf("the newest block is said to begin at %x, and does at %+v", c.NewestBlock, list[n-1].lo)
	}
	return len(list), checkCounts(list, spans, want)
}

// checkCounts holds blocks and spans against the order.
func checkCounts(list, spans []timeBlock, want []schema.TimePlace) error {
	if len(spans) == 1 && spans[0].lo != (schema.TimePlace{}) || len(list) > 0 && list[0].lo != (schema.TimePlace{}) {
		return fmt.Errorf("the blocks are %+v, the first span %+v", list, spans[0])
	}
	sum := 0
	for i := range list {
		b := &list[i]
		n := 0
		for len(want) > 0 && (b.hi == nil || want[0].Compare(*b.hi) < 0) {
			n++
			want = want[1:]
		}
		begins := len(spans) > 1 && spans[1].lo == b.lo
		if begins {
			if sum != spans[0].count || sum == 0 && spans[0].lo != (schema.TimePlace{}) {
				return fmt.Errorf("span %+v has %d", spans[0], sum)
			}
			spans, sum = spans[1:], 0
		}
		if sum += n; n != b.count || n == 0 && !begins && b.lo != (schema.TimePlace{}) {
			return fmt.Errorf("block %+v has %d", b, n)
		}
	}
	if len(spans) != 1 {
		return fmt.Errorf("span %+v begins at no block", spans[1])
	}
	return nil
}

// TestBlocksOfTime adds and removes random places in random batches, with blocks and spans so small that they are cut all the time.
func TestBlocksOfTime(t *testing.T) {
	b := newBox(t, 0)
	fid := mapi.LocalFID(0x1000)
	rapid.Check(t, func(t *rapid.T) {
		limits := timeLimits{rapid.IntRange(1, 6).Draw(t, "block"), rapid.IntRange(1, 6).Draw(t, "span")}
		have, c := make(map[schema.TimePlace]bool), &schema.FolderCounts{}
		b.update(func(tx *tx) error { tx.dropTimes(fid); return nil })
		for range rapid.IntRange(1, 8).Draw(t, "batches") {
			var steps []timeStep
			newest := rapid.Bool().Draw(t, "at the end")
			for i := range rapid.IntRange(0, 30).Draw(t, "steps") {
				p := schema.TimePlace{Received: mapi.FileTime(rapid.Uint64Range(0, 40).Draw(t, "time")), UID: mapi.UID(rapid.Uint32Range(0, 3).Draw(t, "uid"))}
				if newest {
					p = schema.TimePlace{Received: 50, UID: mapi.UID(len(have) + i)}
				}
				times := 1
				if have[p] {
					times = -1
				}
				have[p] = times > 0
				steps = append(steps, timeStep{p, times})
			}
			b.update(func(tx *tx) error {
				for _, s := range steps {
					if s.times > 0 {
						tx.w.Set(schema.TimeKey(fid, s.at), []byte{})
					} else {
						tx.w.Delete(schema.TimeKey(fid, s.at))
					}
				}
				slices.SortStableFunc(steps, func(a, b timeStep) int { return a.at.Compare(b.at) })
				return tx.countBlocks(fid, c, steps, limits)
			})
		}
		var want []schema.TimePlace
		for p, is := range have {
			if is {
				want = append(want, p)
			}
		}
		slices.SortFunc(want, schema.TimePlace.Compare)
		b.view(func(v *view) error {
			blocks, err := checkOrder(v.r, fid, want, c)
			if err != nil || blocks < len(want)/limits.block {
				t.Fatalf("%d blocks, %+v, %v", blocks, limits, err)
			}
			return nil
		})
	})
}

// TestOrderOfDelivery: whatever op writes, moves or removes messages keeps the order.
func TestOrderOfDelivery(t *testing.T) {
	b := newBox(t, 0)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	work := call(b, exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: schema.IPMSubtree, Name: "Work"}).Folder.FID
	gone := call(b, exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: schema.IPMSubtree, Name: "Gone"}).Folder.FID
	fids := []mapi.FID{schema.Inbox, work, gone}
	at := func() time.Time { return b.now.Add(-time.Duration(rnd.IntN(1000)) * time.Hour) }
	some := func() []exmdb.UIDRange {
		first := mapi.UID(1 + rnd.IntN(60))
		return []exmdb.UIDRange{{First: first, Last: first + mapi.UID(rnd.IntN(9))}}
	}
	var made []mapi.MID
	for range 300 {
		from, to := fids[rnd.IntN(3)], fids[rnd.IntN(3)]
		switch rnd.IntN(9) {
		case 0, 1:
			b.deliver(text("x"))
		case 2:
			call(b, exmdb.OpAppend, &exmdb.AppendRequest{Folder: from, Message: text("y"), Received: at()})
		case 3:
			call(b, exmdb.OpMove, &exmdb.CopyRequest{Folder: from, UIDs: some(), Target: to})
		case 4:
			call(b, exmdb.OpCopy, &exmdb.CopyRequest{Folder: from, UIDs: some(), Target: to})
		case 5:
			call(b, exmdb.OpExpunge, &exmdb.ExpungeRequest{Folder: from, UIDs: some(), All: true})
		case 6:
			made = append(made, b.create(&exmdb.CreateMessageRequest{Folder: from, Associated: rnd.IntN(3) == 0}).MID)
		case 7, 8:
			if len(made) == 0 {
				continue
			}
			// A time that is set moves the message, a subject changes its MIME form and so its UID.
			_, err := try(b, exmdb.OpWriteProps, &exmdb.WritePropsRequest{Object: mid(made[rnd.IntN(len(made))]),
				Set: bagOf(mapi.PidTagMessageDeliveryTime, mapi.FileTimeOf(at()), mapi.PidTagSubject, mapi.String(fmt.Sprint(rnd.Int())))})
			if err != nil && cluster.KindOf(err) != exmdb.KindNoMessage { // it has been moved or expunged
				t.Fatal(err)
			}
		}
		b.checkTimes(fids...)
	}
	mail := b.deliver(text("z"))
	b.write(mid(mail.MID), mapi.PidTagSubject, mapi.String("another"))
	b.checkTimes(fids...)
	call(b, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: gone})
	b.checkTimes(fids...)
	b.fill(work, 5000)
	b.now = b.now.Add(-time.Hour)
	b.fill(work, 5000)
	if n := b.checkTimes(work); n < 20 || n > 200 {
		t.Errorf("%d blocks of 10,000 messages", n)
	}
}

// TestPositionsInOrderOfDelivery: in a folder of several blocks each position is the row that is there, whether it is looked for
// from an end of the order or by the blocks, and the row's place leads back to it.
func TestPositionsInOrderOfDelivery(t *testing.T) {
	t.Parallel()
	b := newBox(t, 0)
	const n = blockMessages*spanBlocks + 1000
	b.fill(schema.Inbox, n)
	b.now = b.now.Add(-time.Hour)
	b.fill(schema.Inbox, 1000)
	if blocks := b.checkTimes(schema.Inbox); blocks <= spanBlocks {
		t.Fatalf("%d blocks", blocks)
	}
	b.view(func(v *view) error {
		spans, err := recordsIn(v.r, schema.TimeSpanKey, schema.Inbox, &timeBlock{})
		if err != nil || len(spans) < 2 {
			t.Fatalf("%d spans, %v", len(spans), err)
		}
		order, err := deliveryOrder(v, schema.Inbox)
		if err != nil {
			return err
		}
		for _, descending := range []bool{false, true} {
			for index := 0; index < len(order); index += 1 + index%5*197 {
				if err := checkPosition(v, order, index, descending); err != nil {
					t.Errorf("row %d of %d, descending %v: %v", index, len(order), descending, err)
				}
			}
		}
		return nil
	})
}

// deliveryOrder is the order of a folder, from the oldest on.
func deliveryOrder(v *view, fid mapi.FID) (order []schema.TimePlace, err error) {
	it := v.r.Iter(schema.TimeKey(fid, schema.TimePlace{}), timeEnd(schema.TimeKey, fid, nil))
	defer closing(it, &err)
	for it.Next() {
		p, err := schema.ParseTimeKey(it.Key())
		if err != nil {
			return nil, err
		}
		order = append(order, p)
	}
	return order, nil
}

// checkPosition looks for a row of the Inbox from in front of it, from behind it and by its place.
func checkPosition(v *view, order []schema.TimePlace, index int, descending bool) error {
	c, err := v.folderCounts(schema.Inbox)
	if err != nil {
		return err
	}
	src, err := v.messageSource(schema.Inbox, false, c)
	if err != nil {
		return err
	}
	want := order[index]
	if descending {
		want = order[len(order)-1-index]
	}
	for _, backward := range []bool{false, true} {
		table, from := &timeTable{messageSource: src, descending: descending}, index
		if backward {
			from++
		}
		met := 0
		err := table.Walk(from, backward, func(at int, it *query.Item) (bool, error) {
			met++
			place, err := schema.ParseTimePlace(it.Place.Key)
			if err != nil || at != index || place != want {
				return false, fmt.Errorf("row %d is %v, %v", at, place, err)
			}
			back, there, err := table.Locate(&it.Place)
			if err != nil || !there || back != index {
				return false, fmt.Errorf("its place leads to %d, %v, %v", back, there, err)
			}
			return false, nil
		})
		if err != nil || met != 1 {
			return fmt.Errorf("backward %v: %d rows, %v", backward, met, err)
		}
	}
	return nil
}
