package replica

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/store"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/testkit/mailboxes"
)

// accepted is a version of a message that the mailbox has taken.
type accepted struct {
	Item
	Version
	client mapi.GUID
	pcl    mapi.PCL
}

// world is some replicas of one mailbox, with what the rules are checked by.
type world struct {
	*rapid.T
	ctx      context.Context
	config   Config
	clock    time.Time
	replicas []*Client
	// origin leads from the id that a message has after a move to the one before.
	origin   map[mapi.GID]mapi.GID
	versions map[mapi.GID][]accepted
	n        int
}

func newWorld(t *rapid.T, ctx context.Context, config Config, replicas int) *world {
	w := &world{T: t, ctx: ctx, clock: time.Unix(1.7e9, 0).UTC(), origin: make(map[mapi.GID]mapi.GID), versions: make(map[mapi.GID][]accepted)}
	config.Now = func() time.Time {
		w.clock = w.clock.Add(time.Second)
		return w.clock
	}
	w.config = config
	for range replicas {
		w.replicas = append(w.replicas, w.join())
	}
	return w
}

// join makes another replica.
func (w *world) join() *Client {
	r, err := New(w.ctx, w.config)
	if err != nil {
		w.Fatal(err)
	}
	r.Imported = func(id mapi.GID, it Item, v Version) {
		pcl, err := mapi.ParsePCL([]byte(v.PCL))
		if err != nil {
			w.Fatal(err)
		}
		root := w.root(id)
		w.versions[root] = append(w.versions[root], accepted{it, v, r.GUID, pcl})
	}
	return r
}

// root is the id under which a message was made.
func (w *world) root(id mapi.GID) mapi.GID {
	for {
		before, moved := w.origin[id]
		if !moved {
			return id
		}
		id = before
	}
}

func (w *world) must(err error) {
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) item() Item {
	w.n++
	return Item{Subject: fmt.Sprintf("subject %d", w.n), Body: fmt.Sprintf("body %d", w.n), Importance: int32(w.n % 3)}
}

// names are few, so that they clash.
var names = []string{"Work", "Play", "Rest"}

// folder draws a folder of a replica, nil if it has none.
func (w *world) folder(r *Client) *Folder {
	list := r.Sorted()
	if len(list) == 0 {
		return nil
	}
	return list[rapid.IntRange(0, len(list)-1).Draw(w.T, "folder")]
}

// parent draws where a folder may go: not below itself.
func (w *world) parent(r *Client, f *Folder) mapi.GID {
	options := []mapi.GID{r.Top}
	below := r.Below(f.ID)
	for _, other := range r.Sorted() {
		if !slices.Contains(below, other.ID) {
			options = append(options, other.ID)
		}
	}
	return options[rapid.IntRange(0, len(options)-1).Draw(w.T, "parent")]
}

// edit does something in a replica, offline.
func (w *world) edit(r *Client) {
	if r.Exhausted() {
		return
	}
	f := w.folder(r)
	action := rapid.IntRange(0, 19).Draw(w.T, "action")
	if f == nil || action == 0 {
		parent := r.Top
		if f != nil && rapid.Bool().Draw(w.T, "nested") {
			parent = f.ID
		}
		r.CreateFolder(parent, rapid.SampledFrom(names).Draw(w.T, "name"))
		return
	}
	switch action {
	case 1:
		r.ChangeFolder(f, f.Parent, rapid.SampledFrom(names).Draw(w.T, "name"))
	case 2:
		r.ChangeFolder(f, w.parent(r, f), f.Name)
	case 3:
		r.DeleteFolder(f, rapid.Bool().Draw(w.T, "hard"))
	case 4, 5, 6:
		r.CreateMessage(f, w.item(), rapid.IntRange(0, 4).Draw(w.T, "associated") == 0)
	default:
		w.editMessage(r, f, action)
	}
}

