package selftest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/flotilla-mail/flotilla/internal/selftest/history"
)

// watcher idles in a mailbox and keeps a view of it by what it is told. It reads the whole only when it has lost its session.
type watcher struct {
	target *Target
	box    *mailbox
	name   string
	first  int // the node it goes to first

	mu   sync.Mutex
	rows []history.Row // by sequence number; guarded by mu

	// heard is what the server has said and the view has not taken in yet.
	heardMu sync.Mutex
	heard   []event // guarded by heardMu
	wake    chan struct{}
}

// event is one untagged response: what is not zero has changed.
type event struct {
	exists   uint32
	expunged uint32 // sequence number
	fetched  *imapclient.FetchMessageBuffer
}

func newWatcher(t *Target, b *mailbox, n int) *watcher {
	return &watcher{target: t, box: b, name: fmt.Sprintf("watcher%d", n+1), first: n, wake: make(chan struct{}, 1)}
}

func (w *watcher) run(ctx context.Context) {
	for n := w.first; ctx.Err() == nil; n++ {
		_ = w.stay(ctx, w.target.Nodes[n%len(w.target.Nodes)]) // whatever ended the session, there is another
		rest(ctx, 200*time.Millisecond)
	}
}

func (w *watcher) hear(e event) {
	w.heardMu.Lock()
	w.heard = append(w.heard, e)
	w.heardMu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *watcher) handler() *imapclient.UnilateralDataHandler {
	return &imapclient.UnilateralDataHandler{
		Expunge: func(seq uint32) { w.hear(event{expunged: seq}) },
		Mailbox: func(data *imapclient.UnilateralDataMailbox) {
			if data.NumMessages != nil {
				w.hear(event{exists: *data.NumMessages})
			}
		},
		Fetch: func(m *imapclient.FetchMessageData) {
			if buf, err := m.Collect(); err == nil { // else the session ends, which is noticed
				w.hear(event{fetched: buf})
			}
		},
	}
}

// stay watches in one session until it ends.
func (w *watcher) stay(ctx context.Context, n Node) error {
	s, err := w.target.open(ctx, n, w.box, w.handler())
	if err != nil {
		return err
	}
	defer s.close()
	w.heardMu.Lock()
	w.heard = nil
	w.heardMu.Unlock()
	if err := s.within(ctx, answerTime, func() error { return w.start(s) }); err != nil {
		return err
	}
	for ctx.Err() == nil {
		if err := w.idle(ctx, s); err != nil {
			return err
		}
		if err := s.within(ctx, answerTime, func() error { return w.takeIn(s) }); err != nil {
			return err
		}
	}
	return nil
}

func (w *watcher) start(s *session) error {
	data, err := s.client.Select("INBOX", &imap.SelectOptions{CondStore: true}).Wait()
	if err != nil {
		return err
	}
	var rows []history.Row
	if data.NumMessages > 0 {
		rows, err = s.rows(imap.SeqSet{imap.SeqRange{Start: 1, Stop: data.NumMessages}})
	}
	if err == nil && len(rows) != int(data.NumMessages) {
		err = errors.New("messages went while they were read") // the next session sees what is left
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		w.rows = rows
	}
	return err
}

// idle waits until something was heard.
func (w *watcher) idle(ctx context.Context, s *session) error {
	idle, err := s.client.Idle()
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- idle.Wait() }()
	select {
	case <-w.wake:
	case <-ctx.Done():
	case err := <-ended:
		return errors.Join(errors.New("the server ended it"), err)
	}
	return s.within(context.WithoutCancel(ctx), answerTime, func() error { return errors.Join(idle.Close(), <-ended) })
}

// takeIn brings the view up to what was heard and fetches the messages that are new, once nothing else is to be taken in:
// only then are the sequence numbers those of the server.
func (w *watcher) takeIn(s *session) error {
	exists := 0
	for {
		w.heardMu.Lock()
		heard := w.heard
		w.heard = nil
		w.heardMu.Unlock()
		for _, e := range heard {
			if e.exists != 0 {
				exists = int(e.exists)
			}
			if e.expunged != 0 {
				exists = max(exists-1, 0)
			}
			if err := w.take(e); err != nil {
				return err
			}
		}
		if len(heard) > 0 {
			continue
		}
		have := w.size()
		if exists <= have {
			return nil
		}
		rows, err := s.rows(imap.SeqSet{imap.SeqRange{Start: uint32(have + 1), Stop: uint32(exists)}})
		if err != nil {
			return err
		}
		w.mu.Lock()
		w.rows = append(w.rows, rows...)
		w.mu.Unlock()
	}
}

func (w *watcher) size() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.rows)
}

// take changes the view by one response. Those with flags come in any order, for the client's library hands each to a
// goroutine: the UID says what they are about and the MODSEQ which of two is the later one.
func (w *watcher) take(e event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case int(e.expunged) > len(w.rows):
		return fmt.Errorf("message %d of %d is expunged", e.expunged, len(w.rows)) // one that was never shown: begin again
	case e.expunged != 0:
		w.rows = slices.Delete(w.rows, int(e.expunged)-1, int(e.expunged))
	case e.fetched != nil:
		i := slices.IndexFunc(w.rows, func(r history.Row) bool { return r.UID == uint32(e.fetched.UID) })
		if i >= 0 && e.fetched.ModSeq >= w.rows[i].ModSeq {
			w.rows[i].Flags, w.rows[i].ModSeq = flagNames(e.fetched.Flags), e.fetched.ModSeq
		}
	}
	return nil
}

// view is what the watcher believes. Change numbers that it was not told again are not compared.
func (w *watcher) view() *history.State {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &history.State{}
	for _, row := range w.rows {
		row.ModSeq = 0
		s.Rows = append(s.Rows, row)
	}
	return s
}
