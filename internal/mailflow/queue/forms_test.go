package queue

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mailflow"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

var rewrite = flag.Bool("rewrite", false, "write the golden file anew")

// TestFormsAreForEver holds every number of the queue that reaches disk or wire.
func TestFormsAreForEver(t *testing.T) {
	box := mapi.MailboxID{0: 1, 15: 2}
	got := []string{"# keys"}
	for _, k := range [][]byte{headerKey(), entryKey(prefixMail, 7), entryKey(prefixBody, 7), place{7, 1}.key(), orderKey(box, 8),
		boxKey(prefixLane, box), nextKey(time.Unix(1.8e9, 0), box)} {
		got = append(got, fmt.Sprintf("%x", k))
	}
	space := SpaceOf(0x01020304)
	got = append(got, "# space", space.String(), "# records")
	for _, r := range []any{header{}, mail{}, body{}, recipient{}, lane{}, KeepRequest{}, KeepResponse{}, ListRequest{}, ListResponse{}, EntryRequest{}} {
		got = append(got, wire.Describe(r)...)
	}
	got = append(got, "# ops")
	for _, h := range Handlers() {
		got = append(got, fmt.Sprintf("%d %s %d", h.ID, h.Name, h.Mode))
	}
	got = append(got, fmt.Sprintf("# due\n%d", DueSweep))
	text := strings.Join(got, "\n") + "\n"
	if *rewrite {
		if err := os.WriteFile("testdata/forms.golden", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/forms.golden")
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != text {
		t.Fatalf("numbers that are for ever have changed (-rewrite only adds):\n%s", text)
	}
}

func TestSpacesOfQueuesAreNoMailboxes(t *testing.T) {
	for _, g := range []cluster.GroupID{0, 1, 256, math.MaxUint32} {
		if got, ok := GroupOf(SpaceOf(g)); !ok || got != g {
			t.Errorf("group %d became %d, %v", g, got, ok)
		}
	}
	for range 1000 {
		if g, ok := GroupOf(cluster.SpaceID(mapi.NewMailboxID())); ok {
			t.Fatalf("a mailbox is taken for the queue of group %d", g)
		}
	}
	if id := SpaceOf(1); mapi.GUID(id)[7]&0xf0 == 0x40 {
		t.Error("a random GUID could be a queue's space")
	}
}

func TestKeysOrderAndComeBack(t *testing.T) {
	a, b := mapi.MailboxID{1}, mapi.MailboxID{2}
	ordered := [][]byte{orderKey(a, 1), orderKey(a, 256), orderKey(a, math.MaxUint64), orderKey(b, 0),
		nextKey(time.Unix(0, 0), b), nextKey(time.Unix(1, 0), a), nextKey(time.Unix(1, 1), a), nextKey(time.Unix(1.8e9, 0), a)}
	for i := range ordered[1:] {
		if bytes.Compare(ordered[i], ordered[i+1]) >= 0 {
			t.Errorf("%x does not come before %x", ordered[i], ordered[i+1])
		}
	}
	if n, err := parseOrder(orderKey(a, 1<<60)); err != nil || n != 1<<60 {
		t.Errorf("%d, %v", n, err)
	}
	at := time.Unix(1.8e9, 5).UTC()
	if got, box, err := parseNext(nextKey(at, b)); err != nil || !got.Equal(at) || box != b {
		t.Errorf("%v %v, %v", got, box, err)
	}
	if p, err := parsePlace(place{1 << 40, 9}.key()[1:]); err != nil || p != (place{1 << 40, 9}) {
		t.Errorf("%v, %v", p, err)
	}
	if got := behind([]byte{1, 0xff, 0xff}); !bytes.Equal(got, []byte{2}) {
		t.Errorf("behind: %x", got)
	}
	if behind([]byte{0xff}) != nil {
		t.Error("there is nothing behind the last")
	}
	if schema.PrefixContent <= prefixNext || schema.PrefixContent >= space.ReservedPrefix {
		t.Error("the counts of content meet the queue's own keys")
	}
}

func TestDamagedKeysAreTold(t *testing.T) {
	_, _, errNext := parseNext([]byte{prefixNext})
	_, errOrder := parseOrder([]byte{prefixOrder})
	_, errPlace := parsePlace(nil)
	for _, err := range []error{errNext, errOrder, errPlace} {
		if cluster.KindOf(err) != cluster.KindDamaged {
			t.Error(err)
		}
	}
}

func TestDelays(t *testing.T) {
	for failures, want := range map[uint32]time.Duration{0: 5 * time.Second, 1: 10 * time.Second, 7: 640 * time.Second, 8: 15 * time.Minute,
		16: 15 * time.Minute, math.MaxUint32: 15 * time.Minute} {
		if got := delay(failures); got != want {
			t.Errorf("after %d failures %v, want %v", failures, got, want)
		}
	}
}

func TestLongErrorsAreCut(t *testing.T) {
	if got := text(fmt.Errorf("é%s", strings.Repeat("ü\xff", 400))); len(got) > maxText+3 || !strings.HasSuffix(got, "…") || !json.Valid(fmt.Appendf(nil, "%q", got)) {
		t.Errorf("%d bytes: %q", len(got), got)
	}
	if got := text(cluster.ErrUnavailable); got != "unavailable" {
		t.Error(got)
	}
}

func TestNumbersAreTimesAndNeverFall(t *testing.T) {
	f := newFleet(t, 1)
	if _, err := f.queue.call(t.Context(), SpaceOf(1), OpOpen, nil); err != nil {
		t.Fatal(err)
	}
	var numbers []uint64
	draw := func() {
		_, err := f.Replicas[1].Update(t.Context(), SpaceOf(1), cluster.RequestID{}, func(w space.Writer) ([]byte, error) {
			numbers = numbers[:len(numbers):len(numbers)]
			return nil, change(w, func(s *spool) error {
				numbers = append(numbers, s.number(), s.number())
				return nil
			})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	draw()
	f.Pass(-time.Hour)
	draw()
	f.Pass(2 * time.Hour)
	draw()
	for i := range numbers[1:] {
		if numbers[i] >= numbers[i+1] {
			t.Errorf("%d then %d", numbers[i], numbers[i+1])
		}
	}
	if last := numbers[len(numbers)-2]; last != uint64(f.Now().UnixNano()) {
		t.Errorf("number %d is not its time", last)
	}
}

func TestUnknownWorkAndBrokenRequests(t *testing.T) {
	f := newFleet(t, 1)
	if err := f.work(1).PerformDue(t.Context(), SpaceOf(1), space.Due{Op: 99}); err == nil {
		t.Error("work of another number was done")
	}
	if _, err := f.queue.call(t.Context(), SpaceOf(1), OpOpen, nil); err != nil {
		t.Fatal(err)
	}
	for _, h := range Handlers() {
		if h.ID == OpOpen {
			continue
		}
		q := &ops.Request{Op: h.ID, Space: SpaceOf(1), Payload: []byte{0xff}}
		if _, err := f.Call(t.Context(), q, h.Mode); cluster.KindOf(err) != cluster.KindBadRequest {
			t.Errorf("%s: %v", h.Name, err)
		}
	}
	msg := exmdb.NewMessage{Recipe: exmdb.Recipe{Segments: []exmdb.Segment{{Raw: []byte("x"), Octets: 9}}}}
	_, err := f.queue.call(t.Context(), SpaceOf(1), OpKeep, &KeepRequest{Message: msg, To: []KeptRecipient{{}}})
	if cluster.KindOf(err) != exmdb.KindBadContent {
		t.Errorf("a recipe that does not hold together: %v", err)
	}
	if l := f.list(); len(l) != 0 {
		t.Errorf("refusals left %d entries", len(l))
	}
}

func FuzzEntryID(f *testing.F) {
	for _, s := range []string{"", "-", "3-", "3-dk3j5x", "03-1", "3-01", "3-1-1", "4294967296-1", "1-zzzzzzzzzzzzzz", "1--1", "+1-1", "1-A"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParseEntryID(s)
		if err != nil {
			if cluster.KindOf(err) != mailflow.KindNoEntry || id != (EntryID{}) {
				t.Fatalf("%v, %v", id, err)
			}
			return
		}
		if id.String() != s {
			t.Fatalf("%q became %q", s, id)
		}
		var again EntryID
		b, err := json.Marshal(id)
		if err != nil || json.Unmarshal(b, &again) != nil || again != id {
			t.Fatalf("%q: %s, %v", s, b, again)
		}
	})
}

func FuzzRecords(f *testing.F) {
	f.Add(wire.Marshal(&recipient{Address: "a@b", Number: 7, Failed: &failure{Text: "full", Kind: exmdb.KindOverQuota}, Trace: []byte("x")}))
	f.Add(wire.Marshal(&lane{Attempts: 3, Text: "down", Next: time.Unix(1, 0)}))
	f.Add(wire.Marshal(&body{Recipe: exmdb.Recipe{Segments: []exmdb.Segment{{Raw: []byte("x")}}}, Digest: []byte("d")}))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, r := range []any{new(header), new(mail), new(body), new(recipient), new(lane), new(KeepRequest), new(ListResponse)} {
			if wire.Unmarshal(b, r) != nil {
				continue
			}
			once := wire.Marshal(r)
			if err := wire.Unmarshal(once, r); err != nil || !bytes.Equal(wire.Marshal(r), once) {
				t.Fatalf("%T does not come back: %v", r, err)
			}
		}
		_, _, _ = parseNext(b)
		_, _ = parseOrder(b)
		_, _ = parsePlace(b)
	})
}
