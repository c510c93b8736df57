package queue

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb/content"
	"github.com/flotilla-mail/flotilla/internal/mailflow"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

const (
	// firstDelay is the pause before the first attempt; it doubles with each failure up to lastDelay.
	firstDelay, lastDelay = 5 * time.Second, 15 * time.Minute
	// lifetime is how long a recipient is tried (RFC 5321 4.5.4.1 asks for four to five days).
	lifetime = 5 * 24 * time.Hour
	// lateAfter is when a sender of ours is told that a recipient still waits.
	lateAfter = 4 * time.Hour
	// brokenTries is how often a lane is held up by a mail that a mailbox meets with an error of its own.
	brokenTries = 10
)

// delay is the pause after so many failures in a row.
func delay(failures uint32) time.Duration {
	return min(firstDelay<<min(failures, 16), lastDelay)
}

// DueSweep is the one work of a queue's space in the due index: try what is to be tried.
const DueSweep = 1

func sweepAt(at time.Time) space.Due { return space.Due{At: at, Op: DueSweep} }

// spool is a queue's space as one update changes it. The space is due in the due index when its first lane is, and
// not at all without one: end sees to that.
type spool struct {
	w      space.Writer
	header header
	stored []byte
	// gone are the recipients that this update gives up, late those that it finds late: their senders are told.
	gone, late []news
}

// news is what a sender may be told of a recipient.
type news struct {
	entry   uint64
	address string
	err     error
	until   time.Time // of one that is late
}

// change runs fn on the spool and writes what it has moved, and what senders are to be told of it.
func change(w space.Writer, fn func(*spool) error) error {
	s := &spool{w: w}
	if _, err := load(w, headerKey(), &s.header); err != nil {
		return err
	}
	s.stored = wire.Marshal(&s.header)
	if err := fn(s); err != nil {
		return err
	}
	if err := s.report(); err != nil {
		return err
	}
	return s.end()
}

func (s *spool) end() error {
	key, _, err := first(s.w, []byte{prefixNext})
	if err != nil {
		return err
	}
	var due time.Time
	if key != nil {
		if due, _, err = parseNext(key); err != nil {
			return err
		}
	}
	if !due.Equal(s.header.Due) {
		if !s.header.Due.IsZero() {
			s.w.Unschedule(sweepAt(s.header.Due))
		}
		if !due.IsZero() {
			s.w.Schedule(sweepAt(due))
		}
		s.header.Due = due
	}
	if b := wire.Marshal(&s.header); !bytes.Equal(b, s.stored) {
		s.w.Set(headerKey(), b)
	}
	return nil
}

func (s *spool) set(key []byte, record any) { s.w.Set(key, wire.Marshal(record)) }

// number gives out a number. Numbers are times where they can be: one is old when its time is, and a space that came
// back from an older state gives none out twice, which a mailbox would take for a delivery made before.
func (s *spool) number() uint64 {
	s.header.Last = max(s.header.Last+1, nanoseconds(s.w.Now()))
	return s.header.Last
}

// keep takes a mail in as an entry.
func (s *spool) keep(entry uint64, q *KeepRequest) error {
	if len(q.To) == 0 {
		return cluster.Errorf(cluster.KindBadRequest, "mail for nobody")
	}
	inline, err := content.Check(&q.Message, math.MaxUint64) // how long a mail may be is said where it comes in
	if err != nil {
		return err
	}
	b := &body{Recipe: q.Message.Recipe, Digest: q.Message.Digest, Props: q.Message.Props, Converted: q.Message.Converted}
	hashes, err := b.hashes()
	if err != nil {
		return err
	}
	if err := content.Hold(s.w, hashes, inline); err != nil {
		return err
	}
	s.set(entryKey(prefixMail, entry), &mail{From: q.From, Received: q.Received, Size: q.Message.Recipe.Size(), Sender: q.Sender, Host: q.Host})
	s.set(entryKey(prefixBody, entry), b)
	pause := firstDelay
	if q.Source != (cluster.SpaceID{}) {
		pause = 0 // nobody has tried yet
	}
	for i := range q.To {
		to, p := &q.To[i], place{entry, uint32(i)}
		r := &recipient{Mailbox: to.Mailbox, Address: to.Address, Trace: to.Trace, Key: to.Key, About: to.About}
		if to.Kind != 0 {
			s.giveUp(p, r, &cluster.Error{Kind: to.Kind, Text: to.Text})
		} else if err := s.join(p, r, pause); err != nil {
			return err
		}
	}
	return nil
}

