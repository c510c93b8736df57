// Package selftest tries a running cluster: clients over SMTP, LMTP, IMAP and the admin API use mailboxes that it makes for
// that, faults come if they are asked for and the cluster takes them, and what the clients saw is judged as a history.
//
// It knows the protocols as a client does and a dev cluster as an administrator; it never looks inside a node. Mailboxes
// that it made are removed whatever happens, and bear its mark.
package selftest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/flotilla-mail/flotilla/internal/selftest/history"
)

// Config says what a run is. The zero value of each field means its default.
type Config struct {
	Target *Target
	// Duration is how long clients work, default a minute; making mailboxes, settling and judging come on top.
	Duration time.Duration
	// Mailboxes and Clients are how many there are, default 12 and 16.
	Mailboxes, Clients int
	// Faults come one after the other when Trouble is set, which needs a dev cluster; empty are all kinds.
	Trouble bool
	Faults  []Kind
	// Least is how many faults come at the least, however long that takes.
	Least int
	// Seed decides what clients and faults do, as far as answers let them; 0 draws one.
	Seed uint64
	// History is the file that is written; it must not be there yet.
	History string
	// Lateness is how late a notification may be once nothing happens any more, and how long replicas may take to catch up;
	// default a minute.
	Lateness time.Duration
	// MaxGap, when it is set, is the longest that a client's protocol may be unavailable.
	MaxGap time.Duration
	// Progress is told about once a second how it goes; it may be nil.
	Progress func(Progress)
}

// Progress is how far a run has come.
type Progress struct {
	Phase      string
	Elapsed    time.Duration
	Operations int64
	Faults     int
	Now        string // the fault that is under way
}

// Report is what a run showed.
type Report struct {
	Verdict *history.Verdict `json:"verdict"`
	Seed    uint64           `json:"seed"`
	Seconds float64          `json:"seconds"`
	Faults  map[Kind]int     `json:"faults,omitempty"`
	// Slowest is the longest that an acknowledged operation took, in milliseconds.
	Slowest float64 `json:"slowest_ms"`
	// Gaps are the longest times for which a mailbox was unavailable, in milliseconds, by protocol; MaxGap is the bound, if one
	// was set, and Beyond the protocols for which it was longer.
	Gaps    map[string]float64 `json:"gaps_ms"`
	MaxGap  float64            `json:"max_gap_ms,omitempty"`
	Beyond  []string           `json:"beyond,omitempty"`
	History string             `json:"history"`
}

// OK says that every promise was kept, and no protocol unavailable for longer than it may be.
func (r *Report) OK() bool { return r.Verdict.OK() && len(r.Beyond) == 0 }

func (c *Config) defaults() error {
	if c.Duration == 0 {
		c.Duration = time.Minute
	}
	if c.Mailboxes == 0 {
		c.Mailboxes = 12
	}
	if c.Clients == 0 {
		c.Clients = 16
	}
	if c.Lateness == 0 {
		c.Lateness = time.Minute
	}
	for c.Seed == 0 {
		c.Seed = rand.Uint64()
	}
	if c.Trouble && c.Target.Dev == nil {
		return errors.New("faults are for dev clusters only")
	}
	var err error
	c.Faults, err = chosen(c.Faults)
	return err
}

// checkTime is how long an order is looked for in each mailbox's history.
const checkTime = 2 * time.Minute

// run is one self-test.
type run struct {
	Config
	log      *history.Log
	load     *load
	watchers []*watcher
	began    time.Time
	faults   map[Kind]int // of the goroutine of trouble, and after its end

	mu    sync.Mutex
	phase string // guarded by mu
	now   string // guarded by mu
	count int    // of faults; guarded by mu
}

