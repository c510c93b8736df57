package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/clock"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/selftest/history"
)

// maxMessages is from how many on clients would rather remove messages than bring others.
const maxMessages = 25

// load is the clients of a run: those that work, and those that are told.
type load struct {
	w     *World
	log   *history.Log
	boxes []*mailbox

	mu     sync.Mutex
	number int                 // of the last mail; guarded by mu
	claims map[string]*claims  // by mailbox; guarded by mu
	known  map[string][]uint32 // UIDs that somebody has seen; guarded by mu
	lit    map[string][]claim  // flags whose setting was acknowledged; guarded by mu
}

func newLoad(w *World, log *history.Log, boxes []*mailbox) *load {
	l := &load{w: w, log: log, boxes: boxes, claims: map[string]*claims{}, known: map[string][]uint32{}, lit: map[string][]claim{}}
	for _, b := range boxes {
		l.claims[b.name] = &claims{taken: map[claim]bool{}}
	}
	return l
}

// user is a client that works on one mailbox after the other until ctx ends.
type user struct {
	*load
	name string
	rng  *rand.Rand
}

func (c *user) run(ctx context.Context) {
	for ctx.Err() == nil {
		if p := c.w.any(c.rng).process(); p != nil {
			c.once(p)
		}
		wait(ctx, time.Duration(c.rng.IntN(40))*time.Millisecond)
	}
}

// once does one operation through one node. The client's patience is at times less than a short fault lasts, so that
// operations are abandoned while they are under way.
func (c *user) once(p *process) {
	patience := []time.Duration{150 * time.Millisecond, 700 * time.Millisecond, 3 * time.Second, 8 * time.Second}[c.rng.IntN(4)]
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	b := c.boxes[c.rng.IntN(len(c.boxes))]
	r := history.Record{Client: c.name, Box: b.name, Node: string(p.node.id)}
	switch n := c.rng.IntN(100); {
	case n < 25:
		c.deliver(ctx, p, b, r)
	case n < 30:
		c.append(ctx, p, b, r)
	case n < 55:
		c.setFlag(ctx, p, b, r)
	case n < 62:
		c.clearFlag(ctx, p, b, r)
	case n < 70:
		c.expunge(ctx, p, b, r)
	default:
		c.read(ctx, p, b, r)
	}
}

func (c *user) nextNumber() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.number++
	return c.number
}

// deliver sends a mail as a mail server does: it sends it again when it does not know what became of it.
func (c *user) deliver(ctx context.Context, p *process, b *mailbox, r history.Record) {
	if c.crowded(b) {
		c.expunge(ctx, p, b, r)
		return
	}
	number := c.nextNumber()
	r.Op, r.Mail = history.Add, mailName(number)
	c.log.Do(r, func(r *history.Record) {
		maybe := false // an earlier try may have happened
		for try := 0; ; try++ {
			resp, err := b.deliver(ctx, p.caller, number)
			if settle(r, err); r.Outcome == history.Unknown {
				maybe = true
			} else if maybe && err != nil {
				r.Outcome = history.Unknown
			}
			if err == nil {
				r.UID, r.ModSeq = uint32(resp.UID), uint64(resp.ModSeq)
				if try > 0 {
					r.ModSeq = 0 // it may be the message's as it is by now
				}
				c.learn(b, r.UID)
			}
			if r.Outcome != history.Unknown || try == 2 || p.ctx.Err() != nil {
				return
			}
			again, cancel := context.WithTimeout(p.ctx, 3*time.Second)
			defer cancel()
			ctx = again
		}
	})
}

func (c *user) append(ctx context.Context, p *process, b *mailbox, r history.Record) {
	if c.crowded(b) {
		return
	}
	number := c.nextNumber()
	flag := flagNames[c.rng.IntN(len(flagNames))].name
	r.Op, r.Mail, r.Set = history.Add, mailName(number), []string{flag}
	c.log.Do(r, func(r *history.Record) {
		resp, err := b.append(ctx, p.caller, number, flag)
		if settle(r, err); err == nil {
			r.UID, r.ModSeq = uint32(resp.UID), uint64(resp.ModSeq)
		}
	})
}

func (c *user) setFlag(ctx context.Context, p *process, b *mailbox, r history.Record) {
	uid, ok := c.pick(b)
	flag := flagNames[c.rng.IntN(len(flagNames))].name
	if !ok || !c.claim(b, uid, "+"+flag) {
		return
	}
	r.Op, r.UID, r.Set = history.Flag, uid, []string{flag}
	done := c.log.Do(r, func(r *history.Record) {
		resp, err := b.flag(ctx, p.caller, uid, exmdb.FlagsAdd, flag)
		if settle(r, err); err == nil {
			r.ModSeq = uint64(resp.Last)
		}
	})
	if done.Outcome == history.OK {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.lit[b.name] = append(c.lit[b.name], claim{uid, flag})
	}
}