// join puts a recipient at the end of its mailbox's lane, which is tried after a pause if it is new.
func (s *spool) join(p place, r *recipient, pause time.Duration) error {
	r.Number, r.Failed = s.number(), nil
	s.set(p.key(), r)
	s.w.Set(orderKey(r.Mailbox, r.Number), p.key()[1:])
	l, found, err := s.lane(r.Mailbox)
	if err != nil || found {
		return err
	}
	l.Next = s.w.Now().Add(pause)
	s.setLane(r.Mailbox, l, time.Time{})
	return nil
}

func (s *spool) lane(box mapi.MailboxID) (*lane, bool, error) {
	l := new(lane)
	found, err := load(s.w, boxKey(prefixLane, box), l)
	return l, found, err
}

// setLane writes a lane that was to be tried at was, zero for a new one.
func (s *spool) setLane(box mapi.MailboxID, l *lane, was time.Time) {
	if !was.IsZero() {
		s.w.Delete(nextKey(was, box))
	}
	s.w.Set(nextKey(l.Next, box), nil)
	s.set(boxKey(prefixLane, box), l)
}

// leave takes a recipient out of its lane, and the lane away with the last. A lane that goes on does so without delay.
func (s *spool) leave(r *recipient) error {
	s.w.Delete(orderKey(r.Mailbox, r.Number))
	l, found, err := s.lane(r.Mailbox)
	if err != nil || !found {
		return err
	}
	more, _, err := first(s.w, boxKey(prefixOrder, r.Mailbox))
	switch {
	case err != nil:
		return err
	case more == nil:
		s.w.Delete(boxKey(prefixLane, r.Mailbox))
		s.w.Delete(nextKey(l.Next, r.Mailbox))
	case l.Attempts > 0:
		s.setLane(r.Mailbox, &lane{Next: l.Next, Told: l.Told, Unknown: l.Unknown}, l.Next)
	}
	return nil
}

// waiting reads a recipient; nil when it does not wait under that number any more: an administrator was faster.
func (s *spool) waiting(p place, number uint64) (*recipient, error) {
	r := new(recipient)
	found, err := load(s.w, p.key(), r)
	if err != nil || !found || r.Failed != nil || r.Number != number {
		return nil, err
	}
	return r, nil
}

// delivered ends a recipient, and the mail with its last.
func (s *spool) delivered(p place, number uint64) error {
	r, err := s.waiting(p, number)
	if err != nil || r == nil {
		return err
	}
	if err := s.leave(r); err != nil {
		return err
	}
	s.w.Delete(p.key())
	return s.removeEmpty(p.entry)
}

// removeEmpty lets go of a mail that has no recipients.
func (s *spool) removeEmpty(entry uint64) error {
	if more, _, err := first(s.w, entryKey(prefixRecipient, entry)); err != nil || more != nil {
		return err
	}
	var b body
	if _, err := load(s.w, entryKey(prefixBody, entry), &b); err != nil {
		return err
	}
	s.w.Delete(entryKey(prefixMail, entry))
	s.w.Delete(entryKey(prefixBody, entry))
	hashes, err := b.hashes()
	if err != nil {
		return err
	}
	return content.Release(s.w, hashes)
}

// fail gives up a recipient that waits.
func (s *spool) fail(p place, number uint64, why error) error {
	r, err := s.waiting(p, number)
	if err != nil || r == nil {
		return err
	}
	if err := s.leave(r); err != nil {
		return err
	}
	s.giveUp(p, r, why)
	return nil
}

// giveUp notes a recipient as one that stays, and is not tried.
func (s *spool) giveUp(p place, r *recipient, why error) {
	r.Failed = &failure{At: s.w.Now(), Kind: cluster.KindOf(why), Text: text(why)}
	s.set(p.key(), r)
	s.gone = append(s.gone, news{entry: p.entry, address: r.Address, err: why})
}

// maxText bounds what is kept of an error, for an administrator to read.
const maxText = 300

func text(err error) string {
	s := strings.ToValidUTF8(err.Error(), "?")
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "") + "…"
	}
	return s
}

