package store

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// talk is a mailbox in which a conversation is, and the action on it.
type talk struct {
	*box
	conversation              mapi.Value
	folder, store, categories mapi.Tag
	until                     mapi.Tag
	work                      mapi.FID
	action                    mapi.MID
}

func newTalk(t *testing.T) *talk {
	b := newBox(t, 0)
	c := &talk{box: b, work: b.newFolder("work")}
	c.folder, c.store = b.tagOf(mapi.PidLidConversationActionMoveFolderEid), b.tagOf(mapi.PidLidConversationActionMoveStoreEid)
	c.categories, c.until = b.tagOf(mapi.PidNameKeywords), b.tagOf(mapi.PidLidConversationActionMaxDeliveryTime)
	first := b.comes("")
	c.conversation = b.prop(mid(first.MID), mapi.PidTagConversationId)
	call(b, exmdb.OpDeleteMessages, &exmdb.DeleteMessagesRequest{Folder: schema.Inbox, Messages: []mapi.MID{first.MID}, Hard: true})
	return c
}

func (c *talk) entry(fid mapi.FID) mapi.Value {
	c.t.Helper()
	return c.prop(exmdb.ObjectID{Folder: fid}, mapi.PidTagEntryId)
}

// decide makes the action what props say and nothing else.
func (c *talk) decide(props ...any) {
	c.t.Helper()
	edit := exmdb.MessageEdit{Set: c.acting(c.conversation, props...)}
	if c.action == 0 {
		c.action = c.create(&exmdb.CreateMessageRequest{Folder: schema.ConversationActions, Associated: true, Message: edit}).MID
		return
	}
	for _, tag := range []mapi.Tag{c.folder, c.store, c.categories, c.until} {
		if edit.Set.Get(tag) == nil {
			edit.Delete = append(edit.Delete, tag)
		}
	}
	call(c.box, exmdb.OpSaveMessage, &exmdb.SaveMessageRequest{Message: c.action, Edit: edit})
}

// add puts a mail of the conversation into a folder, with a category.
func (c *talk) add(fid mapi.FID, keywords ...string) mapi.ObjectNumber {
	c.t.Helper()
	return call(c.box, exmdb.OpAppend, &exmdb.AppendRequest{Folder: fid, Message: c.incomingMail("").Message, Received: c.now, Flags: exmdb.Flags{Keywords: keywords}}).Object
}

// are says where messages are, with their categories.
func (c *talk) are(objects ...mapi.ObjectNumber) string {
	c.t.Helper()
	names := map[mapi.FID]string{schema.Inbox: "inbox", schema.Sent: "sent", schema.DeletedItems: "deleted", c.work: "work", schema.Drafts: "drafts",
		schema.Calendar: "calendar"}
	var all []string
	for _, o := range objects {
		at := call(c.box, exmdb.OpLocate, &exmdb.LocateRequest{Objects: []mapi.ObjectNumber{o}}).Messages
		if len(at) != 1 {
			c.t.Fatalf("object %d is in %d places", o, len(at))
		}
		keywords := slices.Sorted(slices.Values(at[0].Flags.Keywords))
		all = append(all, strings.TrimSuffix(names[at[0].Folder]+" "+strings.Join(keywords, ","), " "))
	}
	return strings.Join(all, "; ")
}

