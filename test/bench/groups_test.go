package bench

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/flotilla-mail/flotilla/frontends/admin"
	"github.com/flotilla-mail/flotilla/internal/dev"
	"github.com/flotilla-mail/flotilla/test/devtest"
)

// What groups may cost three nodes on one machine: CPU of all together in hundredths of a core by the number of groups, memory
// of a node with 256 groups beyond that of one with one, and what 64 groups must deliver of what one does, by connections.
var (
	groupsIdle       = map[int]float64{64: 15, 256: 25}
	groupsMemory     = 150.0
	groupsThroughput = map[int]float64{64: 0.4, 1024: 0.7}
)

// How long a client waits at most when the process of an owner is killed, in the middle and at the 99th percentile.
const (
	killedMiddle = time.Second
	killedMost   = 2 * time.Second
)

// TestGroups: what groups and mailboxes cost. FLOTILLA_MAILBOXES makes the last row larger or smaller.
func TestGroups(t *testing.T) {
	only(t)
	many := count("FLOTILLA_MAILBOXES", 10_000)
	results := map[string]any{}
	var columns []string
	var all []map[string]any
	of := map[int]map[string]any{}
	for _, x := range []struct{ groups, mailboxes int }{{1, 128}, {64, 128}, {256, 128}, {64, many}} {
		name := fmt.Sprintf("%d groups, %d mailboxes", x.groups, x.mailboxes)
		t.Run(name, func(t *testing.T) {
			r := groupsCost(t, x.groups, x.mailboxes)
			results[name], columns, all = r, append(columns, name), append(all, r)
			if of[x.groups] == nil {
				of[x.groups] = r
			}
		})
	}
	if t.Failed() && len(all) < 4 {
		return
	}
	devtest.Record(t, "groups", results)
	page(t, "groups", groupsPage(columns, all))
	one, most := of[1], of[256]
	if extra := most[nodeMemory].(float64) - one[nodeMemory].(float64); extra > groupsMemory {
		t.Errorf("256 groups take %.0f MB of a node more than one", extra)
	}
	for conns, part := range groupsThroughput {
		what := fmt.Sprintf("%d connections, deliveries per second", conns)
		if got := of[64][what].(float64) / one[what].(float64); got < part {
			t.Errorf("64 groups deliver %.2f of what one does to %d connections", got, conns)
		}
	}
}

const (
	nodeMemory = "memory of a node, MB"
	nodeDisk   = "disk of a node, MB"
	idleCPU    = "CPU of three idle nodes, % of a core"
)

// groupsCost is what a cluster of so many groups and mailboxes costs, at rest, under load and when nodes are killed.
func groupsCost(t *testing.T, groups, mailboxes int) map[string]any {
	t.Helper()
	c := devtest.StartGroups(t, 1, groups)
	r := map[string]any{"mailboxes made per second": addMailboxes(t, c, 2, mailboxes)}
	rest(t, 10*time.Second)
	p := processes{c}
	use, err := p.memory()
	if err != nil {
		t.Fatal(err)
	}
	r[nodeMemory], r[nodeDisk] = float64(sum(use))/3e6, diskOf(t, filepath.Join(c.Dir, "n1"))
	const watched = 20 * time.Second
	before := p.cpu(t)
	rest(t, watched)
	r[idleCPU] = float64(p.cpu(t)-before) / float64(watched) * 100
	if most, ok := groupsIdle[groups]; ok && r[idleCPU].(float64) > most {
		t.Errorf("idle nodes take %.1f%% of a core, at most %.0f are promised", r[idleCPU], most)
	}
	for _, conns := range []int{64, 1024} {
		counts := counted(t, c, func() map[string]any {
			perSecond, p50, p99 := deliver(t, c, mailboxes, 4<<10, conns, 8*time.Second)
			return map[string]any{"deliveries per second": perSecond, "p50 ms": ms(p50), "p99 ms": ms(p99)}
		})
		for what, v := range counts {
			r[fmt.Sprintf("%d connections, %s", conns, what)] = v
		}
	}
	var gaps []time.Duration
	for range count("FLOTILLA_GROUP_KILLS", 3) {
		gaps = append(gaps, killedOwner(t, c, min(mailboxes, 128))...)
	}
	slices.Sort(gaps)
	p50, p99 := gaps[len(gaps)/2], gaps[len(gaps)*99/100]
	r["owner killed, mailboxes that waited"], r["owner killed, p50 ms"] = float64(len(gaps)), ms(p50)
	r["owner killed, p99 ms"], r["owner killed, longest ms"] = ms(p99), ms(gaps[len(gaps)-1])
	if p50 > killedMiddle || p99 > killedMost {
		t.Errorf("mailboxes of killed owners waited %v, p99 %v", p50, p99)
	}
	return r
}