// postpone notes that a mailbox could not be delivered to. Who has waited for long is late, for too long given up.
func (s *spool) postpone(box mapi.MailboxID, why error) error {
	before, found, err := s.lane(box)
	if err != nil || !found {
		return err
	}
	if err := s.expire(box, why); err != nil {
		return err
	}
	l, found, err := s.lane(box)
	if err != nil || !found {
		return err
	}
	if err := s.findLate(box, l, why); err != nil {
		return err
	}
	now, was := s.w.Now(), l.Next
	l.Next, l.Attempts = now.Add(delay(before.Attempts)), before.Attempts+1
	l.Tried, l.Kind, l.Text = now, cluster.KindOf(why), text(why)
	s.setLane(box, l, was)
	return nil
}

// newsAtOnce bounds what one update has reports written of: the others' time comes with their next attempt.
const newsAtOnce = 100

// waitingFor lists who waits for a mailbox since more than age and has a number above the given one, as many as there may
// be news of.
func (s *spool) waitingFor(box mapi.MailboxID, age time.Duration, above uint64) (places []place, numbers []uint64, err error) {
	old := nanoseconds(s.w.Now().Add(-age))
	err = each(s.w, boxKey(prefixOrder, box), orderKey(box, above), func(key, value []byte) (bool, error) {
		number, err := parseOrder(key)
		if err != nil || number > old || len(s.gone)+len(s.late)+len(places) >= newsAtOnce {
			return false, err
		}
		p, err := parsePlace(value)
		places, numbers = append(places, p), append(numbers, number)
		return true, err
	})
	return places, numbers, err
}

// findLate notes once of each recipient in a lane that it is late.
func (s *spool) findLate(box mapi.MailboxID, l *lane, why error) error {
	places, numbers, err := s.waitingFor(box, lateAfter, l.Told)
	for i := 0; i < len(places) && err == nil; i++ {
		var r *recipient
		if r, err = s.waiting(places[i], numbers[i]); r != nil {
			until := time.Unix(0, int64(numbers[i])).UTC().Add(lifetime)
			s.late = append(s.late, news{places[i].entry, r.Address, why, until})
		}
		l.Told = numbers[i]
	}
	return err
}

// expire gives up who waits for a mailbox since more than the lifetime.
func (s *spool) expire(box mapi.MailboxID, why error) error {
	places, numbers, err := s.waitingFor(box, lifetime, 0)
	for i := 0; i < len(places) && err == nil; i++ {
		err = s.fail(places[i], numbers[i], fmt.Errorf("given up after %d days: %w", lifetime/(24*time.Hour), why))
	}
	return err
}

// recipients reads all recipients of a mail.
func recipients(r space.Reader, entry uint64) (places []place, all []*recipient, err error) {
	err = each(r, entryKey(prefixRecipient, entry), nil, func(key, value []byte) (bool, error) {
		p, err := parsePlace(key[1:])
		if err != nil {
			return false, err
		}
		one := new(recipient)
		if err := wire.Unmarshal(value, one); err != nil {
			return false, damaged(err.Error(), key)
		}
		places, all = append(places, p), append(all, one)
		return true, nil
	})
	if err == nil && len(all) == 0 {
		err = cluster.Errorf(mailflow.KindNoEntry, "the queue has no such entry")
	}
	return places, all, err
}

// retry has every recipient of a mail tried now that has a mailbox.
func (s *spool) retry(entry uint64) error {
	places, all, err := recipients(s.w, entry)
	for i := 0; i < len(all) && err == nil; i++ {
		if all[i].Failed != nil && !all[i].Mailbox.IsZero() {
			err = s.join(places[i], all[i], firstDelay)
		}
		if err == nil {
			err = s.hurry(all[i].Mailbox)
		}
	}
	return err
}

// hurry makes a lane one that is tried now, as if it had not failed before.
func (s *spool) hurry(box mapi.MailboxID) error {
	l, found, err := s.lane(box)
	if err != nil || !found {
		return err
	}
	was := l.Next
	l.Next, l.Attempts = s.w.Now(), 0
	s.setLane(box, l, was)
	return nil
}

// remove takes a mail out.
func (s *spool) remove(entry uint64) error {
	places, all, err := recipients(s.w, entry)
	if err != nil {
		return err
	}
	for i, r := range all {
		if r.Failed == nil {
			if err := s.leave(r); err != nil {
				return err
			}
		}
		s.w.Delete(places[i].key())
	}
	return s.removeEmpty(entry)
}
