package move

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/flotilla-mail/flotilla/internal/dev"
)

// watcher is a client that idles in the mailbox at one node.
type watcher struct {
	t      *testing.T
	c      *dev.Cluster
	mails  func() int // how many are acknowledged
	client *imapclient.Client
	idle   *imapclient.IdleCommand
	heard  atomic.Uint32
	valid  uint32
}

func (w *watcher) open(ctx context.Context, node string) {
	w.t.Helper()
	handler := &imapclient.UnilateralDataHandler{Mailbox: func(d *imapclient.UnilateralDataMailbox) {
		if d.NumMessages != nil {
			w.heard.Store(*d.NumMessages)
		}
	}}
	await(ctx, w.t, "a session at "+node, func() bool {
		client, err := imapclient.DialInsecure(fmt.Sprintf("%s:%d", dev.Host(node), w.c.Port(2143)), &imapclient.Options{UnilateralDataHandler: handler})
		if err != nil {
			return false
		}
		if err := client.Login(owner+"@"+dev.Domain, dev.Password).Wait(); err != nil {
			_ = client.Close() // another is made
			return false
		}
		w.client = client
		return true
	})
	box, err := w.client.Select("INBOX", nil).Wait()
	if err != nil {
		w.t.Fatal(err)
	}
	w.heard.Store(box.NumMessages)
	w.valid = box.UIDValidity
	if w.idle, err = w.client.Idle(); err != nil {
		w.t.Fatal(err)
	}
}

// hears waits until the session was told of all that is acknowledged now, and ends it in order: it has met no error.
func (w *watcher) hears(ctx context.Context) {
	w.t.Helper()
	want := uint32(w.mails())
	await(ctx, w.t, fmt.Sprintf("%d mails in a session that idles", want), func() bool { return w.heard.Load() >= want })
	if err := w.idle.Close(); err != nil {
		w.t.Fatalf("end of IDLE: %v", err)
	}
	if err := w.idle.Wait(); err != nil {
		w.t.Fatalf("end of IDLE: %v", err)
	}
	if err := w.client.Noop().Wait(); err != nil {
		w.t.Fatalf("the session after the move: %v", err)
	}
	if err := w.client.Unselect().Wait(); err != nil {
		w.t.Fatal(err)
	}
	box, err := w.client.Select("INBOX", nil).Wait()
	if err != nil || box.UIDValidity != w.valid {
		w.t.Fatalf("selected again: %+v, UIDVALIDITY was %d: %v", box, w.valid, err)
	}
	if err := w.client.Logout().Wait(); err != nil {
		w.t.Fatal(err)
	}
}