// Run tries the cluster. The error says why there is no verdict.
func Run(ctx context.Context, c Config) (report *Report, err error) {
	if err := c.defaults(); err != nil {
		return nil, err
	}
	if err := c.Target.Ready(ctx); err != nil {
		return nil, err
	}
	r := &run{Config: c, began: time.Now(), faults: map[Kind]int{}}
	if r.log, err = history.Create(c.History); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.log.Close()) }()
	showing, done := context.WithCancel(ctx)
	var shown sync.WaitGroup
	shown.Go(func() { r.show(showing) })
	defer shown.Wait()
	defer done()
	r.enter("making mailboxes")
	boxes, err := c.Target.make(ctx, c.Mailboxes)
	defer func() {
		r.enter("removing mailboxes")
		err = errors.Join(err, c.Target.remove(ctx, boxes))
	}()
	if err != nil {
		return nil, err
	}
	if err := r.work(ctx, boxes); err != nil {
		return nil, err
	}
	return r.judge(), ctx.Err()
}

func (r *run) enter(phase string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.phase, r.now = phase, ""
}

// show tells of the progress until ctx ends.
func (r *run) show(ctx context.Context) {
	if r.Progress == nil {
		return
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		r.mu.Lock()
		p := Progress{Phase: r.phase, Elapsed: time.Since(r.began), Faults: r.count, Now: r.now}
		if r.load != nil {
			p.Operations = r.load.done.Load()
		}
		r.mu.Unlock()
		r.Progress(p)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// work lets clients and faults loose, and reads everything once they have ended.
func (r *run) work(ctx context.Context, boxes []*mailbox) error {
	r.mu.Lock()
	r.load = newLoad(r.Target, r.log, boxes)
	r.mu.Unlock()
	watching, unwatch := context.WithCancel(ctx)
	var told sync.WaitGroup
	defer told.Wait()
	defer unwatch()
	for i, b := range boxes {
		w := newWatcher(r.Target, b, i)
		r.watchers = append(r.watchers, w)
		told.Go(func() { w.run(watching) })
	}
	if err := r.war(ctx); err != nil {
		return err
	}
	r.enter("settling")
	return r.settle(ctx)
}

// war lets the clients work for the time there is, and faults come meanwhile. The clients go on until the last fault is over: some
// show only in what is written.
func (r *run) war(ctx context.Context) error {
	r.enter("working")
	timed, cancel := context.WithTimeout(ctx, r.Duration)
	defer cancel()
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	var work sync.WaitGroup
	for i := range r.Clients {
		u := &user{load: r.load, name: fmt.Sprintf("c%d", i+1), rng: rand.New(rand.NewPCG(r.Seed, uint64(i+1)))}
		work.Go(func() { u.run(working) })
	}
	var err error
	if r.Trouble {
		err = r.trouble(ctx, timed)
	}
	if err == nil {
		<-timed.Done()
	}
	stop()
	work.Wait()
	return err
}

// faultTime bounds one fault with the return of its node.
const faultTime = 3 * time.Minute

// trouble makes one fault after the other, each kind in turn, until the time is up.
func (r *run) trouble(ctx, timed context.Context) error {
	rng := rand.New(rand.NewPCG(r.Seed, 0))
	for n := 0; ; n++ {
		rest(ctx, time.Duration(1000+rng.IntN(3000))*time.Millisecond)
		if ctx.Err() != nil || timed.Err() != nil && n >= r.Least {
			return nil
		}
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), faultTime)
		kind := r.Faults[n%len(r.Faults)]
		node, err := Victim(limited, r.Target.Dev, n)
		if err == nil {
			r.note(kind, node)
			err = Inflict(limited, r.Target.Dev, node, kind)
		}
		cancel()
		if err != nil {
			return err
		}
		r.faults[kind]++ // it took effect
		r.log.Note("%s serves again", node)
	}
}

func (r *run) note(kind Kind, node string) {
	r.log.Note("%s %s", kind, node)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count++
	r.now = fmt.Sprintf("%s %s", kind, node)
}