func rest(t *testing.T, d time.Duration) {
	t.Helper()
	if err := wait(t.Context(), d); err != nil {
		t.Fatal(err)
	}
}

// addMailboxes makes the users from first to last, without a password: what that costs is not the mailbox's.
func addMailboxes(t *testing.T, c *dev.Cluster, first, last int) (perSecond float64) {
	t.Helper()
	begin := time.Now()
	var g errgroup.Group
	g.SetLimit(16)
	for i := first; i <= last; i++ {
		g.Go(func() error {
			u := fmt.Sprintf("u%d", i)
			return c.Admin(c.Names()[i%c.Nodes]).Do(t.Context(), "POST", "/v1/objects", admin.NewObject{Kind: "user", Address: u + "@" + dev.Domain, Name: u}, nil)
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	return float64(last-first+1) / time.Since(begin).Seconds()
}

// diskOf is what the files below a folder take, in MB.
func diskOf(t *testing.T, dir string) float64 {
	t.Helper()
	total := int64(0)
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // files come and go
		}
		if info, err := d.Info(); err == nil {
			total += info.Size()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return float64(total) / 1e6
}

// killedOwner kills the node that owns u1 and at that moment has a mail delivered to each mailbox that it owns, through
// another node. It returns when each was there, counted from the kill.
func killedOwner(t *testing.T, c *dev.Cluster, mailboxes int) []time.Duration {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	if err := awaitWhole(ctx, c); err != nil {
		t.Fatal(err)
	}
	owners := make([]string, mailboxes+1)
	for i := 1; i <= mailboxes; i++ {
		var box struct{ Owner string }
		if err := c.Admin("n1").Do(ctx, "GET", fmt.Sprintf("/v1/objects/u%d@%s/mailbox", i, dev.Domain), nil, &box); err != nil {
			t.Fatal(err)
		}
		owners[i] = box.Owner
	}
	victim := owners[1]
	other := c.Names()[0]
	if other == victim {
		other = c.Names()[1]
	}
	took := make([]time.Duration, mailboxes+1)
	killed, at := make(chan struct{}), time.Time{}
	var g errgroup.Group
	for i := 1; i <= mailboxes; i++ {
		if owners[i] != victim {
			continue
		}
		client, err := dialLMTP(c, other)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		client.SubmissionTimeout = time.Minute
		g.Go(func() error {
			<-killed
			err := client.SendMail("bench@example.org", []string{fmt.Sprintf("u%d@%s", i, dev.Domain)}, strings.NewReader(mail(i, 1500)))
			took[i] = time.Since(at)
			return err
		})
	}
	err := c.Kill(victim)
	at = time.Now()
	close(killed)
	if werr := g.Wait(); err != nil || werr != nil {
		t.Fatalf("kill of %s: %v, deliveries meanwhile: %v", victim, err, werr)
	}
	for c.Running(victim) != 0 {
		if err := wait(ctx, 10*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Start(victim); err != nil {
		t.Fatal(err)
	}
	if err := c.ReadyNode(ctx, victim, func(string) {}); err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(took, func(d time.Duration) bool { return d == 0 })
}

func groupsPage(columns []string, of []map[string]any) []byte {
	one, most, many := of[0], of[2], of[3]
	each := func(what string) float64 { return (most[what].(float64) - one[what].(float64)) / 255 }
	mailbox := (many[nodeDisk].(float64) - of[1][nodeDisk].(float64)) / (count64(columns[3]) - count64(columns[1])) * 1000
	return fmt.Appendf(nil, "# What groups and mailboxes cost\n\n"+
		"Made by `make bench BENCH=TestGroups`; groups.json beside this page says on which machine and when. Three nodes of one\n"+
		"machine, so each has a replica of every group. Mails of 4 KiB; an owner is killed and a mail sent to each of its mailboxes.\n\n"+
		"%s\nA group more costs a node %.2f MB of memory, %.2f MB of disk, and all three nodes together %.3f%% of a core at rest. An empty\n"+
		"mailbox more, with what the directory has of it, costs a node %.1f KB of disk. What that\n"+
		"means for 1,000 nodes is in docs/design/scale.md.\n", table(columns, of), each(nodeMemory), each(nodeDisk), each(idleCPU), mailbox)
}

// count64 is the number of mailboxes in a column's name.
func count64(column string) (n float64) {
	groups := 0
	if _, err := fmt.Sscanf(column, "%d groups, %f mailboxes", &groups, &n); err != nil {
		return 0
	}
	return n
}
