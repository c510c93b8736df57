package imap

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/internal/testkit"
)

// FuzzSession plays anything to a session, before and after signing in: it neither panics nor hangs, and what the
// client hears is lines. The seeds are the commands of the scripts.
func FuzzSession(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.txt")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		var said strings.Builder
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "C: "); ok {
				said.WriteString(rest + "\r\n")
			}
		}
		f.Add([]byte(said.String()))
	}
	f.Add([]byte("a SELECT INBOX\r\nb IDLE\r\nDONE\r\nc FETCH 1 (BODY[1.1.1.1.MIME]<0.1>)\r\n{5}\r\n"))
	f.Fuzz(func(t *testing.T, input []byte) {
		defer testkit.Bounded(t)()
		converse(t, append([]byte("l LOGIN alice@example.test secret\r\ns SELECT INBOX\r\n"), input...))
	})
}

// converse sends input, hangs up, and waits for the server to have ended the session.
func converse(t *testing.T, input []byte) {
	box := newFakeBox()
	box.deliver("Inbox", "Return-Path: <>\r\n", simpleMail("one"))
	box.deliver("Inbox", "", "no header at all")
	s, err := New(Config{AllowPlaintext: true, MaxMessage: 4096}, Services{Mailboxes: box, Users: fakeUsers{}, Messages: &fakeIngester{}})
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := net.Pipe()
	s.start(context.Background(), theirs, StartTLS)
	heard := make(chan int64, 1)
	go func() {
		n, _ := io.Copy(io.Discard, ours) // ends with the connection
		heard <- n
	}()
	_ = ours.SetWriteDeadline(time.Now().Add(10 * time.Second))
	_, _ = ours.Write(input) // the server may have hung up
	_ = ours.Close()
	s.Close()
	<-heard
}
