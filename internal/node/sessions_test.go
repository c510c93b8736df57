package node

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/auth"
	"github.com/flotilla-mail/flotilla/internal/directory"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

func TestTakenBack(t *testing.T) {
	id := mapi.NewGUID()
	signed := &auth.Principal{Identity: exmdb.Identity{User: id}, Credential: 2}
	for name, c := range map[string]struct {
		o    directory.Object
		err  error
		want bool
	}{
		"as it was":        {directory.Object{CredentialVersion: 2}, nil, false},
		"another password": {directory.Object{CredentialVersion: 3}, nil, true},
		"disabled":         {directory.Object{CredentialVersion: 2, Disabled: true}, nil, true},
		"barred here":      {directory.Object{CredentialVersion: 2, Barred: []string{"pop3", "imap"}}, nil, true},
		"barred elsewhere": {directory.Object{CredentialVersion: 2, Barred: []string{"pop3", "http"}}, nil, false},
		"renamed":          {directory.Object{CredentialVersion: 2, Name: "x", Quota: 7}, nil, false},
		"removed":          {directory.Object{}, cluster.Errorf(exmdb.KindNoSuchUser, "none"), true},
		"not readable":     {directory.Object{}, cluster.ErrUnavailable, false},
		"broken":           {directory.Object{}, errors.New("bits"), false},
	} {
		over := takenBack(auth.IMAP, func(got mapi.GUID) (*directory.Object, error) {
			if got != id {
				t.Fatalf("asked for %s", got)
			}
			return &c.o, c.err
		})
		if got := over(signed); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestTakenBackLooksOnceForEachUser(t *testing.T) {
	looks := map[mapi.GUID]int{}
	gone, here := mapi.NewGUID(), mapi.NewGUID()
	over := takenBack(auth.IMAP, func(id mapi.GUID) (*directory.Object, error) {
		looks[id]++
		if id == gone {
			return nil, cluster.Errorf(exmdb.KindNoSuchUser, "none")
		}
		return &directory.Object{}, nil
	})
	for range 100 {
		if !over(&auth.Principal{Identity: exmdb.Identity{User: gone}}) || over(&auth.Principal{Identity: exmdb.Identity{User: here}}) {
			t.Fatal("the answer changed")
		}
	}
	if looks[gone] != 1 || looks[here] != 1 {
		t.Fatalf("%v", looks)
	}
}

// asked is a front-end that tells when it was asked to end sessions.
type asked chan auth.Protocol

func (a asked) EndSessions(func(*auth.Principal) bool) int {
	a <- auth.IMAP
	return 1
}

func TestEveryFrontEndIsAsked(t *testing.T) {
	n := &Node{log: slog.New(slog.DiscardHandler)}
	a, b := make(asked, 1), make(asked, 1)
	n.endsSessions(auth.IMAP, a)
	n.endsSessions(auth.Submission, b)
	n.endSessions(context.Background())
	for _, f := range []asked{a, b} {
		select {
		case <-f:
		case <-time.After(time.Minute):
			t.Fatal("a front-end was left out")
		}
	}
}
