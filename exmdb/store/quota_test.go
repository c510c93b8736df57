package store

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// TestQuotaUnderConcurrency: many deliver, append and copy at once, and the mailbox is filled to the byte and no further.
func TestQuotaUnderConcurrency(t *testing.T) {
	one := text("0123456789")
	size := one.Recipe.Size()
	const room = 100
	b := newBox(t, room*size)
	b.config.QuotaWarn = 0
	b.deliver(one)
	var stored atomic.Int64
	stored.Add(1)
	var clients sync.WaitGroup
	for i := range 8 {
		clients.Go(func() {
			c := *b
			c.due = dueList{}
			for range 40 {
				var err error
				switch i % 3 {
				case 0:
					_, err = try(&c, exmdb.OpDeliver, &exmdb.DeliverRequest{Message: one})
				case 1:
					_, err = try(&c, exmdb.OpAppend, &exmdb.AppendRequest{Folder: schema.Sent, Message: one})
				default:
					_, err = try(&c, exmdb.OpCopy, &exmdb.CopyRequest{Folder: schema.Inbox, UIDs: ranges(1), Target: schema.Drafts})
				}
				switch {
				case err == nil:
					stored.Add(1)
				case cluster.KindOf(err) != exmdb.KindOverQuota:
					t.Error(err)
				}
			}
		})
	}
	clients.Wait()
	if is := b.info(); stored.Load() != room || is.Used != room*size || is.Messages != room {
		t.Errorf("%d were told that it is stored, %d messages of %d bytes are there, %d fit", stored.Load(), is.Messages, is.Used, room)
	}
	refused(b, exmdb.OpDeliver, &exmdb.DeliverRequest{Message: one}, exmdb.KindOverQuota)
}

// warnings are the warnings in the Inbox, as IMAP sees them.
func (b *box) warnings() (found []exmdb.Row) {
	b.t.Helper()
	for _, row := range b.rows(schema.Inbox) {
		if b.prop(mid(row.MID), mapi.PidTagMessageClass) == mapi.String(classQuotaWarning) {
			found = append(found, row)
		}
	}
	return found
}

// TestWarningOfQuota: who fills his mailbox is told once a day, in a mail that fits whatever the quota, until there is
// room again.
func TestWarningOfQuota(t *testing.T) {
	b := newBox(t, 10_000)
	m := large(3, 1000)
	fill := func() {
		for !b.full(9000) {
			b.deliver(m)
		}
	}
	// clear deletes the mails that are no warnings.
	clear := func() {
		warned := b.warnings()
		for _, row := range b.rows(schema.Inbox) {
			if !slices.ContainsFunc(warned, func(w exmdb.Row) bool { return w.UID == row.UID }) {
				call(b, exmdb.OpExpunge, &exmdb.ExpungeRequest{Folder: schema.Inbox, UIDs: ranges(row.UID), All: true})
			}
		}
	}
	pass := func(d time.Duration, want int) {
		t.Helper()
		b.now = b.now.Add(d)
		if b.work(); len(b.warnings()) != want {
			t.Fatalf("%d warnings, want %d", len(b.warnings()), want)
		}
	}
	for range 8 {
		b.deliver(m)
	}
	pass(0, 0)
	fill() // 9,126 of 10,000
	pass(0, 1)
	refused(b, exmdb.OpDeliver, &exmdb.DeliverRequest{Message: m}, exmdb.KindOverQuota)
	w := b.warnings()[0]
	if w.Flags.Bits != 0 || w.Size == 0 || len(w.Digest) == 0 || !w.Received.Equal(b.now) {
		t.Errorf("%+v", w)
	}
	octets := string(call(b, exmdb.OpReadBytes, &exmdb.ReadBytesRequest{Folder: schema.Inbox, UID: w.UID, Length: 100_000}).Data)
	body, _ := b.prop(mid(w.MID), mapi.PidTagBody).(mapi.String)
	if !strings.Contains(octets, "Subject: Your mailbox is almost full\r\n") || !strings.HasPrefix(string(body), "Your mailbox holds 9 KB of 10 KB.\r\n") {
		t.Errorf("%s\n%s", octets, body)
	}
	b.flags(exmdb.FlagsAdd, exmdb.FlagSeen, nil, 1) // any op will do
	pass(23*time.Hour, 1)
	pass(2*time.Hour, 2)
	pass(24*time.Hour, 3)
	clear()
	pass(25*time.Hour, 3)
	pass(10*24*time.Hour, 3)
	if len(b.due) != 1 { // the expunged messages
		t.Errorf("%d works wait for nothing", len(b.due))
	}
	fill()
	pass(0, 4)
	clear()
	pass(time.Hour, 4)
	fill()
	pass(0, 4) // full again on the same day
	pass(22*time.Hour, 4)
	pass(2*time.Hour, 5)
}