func (c *user) clearFlag(ctx context.Context, p *process, b *mailbox, r history.Record) {
	c.mu.Lock()
	lit := c.lit[b.name]
	if len(lit) == 0 {
		c.mu.Unlock()
		return
	}
	it := lit[0]
	c.lit[b.name] = lit[1:]
	c.mu.Unlock()
	r.Op, r.UID, r.Clear = history.Flag, it.uid, []string{it.what}
	c.log.Do(r, func(r *history.Record) {
		resp, err := b.flag(ctx, p.caller, it.uid, exmdb.FlagsRemove, it.what)
		if settle(r, err); err == nil {
			r.ModSeq = uint64(resp.Last)
		}
	})
}

func (c *user) expunge(ctx context.Context, p *process, b *mailbox, r history.Record) {
	uid, ok := c.pick(b)
	if !ok || !c.claim(b, uid, "expunge") {
		return
	}
	r.Op, r.UID = history.Expunge, uid
	c.log.Do(r, func(r *history.Record) {
		resp, err := b.expunge(ctx, p.caller, uid)
		if settle(r, err); err == nil && len(resp.Vanished) > 0 {
			r.ModSeq = uint64(resp.ModSeq)
		}
	})
}

func (c *user) read(ctx context.Context, p *process, b *mailbox, r history.Record) {
	r.Op = history.Read
	done := c.log.Do(r, func(r *history.Record) {
		resp, err := b.changes(ctx, p.caller, 0)
		if settle(r, err); err == nil {
			r.State = stateOf(resp)
		}
	})
	if done.State == nil {
		return
	}
	var uids []uint32
	for _, row := range done.State.Rows {
		uids = append(uids, row.UID)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known[b.name] = uids
}

func (l *load) learn(b *mailbox, uid uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if uid != 0 {
		l.known[b.name] = append(l.known[b.name], uid)
	}
}

func (l *load) crowded(b *mailbox) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.known[b.name]) > maxMessages
}

func (l *load) claim(b *mailbox, uid uint32, what string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.claims[b.name].take(uid, what)
}

func (c *user) pick(b *mailbox) (uid uint32, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.known[b.name]
	if len(known) == 0 {
		return 0, false
	}
	return known[c.rng.IntN(len(known))], true
}

// wait pauses for d or until ctx ends, which the caller looks at next.
func wait(ctx context.Context, d time.Duration) { _ = clock.System{}.Sleep(ctx, d) }

// watcher keeps a view of one mailbox by what it is told, and never looks on its own: a notification that is lost leaves it
// with what it had.
type watcher struct {
	w    *World
	box  *mailbox
	name string
	rng  *rand.Rand

	mu   sync.Mutex
	rows map[uint32]history.Row // guarded by mu
	at   mapi.Stamp             // guarded by mu
}

func (v *watcher) run(ctx context.Context) {
	var seq uint64
	for ctx.Err() == nil {
		p := v.w.any(v.rng).process()
		if p == nil {
			wait(ctx, 50*time.Millisecond)
			continue
		}
		seq = v.stay(ctx, p, seq)
		wait(ctx, 50*time.Millisecond)
	}
}

// stay watches through one node until that fails, or for the time a session lasts.
func (v *watcher) stay(ctx context.Context, p *process, seq uint64) uint64 {
	there, cancel := context.WithCancel(p.ctx)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	for there.Err() == nil {
		limited, end := context.WithTimeout(there, 20*time.Second)
		if seq == 0 || v.moved(there, p, seq) {
			resp, err := v.box.changes(limited, p.caller, v.stamp())
			if err == nil {
				v.see(resp)
				seq = resp.Sequence
				end()
				continue
			}
		}
		end()
		return seq
	}
	return seq
}

// moved waits until the mailbox has moved on.
func (v *watcher) moved(ctx context.Context, p *process, seq uint64) bool {
	resp, err := exmdb.Do(ctx, p.caller, v.box.owner, v.box.id, exmdb.OpWatch, &exmdb.WatchRequest{After: seq})
	return err == nil && resp.Sequence > seq
}

func (v *watcher) stamp() mapi.Stamp {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.at
}

func (v *watcher) see(resp *exmdb.ChangesResponse) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i := range resp.Rows {
		row := rowOf(&resp.Rows[i])
		v.rows[row.UID] = row
	}
	for _, gone := range resp.Vanished {
		for uid := gone.First; uid <= gone.Last; uid++ {
			delete(v.rows, uint32(uid))
		}
	}
	v.at = resp.Stamp
}

// view is what the watcher believes.
func (v *watcher) view(point int) history.Record {
	v.mu.Lock()
	defer v.mu.Unlock()
	s := &history.State{ModSeq: uint64(v.at)}
	for _, row := range v.rows {
		s.Rows = append(s.Rows, row)
	}
	sortRows(s.Rows)
	return history.Record{Client: v.name, Op: history.View, Box: v.box.name, Outcome: history.OK, State: s, Point: point}
}

func (l *load) newWatcher(i int, b *mailbox, rng *rand.Rand) *watcher {
	return &watcher{w: l.w, box: b, name: fmt.Sprintf("watcher%d", i+1), rng: rng, rows: map[uint32]history.Row{}}
}