// TestConversationActionsOnThePast walks MS-OXOCFG 3.2.5.1: what each change of an action does to mail that is there.
func TestConversationActionsOnThePast(t *testing.T) {
	ignored := mapi.Binary{}
	for _, s := range []struct {
		what     string
		was, is  func(c *talk) []any // nil: there was no action
		want     string              // of mail in inbox, sent, deleted, work
		category string              // of all, before
	}{
		{"ignored", nil, func(c *talk) []any { return []any{c.folder, ignored} }, "deleted; sent; deleted; deleted", ""},
		{"ignored no more", func(c *talk) []any { return []any{c.folder, ignored} }, func(*talk) []any { return nil }, "inbox; sent; inbox; work", ""},
		{"filed", nil, func(c *talk) []any { return []any{c.folder, c.entry(c.work)} }, "work; sent; work; work", ""},
		{"filed no more", func(c *talk) []any { return []any{c.folder, c.entry(c.work)} }, func(*talk) []any { return nil }, "inbox; sent; deleted; work", ""},
		{"filed instead of ignored", func(c *talk) []any { return []any{c.folder, ignored} }, func(c *talk) []any { return []any{c.folder, c.entry(c.work)} },
			"work; sent; work; work", ""},
		{"filed in another store", nil, func(c *talk) []any { return []any{c.folder, c.entry(c.work), c.store, mapi.Binary("x")} },
			"inbox; sent; deleted; work", ""},
		{"filed where nothing is", nil, func(c *talk) []any { return []any{c.folder, mapi.Binary("x")} }, "inbox; sent; deleted; work", ""},
		{"categories", nil, func(c *talk) []any { return []any{c.categories, mapi.Strings{"Red"}} },
			"inbox Red,own; sent Red,own; deleted Red,own; work Red,own", "own"},
		{"other categories", func(c *talk) []any { return []any{c.categories, mapi.Strings{"Red", "own"}} },
			func(c *talk) []any { return []any{c.categories, mapi.Strings{"Red", "Blue"}} }, "inbox Blue; sent Blue; deleted Blue; work Blue", "own"},
		{"no categories", func(c *talk) []any { return []any{c.categories, mapi.Strings{"own"}} }, func(*talk) []any { return nil },
			"inbox; sent; deleted; work", "own"},
		{"both", nil, func(c *talk) []any { return []any{c.categories, mapi.Strings{"Red"}, c.folder, ignored} },
			"deleted Red; sent Red; deleted Red; deleted Red", ""},
		{"nothing that counts", func(c *talk) []any { return []any{c.folder, ignored} },
			func(c *talk) []any { return []any{c.folder, ignored, mapi.PidTagSubject, mapi.String("x")} }, "inbox; sent; deleted; work", ""},
		{"what the client did not do", nil, func(c *talk) []any {
			return []any{c.folder, ignored, c.until, mapi.FileTimeOf(c.now.Add(-time.Second))}
		},
			"deleted; sent; deleted; deleted", ""},
		{"what the client did", nil, func(c *talk) []any { return []any{c.folder, ignored, c.until, mapi.FileTimeOf(c.now)} },
			"inbox; sent; deleted; work", ""},
	} {
		t.Run(s.what, func(t *testing.T) {
			c := newTalk(t)
			if s.was != nil {
				c.decide(s.was(c)...)
				c.box.work()
			}
			var keywords []string
			if s.category != "" {
				keywords = []string{s.category}
			}
			mails := []mapi.ObjectNumber{c.add(schema.Inbox, keywords...), c.add(schema.Sent, keywords...), c.add(schema.DeletedItems, keywords...), c.add(c.work, keywords...)}
			other := call(c.box, exmdb.OpAppend, &exmdb.AppendRequest{Folder: schema.Inbox, Message: text("Subject: something else\r\n\r\n")}).Object
			draft := c.create(&exmdb.CreateMessageRequest{Folder: schema.Drafts, Message: exmdb.MessageEdit{Set: bagOf(mapi.PidTagSubject, mapi.String("RE: the offer"))}}).Object
			meeting := c.add(schema.Calendar)
			c.decide(s.is(c)...)
			c.box.work()
			if got := c.are(mails...); got != s.want {
				t.Errorf("%s, want %s", got, s.want)
			}
			if got := c.are(other, draft, meeting); got != "inbox; drafts; calendar" {
				t.Errorf("others: %s", got)
			}
			if n := c.pairs(schema.PrefixConversationWork); n != 0 {
				t.Errorf("%d works are left", n)
			}
			c.audit(s.what)
		})
	}
}

// once does one step of what is due, on a machine as slow as can be: each step is the least that one is.
func (c *talk) once() bool {
	c.t.Helper()
	c.config.StepTime = time.Nanosecond
	defer func() { c.config = steady() }()
	return c.workOnce()
}

// TestConversationActionsGoInSteps: a large mailbox takes many steps, between which others use it. What is decided anew
// meanwhile is done behind what is at work, as one; where mail was put meanwhile it stays.
func TestConversationActionsGoInSteps(t *testing.T) {
	t.Parallel()
	c := newTalk(t)
	const mails = 400
	var objects []mapi.ObjectNumber
	for i := range mails {
		objects = append(objects, c.add(schema.Inbox))
		c.mails(schema.Inbox, i%2)
	}
	c.decide(c.folder, mapi.Binary{}, c.categories, mapi.Strings{"Red"})
	if !c.once() || c.in(schema.DeletedItems) == 0 || c.in(schema.DeletedItems) > toCarry.least {
		t.Fatalf("%d moved in the first step", c.in(schema.DeletedItems))
	}
	back := objects[0]
	at := call(c.box, exmdb.OpLocate, &exmdb.LocateRequest{Objects: []mapi.ObjectNumber{back}}).Messages[0]
	call(c.box, exmdb.OpMoveMessages, &exmdb.CarryMessagesRequest{Folder: at.Folder, Messages: []mapi.MID{at.MID}, Target: schema.Inbox})
	late := c.add(schema.Inbox)
	steps := 1
	for c.once() {
		steps++
	}
	if c.are(back, late) != "inbox Red; inbox" || c.are(objects[1:]...) != strings.Repeat("deleted Red; ", mails-2)+"deleted Red" || steps < mails/toCarry.least {
		t.Errorf("%s, in %d steps", c.are(back, late), steps)
	}
	c.audit("ignored")

	c.decide(c.folder, c.entry(c.work)) // and no category
	c.once()
	c.decide(c.categories, mapi.Strings{"Blue"}) // it is filed no more, which moves nothing
	c.decide(c.categories, mapi.Strings{"Blue", "Green"}, c.folder, mapi.Binary{})
	c.decide(c.categories, mapi.Strings{"Green"})
	for c.once() {
		c.audit("between")
	}
	if got := c.are(objects...); got != strings.Repeat("work Green; ", mails-1)+"work Green" {
		t.Errorf("%.200s", got)
	}
	c.audit("over")
}

// in is how many messages are in a folder.
func (c *talk) in(fid mapi.FID) int { return int(c.box.folder(fid).Messages) }
