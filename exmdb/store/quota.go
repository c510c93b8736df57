package store

import (
	"fmt"
	"math/bits"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Quotas count what is in folders, associated messages included, and nothing that is soft-deleted. Ops of a mailbox run
// one after the other, so a limit is kept to the byte whoever stores at the same time.

// DueQuotaWarning is the work at a time that warns the owner of a mailbox that is nearly full. It has no key. The number
// is on disk.
const DueQuotaWarning uint16 = 5

// warnEvery is how long the owner is left alone after a warning.
const warnEvery = 24 * time.Hour

func setQuota(t *tx, req *exmdb.SetQuotaRequest) (*exmdb.Empty, error) {
	t.header.Quota, t.header.QuotaWarn, t.header.QuotaSend = req.Quota, req.Warn, req.Send
	t.set(schema.HeaderKey(), &t.header)
	return &exmdb.Empty{}, nil
}

// room refuses what would not fit into the quota.
func (v *view) room(size uint64) error {
	if q := v.header.Quota; q != 0 && !v.beyondQuota && (v.counters.Used > q || size > q-v.counters.Used) {
		return cluster.Errorf(exmdb.KindOverQuota, "mailbox holds %d of %d bytes, %d more do not fit", v.counters.Used, q, size)
	}
	return nil
}

// roomForAll reports whether all that a folder holds fits once more. Then no step of a copy has to add up what is left of it.
func (v *view) roomForAll(fid mapi.FID) (bool, error) {
	if v.header.Quota == 0 {
		return true, nil
	}
	c, err := v.folderCounts(fid)
	if err != nil {
		return false, err
	}
	return v.room(c.Used+c.AssociatedUsed) == nil, nil
}

// warnLimit is from how many bytes on the owner is warned, zero for never.
func (v *view) warnLimit() uint64 {
	if v.header.QuotaWarn != 0 {
		return v.header.QuotaWarn
	}
	hi, lo := bits.Mul64(v.header.Quota, uint64(min(max(v.config.QuotaWarn, 0), 100)))
	share, _ := bits.Div64(hi, lo, 100)
	return share
}

// sendLimit is from how many bytes on the owner may not send, zero for never.
func (v *view) sendLimit() uint64 {
	if v.header.QuotaSend != 0 {
		return v.header.QuotaSend
	}
	return v.header.Quota
}

// nearlyFull reports whether the owner is to be warned.
func (v *view) nearlyFull() bool {
	limit := v.warnLimit()
	return limit != 0 && v.counters.Used >= limit && schema.Fixed(schema.Inbox).In(v.header.Kind)
}

// watchQuota has the owner warned when an op has filled the mailbox beyond its limit, and not twice in a day.
func (t *tx) watchQuota() {
	if !t.counters.WarnDue.IsZero() || !t.nearlyFull() {
		return
	}
	t.counters.WarnDue = t.now
	if next := t.counters.Warned.Add(warnEvery); next.After(t.now) {
		t.counters.WarnDue = next
	}
	t.w.Schedule(space.Due{At: t.counters.WarnDue, Op: DueQuotaWarning})
}

// warnOfQuota is DueQuotaWarning: the next warning is a day away while the mailbox stays that full. There is always room
// for a warning.
func (t *tx) warnOfQuota(key []byte) error {
	if len(key) != 0 {
		return schema.ErrBadKey
	}
	t.counters.WarnDue = time.Time{}
	if !t.nearlyFull() {
		return nil
	}
	t.counters.Warned = t.now
	return t.beyond(func() error { return t.notice(t.quotaWarning()) })
}

// beyond has fn store what it does whatever the quota.
func (t *tx) beyond(fn func() error) error {
	was := t.beyondQuota
	t.beyondQuota = true
	err := fn()
	t.beyondQuota = was
	return err
}

// classQuotaWarning is the message class by which clients know a warning (MS-OXCSTOR has none; it is Exchange's).
const classQuotaWarning = "IPM.Note.StorageQuotaWarning.Warning"

// importanceHigh is a value of PidTagImportance (MS-OXCMSG 2.2.1.11).
const importanceHigh = 2

// quotaWarning is the mail that warns the owner.
func (v *view) quotaWarning() *mapi.PropBag {
	text := fmt.Sprintf("Your mailbox holds %s", megabytes(v.counters.Used))
	if v.header.Quota != 0 {
		text += fmt.Sprintf(" of %s", megabytes(v.header.Quota))
	}
	text += ".\r\n\r\nPlease delete what you do not need any more, and empty the folder\r\nDeleted Items."
	if q := v.sendLimit(); q != 0 {
		text += fmt.Sprintf(" From %s on you cannot send mail.", megabytes(q))
	}
	if v.header.Quota != 0 {
		text += "\r\nWhen the mailbox is full, mail to you goes back to its senders."
	}
	bag := new(mapi.PropBag)
	bag.Set(mapi.PidTagMessageClass, mapi.String(classQuotaWarning))
	bag.Set(mapi.PidTagNormalizedSubject, mapi.String("Your mailbox is almost full"))
	bag.Set(mapi.PidTagBody, mapi.String(text+"\r\n"))
	bag.Set(mapi.PidTagImportance, mapi.Integer32(importanceHigh))
	for _, of := range []personTags{author, sender} {
		bag.Set(of[1], mapi.String("Mailbox"))
	}
	return bag
}

func megabytes(n uint64) string {
	if n < 10<<20 {
		return fmt.Sprintf("%d KB", (n+1<<10-1)>>10)
	}
	return fmt.Sprintf("%d MB", n>>20)
}

// notice puts a mail of the mailbox's own into the Inbox.
func (t *tx) notice(bag *mapi.PropBag) error {
	d, err := t.newDraft(schema.Inbox, &exmdb.Payload{})
	if err != nil {
		return err
	}
	d.begin(0)
	d.after.row.Bits &^= schema.RowBits(exmdb.FlagSeen | exmdb.FlagDraft)
	if err := d.apply(&exmdb.MessageEdit{Set: *bag}); err != nil {
		return err
	}
	return d.arrive()
}
