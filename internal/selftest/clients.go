package selftest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-smtp"

	"github.com/flotilla-mail/flotilla/frontends/admin/adminclient"
	"github.com/flotilla-mail/flotilla/internal/selftest/history"
)

// maxMessages is from how many on clients remove messages rather than bring others.
const maxMessages = 20

// load is what the clients of a run share.
type load struct {
	target *Target
	log    *history.Log
	boxes  []*mailbox
	done   atomic.Int64 // operations that ended well
	number atomic.Int64 // of the last mail

	mu     sync.Mutex
	taken  map[claim]bool // guarded by mu
	sizes  map[string]int // messages that the last reader of a mailbox saw; guarded by mu
	stays  map[string]int // messages of a mailbox that nobody may remove any more; guarded by mu
	lit    []claim        // flags that are set for certain and may be cleared; guarded by mu
	marked []claim        // messages that may be expunged; guarded by mu
}

// claim is what may be done once to a message: of an operation of unknown outcome it shows then whether it happened.
type claim struct {
	box  *mailbox
	uid  uint32
	what string
}

func newLoad(t *Target, log *history.Log, boxes []*mailbox) *load {
	return &load{target: t, log: log, boxes: boxes, taken: map[claim]bool{}, sizes: map[string]int{}, stays: map[string]int{}}
}

func (l *load) take(c claim) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.taken[c]
	l.taken[c] = true
	return !was
}

// pop takes the first of a list that fits.
func (l *load) pop(list *[]claim, fits func(claim) bool) (c claim, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.IndexFunc(*list, fits)
	if i < 0 {
		return c, false
	}
	c = (*list)[i]
	*list = slices.Delete(*list, i, i+1)
	return c, true
}

func (l *load) push(list *[]claim, c claim) {
	l.mu.Lock()
	defer l.mu.Unlock()
	*list = append(*list, c)
}

// crowd is how many messages of a mailbox clients have to do with. Without those that stay, a long run would come to an end: each
// mailbox would be full of messages that a client tried to remove once, and does not know with what success.
func (l *load) crowd(b *mailbox) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sizes[b.name] - l.stays[b.name]
}

// stay notes that a message may not be removed any more.
func (l *load) stay(b *mailbox) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stays[b.name]++
}

// user is one client. It keeps a session to one node for a while, then goes on with another mailbox at another.
type user struct {
	*load
	name string
	rng  *rand.Rand
	at   *session
	rows map[uint32][]string // flags of the messages that the session has shown; others it knows nothing of
	left int                 // operations until it goes on
}

func (u *user) run(ctx context.Context) {
	defer u.leave()
	for ctx.Err() == nil {
		u.once(ctx)
		rest(ctx, time.Duration(10+u.rng.IntN(60))*time.Millisecond)
	}
}

func (u *user) leave() {
	if u.at != nil {
		u.at.close()
		u.at = nil
	}
}

// once does one operation.
func (u *user) once(ctx context.Context) {
	if u.rng.IntN(100) < 30 {
		b := u.boxes[u.rng.IntN(len(u.boxes))]
		if u.crowd(b) < maxMessages {
			u.deliver(ctx, b)
		}
		return
	}
	if u.rng.IntN(100) < 5 {
		u.inspect(ctx, u.boxes[u.rng.IntN(len(u.boxes))])
		return
	}
	if !u.arrive(ctx) {
		return
	}
	u.left--
	ops := []struct {
		weight int
		do     func(context.Context) error
	}{{30, u.read}, {25, u.setFlag}, {12, u.clearFlag}, {16, u.mark}, {17, u.expunge}, {8, u.append}}
	n := u.rng.IntN(108)
	for _, op := range ops {
		if n -= op.weight; n < 0 {
			if op.do(ctx) != nil {
				u.leave()
			}
			return
		}
	}
}

// arrive has a session with a mailbox selected; false if there is none to be had now.
func (u *user) arrive(ctx context.Context) bool {
	if u.at != nil && u.left > 0 {
		return true
	}
	u.leave()
	n := u.target.Nodes[u.rng.IntN(len(u.target.Nodes))]
	s, err := u.target.open(ctx, n, u.boxes[u.rng.IntN(len(u.boxes))], nil)
	if err != nil {
		return false
	}
	u.at, u.left = s, 5+u.rng.IntN(20)
	return u.read(ctx) == nil
}

