package bench

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"golang.org/x/sync/errgroup"

	"github.com/flotilla-mail/flotilla/internal/dev"
	"github.com/flotilla-mail/flotilla/test/devtest"
)

// TestFlags: what it takes to mark 2,000 mails, in entries of the log and in time (at most two, and a second).
func TestFlags(t *testing.T) {
	only(t)
	const mails, times = 2000, 20
	c := devtest.StartGroups(t, 1, 1)
	deliverAll(t, c, mails)
	client := signIn(t, c, "n1", "u1")
	defer client.Close()
	if _, err := client.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	var took []time.Duration
	before := counter(t, c, "flotilla_group_entries_total")
	for i := range times {
		op := []imap.StoreFlagsOp{imap.StoreFlagsAdd, imap.StoreFlagsDel}[i%2]
		begin := time.Now()
		if err := client.Store(everything, &imap.StoreFlags{Op: op, Silent: true, Flags: []imap.Flag{imap.FlagFlagged}}, nil).Close(); err != nil {
			t.Fatal(err)
		}
		took = append(took, time.Since(begin))
	}
	each := (counter(t, c, "flotilla_group_entries_total") - before) / times
	results := map[string]any{"mails": mails, "entries": each, "time": spread(took)}
	devtest.Record(t, "flags", results)
	if longest := took[len(took)-1]; each > 2 || longest > time.Second {
		t.Errorf("%.1f entries, up to %v", each, longest)
	}
}

// everything are all messages of a mailbox.
var everything = imap.SeqSet{imap.SeqRange{Start: 1}}

// deliverAll brings so many small mails to u1.
func deliverAll(t *testing.T, c *dev.Cluster, mails int) {
	t.Helper()
	var g errgroup.Group
	const conns = 16
	for i := range conns {
		g.Go(func() error {
			client, err := dialLMTP(c, c.Names()[i%c.Nodes])
			if err != nil {
				return err
			}
			defer client.Close()
			for k := i; k < mails; k += conns {
				if err := client.SendMail("bench@example.org", []string{"u1@example.test"}, strings.NewReader(mail(k, 1500))); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

// TestEmpty: how long other clients of a mailbox wait while one of them empties a folder of 100,000 mails (at most 50 ms):
// one that reads, one that changes flags, and one that delivers, one after the other all the time.
func TestEmpty(t *testing.T) {
	only(t)
	const copied, copies = 1000, 100
	c := devtest.StartGroups(t, 1, 1)
	client := bulk(t, c, copied, copies)
	results := map[string]any{"mails": copied * copies}
	alone := beside(t, c, func() error { <-time.After(5 * time.Second); return nil })
	marking := beside(t, c, func() error {
		return client.Store(everything, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close()
	})
	begin := time.Now()
	emptying := beside(t, c, func() error { return client.Expunge().Close() })
	results["emptied in s"] = time.Since(begin).Seconds()
	for what, waits := range map[string]map[string][]time.Duration{"with nobody else": alone, "while all are marked": marking, "while the folder is emptied": emptying} {
		results["waits "+what] = spreads(waits)
	}
	devtest.Record(t, "empty", results)
	for kind, took := range emptying {
		if longest := took[len(took)-1]; longest > 50*time.Millisecond {
			t.Errorf("%s took up to %v beside the emptying, up to %v with nobody else", kind, longest, alone[kind][len(alone[kind])-1])
		}
	}
}

// beside runs fn while others use the mailbox from another node, and returns how long each of their requests took.
func beside(t *testing.T, c *dev.Cluster, fn func() error) map[string][]time.Duration {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	session, marker := signIn(t, c, "n2", "u1"), signIn(t, c, "n2", "u1")
	defer session.Close()
	defer marker.Close()
	sender, err := dialLMTP(c, "n3")
	if err != nil {
		t.Fatal(err)
	}
	defer sender.Close()
	for _, s := range []*imapclient.Client{session, marker} {
		if _, err := s.Select("INBOX", nil).Wait(); err != nil {
			t.Fatal(err)
		}
	}
	first := imap.SeqSet{imap.SeqRange{Start: 1, Stop: 20}}
	others := map[string]func(k int) error{
		"read": func(int) error {
			_, err := session.Fetch(first, &imap.FetchOptions{UID: true, Flags: true}).Collect()
			return err
		},
		"flags": func(k int) error {
			op := []imap.StoreFlagsOp{imap.StoreFlagsAdd, imap.StoreFlagsDel}[k%2]
			return marker.Store(imap.SeqSetNum(1), &imap.StoreFlags{Op: op, Flags: []imap.Flag{imap.FlagFlagged}}, nil).Close()
		},
		"delivery": func(k int) error {
			return sender.SendMail("bench@example.org", []string{"u1@example.test"}, strings.NewReader(mail(k, 1500)))
		},
	}
	waits := make(map[string][]time.Duration, len(others))
	var mu sync.Mutex // guards waits
	var g errgroup.Group
	for kind, request := range others {
		g.Go(func() error {
			took, err := again(ctx, request)
			mu.Lock()
			defer mu.Unlock()
			waits[kind] = took
			return err
		})
	}
	if err := fn(); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	return waits
}

// again makes a request over and over, with a pause between, until ctx ends, and returns how long each took.
func again(ctx context.Context, request func(k int) error) (took []time.Duration, err error) {
	for k := 0; ctx.Err() == nil && err == nil; k++ {
		begin := time.Now()
		err = request(k)
		took = append(took, time.Since(begin))
		<-time.After(5 * time.Millisecond)
	}
	return took, err
}