// full reports whether the mailbox holds so many bytes.
func (b *box) full(n uint64) bool { return b.info().Used >= n }

// TestLimitsOfAMailbox: a mailbox may have limits of its own for warning and sending; else they follow from its quota.
func TestLimitsOfAMailbox(t *testing.T) {
	b := newBox(t, 0)
	limits := func(q exmdb.SetQuotaRequest, warn, send uint64) {
		t.Helper()
		call(b, exmdb.OpSetQuota, &q)
		if is := b.info(); is.Quota != q.Quota || is.QuotaWarn != warn || is.QuotaSend != send {
			t.Errorf("%+v gives %d, %d, %d", q, is.Quota, is.QuotaWarn, is.QuotaSend)
		}
	}
	limits(exmdb.SetQuotaRequest{}, 0, 0)
	limits(exmdb.SetQuotaRequest{Quota: 1 << 40}, (1<<40)*9/10, 1<<40)
	limits(exmdb.SetQuotaRequest{Quota: 1<<64 - 1}, 16602069666338596453, 1<<64-1)
	limits(exmdb.SetQuotaRequest{Warn: 50_000, Send: 60_000}, 50_000, 60_000)
	limits(exmdb.SetQuotaRequest{Quota: 100 << 10, Warn: 50 << 10, Send: 60 << 10}, 50<<10, 60<<10)
	store := exmdb.ObjectID{}
	if b.prop(store, mapi.PidTagStorageQuotaLimit) != mapi.Integer32(50) || b.prop(store, mapi.PidTagProhibitSendQuota) != mapi.Integer32(60) ||
		b.prop(store, mapi.PidTagProhibitReceiveQuota) != mapi.Integer32(100) {
		t.Error("the limits are not in the mailbox's properties")
	}
	b.config.QuotaWarn = 0
	limits(exmdb.SetQuotaRequest{Quota: 1000}, 0, 1000)
	b.config.QuotaWarn = 900 // as if it were all
	limits(exmdb.SetQuotaRequest{Quota: 1000}, 1000, 1000)
	public := b.again(&exmdb.CreateMailboxRequest{Kind: exmdb.MailboxPublic, Quota: 10})
	call(public, exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: schema.IPMSubtree, Name: "x"})
	if len(public.due) != 0 {
		t.Error("a mailbox without an Inbox wants to warn its owner")
	}
}

