package probe

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Watcher idles in INBOX (RFC 2177) and takes note of each message that it is told of, as a mail program does that shows new
// mail. It looks by itself only when it comes back to the mailbox on a new connection, and then for what is above the last UID
// it knows.
type Watcher struct {
	// Dial connects to whichever node the client would go to next.
	Dial func(ctx context.Context) (net.Conn, error)
	// Address and Password are the mailbox's.
	Address, Password string

	mu       sync.Mutex
	link     *link    // guarded by mu
	messages []Seen   // guarded by mu
	moves    int      // guarded by mu
	failures []string // guarded by mu
	validity string   // guarded by mu
}

// Seen is a message as it was shown.
type Seen struct {
	UID     uint32
	Subject string
}

// Seen is every message shown so far, in that order; one that was shown twice is there twice.
func (w *Watcher) Seen() []Seen {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]Seen(nil), w.messages...)
}

// Moves is how often the watcher had to connect again, Failures what its user would have been told: all that is more than
// one silent retry.
func (w *Watcher) Moves() (n int, failures []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.moves, append([]string(nil), w.failures...)
}

// idleTime is after what time without news a watcher asks whether the server is there.
const idleTime = answerTime

// Run watches until ctx ends.
func (w *Watcher) Run(ctx context.Context) {
	stop := context.AfterFunc(ctx, w.hangUp)
	defer stop()
	for lost := 0; ctx.Err() == nil; {
		came, err := w.session(ctx)
		if ctx.Err() != nil {
			return
		}
		if came {
			lost = 0
		}
		if lost++; lost == 1 && moved(err) {
			w.mu.Lock()
			w.moves++
			w.mu.Unlock()
			continue
		}
		w.failed(err)
		rest(ctx, retryPause)
	}
}

func (w *Watcher) failed(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.failures) < maxFailures {
		w.failures = append(w.failures, fmt.Sprintf("watcher of %s: %v", w.Address, err))
	}
}

func (w *Watcher) hangUp() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.link != nil {
		_ = w.link.conn.Close() // the server may have
	}
}

// session watches on one connection until it ends; came says that it had the mailbox selected.
func (w *Watcher) session(ctx context.Context) (came bool, err error) {
	conn, err := w.Dial(ctx)
	if err != nil {
		return false, fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = conn.Close() }() // hangUp may have
	l := &link{conn: conn, in: bufio.NewReader(conn)}
	w.mu.Lock()
	w.link = l
	w.mu.Unlock()
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if err := conn.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return false, err
	}
	if err := l.signIn(w.Address, w.Password); err != nil {
		return false, err
	}
	v := &view{link: l}
	if err := w.selected(v); err != nil {
		return false, err
	}
	for {
		for v.have < v.told {
			if err := w.show(v, fmt.Sprintf("FETCH %d:%d", v.have+1, v.told)); err != nil {
				return true, err
			}
		}
		if err := v.idle(); err != nil {
			return true, err
		}
	}
}

// view is what one session knows of the mailbox: how many messages it was told of, at any time, and how many were shown.
type view struct {
	*link
	told, have int
}

// exchange performs a command; untagged gets what the server says beside how many messages there are.
func (v *view) exchange(command string, untagged func(string)) error {
	if err := v.conn.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return err
	}
	tag, err := v.begin(command)
	if err != nil {
		return err
	}
	verb, _, _ := strings.Cut(command, " (")
	return v.tagged(verb, tag, func(s string) {
		if n, ok := existing(s); ok {
			v.told = n
			return
		}
		untagged(s)
	})
}

// selected opens INBOX and shows what came since the watcher was there.
func (w *Watcher) selected(v *view) error {
	validity := ""
	err := v.exchange("SELECT INBOX", func(s string) {
		if _, after, ok := strings.Cut(s, "[UIDVALIDITY "); ok {
			validity, _, _ = strings.Cut(after, "]")
		}
	})
	if err != nil {
		return err
	}
	w.mu.Lock()
	was, last := w.validity, w.lastLocked()
	w.validity = validity
	w.mu.Unlock()
	if was != "" && was != validity {
		return &refusedError{"SELECT", "UIDVALIDITY " + validity + " instead of " + was}
	}
	v.have = v.told
	return w.show(v, fmt.Sprintf("UID FETCH %d:*", last+1))
}

// existing reads "* 12 EXISTS".
func existing(s string) (n int, ok bool) {
	count, ok := strings.CutSuffix(strings.TrimPrefix(s, "* "), " EXISTS")
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(count)
	return n, err == nil
}

// idle waits until there are more messages than were shown, or for so long that it is time to ask.
func (v *view) idle() error {
	if err := v.conn.SetDeadline(time.Now().Add(idleTime + answerTime)); err != nil {
		return err
	}
	tag, err := v.begin("IDLE")
	if err != nil {
		return err
	}
	done := sync.OnceFunc(func() { _, _ = io.WriteString(v.conn, "DONE\r\n") }) // that it could not be sent shows at the reader
	ask := time.AfterFunc(idleTime, done)
	defer ask.Stop()
	return v.tagged("IDLE", tag, func(s string) {
		if n, ok := existing(s); ok {
			v.told = n
		}
		if v.told > v.have {
			done()
		}
	})
}

// show fetches messages and takes note of them. "n:*" gives the last message when there is none from n on (RFC 9051 9).
func (w *Watcher) show(v *view, command string) error {
	var fresh []Seen
	strange := ""
	err := v.exchange(command+" (UID ENVELOPE)", func(s string) {
		m, seq, ok := fetched(s)
		switch {
		case ok:
			fresh, v.have = append(fresh, m), max(v.have, seq)
		case strings.Contains(s, " ENVELOPE "):
			strange = s
		}
	})
	above := strings.HasPrefix(command, "UID ")
	if err == nil && (strange != "" || !above && len(fresh) == 0) {
		err = &refusedError{command, strconv.Quote(strange)}
	}
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	last := w.lastLocked()
	for _, m := range fresh {
		if !above || m.UID > last {
			w.messages = append(w.messages, m)
		}
	}
	return nil
}

// lastLocked is the last UID that was shown.
func (w *Watcher) lastLocked() uint32 {
	if len(w.messages) == 0 {
		return 0
	}
	return w.messages[len(w.messages)-1].UID
}

// fetched reads an answer to FETCH (UID ENVELOPE): sequence number, UID and subject, which is second in the envelope.
func fetched(s string) (m Seen, seq int, ok bool) {
	_, uid, ok := strings.Cut(s, "UID ")
	if !ok {
		return m, 0, false
	}
	if _, err := fmt.Sscan(strings.TrimPrefix(s, "* "), &seq); err != nil {
		return m, 0, false
	}
	if _, err := fmt.Sscan(strings.TrimRight(uid, ")"), &m.UID); err != nil {
		return m, 0, false
	}
	_, envelope, ok := strings.Cut(s, "ENVELOPE (")
	if !ok {
		return m, 0, false
	}
	_, rest, ok := nstring(envelope) // the date
	if !ok {
		return m, 0, false
	}
	m.Subject, _, ok = nstring(rest)
	return m, seq, ok
}

// nstring reads NIL or a quoted string, and the blank behind it.
func nstring(s string) (value, rest string, ok bool) {
	if after, is := strings.CutPrefix(s, "NIL"); is {
		return "", strings.TrimPrefix(after, " "), true
	}
	if !strings.HasPrefix(s, `"`) {
		return "", s, false
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), strings.TrimPrefix(s[i+1:], " "), true
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return "", s, false
}
