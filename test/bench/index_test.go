package bench

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/flotilla-mail/flotilla/internal/dev"
	"github.com/flotilla-mail/flotilla/test/devtest"
)

// TestNewIndex: what clients of a mailbox of 100,000 mails notice while its nodes build the full-text index that they have
// not had before, as after an upgrade that brings a new form of it.
func TestNewIndex(t *testing.T) {
	only(t)
	copies := count("FLOTILLA_COPIES", 100)
	const copied = 1000
	c := devtest.StartGroups(t, 1, 1)
	client := bulk(t, c, copied, copies)
	if err := settled(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	results := map[string]any{"mails": copied * copies, "index MB of a node": float64(textSize(t, c, "n1")) / 1e6}
	with := search(t, client, copies)
	results["search with an index ms"] = with.Milliseconds()
	results["waits with nobody else"] = spreads(beside(t, c, func() error { <-time.After(5 * time.Second); return nil }))
	_ = client.Close() // its node stops now
	withoutIndex(t, c)
	client = signIn(t, c, "n1", "u1")
	defer client.Close()
	if _, err := client.Select("Bulk", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	waits := beside(t, c, func() error {
		err := settled(t.Context(), c)
		for err == nil && search(t, client, copies) > max(5*with, time.Second) { // what is not indexed yet is read
			<-time.After(100 * time.Millisecond)
		}
		return err
	})
	results["built in s, and 15 to see that it is"] = time.Since(begin).Seconds()
	results["waits while it is built"] = spreads(waits)
	results["search with the new index ms"] = search(t, client, copies).Milliseconds()
	devtest.Record(t, "new-index", results)
	if with > time.Second {
		t.Errorf("a phrase takes %v", with)
	}
	for kind, took := range waits {
		if longest := took[len(took)-1]; longest > time.Second {
			t.Errorf("%s took up to %v while the index was built", kind, longest)
		}
	}
}

// bulk fills the folder Bulk of u1 with copies of so many mails, and leaves it selected.
func bulk(t *testing.T, c *dev.Cluster, copied, copies int) *imapclient.Client {
	t.Helper()
	deliverAll(t, c, copied)
	client := signIn(t, c, "n1", "u1")
	t.Cleanup(func() { _ = client.Close() }) // mostly it is closed already
	if err := client.Create("Bulk", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	for range copies {
		if _, err := client.Copy(everything, "Bulk").Wait(); err != nil {
			t.Fatal(err)
		}
	}
	if box, err := client.Select("Bulk", nil).Wait(); err != nil || int(box.NumMessages) != copied*copies {
		t.Fatalf("%+v, %v", box, err)
	}
	return client
}

// search looks for one of the copied mails, and finds as many as there are copies.
func search(t *testing.T, client *imapclient.Client, copies int) time.Duration {
	t.Helper()
	begin := time.Now()
	found, err := client.UIDSearch(&imap.SearchCriteria{Text: []string{"mail number 777"}}, nil).Wait()
	if err != nil || len(found.AllUIDs()) != copies {
		t.Fatalf("found %v, %v; want %d", found, err, copies)
	}
	return time.Since(begin)
}

// withoutIndex stops the nodes, takes their indexes away, and starts them.
func withoutIndex(t *testing.T, c *dev.Cluster) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	err := c.StopAll(ctx)
	for _, node := range c.Names() {
		if textSize(t, c, node) == 0 {
			t.Errorf("%s has no index", node)
		}
		err = errors.Join(err, os.RemoveAll(textDir(c, node)))
	}
	for _, node := range c.Names() {
		err = errors.Join(err, c.Start(node))
	}
	if err = errors.Join(err, c.Ready(ctx, func(string) {})); err != nil {
		t.Fatal(err)
	}
}

func textDir(c *dev.Cluster, node string) string { return filepath.Join(c.Dir, node, "text") }

// textSize is how many bytes of index a node has.
func textSize(t *testing.T, c *dev.Cluster, node string) (n int64) {
	t.Helper()
	err := filepath.WalkDir(textDir(c, node), func(_ string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it has just been merged into another
		}
		if err == nil {
			n += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// settled waits until no node has written to its index for 15 s. The little that comes in meanwhile stays in memory.
func settled(ctx context.Context, c *dev.Cluster) error {
	const quiet = 15 * time.Second
	look := time.NewTicker(250 * time.Millisecond)
	defer look.Stop()
	last := time.Now()
	seen := map[string]time.Time{}
	for time.Since(last) < quiet {
		for _, node := range c.Names() {
			at, err := written(textDir(c, node))
			if err != nil {
				return err
			}
			if at.After(seen[node]) {
				seen[node], last = at, time.Now()
			}
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// written is when a file of a folder was last written or made.
func written(dir string) (last time.Time, err error) {
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil && info.ModTime().After(last) {
			last = info.ModTime()
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	return last, err
}

// spreads is the spread of each kind.
func spreads(waits map[string][]time.Duration) map[string]any {
	of := map[string]any{}
	for kind, took := range waits {
		of[kind] = spread(took)
	}
	return of
}
