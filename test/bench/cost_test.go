package bench

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"golang.org/x/sync/errgroup"

	"github.com/flotilla-mail/flotilla/internal/dev"
	"github.com/flotilla-mail/flotilla/internal/selftest"
	"github.com/flotilla-mail/flotilla/internal/testkit"
	"github.com/flotilla-mail/flotilla/test/devtest"
)

// processes are what the kernel says of a cluster's node processes.
type processes struct{ c *dev.Cluster }

// cpu is the time all nodes have computed.
func (p processes) cpu(t *testing.T) time.Duration {
	t.Helper()
	ticks := 0
	for _, n := range p.c.Names() {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.c.Running(n)))
		if err != nil {
			t.Fatal(err)
		}
		// proc(5): the command's name ends with the last ')'; user and system time are the 14th and 15th field.
		fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
		for _, f := range fields[11:13] {
			n, err := strconv.Atoi(f)
			if err != nil {
				t.Fatal(err)
			}
			ticks += n
		}
	}
	return time.Duration(ticks) * time.Second / 100 // USER_HZ is 100 on Linux
}

// memory is the anonymous memory of each node in bytes: what it holds itself, without its program's file.
func (p processes) memory() (map[string]int64, error) {
	use := make(map[string]int64)
	for _, n := range p.c.Names() {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.c.Running(n)))
		if err != nil {
			return nil, err
		}
		_, rest, _ := strings.Cut(string(b), "RssAnon:")
		var kib int64
		if _, err := fmt.Sscan(rest, &kib); err != nil {
			return nil, err
		}
		use[n] = kib << 10
	}
	return use, nil
}

// counter is the sum of what all nodes show of a counter, of all groups if there is one for each. A node counts what it did
// itself, and goes on from there when it leads again: so the sum never falls while the nodes run, whoever leads.
func counter(t *testing.T, c *dev.Cluster, name string) (total float64) {
	t.Helper()
	for _, n := range c.Names() {
		figures, err := selftest.Figures(t.Context(), c, n)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for sample, v := range figures {
			if of, _, _ := strings.Cut(sample, "{"); of == name {
				total, found = total+v, true
			}
		}
		if !found {
			t.Fatalf("%s shows no %s", n, name)
		}
	}
	return total
}

// TestCommit: how long one client's flag change takes, one after the other, at the owner and elsewhere, and beside large mails.
func TestCommit(t *testing.T) {
	only(t)
	c := devtest.StartGroups(t, 1, 3)
	l, err := dialLMTP(c, "n1")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.SendMail("bench@example.org", []string{"u1@example.test"}, strings.NewReader(mail(1, 1500))); err != nil {
		t.Fatal(err)
	}
	_ = l.Close() // the mail is stored
	var box struct{ Owner string }
	if err := c.Admin("n1").Do(context.Background(), "GET", "/v1/objects/u1@example.test/mailbox", nil, &box); err != nil {
		t.Fatal(err)
	}
	results := map[string]any{}
	for _, node := range c.Names() {
		where := "elsewhere"
		if node == box.Owner {
			where = "at the owner"
		}
		if _, done := results[where]; done {
			continue
		}
		results[where] = storeFlags(t, c, node, func(n int) bool { return n < 1000 })
	}
	beside := besideLarge(t, c, box.Owner)
	results["at the owner, beside mails of 100 MB to the mailbox"] = beside
	devtest.Record(t, "commit", results)
	if longest := beside["longest ms"].(float64); longest > longestBesideLarge {
		t.Errorf("a change waited %v ms beside large mails, %v are allowed", longest, longestBesideLarge)
	}
}

// longestBesideLarge is how long a change may wait for a large mail's content, of which a chunk goes at a time, in ms.
const longestBesideLarge = 100.0