// record is what all operations of the session's have in common.
func (u *user) record(op history.Op) history.Record {
	return history.Record{Client: u.name, Op: op, Box: u.at.box.name, By: "imap", Node: u.at.node}
}

// perform does one operation of the session and notes it. Whatever error there is, the operation may have happened.
func (u *user) perform(ctx context.Context, r history.Record, do func(r *history.Record) error) error {
	var err error
	u.log.Do(r, func(r *history.Record) {
		err = u.at.within(context.WithoutCancel(ctx), answerTime, func() error { return do(r) })
		if r.Outcome = history.OK; err != nil {
			r.Outcome, r.Text = history.Unknown, err.Error()
		}
	})
	if err == nil {
		u.done.Add(1)
	}
	return err
}

func (u *user) read(ctx context.Context) error {
	return u.perform(ctx, u.record(history.Read), func(r *history.Record) (err error) {
		if r.State, r.Loose, err = u.at.read(); err != nil {
			return err
		}
		u.rows = map[uint32][]string{}
		for _, row := range r.State.Rows {
			u.rows[row.UID] = row.Flags
		}
		u.mu.Lock()
		defer u.mu.Unlock()
		u.sizes[u.at.box.name] = len(u.rows)
		return nil
	})
}

// flags are those that clients set and clear; \Deleted is set on what is to be expunged.
var flags = []string{`\Seen`, `\Answered`, `\Flagged`, "$Forwarded", "selftest"}

// pick is some message of the session's without a flag. To set one that is set would change nothing.
func (u *user) pick(without string) (uint32, bool) {
	var all []uint32
	for uid, flags := range u.rows {
		if !slices.Contains(flags, without) {
			all = append(all, uid)
		}
	}
	if len(all) == 0 {
		return 0, false
	}
	slices.Sort(all)
	return all[u.rng.IntN(len(all))], true
}

func (u *user) setFlag(ctx context.Context) error {
	return u.set(ctx, flags[u.rng.IntN(len(flags))], &u.lit)
}

// mark flags a message to be expunged, when there are enough.
func (u *user) mark(ctx context.Context) error {
	if u.crowd(u.at.box) < maxMessages/2 {
		return nil
	}
	return u.set(ctx, `\Deleted`, &u.marked)
}

// set sets a flag of some message that nobody has set there yet, and then puts it into a list.
func (u *user) set(ctx context.Context, flag string, then *[]claim) error {
	uid, ok := u.pick(flag)
	c := claim{u.at.box, uid, flag}
	if !ok || !u.take(c) {
		return nil
	}
	r := u.record(history.Flag)
	r.UID, r.Set = uid, []string{flag}
	err := u.perform(ctx, r, func(*history.Record) error { return u.at.flag(uid, imap.StoreFlagsAdd, flag) })
	switch {
	case err == nil:
		u.push(then, c)
	case then == &u.marked:
		u.stay(c.box)
	}
	return err
}

// here takes the first of a list that the session shows: a command for a message that it does not know does nothing.
func (u *user) here(list *[]claim) (claim, bool) {
	return u.pop(list, func(c claim) bool { return c.box == u.at.box && slices.Contains(u.rows[c.uid], c.what) })
}

func (u *user) clearFlag(ctx context.Context) error {
	c, ok := u.here(&u.lit)
	if !ok {
		return nil
	}
	r := u.record(history.Flag)
	r.UID, r.Clear = c.uid, []string{c.what}
	return u.perform(ctx, r, func(*history.Record) error { return u.at.flag(c.uid, imap.StoreFlagsDel, c.what) })
}

func (u *user) expunge(ctx context.Context) error {
	c, ok := u.here(&u.marked)
	if !ok {
		return nil
	}
	r := u.record(history.Expunge)
	r.UID = c.uid
	err := u.perform(ctx, r, func(*history.Record) error { return u.at.expunge(c.uid) })
	if err != nil {
		u.stay(c.box)
	}
	return err
}