func (w *world) editMessage(r *Client, f *Folder, action int) {
	var list []*Message
	for _, m := range f.Messages {
		list = append(list, m)
	}
	if len(list) == 0 {
		return
	}
	slices.SortFunc(list, func(a, b *Message) int { return int(int64(a.ID.Counter) - int64(b.ID.Counter)) })
	m := list[rapid.IntRange(0, len(list)-1).Draw(w.T, "message")]
	switch action {
	case 7, 8:
		r.DeleteMessage(f, m, rapid.Bool().Draw(w.T, "hard"))
	case 9, 10, 11:
		if to := w.folder(r); to != f {
			w.origin[r.MoveMessage(f, to, m).ID] = m.ID
		}
	case 12, 13, 14:
		r.MarkRead(f, m, rapid.Bool().Draw(w.T, "read"))
	default:
		r.EditMessage(f, m, w.item())
	}
}

// step is an edit, part of an upload, or a whole synchronisation of one replica.
func (w *world) step() {
	r := w.replicas[rapid.IntRange(0, len(w.replicas)-1).Draw(w.T, "replica")]
	switch rapid.IntRange(0, 9).Draw(w.T, "step") {
	case 0:
		_, err := r.Sync(w.ctx)
		w.must(err)
	case 1, 2:
		_, err := r.UploadNext(w.ctx)
		w.must(err)
	default:
		w.edit(r)
	}
}

// settle synchronises until nobody is told anything, which is after two rounds: in the first all is uploaded.
func (w *world) settle() {
	for round := 0; ; round++ {
		told := 0
		for _, r := range w.replicas {
			n, err := r.Sync(w.ctx)
			w.must(err)
			told += n
		}
		if round > 0 && told == 0 {
			return
		}
		if round > 2 {
			w.Fatalf("%d differences are told in round %d", told, round)
		}
	}
}

// check compares the replicas with one that downloads everything, and what there is with the rules of conflicts.
func (w *world) check() {
	truth := w.join()
	_, err := truth.Sync(w.ctx)
	w.must(err)
	want := truth.Tree()
	for i, r := range w.replicas {
		if got := r.Tree(); got != want {
			w.Fatalf("replica %d has\n%s\nthe mailbox\n%s", i, got, want)
		}
	}
	for _, f := range truth.Sorted() {
		for _, m := range f.Messages {
			w.checkVersions(m)
		}
	}
}

// checkVersions: the message knows of every version that was brought; versions upon which no other was made are in it, and
// the last written one is what it shows.
func (w *world) checkVersions(m *Message) {
	all := w.versions[w.root(m.ID)]
	final, err := mapi.ParsePCL([]byte(m.PCL))
	w.must(err)
	var last *accepted
	for i := range all {
		v := &all[i]
		if !final.Covers(v.pcl) {
			w.Fatalf("message %q does not know of the version %q", m.Subject, v.Subject)
		}
		if slices.ContainsFunc(all, func(o accepted) bool { return o.Subject != v.Subject && o.pcl.Covers(v.pcl) }) {
			continue
		}
		if last == nil || v.Modified.After(last.Modified) {
			last = v
		}
		if shown := m.Subject == v.Subject || contains(m.Rivals, v.Subject); !shown && !m.Associated {
			w.Fatalf("version %q is lost: message %+v", v.Subject, m)
		}
	}
	if last == nil || last.Subject != m.Subject || last.Body != m.Body || last.Importance != m.Importance {
		w.Fatalf("message %+v, the last version is %+v", m, last)
	}
}

// contains looks for a subject in a list of them.
func contains(list, subject string) bool {
	return strings.Contains(strings.Trim(list, "[]")+" ", subject+" ")
}

// TestThreeReplicasConverge is the promise of change synchronisation: whatever three offline clients do, and in whatever
// order it comes in, they end with the same, and then hear no more.
func TestThreeReplicasConverge(t *testing.T) {
	group := mailboxes.New(t, store.Defaults())
	ctx := t.Context()
	rapid.Check(t, func(rt *rapid.T) {
		box := group.Create(&exmdb.CreateMailboxRequest{Kind: exmdb.MailboxUser})
		root, err := exmdb.Do(ctx, group, exmdb.System, box, exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: mapi.LocalFID(9), Name: "Top"})
		if err != nil {
			rt.Fatal(err)
		}
		w := newWorld(rt, ctx, Config{Caller: group, As: exmdb.System, Box: box, Root: root.Folder.FID, Limit: rapid.SampledFrom([]uint32{0, 1, 3}).Draw(rt, "page")}, 3)
		for range rapid.IntRange(1, 80).Draw(rt, "steps") {
			w.step()
		}
		w.settle()
		w.check()
	})
}
