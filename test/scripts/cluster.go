// Package scripts plays scripts of store operations: on one store in memory, and on a cluster of three processes that are
// killed, frozen and cut off meanwhile. internal/testkit/storescript has the language; each script says which rows of the
// features it shows.
package scripts

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/client"
	"github.com/flotilla-mail/flotilla/frontends/admin"
	"github.com/flotilla-mail/flotilla/frontends/admin/adminclient"
	"github.com/flotilla-mail/flotilla/internal/clock"
	"github.com/flotilla-mail/flotilla/internal/dev"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/testkit/storescript"
	"github.com/flotilla-mail/flotilla/test/fault"
)

// Cluster is a cluster of processes as a site of scripts.
type Cluster struct {
	*dev.Cluster
	name string
	turn atomic.Uint32

	mu     sync.Mutex
	places map[cluster.SpaceID]place // guarded by mu
}

// place is where a mailbox was when it was asked last.
type place struct {
	owner string
	group uint64
}

var _ storescript.Site = (*Cluster)(nil)

// On is the site of a cluster that runs, under the name by which scripts say that they are for it.
func On(c *dev.Cluster, name string) *Cluster {
	return &Cluster{Cluster: c, name: name, places: make(map[cluster.SpaceID]place)}
}

// Name implements storescript.Site.
func (c *Cluster) Name() string { return c.name }

// Caller implements storescript.Site: without a node each caller asks another one.
func (c *Cluster) Caller(node string) exmdb.Caller { return c.client(node) }

func (c *Cluster) client(node string) client.Client {
	if node == "" {
		node = c.Names()[int(c.turn.Add(1))%c.Nodes]
	}
	n := &nodeOps{Cluster: c}
	n.at.Store(int64(slices.Index(c.Names(), node)))
	return client.Client{Ops: n, Routes: c}
}

// Route implements client.Router: mailboxes of one group share content.
func (c *Cluster) Route(_ context.Context, id cluster.SpaceID) (ops.Route, error) {
	return ops.Route{Group: cluster.GroupID(c.place(id).group)}, nil
}

func (c *Cluster) place(id cluster.SpaceID) place {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.places[id]
}

// nodeOps performs ops through one node, and through another from when that does not answer: as a client does that connects
// again, with the request id that it had.
type nodeOps struct {
	*Cluster
	at atomic.Int64 // counts on from the node's place among the names
}

// attempt bounds one try, so that a frozen node costs no more.
const attempt = 3 * time.Second