// settle reads every mailbox at every node, waits until those who watch have been told, and compares the replicas.
func (r *run) settle(ctx context.Context) error {
	if err := r.eventually(ctx, r.Target.Ready); err != nil {
		return err
	}
	var told sync.WaitGroup
	defer told.Wait()
	for i, b := range r.load.boxes {
		state, err := r.final(ctx, b)
		if err != nil {
			return err
		}
		rec := history.Record{Client: r.watchers[i].name, Op: history.View, Box: b.name, By: "imap", Point: 1, Outcome: history.OK}
		told.Go(func() {
			r.log.Do(rec, func(rec *history.Record) { rec.State = r.toldOf(ctx, r.watchers[i], state) })
		})
	}
	told.Wait()
	return r.replicas(ctx)
}

// eventually tries until check finds nothing wrong, or it takes too long.
func (r *run) eventually(ctx context.Context, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, r.Lateness)
	defer cancel()
	for {
		err := check(ctx)
		if err == nil || ctx.Err() != nil {
			return err
		}
		rest(ctx, 200*time.Millisecond)
	}
}

// final reads a mailbox through every node; the last reading is returned.
func (r *run) final(ctx context.Context, b *mailbox) (state *history.State, err error) {
	for _, n := range r.Target.Nodes {
		rec := history.Record{Client: "judge", Op: history.Final, Box: b.name, By: "imap", Node: n.Name, Point: 1}
		err = r.eventually(ctx, func(ctx context.Context) error {
			s, err := r.Target.open(ctx, n, b, nil)
			if err != nil {
				return err
			}
			defer s.close()
			rec.Call, rec.Outcome = r.log.Now(), history.OK
			err = s.within(ctx, answerTime, func() (err error) {
				rec.State, rec.Loose, err = s.read()
				return err
			})
			if err == nil && rec.Loose {
				err = errors.New("the mailbox still changes")
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("read %s at %s: %w", b.name, n.Name, err)
		}
		rec.Return = r.log.Now()
		r.log.Put(rec)
		state = rec.State
	}
	return state, nil
}

// toldOf is what a watcher believes when it has been told of everything, or nothing comes any more.
func (r *run) toldOf(ctx context.Context, w *watcher, want *history.State) (view *history.State) {
	err := r.eventually(ctx, func(context.Context) error {
		if view = w.view(); !history.SameRows(view.Rows, want.Rows) {
			return errors.New("not told yet")
		}
		return nil
	})
	if err != nil {
		return w.view()
	}
	return view
}

// replicas notes the hashes of all replicas at one index of each group. A replica that does not come to it, or is not there, is
// an error: then nothing is known.
func (r *run) replicas(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.Lateness)
	defer cancel()
	wanted := 1
	if d := r.Target.Dev; d != nil {
		wanted = min(3, d.Nodes)
	}
	groups, err := sameHashes(ctx, wanted, func() (Groups, error) { return readGroups(ctx, r.Target.Admin, true) })
	if err != nil && !groups.Contradict() {
		return fmt.Errorf("replicas cannot be compared: %w", err)
	}
	now := r.log.Now()
	for _, g := range groups {
		for _, p := range g.Replicas {
			if p.Hash != "" {
				r.log.Put(history.Record{Client: "judge", Op: history.Replica, By: "admin", Node: p.Node, Group: g.Group, Index: p.HashIndex,
					Hash: p.Hash, Call: now, Return: now, Outcome: history.OK})
			}
		}
	}
	return nil
}

func (r *run) judge() *Report {
	r.enter("judging")
	records := r.log.Records()
	report := &Report{Verdict: history.Check(records, checkTime), Seed: r.Seed, Seconds: time.Since(r.began).Seconds(), Faults: r.faults, History: r.History,
		Gaps: map[string]float64{}, MaxGap: r.MaxGap.Seconds() * 1e3}
	for i := range records {
		if rec := &records[i]; rec.Outcome == history.OK && rec.Op != history.View {
			report.Slowest = max(report.Slowest, float64(rec.Return-rec.Call)/1e6)
		}
	}
	for protocol, gap := range history.Gaps(records) {
		report.Gaps[protocol] = gap.Seconds() * 1e3
		if r.MaxGap > 0 && gap > r.MaxGap {
			report.Beyond = append(report.Beyond, protocol)
		}
	}
	slices.Sort(report.Beyond)
	return report
}
