package node

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/transport"
	"github.com/flotilla-mail/flotilla/internal/testkit"
)

// rejections collects what a node's port refused.
type rejections struct {
	mu  sync.Mutex
	all []error // guarded by mu
}

func (r *rejections) note(_ net.Addr, _ cluster.NodeID, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, err)
}

func (r *rejections) advised(part string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, err := range r.all {
		if strings.Contains(advised(err), part) {
			return nil
		}
	}
	return errors.Join(append([]error{errors.New("nothing advises " + part)}, r.all...)...)
}

// TestNodesThatDoNotComeTogether has a row for each way in which a node may be wrong for another: both are told the cause,
// and what to run.
func TestNodesThatDoNotComeTogether(t *testing.T) {
	authority := newAuthority(t)
	for name, c := range map[string]struct {
		wrong            func(*transport.Config)
		barred           error
		dialler, command string
		listener         string
	}{
		"a foreign cluster": {func(cfg *transport.Config) {
			other := newAuthority(t)
			cfg.Cluster, cfg.Credentials = other.Cluster, credentials(t, other, "a", time.Hour)
		}, nil, "it belongs to another cluster: peer belongs to cluster", "flotilla setup", ""},
		"mixed keys": {func(cfg *transport.Config) {
			forged := *newAuthority(t)
			forged.Cluster = authority.Cluster
			cfg.Credentials = credentials(t, &forged, "a", time.Hour)
		}, nil, "another cluster: x509: certificate signed by unknown authority", "flotilla setup", ""},
		"a certificate that has ended": {func(cfg *transport.Config) {
			cfg.Credentials = credentials(t, authority, "a", -time.Minute)
		}, nil, "this node's certificate expired", "timedatectl", "timedatectl"},
		"versions apart": {func(cfg *transport.Config) {
			cfg.Versions = transport.VersionRange{Min: 8, Max: 9}
		}, nil, "their releases are too far apart: no common version", "upgrade by one release", "upgrade by one release"},
		"removed": {func(*transport.Config) {}, errors.New("a was removed"), "it lets this node in no more: a was removed", "flotilla join", "a was removed"},
	} {
		t.Run(name, func(t *testing.T) {
			var seen rejections
			b := transportOf(t, transport.Config{Cluster: authority.Cluster, Node: "b", Credentials: credentials(t, authority, "b", time.Hour),
				Resolve: func(cluster.NodeID) (string, bool) { return "", false }, Events: transport.Events{Rejected: seen.note},
				Barred: func(cluster.NodeID) error { return c.barred }})
			cfg := transport.Config{Cluster: authority.Cluster, Node: "a", Credentials: credentials(t, authority, "a", time.Hour),
				Resolve: func(cluster.NodeID) (string, bool) { return b.Addr().String(), true }}
			c.wrong(&cfg)
			a := transportOf(t, cfg)
			a.SetPeers([]cluster.NodeID{"b"})
			testkit.Eventually(t, time.Minute, func(context.Context) error {
				state, _ := a.PeerState("b")
				if state.Err == nil {
					return errors.New("no error yet")
				}
				for _, part := range []string{c.dialler, c.command} {
					if text := advised(state.Err); !strings.Contains(text, part) {
						return errors.New(text + ": want in it " + part)
					}
				}
				return seen.advised(c.listener)
			})
		})
	}
	if advice(errors.New("connection refused")) != "" || advised(errors.New("gone")) != "gone" {
		t.Error("advice where there is nothing to do")
	}
}

// TestRefusedConnectionsHaveAdvice: also where nothing is known but that it was refused, as of whoever looks for open ports.
func TestRefusedConnectionsHaveAdvice(t *testing.T) {
	for what, err := range map[string]error{"let a firewall": io.ErrUnexpectedEOF, "timedatectl": transport.ErrCertificateTime} {
		var log bytes.Buffer
		n := &Node{ctx: t.Context(), log: slog.New(slog.NewTextHandler(&log, nil))}
		n.peerRejected(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 9), Port: 1}, "", err)
		if got := log.String(); !strings.Contains(got, "code=FL-1007") || !strings.Contains(got, what) {
			t.Errorf("%v: %s", err, got)
		}
	}
}

func TestRepeatsAreSaidOnceAMinute(t *testing.T) {
	var r repeats
	now := time.Unix(1_800_000_000, 0)
	for i, c := range []struct {
		text  string
		after time.Duration
		want  bool
	}{{"a", 0, true}, {"a", time.Second, false}, {"b", time.Second, true}, {"a", 61 * time.Second, true}, {"a", 0, true}} {
		if r.isNew(c.text, now.Add(c.after)) != c.want {
			t.Errorf("%d: %s after %v", i, c.text, c.after)
		}
	}
	for i := range maxRepeats + 1 {
		r.isNew(string(rune('c'+i)), now)
	}
	if len(r.last) > maxRepeats {
		t.Errorf("%d are remembered", len(r.last))
	}
}

func newAuthority(t *testing.T) *transport.Authority {
	t.Helper()
	id, err := transport.NewClusterID()
	if err != nil {
		t.Fatal(err)
	}
	a, err := transport.NewAuthority(id, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func credentials(t *testing.T, a *transport.Authority, node cluster.NodeID, validity time.Duration) *transport.Credentials {
	t.Helper()
	pair, err := a.IssueNode(node, transport.Names{}, validity)
	if err != nil {
		t.Fatal(err)
	}
	c, err := transport.NewCredentials(a.CertPEM(), pair)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func transportOf(t *testing.T, cfg transport.Config) *transport.Transport {
	t.Helper()
	cfg.Listen = "127.0.0.1:0"
	tr, err := transport.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := tr.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return tr
}
