package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
)

// doorman is a node that answers machines with what they say.
func doorman(n *network, node cluster.NodeID) *Transport {
	n.t.Helper()
	return n.start(n.config(node), func(tr *Transport) {
		tr.HandleJoins(func(_ context.Context, conn *tls.Conn) {
			b := make([]byte, 5)
			if _, err := io.ReadFull(conn, b); err == nil {
				_, _ = conn.Write(b) // whoever asked may have gone
			}
		})
	})
}

func TestMachineIsLetInByTheAuthoritysHash(t *testing.T) {
	n := newNetwork(t)
	n2 := doorman(n, "n2")
	hash, err := AuthorityHash(n.authority.CertPEM())
	if err != nil || hash != n.authority.Hash() {
		t.Fatalf("%x, %v", hash, err)
	}
	conn, err := DialJoin(within(t), n2.Addr().String(), hash, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if conn.Node != "n2" || conn.Cluster != n.authority.Cluster || string(conn.Authority) != string(n.authority.CertPEM()) {
		t.Errorf("%s of %s", conn.Node, conn.Cluster)
	}
	got := make([]byte, 5)
	if _, err := conn.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != "hello" {
		t.Fatalf("%q, %v", got, err)
	}
}

func TestDialJoinNamesTheCause(t *testing.T) {
	n, other := newNetwork(t), newNetwork(t)
	at := doorman(n, "n2").Addr().String()
	hash := n.authority.Hash()
	for name, c := range map[string]struct {
		hash [32]byte
		now  time.Time
		want error
	}{
		"another cluster's token": {other.authority.Hash(), time.Now(), ErrOtherAuthority},
		"a clock that is behind":  {hash, time.Now().Add(-2 * time.Hour), ErrCertificateTime},
		"a clock that is ahead":   {hash, time.Now().Add(365 * 24 * time.Hour), ErrCertificateTime},
	} {
		if conn, err := DialJoin(within(t), at, c.hash, c.now); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, %v", name, conn, err)
		}
	}
	// The leaf itself is no authority, whatever its hash.
	leaf := n.credentials("n2", time.Hour).current.Load().leaf
	hash, err := AuthorityHash(encodeCert(leaf.Raw))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := DialJoin(within(t), at, hash, time.Now()); !errors.Is(err, ErrOtherAuthority) {
		t.Errorf("a leaf's hash: %v", err)
	}
	if _, err := AuthorityHash(nil); err == nil {
		t.Error("a hash of nothing")
	}
}

// Machines that hold their connections keep no more than so many others out, and no node.
func TestMachinesAreBounded(t *testing.T) {
	n := newNetwork(t)
	n2 := doorman(n, "n2")
	dial := func() *JoinConn {
		conn, err := DialJoin(within(t), n2.Addr().String(), n.authority.Hash(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	for range maxJoins {
		dial()
	}
	eventually(t, "all places to be taken", func() bool { return len(n2.joining) == maxJoins })
	late := dial()
	if _, err := late.Read(make([]byte, 1)); err == nil {
		t.Error("one too many is served")
	}
	n1 := n.start(n.config("n1"))
	if _, err := ask(within(t), n1, echo("n2", Control, "")); err != nil {
		t.Errorf("a node is kept out: %v", err)
	}
}

// A machine gets nothing but the handler: neither frames nor calls go over its connection, and where there is no handler
// it is refused.
func TestMachinesAreNoNodes(t *testing.T) {
	n := newNetwork(t)
	var seen refusals
	cfg := n.config("n3")
	cfg.Events = seen.events()
	n3 := n.start(cfg)
	conn, err := DialJoin(within(t), n3.Addr().String(), n.authority.Hash(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("served without a handler")
	}
	eventually(t, "the refusal's report", func() bool { return seen.has("takes no machines") })
	for _, alpn := range [][]string{{alpnRaft}, {alpnCall}, {alpnJoin, alpnRaft}, {alpnRaft, alpnJoin}} {
		conn, err := tls.Dial("tcp", n3.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: alpn})
		if err != nil {
			continue
		}
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Errorf("%v is served without a certificate", alpn)
		}
		conn.Close()
	}
}

func TestBarredNodeIsExpelledAndToldWhy(t *testing.T) {
	n := newNetwork(t)
	barred := make(chan struct{})
	cfg := n.config("n2")
	cfg.Barred = func(node cluster.NodeID) error {
		select {
		case <-barred:
			return errors.New(string(node) + " was removed")
		default:
			return nil
		}
	}
	n2 := n.start(cfg)
	n1 := n.start(n.config("n1"))
	if _, err := ask(within(t), n1, echo("n2", Control, "")); err != nil {
		t.Fatal(err)
	}
	close(barred)
	n2.Expel("n1", errors.New("n1 was removed"))
	n2.Expel("n9", nil) // nobody
	eventually(t, "the refusal of n1", func() bool {
		_, err := ask(within(t), n1, echo("n2", Control, ""))
		return err != nil && errors.Is(err, cluster.ErrUnavailable) && strings.Contains(err.Error(), "n1 was removed")
	})
}
