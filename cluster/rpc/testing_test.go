package rpc

import (
	"context"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/transport"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(os.Exit))
}

// node is a transport with a client and a server on it.
type node struct {
	transport *transport.Transport
	client    *Client
	server    *Server
	faults    *transport.Faults
}

type fleet struct {
	t         testing.TB
	authority *transport.Authority
	mu        sync.Mutex
	addrs     map[cluster.NodeID]string
}

func newFleet(t testing.TB) *fleet {
	t.Helper()
	id, err := transport.NewClusterID()
	if err != nil {
		t.Fatal(err)
	}
	a, err := transport.NewAuthority(id, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return &fleet{t: t, authority: a, addrs: map[cluster.NodeID]string{}}
}

func (f *fleet) resolve(n cluster.NodeID) (string, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	addr, ok := f.addrs[n]
	return addr, ok
}

// start runs a node with the methods that setup adds.
func (f *fleet) start(id cluster.NodeID, cfg ServerConfig, setup func(*Server)) *node {
	f.t.Helper()
	pair, err := f.authority.IssueNode(id, transport.Names{IPs: []net.IP{net.IPv4(127, 0, 0, 1)}}, time.Hour)
	if err != nil {
		f.t.Fatal(err)
	}
	creds, err := transport.NewCredentials(f.authority.CertPEM(), pair)
	if err != nil {
		f.t.Fatal(err)
	}
	n := &node{server: NewServer(cfg), faults: transport.NewFaults()}
	n.transport, err = transport.New(transport.Config{
		Cluster: f.authority.Cluster, Node: id, Listen: "127.0.0.1:0", Credentials: creds, Resolve: f.resolve,
		Faults: n.faults, Ping: 20 * time.Millisecond, Silence: 600 * time.Millisecond, DialTimeout: time.Second,
	})
	if err != nil {
		f.t.Fatal(err)
	}
	setup(n.server)
	n.transport.HandleCalls(n.server.Serve)
	if err := n.transport.Start(); err != nil {
		f.t.Fatal(err)
	}
	n.client = NewClient(n.transport, n.server)
	f.mu.Lock()
	f.addrs[id] = n.transport.Addr().String()
	f.mu.Unlock()
	f.t.Cleanup(func() { n.stop(f.t) })
	return n
}

func (n *node) stop(t testing.TB) {
	n.client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := n.transport.Close(ctx); err != nil {
		t.Error(err)
	}
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
