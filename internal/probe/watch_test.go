package probe

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// inbox plays an IMAP server with a mailbox that grows by a message for each IDLE, and says BYE after so many of them.
type inbox struct {
	mu       sync.Mutex
	messages int // guarded by mu
	idles    int // of a session
	doubles  bool
}

func (b *inbox) play(in *bufio.Reader, out io.Writer) {
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(out, format+"\r\n", args...) }
	say("* OK here")
	for idles := 0; ; {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		tag, command, _ := strings.Cut(strings.TrimSpace(line), " ")
		b.mu.Lock()
		switch {
		case strings.HasPrefix(command, "SELECT"):
			say("* %d EXISTS\r\n* OK [UIDVALIDITY 7] it is", b.messages)
		case strings.HasPrefix(command, "IDLE"):
			if idles++; idles > b.idles {
				b.messages++ // nobody is told: it is there when the watcher comes back
				say("* BYE [UNAVAILABLE] connect again")
				b.mu.Unlock()
				return
			}
			b.messages++
			say("+ idling\r\n* 1 FETCH (FLAGS (\\Seen))\r\n* %d EXISTS", b.messages)
			if _, err := in.ReadString('\n'); err != nil {
				b.mu.Unlock()
				return
			}
		case strings.Contains(command, "FETCH"):
			b.fetch(say, command)
		}
		say("%s OK done", tag)
		b.mu.Unlock()
	}
}

// fetch has UIDs that are ten above the sequence numbers.
func (b *inbox) fetch(say func(string, ...any), command string) {
	from, to := 1, b.messages
	switch {
	case strings.HasPrefix(command, "UID FETCH"):
		_, _ = fmt.Sscanf(command, "UID FETCH %d:", &from)
		from = min(max(from-10, 1), b.messages)
	default:
		_, _ = fmt.Sscanf(command, "FETCH %d:%d", &from, &to)
	}
	for n := max(from, 1); n <= to; n++ {
		say(`* %d FETCH (UID %d ENVELOPE ("1 \"Jan\" 2026" "probe c %d" NIL))`, n, n+10, n)
		if b.doubles {
			say(`* %d FETCH (UID %d ENVELOPE (NIL "probe c %d" NIL))`, n, n+10, n)
		}
	}
}

func watch(t *testing.T, b *inbox, n int) *Watcher {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	w := &Watcher{Dial: serve(t, b.play), Address: "u@example.test", Password: "x"}
	ended := make(chan struct{})
	go func() { defer close(ended); w.Run(ctx) }()
	for len(w.Seen()) < n {
		if rest(ctx, retryPause); ctx.Err() != nil {
			moves, failures := w.Moves()
			t.Fatalf("%v, %d moves, %v", w.Seen(), moves, failures)
		}
	}
	cancel()
	<-ended
	return w
}

func TestAWatcherIsShownEachMessageOnce(t *testing.T) {
	w := watch(t, &inbox{messages: 3, idles: 4}, 30)
	moves, failures := w.Moves()
	if moves < 4 || len(failures) > 0 {
		t.Errorf("%d moves, %v", moves, failures)
	}
	seen := w.Seen()[:30]
	if err := Exactly(seen, 30); err != nil {
		t.Error(err)
	}
	if m := seen[29]; m != (Seen{40, "probe c 30"}) {
		t.Errorf("%+v", m)
	}
}

func TestExactly(t *testing.T) {
	doubled := watch(t, &inbox{messages: 1, idles: 100, doubles: true}, 6).Seen()[:6]
	if err := Exactly(doubled, 3); err == nil || strings.Count(err.Error(), "shown before") != 3 {
		t.Errorf("%v: %v", doubled, err)
	}
	one := []Seen{{1, "a"}, {2, "b"}}
	for mails, ok := range []bool{false, false, true, false} {
		if err := Exactly(one, mails); (err == nil) != ok {
			t.Errorf("%d mails: %v", mails, err)
		}
	}
	again := append(slices.Clone(one), Seen{3, "a"}) // the same mail under another UID
	if Exactly(again, 2) == nil {
		t.Error("a mail that is there twice")
	}
}

// TestAWatcherThatIsRefusedSaysSo: what its user would be told is a failure, one lost connection is not.
func TestAWatcherThatIsRefusedSaysSo(t *testing.T) {
	refuse := func(in *bufio.Reader, out io.Writer) {
		_, _ = io.WriteString(out, "* OK here\r\n")
		if line, err := in.ReadString('\n'); err == nil {
			tag, _, _ := strings.Cut(line, " ")
			_, _ = io.WriteString(out, tag+" NO not now\r\n")
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	w := &Watcher{Dial: serve(t, refuse), Address: "u@example.test"}
	ended := make(chan struct{})
	go func() { defer close(ended); w.Run(ctx) }()
	for {
		if _, failures := w.Moves(); len(failures) > 0 {
			break
		}
		if rest(ctx, retryPause); ctx.Err() != nil {
			t.Fatal("no failure")
		}
	}
	cancel()
	<-ended
}
