package imap

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/flotilla-mail/flotilla/exmdb"
)

// Back-off between watches that fail: a change of owner is a pause that the client does not see.
const (
	watchPause    = 100 * time.Millisecond
	watchPauseMax = 5 * time.Second
)

// idle is IDLE (RFC 9051 6.3.13). While the client is silent the session and its output belong to the watcher; this
// goroutine reads, and takes them back when the watcher has ended.
func (s *session) idle(ctx context.Context) error {
	if s.selected != nil {
		// A client that reads "+" expects nothing but changes from then on; the watcher tries again what fails here.
		if err := s.pollOnce(ctx, expunges); kindOf(err) == exmdb.KindNoFolder {
			return err
		}
	}
	s.out.Raw("+ idling\r\n")
	if err := s.out.Flush(); err != nil {
		return err
	}
	done := s.awaitDone(ctx)
	if err := s.dec.Err(); err != nil {
		return err
	}
	if !strings.EqualFold(done, "DONE") {
		return bad("Expected DONE")
	}
	return nil
}

// awaitDone reads the line that ends IDLE while the watcher runs.
func (s *session) awaitDone(ctx context.Context) string {
	flush := s.conn.flush
	s.conn.flush = nil
	defer func() { s.conn.flush = flush }()

	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer s.contain()
		s.watch(ctx)
	}()
	defer func() {
		cancel()
		<-ended
	}()
	s.conn.setWaiting(true)
	defer s.conn.setWaiting(false)
	s.dec.Begin()
	line := s.dec.Rest()
	s.dec.CRLF()
	return line
}

// pollOnce is poll with a deadline.
func (s *session) pollOnce(ctx context.Context, rule news) error {
	ctx, cancel := context.WithTimeout(ctx, s.server.config.CommandTimeout)
	defer cancel()
	return s.poll(ctx, rule)
}

// watch tells the client about changes until ctx ends. Nothing that goes wrong at the owner ends it.
func (s *session) watch(ctx context.Context) {
	if s.selected == nil {
		return
	}
	wait := watchPause
	for ctx.Err() == nil {
		err := s.watchOnce(ctx)
		if s.out.Err() != nil {
			_ = s.conn.close() // the reader sees it and ends the session
			return
		}
		if err == nil {
			wait = watchPause
			continue
		}
		if kindOf(err) == exmdb.KindNoFolder {
			s.lost()
			return
		}
		pause(ctx, wait/2+rand.N(wait/2+1))
		wait = min(2*wait, watchPauseMax)
	}
}

// errNoChange is a watch that came back early with nothing, which must not become a busy loop.
var errNoChange = errors.New("watch ended early")

// watchOnce waits for one change and tells it.
func (s *session) watchOnce(ctx context.Context) error {
	f := s.selected
	begun := time.Now()
	long := s.server.config.WatchTimeout
	wctx, cancel := context.WithTimeout(ctx, long)
	resp, err := do(wctx, s, exmdb.OpWatch, &exmdb.WatchRequest{After: f.sequence})
	expired := wctx.Err() != nil
	cancel()
	switch {
	case ctx.Err() != nil:
		return nil
	case err == nil && resp.Sequence > f.sequence:
		if err := s.pollOnce(ctx, expunges); err != nil {
			return err
		}
		f.sequence = max(f.sequence, resp.Sequence)
	case expired || err == nil && time.Since(begun) > long/2:
		s.untagged(imap.StatusResponseTypeOK, "", "Still here")
	case err != nil:
		return err
	default:
		return errNoChange
	}
	return s.out.Flush()
}

// lost tells an idle client that its mailbox was deleted; it learns the rest from its next command.
func (s *session) lost() {
	s.untagged(imap.StatusResponseTypeNo, string(imap.ResponseCodeNonExistent), "Mailbox was deleted")
	_ = s.out.Flush() // the reader sees a dead connection
}
