package transport

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/flotilla-mail/flotilla/cluster"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(os.Exit))
}

const (
	kindEcho  Kind = 16
	kindFast  Kind = 17
	kindOrder Kind = 18
	kindHold  Kind = 19
)

// network is a cluster's authority and the addresses of its nodes.
type network struct {
	t         testing.TB
	authority *Authority
	mu        sync.Mutex
	addrs     map[cluster.NodeID]string
}

func newNetwork(t testing.TB) *network {
	t.Helper()
	return &network{t: t, authority: newAuthority(t), addrs: map[cluster.NodeID]string{}}
}

func newAuthority(t testing.TB) *Authority {
	t.Helper()
	id, err := NewClusterID()
	if err != nil {
		t.Fatal(err)
	}
	a, err := NewAuthority(id, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (n *network) resolve(node cluster.NodeID) (string, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	addr, ok := n.addrs[node]
	return addr, ok
}

func (n *network) setAddr(node cluster.NodeID, addr string) {
	n.mu.Lock()
	n.addrs[node] = addr
	n.mu.Unlock()
}

func (n *network) credentials(node cluster.NodeID, validity time.Duration) *Credentials {
	n.t.Helper()
	pair, err := n.authority.IssueNode(node, Names{IPs: []net.IP{net.IPv4(127, 0, 0, 1)}}, validity)
	if err != nil {
		n.t.Fatal(err)
	}
	c, err := NewCredentials(n.authority.CertPEM(), pair)
	if err != nil {
		n.t.Fatal(err)
	}
	return c
}

func (n *network) config(node cluster.NodeID) Config {
	return Config{
		Cluster: n.authority.Cluster, Node: node, Listen: "127.0.0.1:0",
		Credentials: n.credentials(node, time.Hour), Resolve: n.resolve,
		Ping: 10 * time.Millisecond, Silence: 500 * time.Millisecond,
	}
}

// start runs a node; handlers are registered by setup.
func (n *network) start(cfg Config, setup ...func(*Transport)) *Transport {
	n.t.Helper()
	tr, err := New(cfg)
	if err != nil {
		n.t.Fatal(err)
	}
	tr.Handle(kindEcho, func(in Inbound) { in.Respond(in.Payload) })
	tr.HandleFast(kindFast, func(in Inbound) { in.Respond(append([]byte(nil), in.Payload...)) })
	for _, fn := range setup {
		fn(tr)
	}
	if err := tr.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.setAddr(cfg.Node, tr.Addr().String())
	n.t.Cleanup(func() { closeNow(n.t, tr) })
	return tr
}

func closeNow(t testing.TB, tr *Transport) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := tr.Close(ctx); err != nil {
		t.Error(err)
	}
}

func (n *network) pair(setup ...func(*Transport)) (*Transport, *Transport) {
	n.t.Helper()
	return n.start(n.config("n1"), setup...), n.start(n.config("n2"), setup...)
}

func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(15 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("did not come: %s", what)
		}
	}
}

func ask(ctx context.Context, tr *Transport, m Message) (string, error) {
	call, err := tr.Send(ctx, m)
	if err != nil {
		return "", err
	}
	resp, sentAt, err := call.Wait(ctx)
	if err == nil && (sentAt.IsZero() || time.Since(sentAt) < 0) {
		return "", fmt.Errorf("sent at %v", sentAt)
	}
	return string(resp), err
}

func echo(to cluster.NodeID, class Class, text string) Message {
	return Message{To: to, Class: class, Group: 7, Kind: kindEcho, Payload: [][]byte{[]byte(text)}}
}