// Call implements client.Caller.
func (n *nodeOps) Call(ctx context.Context, q *ops.Request, mode ops.Mode) ([]byte, error) {
	id := mapi.NewGUID()
	op := admin.SpaceOp{Space: q.Space[:], Op: uint16(q.Op), Mode: uint8(mode), As: q.As, Payload: q.Payload, ID: id[:]}
	names := n.Names()
	for {
		at := n.at.Load()
		resp, err := n.once(ctx, names[at%int64(len(names))], op)
		if err == nil {
			n.learn(q.Space, resp)
			return resp.Payload, nil
		}
		// A node that says there is no such space has looked for it again and again.
		if ctx.Err() != nil || !cluster.Retryable(err) || cluster.KindOf(err) == cluster.KindNoSpace {
			return nil, err
		}
		n.at.CompareAndSwap(at, at+1)
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

func (n *nodeOps) once(ctx context.Context, node string, op admin.SpaceOp) (*admin.SpaceOpAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	var resp admin.SpaceOpAnswer
	err := n.Admin(node).Do(ctx, "POST", "/v1/ops", op, &resp)
	var refused *adminclient.Refused
	switch {
	case err == nil:
		return &resp, nil
	case errors.As(err, &refused):
		return nil, cluster.Errorf(refused.Kind, "%s", refused.Text)
	case errors.Is(err, adminclient.ErrUnreachable):
		return nil, cluster.Errorf(cluster.KindUnknownOutcome, "%s: %v", node, err)
	}
	return nil, err
}

func (n *nodeOps) learn(id cluster.SpaceID, resp *admin.SpaceOpAnswer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.places[id] = place{resp.Owner, uint64(resp.Group)}
}

func pause(ctx context.Context, d time.Duration) error { return clock.System{}.Sleep(ctx, d) }

// Create implements storescript.Site.
func (c *Cluster) Create(ctx context.Context, req *exmdb.CreateMailboxRequest) (mapi.MailboxID, error) {
	box := mapi.NewMailboxID()
	_, err := c.client("").CreateMailbox(ctx, box, req)
	return box, err
}

// Open implements storescript.Site.
func (c *Cluster) Open(ctx context.Context, address string) (mapi.MailboxID, mapi.GUID, error) {
	var o struct {
		Mailbox mapi.MailboxID
		GUID    mapi.GUID
	}
	err := c.Admin(c.Names()[0]).Do(ctx, "GET", adminclient.Path("v1", "objects", address), nil, &o)
	return o.Mailbox, o.GUID, err
}

// Enter implements storescript.Site.
func (c *Cluster) Enter(ctx context.Context, address, kind, booking string) error {
	o := admin.NewObject{Kind: kind, Address: address, Booking: booking}
	err := c.Admin(c.Names()[0]).Do(ctx, "POST", "/v1/objects", o, nil)
	var refused *adminclient.Refused
	if errors.As(err, &refused) && refused.Kind == exmdb.KindExists {
		return nil
	}
	return err
}

// IMAP implements storescript.Site.
func (c *Cluster) IMAP(_ context.Context, node, address string) (names []string, err error) {
	if node == "" {
		node = c.Names()[0]
	}
	client, err := imapclient.DialInsecure(fmt.Sprintf("%s:%d", dev.Host(node), c.Port(2143)), nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	if err := client.Login(address, dev.Password).Wait(); err != nil {
		return nil, err
	}
	list, err := client.List("", "*", nil).Collect()
	for _, m := range list {
		names = append(names, m.Mailbox)
	}
	return names, err
}

// Do implements storescript.Site. A node that is killed, frozen or cut off stays so until the script says otherwise.
func (c *Cluster) Do(ctx context.Context, what, node string, box mapi.MailboxID) error {
	if node == "owner" {
		if node = c.place(cluster.SpaceID(box)).owner; node == "" {
			return fmt.Errorf("it is not known who owns the mailbox")
		}
	}
	nodes := []string{node}
	if node == "all" {
		nodes = c.Names()
	}
	for _, n := range nodes {
		if err := c.one(ctx, what, n); err != nil {
			return fmt.Errorf("%s %s: %w", what, n, err)
		}
	}
	return nil
}

func (c *Cluster) one(ctx context.Context, what, node string) error {
	what, step, _ := strings.Cut(what, "=")
	switch what {
	case "kill":
		return c.Kill(node)
	case "restart":
		return c.restart(ctx, node)
	case "freeze":
		return syscall.Kill(c.Running(node), syscall.SIGSTOP)
	case "thaw":
		return syscall.Kill(c.Running(node), syscall.SIGCONT)
	case "cut", "clear":
		return c.Fault(ctx, node, admin.Fault{Kind: what})
	case "die-at", "freeze-at":
		return c.Fault(ctx, node, admin.Fault{Kind: what, Step: step})
	}
	return errors.New("nobody knows how")
}

// Doomed implements storescript.Site.
func (c *Cluster) Doomed(ctx context.Context) error {
	at := -1
	for at < 0 {
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return fmt.Errorf("no node has come to the step: %w", err)
		}
		at = slices.IndexFunc(c.Names(), func(n string) bool { return c.Running(n) == 0 || frozen(c.Running(n)) })
	}
	for _, n := range slices.Delete(c.Names(), at, at+1) {
		if err := c.Fault(ctx, n, admin.Fault{Kind: "clear"}); err != nil {
			return fmt.Errorf("clear %s: %w", n, err)
		}
	}
	return nil
}

// frozen reports whether a process is stopped, as Linux says.
func frozen(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, state, _ := strings.Cut(string(stat), ") ")
	return err == nil && strings.HasPrefix(state, "T")
}

// restart starts a node that was killed, whose process may still be on its way out, and waits until it serves.
func (c *Cluster) restart(ctx context.Context, node string) error {
	answers := func() bool { return c.Admin(node).Do(ctx, "GET", "/healthz/live", nil, nil) == nil }
	for c.Running(node) != 0 && !answers() {
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
	return errors.Join(c.Start(node), c.ReadyNode(ctx, node, func(string) {}))
}

// Whole implements storescript.Site.
func (c *Cluster) Whole(ctx context.Context) error { return c.Ready(ctx, func(string) {}) }

// Same implements storescript.Site.
func (c *Cluster) Same(ctx context.Context) error { return fault.SameHashes(ctx, c.Cluster) }

// Group implements storescript.Site, as the last answer had it.
func (c *Cluster) Group(box mapi.MailboxID) uint64 { return c.place(cluster.SpaceID(box)).group }

// Orders implements storescript.Site: by the files of each node.
func (c *Cluster) Orders(_ context.Context, box mapi.MailboxID) (map[string]int, error) {
	kept := make(map[string]int)
	for _, n := range c.Names() {
		files, err := filepath.Glob(filepath.Join(c.Dir, n, "orders", hex.EncodeToString(box[:]), "*"))
		if err != nil {
			return nil, err
		}
		kept[n] = len(files)
	}
	return kept, nil
}

// Entries implements storescript.Site.
func (c *Cluster) Entries(ctx context.Context, box mapi.MailboxID) (uint64, error) {
	groups, err := fault.ReadGroups(ctx, c.Cluster, false)
	if err != nil {
		return 0, err
	}
	for _, g := range groups {
		if g.Group == c.place(cluster.SpaceID(box)).group {
			return g.Entries, nil
		}
	}
	return 0, fmt.Errorf("no group %d", c.place(cluster.SpaceID(box)).group)
}