// TestSendRights: who may send as the owner, who on his behalf, and from when on nobody.
func TestSendRights(t *testing.T) {
	b := newBox(t, 0)
	owner, delegate, group := mapi.NewGUID(), mapi.NewGUID(), mapi.NewGUID()
	b.ownedBy(owner)
	call(b, exmdb.OpSetDelegates, &exmdb.Delegates{Members: []exmdb.Delegate{{User: delegate, Name: "d", SeePrivate: true}, {User: group, SendOnBehalf: true}}})
	rights := func(as exmdb.Identity) exmdb.SendRights {
		t.Helper()
		c := *b
		c.as = as
		return *call(&c, exmdb.OpSendRights, &exmdb.Empty{})
	}
	for name, c := range map[string]struct {
		as                 exmdb.Identity
		own, behalf, hides bool
	}{
		"the owner":               {as: exmdb.Identity{User: owner, Privileges: exmdb.PrivilegeOwner}, own: true, behalf: true},
		"the system":              {as: exmdb.System, own: true, behalf: true},
		"a delegate":              {as: exmdb.Identity{User: delegate}},
		"a delegate by his group": {as: exmdb.Identity{User: mapi.NewGUID(), Groups: []mapi.GUID{group}}, behalf: true, hides: true},
		"both":                    {as: exmdb.Identity{User: delegate, Groups: []mapi.GUID{group}}, behalf: true},
		"full access":             {as: exmdb.Identity{User: mapi.NewGUID(), FullAccess: []mapi.GUID{owner}}},
		"send as":                 {as: exmdb.Identity{User: mapi.NewGUID(), SendAs: []mapi.GUID{owner}}, own: true, hides: true},
		"nobody":                  {as: exmdb.Identity{SendAs: []mapi.GUID{owner}}, hides: true},
		"a stranger":              {as: exmdb.Identity{User: mapi.NewGUID(), SendAs: []mapi.GUID{group}}, hides: true},
	} {
		if r := rights(c.as); r.As != c.own || r.OnBehalf != c.behalf || r.SeePrivate == c.hides || r.Full {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if got := call(b, exmdb.OpDelegates, &exmdb.Empty{}).Members; len(got) != 2 || got[0].Name != "d" || !got[1].SendOnBehalf {
		t.Errorf("%+v", got)
	}
	for name, bad := range map[string][]exmdb.Delegate{
		"nobody": {{}}, "one twice": {{User: group}, {User: group}}, "a long name": {{User: group, Name: string(make([]byte, maxLabel+1))}},
	} {
		if _, err := try(b, exmdb.OpSetDelegates, &exmdb.Delegates{Members: bad}); cluster.KindOf(err) != cluster.KindBadRequest {
			t.Errorf("%s: %v", name, err)
		}
	}
	refused(b, exmdb.OpSetDelegates, &exmdb.Delegates{Members: make([]exmdb.Delegate, maxDelegates+1)}, cluster.KindTooLarge)
	// The limit counts from its first byte on.
	b.deliver(large(3, 1000))
	call(b, exmdb.OpSetQuota, &exmdb.SetQuotaRequest{Send: b.info().Used + 1})
	if r := rights(exmdb.System); r.Full || r.Limit != r.Used+1 {
		t.Errorf("%+v", r)
	}
	call(b, exmdb.OpSetQuota, &exmdb.SetQuotaRequest{Send: b.info().Used})
	if r := rights(exmdb.System); !r.Full {
		t.Errorf("%+v", r)
	}
	if r := rights(exmdb.Identity{User: mapi.NewGUID()}); r.Used != 0 || r.Full {
		t.Errorf("a stranger learns %+v", r)
	}
	call(b, exmdb.OpChangeDelegate, &exmdb.DelegateChange{User: delegate, SendOnBehalf: new(true)})
	call(b, exmdb.OpChangeDelegate, &exmdb.DelegateChange{User: group, SendOnBehalf: new(false)})
	call(b, exmdb.OpChangeDelegate, &exmdb.DelegateChange{User: owner, Name: "o"})
	if got := call(b, exmdb.OpDelegates, &exmdb.Empty{}).Members; len(got) != 1 || got[0] != (exmdb.Delegate{User: delegate, Name: "d", SeePrivate: true, SendOnBehalf: true}) {
		t.Errorf("%+v", got)
	}
	refused(b, exmdb.OpChangeDelegate, &exmdb.DelegateChange{SendOnBehalf: new(true)}, cluster.KindBadRequest)
	call(b, exmdb.OpSetDelegates, &exmdb.Delegates{})
	b.view(func(v *view) error {
		stored, err := v.r.Get(schema.DelegatesKey())
		if stored != nil {
			t.Error("an empty list is stored")
		}
		return err
	})
}