// besideLarge is how long changes take while mails of 100 MB are delivered, one after the other.
func besideLarge(t *testing.T, c *dev.Cluster, node string) map[string]any {
	t.Helper()
	var delivered atomic.Bool
	var large errgroup.Group
	large.Go(func() error {
		defer delivered.Store(true)
		for range 5 {
			if err := deliverLarge(c, 100<<20); err != nil {
				return err
			}
		}
		return nil
	})
	took := storeFlags(t, c, node, func(int) bool { return !delivered.Load() })
	if err := large.Wait(); err != nil {
		t.Fatal(err)
	}
	return took
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// storeFlags sets and takes a flag for as long as more says, and is how long each change took.
func storeFlags(t *testing.T, c *dev.Cluster, node string, more func(n int) bool) map[string]any {
	t.Helper()
	client := signIn(t, c, node, "u1")
	defer client.Close()
	if _, err := client.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	var took []time.Duration
	for i := 0; more(i); i++ {
		op := imap.StoreFlagsAdd
		if i%2 == 1 {
			op = imap.StoreFlagsDel
		}
		begin := time.Now()
		if err := client.Store(imap.SeqSetNum(1), &imap.StoreFlags{Op: op, Flags: []imap.Flag{imap.FlagFlagged}}, nil).Close(); err != nil {
			t.Fatal(err)
		}
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	return map[string]any{"p50 ms": ms(took[len(took)/2]), "p99 ms": ms(took[len(took)*99/100]), "longest ms": ms(took[len(took)-1]), "changes": len(took)}
}

func signIn(t *testing.T, c *dev.Cluster, node, user string) *imapclient.Client {
	t.Helper()
	client, err := imapclient.DialInsecure(fmt.Sprintf("%s:%d", dev.Host(node), c.Port(2143)), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Login(user+"@example.test", dev.Password).Wait(); err != nil {
		t.Fatal(err)
	}
	return client
}

// TestIdle: what a cluster costs that nobody uses, and one with connections in IDLE.
func TestIdle(t *testing.T) {
	only(t)
	const connections, watched = 3000, 20 * time.Second
	c := devtest.StartGroups(t, 50, 3)
	afresh(t, c)
	p := processes{c}
	results := map[string]any{}
	core := func() float64 {
		before := p.cpu(t)
		<-time.After(watched)
		return float64(p.cpu(t)-before) / float64(watched) * 100
	}
	results["CPU of three idle nodes, % of a core"] = core()
	before, err := p.memory()
	if err != nil {
		t.Fatal(err)
	}
	results["memory of an idle node, MB"] = float64(sum(before)) / 3e6
	var g errgroup.Group
	g.SetLimit(16)
	conns := make([]*imapclient.Client, connections)
	for i := range conns {
		g.Go(func() (err error) {
			conns[i], err = idler(c, c.Names()[i%c.Nodes], fmt.Sprintf("u%d", i%50+1))
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	<-time.After(5 * time.Second) // garbage of the sign-ins is collected
	after, err := p.memory()
	if err != nil {
		t.Fatal(err)
	}
	results["IMAPS connections in IDLE"] = connections
	results["memory of an idle IMAPS connection, KiB"] = float64(sum(after)-sum(before)) / connections / 1024
	results["CPU of three nodes with them, % of a core"] = core()
	for _, client := range conns {
		_ = client.Close() // the cluster ends as well
	}
	devtest.Record(t, "idle", results)
}

// afresh starts all nodes once more: the one that the users were made on has room from the hashing of their passwords.
func afresh(t *testing.T, c *dev.Cluster) {
	t.Helper()
	for _, n := range c.Names() {
		testkit.Eventually(t, time.Minute, func(context.Context) error {
			if err := c.Kill(n); err != nil || c.Running(n) != 0 {
				return errors.Join(err, errors.New("still runs"))
			}
			return c.Start(n)
		})
	}
	if err := c.Ready(t.Context(), func(string) {}); err != nil {
		t.Fatal(err)
	}
}

func sum(m map[string]int64) (total int64) {
	for _, v := range m {
		total += v
	}
	return total
}

func idler(c *dev.Cluster, node, user string) (*imapclient.Client, error) {
	client, err := imapclient.DialTLS(fmt.Sprintf("%s:%d", dev.Host(node), c.Port(2993)),
		&imapclient.Options{TLSConfig: &tls.Config{InsecureSkipVerify: true}}) // what is measured is memory
	if err != nil {
		return nil, err
	}
	if err := client.Login(user+"@example.test", dev.Password).Wait(); err != nil {
		return nil, err
	}
	if _, err := client.Select("INBOX", nil).Wait(); err != nil {
		return nil, err
	}
	_, err = client.Idle()
	return client, err
}

// TestLargeMail: a mail of 100 MB goes through nodes that have just started, in and out, with little more memory on each.
func TestLargeMail(t *testing.T) {
	only(t)
	const octets = 100 << 20
	c := devtest.StartGroups(t, 1, 3)
	p := processes{c}
	// Connections and sessions are made, and little else: no buffer or cache is full.
	if err := deliverLarge(c, 1<<20); err != nil {
		t.Fatal(err)
	}
	reader := signIn(t, c, "n3", "u1") // what a password costs is not the mail's
	defer reader.Close()
	if _, err := reader.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	before, err := p.memory()
	if err != nil {
		t.Fatal(err)
	}
	var peak [3]atomic.Int64
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() { stopped <- watchMemory(p, before, &peak, stop) }()
	begin := time.Now()
	if err := deliverLarge(c, octets); err != nil {
		t.Fatal(err)
	}
	in := time.Since(begin)
	begin = time.Now()
	if n := readLarge(t, reader, 2); n < octets {
		t.Fatalf("%d octets came back", n)
	}
	out := time.Since(begin)
	close(stop)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	results := map[string]any{"octets": octets, "delivered in s": in.Seconds(), "fetched in s": out.Seconds()}
	for i, n := range c.Names() {
		extra := peak[i].Load()
		results["extra memory of "+n+", MB"] = float64(extra) / 1e6
		if extra > 64<<20 {
			t.Errorf("%s took %d bytes more", n, extra)
		}
	}
	devtest.Record(t, "large-mail", results)
}

func watchMemory(p processes, before map[string]int64, peak *[3]atomic.Int64, stop <-chan struct{}) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return nil
		case <-tick.C:
		}
		now, err := p.memory()
		if err != nil {
			return err
		}
		for i, n := range p.c.Names() {
			peak[i].Store(max(peak[i].Load(), now[n]-before[n]))
		}
	}
}

func deliverLarge(c *dev.Cluster, octets int) error {
	client, err := dialLMTP(c, "n1")
	if err != nil {
		return err
	}
	defer client.Close()
	client.SubmissionTimeout = 5 * time.Minute
	head := fmt.Sprintf("Subject: large\r\nMessage-ID: <large.%d@bench.example.org>\r\nMIME-Version: 1.0\r\n"+
		"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n", time.Now().UnixNano())
	return client.SendMail("bench@example.org", []string{"u1@example.test"}, io.MultiReader(strings.NewReader(head), &noise{left: octets}))
}

// noise reads as lines of base64 that do not compress.
type noise struct {
	left  int
	state uint64
	line  []byte
}

// Read implements io.Reader.
func (n *noise) Read(b []byte) (int, error) {
	if len(n.line) == 0 {
		if n.left <= 0 {
			return 0, io.EOF
		}
		var raw [57]byte
		for i := range raw {
			n.state = n.state*6364136223846793005 + 1442695040888963407 // Knuth's linear congruence
			raw[i] = byte(n.state >> 56)
		}
		n.line = append(base64.StdEncoding.AppendEncode(nil, raw[:]), "\r\n"...)
		n.left -= len(n.line)
	}
	k := copy(b, n.line)
	n.line = n.line[k:]
	return k, nil
}

// readLarge fetches a message from a node that did not take it in and counts its octets.
func readLarge(t *testing.T, client *imapclient.Client, seq uint32) int64 {
	t.Helper()
	if err := client.Noop().Wait(); err != nil { // hears of the mail
		t.Fatal(err)
	}
	fetch := client.Fetch(imap.SeqSetNum(seq), &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{{Peek: true}}})
	defer fetch.Close()
	var n int64
	for m := fetch.Next(); m != nil; m = fetch.Next() {
		for item := m.Next(); item != nil; item = m.Next() {
			if body, ok := item.(imapclient.FetchItemDataBodySection); ok {
				k, err := io.Copy(io.Discard, body.Literal)
				if err != nil {
					t.Fatal(err)
				}
				n += k
			}
		}
	}
	return n
}