func (u *user) append(ctx context.Context) error {
	if u.crowd(u.at.box) >= maxMessages {
		return nil
	}
	flag := flags[u.rng.IntN(len(flags))]
	r := u.record(history.Add)
	r.Mail, r.Set = u.nextMail(), []string{flag}
	return u.perform(ctx, r, func(r *history.Record) (err error) {
		r.UID, err = u.at.append(u.compose(u.at.box, r.Mail), flag)
		return err
	})
}

func (l *load) nextMail() string { return fmt.Sprintf("m%d", l.number.Add(1)) }

func (u *user) compose(b *mailbox, mail string) []byte {
	return fmt.Appendf(nil, "From: selftest@example.org\r\nTo: %s\r\nSubject: %s%s\r\nMessage-ID: <%s.%s@selftest.example.org>\r\n\r\n%s\r\n",
		b.address, subjectPrefix, mail, mail, b.name, strings.Repeat("0123456789abcdef\r\n", 1+u.rng.IntN(200)))
}

// deliveryTime is how long a mail is sent again until it is given up; each try goes to another node.
const deliveryTime = time.Minute

// deliver brings a mail by SMTP or LMTP, and sends it again until it is acknowledged, as a mail server does.
func (u *user) deliver(ctx context.Context, b *mailbox) {
	r := history.Record{Client: u.name, Op: history.Add, Box: b.name, Mail: u.nextMail(), By: "smtp"}
	octets := u.compose(b, r.Mail)
	u.log.Do(r, func(r *history.Record) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deliveryTime)
		defer cancel()
		for try := 0; ; try++ {
			n := u.target.Nodes[u.rng.IntN(len(u.target.Nodes))]
			lmtp := n.LMTP != "" && u.rng.IntN(2) == 0
			if r.Node, r.By = n.Name, "smtp"; lmtp {
				r.By = "lmtp"
			}
			err := u.send(ctx, n, lmtp, b, octets)
			var refused *smtp.SMTPError
			switch {
			case err == nil:
				r.Outcome = history.OK
				u.done.Add(1)
				return
			case errors.As(err, &refused) && refused.Code >= 500 && try == 0:
				r.Outcome, r.Text = history.Fail, err.Error()
				return
			case ctx.Err() != nil:
				r.Outcome, r.Text = history.Unknown, err.Error()
				return
			}
			rest(ctx, 50*time.Millisecond)
		}
	})
}

func (u *user) send(ctx context.Context, n Node, lmtp bool, b *mailbox, octets []byte) error {
	address, greet := n.SMTP, smtp.NewClient
	if lmtp {
		address, greet = n.LMTP, smtp.NewClientLMTP
	}
	conn, err := u.target.dial(ctx, address)
	if err != nil {
		return err
	}
	c := greet(conn)
	defer func() { _ = c.Close() }() // whatever became of the mail is known by then
	c.CommandTimeout, c.SubmissionTimeout = answerTime, answerTime
	if err := c.Hello("selftest.example.org"); err != nil {
		return err
	}
	if err := c.Mail("selftest@example.org", nil); err != nil {
		return err
	}
	if err := c.Rcpt(b.address, nil); err != nil {
		return err
	}
	d, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := d.Write(octets); err != nil {
		return errors.Join(err, d.Close())
	}
	return d.Close()
}

// inspect asks the admin API for a mailbox: its newest stamp never falls. It is not the Inbox's alone, so that it has a
// history of its own.
func (u *user) inspect(ctx context.Context, b *mailbox) {
	i := u.rng.IntN(len(u.target.Admin))
	r := history.Record{Client: u.name, Op: history.Read, Box: b.name + " as a whole", By: "admin", Loose: true}
	u.log.Do(r, func(r *history.Record) {
		limited, cancel := context.WithTimeout(ctx, answerTime)
		defer cancel()
		var answer struct{ Info struct{ Stamp uint64 } }
		err := u.target.Admin[i].Do(limited, "GET", "/v1/objects"+adminclient.Path(b.address)+"/mailbox", nil, &answer)
		if r.Outcome = history.OK; err != nil {
			r.Outcome, r.Text = history.Fail, err.Error()
			return
		}
		r.State = &history.State{ModSeq: answer.Info.Stamp}
		u.done.Add(1)
	})
}
