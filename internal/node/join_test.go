package node

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/cluster/transport"
	"github.com/flotilla-mail/flotilla/frontends/admin"
	"github.com/flotilla-mail/flotilla/placement"
	"github.com/flotilla-mail/flotilla/placement/store"
	"github.com/flotilla-mail/flotilla/placement/view"
)

// gate is a node that lets machines in and does nothing else: its map is in memory.
type gate struct {
	*Node
	rep *space.LocalReplica
	log bytes.Buffer
}

func newGate(t *testing.T) *gate {
	t.Helper()
	cfg, _, _ := machine(t)
	cfg.Listen.Node = "127.0.0.1:0"
	g := &gate{rep: replicaInMemory(t)}
	g.Node = &Node{cfg: cfg, self: "a", log: slog.New(slog.NewTextHandler(&g.log, nil)), trust: trusted(t, cfg)}
	g.storage.clock = newClockShift()
	_, err := g.rep.Create(t.Context(), store.Space, 1, cluster.RequestID{}, func(w space.Writer) ([]byte, error) {
		system := placement.Group{ID: cluster.SystemGroup, Replicas: []placement.Replica{{Server: "a.1"}}}
		return nil, errors.Join(store.Init(w, placement.FirstLevel), store.AdoptGroup(w, system),
			store.PutNode(w, placement.NodeState{ID: "a", Address: "127.0.0.1:7400", MaxLevel: 1}))
	})
	if err != nil {
		t.Fatal(err)
	}
	g.view = view.New(inMemory{g.rep})
	g.view.Learn(cluster.SystemGroup, 1, "a")
	g.refresh(t)
	g.server = ops.NewServer(lone{g.rep}, ops.Events{}, store.Handlers())
	g.ops = ops.NewClient("a", g.server, nil, router{g.Node}, g.storage.clock)
	credentials, err := transport.NewCredentials(g.trust.authority, g.trust.node)
	if err != nil {
		t.Fatal(err)
	}
	g.storage.net, err = transport.New(transport.Config{Cluster: g.trust.cluster, Node: "a", Listen: cfg.Listen.Node,
		Credentials: credentials, Resolve: g.resolve})
	if err != nil {
		t.Fatal(err)
	}
	g.storage.net.HandleJoins(g.letIn)
	if err := g.storage.net.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.stop(t) })
	return g
}

// inMemory is a system replica without Raft.
type inMemory struct{ *space.LocalReplica }

func (inMemory) WaitApplied(ctx context.Context, _ cluster.SpaceID, _ uint64) (uint64, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

func (g *gate) stop(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := g.storage.net.Close(ctx); err != nil {
		t.Error(err)
	}
}

func (g *gate) refresh(t *testing.T) {
	t.Helper()
	if err := g.view.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// token is one that leads to the gate.
func (g *gate) token(t *testing.T) *joinToken {
	t.Helper()
	made, err := (backend{g.Node}).NodeToken(t.Context(), admin.TokenRequest{})
	if err != nil {
		t.Fatal(err)
	}
	token, err := parseJoinToken(made.Token)
	if err != nil || token.addresses[0] != "127.0.0.1:7400" || made.Until.After(time.Now().Add(tokenValid)) {
		t.Fatalf("%+v, %v", token, err)
	}
	token.addresses = []string{g.storage.net.Addr().String()}
	return token
}

// newcomer is the configuration of a machine that is to join.
func newcomer(t *testing.T, name string) (cfg Config, path string) {
	t.Helper()
	dir := t.TempDir()
	cfg = Defaults()
	cfg.Node, cfg.Dir, cfg.External, cfg.DC = name, filepath.Join(dir, "data"), name+".example.org", "fra"
	return cfg, filepath.Join(dir, "etc", "flotilla.toml")
}

// asking is a machine that has its key and has asked nobody yet.
func asking(t *testing.T, cfg *Config, token *joinToken) *joiner {
	t.Helper()
	if err := os.MkdirAll(cfg.path("tls"), 0o700); err != nil {
		t.Fatal(err)
	}
	key, err := joinKey(cfg.path("tls"))
	if err != nil {
		t.Fatal(err)
	}
	return &joiner{cfg: cfg, token: token, key: key, address: "10.0.0.4:7400"}
}

func TestMachineJoins(t *testing.T) {
	g := newGate(t)
	token := g.token(t)
	cfg, path := newcomer(t, "d")
	done, err := Join(t.Context(), cfg, token.String(), "10.0.0.4", path)
	if err != nil || !strings.Contains(done, string(g.trust.cluster)) {
		t.Fatalf("%q, %v", done, err)
	}
	got, err := ReadConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.Nodes, []string{"a=127.0.0.1:7400", "d=10.0.0.4:7400"}) || !got.Joined || got.Cluster != "mail.example.org" || got.DC != "fra" {
		t.Errorf("%+v", got)
	}
	x := trusted(t, cfg)
	genuine(t, x, x.node, "d.example.org", time.Now())
	if x.cluster != g.trust.cluster || !bytes.Equal(x.gossip.used, g.trust.gossip.used) || !bytes.Equal(x.authority, g.trust.authority) || x.signer == nil {
		t.Error("the new node's trust is not that of the others")
	}
	if _, err := os.Stat(cfg.path("tls", joinKeyFile)); err == nil {
		t.Error("the machine's key is kept")
	}
	g.refresh(t)
	o := g.view.Map().Node("d")
	if o == nil || o.Address != "10.0.0.4:7400" || o.External != "d.example.org" || o.DC != "fra" || o.Roles != 0 {
		t.Fatalf("%+v", o)
	}
	// Again it does nothing, and asks nobody.
	g.stop(t)
	if done, err = Join(t.Context(), cfg, token.String(), "", path); err != nil || !strings.Contains(done, "joined already") {
		t.Errorf("again: %q, %v", done, err)
	}
	if text := g.log.String(); strings.Contains(text, token.String()) || !strings.Contains(text, "name=d") {
		t.Errorf("log: %s", text)
	}
}

// The answer is lost after the token was used: the machine asks again, and no other can.
func TestLostAnswerIsAskedForAgain(t *testing.T) {
	g := newGate(t)
	token := g.token(t)
	cfg, path := newcomer(t, "d")
	j := asking(t, &cfg, token)
	if a, err := j.ask(t.Context()); err != nil || a.Refused != "" {
		t.Fatalf("%+v, %v", a, err)
	}
	thief, theirs := newcomer(t, "d")
	if _, err := Join(t.Context(), thief, token.String(), "10.0.0.5", theirs); err == nil || !strings.Contains(err.Error(), "was used by the machine that is d") {
		t.Errorf("another machine: %v", err)
	}
	if _, err := Join(t.Context(), cfg, token.String(), "10.0.0.4", path); err != nil {
		t.Fatalf("again: %v", err)
	}
	trusted(t, cfg)
}

func TestRefusalsNameCauseAndCommand(t *testing.T) {
	g := newGate(t)
	spent := g.token(t)
	first, path := newcomer(t, "d")
	if _, err := Join(t.Context(), first, spent.String(), "10.0.0.4", path); err != nil {
		t.Fatal(err)
	}
	g.refresh(t)
	other := newGate(t)
	for name, c := range map[string]struct {
		token   func() *joinToken
		node    string
		address string
		want    []string
	}{
		"unknown": {func() *joinToken { x := g.token(t); x.secret[0]++; return x }, "e", "10.0.0.5",
			[]string{"does not know this token", "flotilla node token"}},
		"used":                                {func() *joinToken { return spent }, "e", "10.0.0.5", []string{"used by the machine that is d", "flotilla node token"}},
		"name taken":                          {func() *joinToken { return g.token(t) }, "d", "10.0.0.5", []string{"has a node d", "--name"}},
		"name of one that formed the cluster": {func() *joinToken { return g.token(t) }, "a", "10.0.0.5", []string{"has a node a", "--name"}},
		"another cluster's": {func() *joinToken { x := other.token(t); x.addresses = spent.addresses; return x }, "e", "10.0.0.5",
			[]string{"another cluster", "flotilla node token"}},
		"nobody there": {func() *joinToken { x := g.token(t); x.addresses = []string{closedPort(t)}; return x }, "e", "10.0.0.5",
			[]string{"no node answers", "7400"}},
		"address": {func() *joinToken { return g.token(t) }, "e", "10.0.0.5:x", []string{"--address"}},
	} {
		cfg, path := newcomer(t, c.node)
		_, err := Join(t.Context(), cfg, c.token().String(), c.address, path)
		if err == nil {
			t.Errorf("%s: let in", name)
			continue
		}
		for _, part := range c.want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %v; want %q in it", name, err, part)
			}
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s: a configuration was written", name)
		}
	}
}

func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestClockThatIsOffIsRefused(t *testing.T) {
	g := newGate(t)
	for off, want := range map[time.Duration]string{time.Hour: "behind", -time.Hour: "ahead of"} {
		g.storage.clock.set(off)
		cfg, path := newcomer(t, "d")
		token := g.token(t)
		if _, err := Join(t.Context(), cfg, token.String(), "10.0.0.4", path); err == nil || !strings.Contains(err.Error(), "clock is 1h0m0s "+want) ||
			!strings.Contains(err.Error(), "timedatectl") {
			t.Errorf("%v: %v", off, err)
		}
	}
}

// A node whose administrator keeps the authority's key elsewhere lets nobody in and says so; the next one is asked.
func TestNodeWithoutTheAuthoritysKeySendsElsewhere(t *testing.T) {
	g := newGate(t)
	token := g.token(t)
	if err := os.Remove(g.cfg.path("tls", signerFile)); err != nil {
		t.Fatal(err)
	}
	token.addresses = append(token.addresses, closedPort(t))
	cfg, path := newcomer(t, "d")
	_, err := Join(t.Context(), cfg, token.String(), "10.0.0.4", path)
	if err == nil || !strings.Contains(err.Error(), "does not keep the authority's key") || !strings.Contains(err.Error(), "no node answers") {
		t.Fatal(err)
	}
	g.refresh(t)
	if g.view.Map().Node("d") != nil {
		t.Error("the token is spent")
	}
}

func TestProofIsForOneConnection(t *testing.T) {
	g := newGate(t)
	token := g.token(t)
	cfg, _ := newcomer(t, "d")
	j := asking(t, &cfg, token)
	dial := func() *transport.JoinConn {
		conn, err := transport.DialJoin(t.Context(), token.addresses[0], token.authority, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	first, second := dial(), dial()
	defer first.Close()
	defer second.Close()
	q, err := j.request(first)
	if err != nil {
		t.Fatal(err)
	}
	var a joinAnswer
	if err := errors.Join(writeJoin(second, q), readJoin(second, maxJoinAnswer, &a)); err != nil || !strings.Contains(a.Refused, "not signed") || a.Signer != nil {
		t.Fatalf("%+v, %v", a, err)
	}
}

func TestGarbageIsNotAnswered(t *testing.T) {
	g := newGate(t)
	for name, b := range map[string][]byte{
		"too long": {0xff, 0xff, 0xff, 0xff}, "no fields": {1, 0, 0, 0, 0xff}, "cut short": {9, 0, 0, 0, 1},
	} {
		conn, err := transport.DialJoin(t.Context(), g.storage.net.Addr().String(), g.token(t).authority, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(b); err != nil {
			t.Fatal(err)
		}
		if err := conn.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if n, err := conn.Read(make([]byte, 1)); n > 0 || err == nil {
			t.Errorf("%s: answered", name)
		}
		if err := conn.Close(); err != nil && !errors.Is(err, tls.AlertError(0)) && !errors.Is(err, io.EOF) {
			t.Logf("%s: %v", name, err)
		}
	}
}

func TestAttemptsAreBounded(t *testing.T) {
	var a attempts
	now := time.Unix(1_800_000_000, 0)
	for n := range hostAttempts {
		if !a.allow("h", now) {
			t.Fatalf("refused after %d", n)
		}
	}
	if a.allow("h", now) || !a.allow("i", now) {
		t.Error("the bound is not each host's")
	}
	if !a.allow("h", now.Add(time.Minute)) {
		t.Error("barred for ever")
	}
	for n := range allAttempts - 1 {
		a.allow(string(rune('a'+n)), now.Add(time.Minute))
	}
	if a.allow("new", now.Add(time.Minute)) {
		t.Error("no bound on all")
	}
	if !a.allow("new", now) { // the clock was set back
		t.Error("barred by a clock that was ahead")
	}
}

func TestTokenText(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	token := &joinToken{authority: sha256.Sum256([]byte("authority")), addresses: []string{"a.example:7400", "[2001:db8::1]:7400"}}
	for i := range token.secret {
		token.secret[i] = byte(r.Uint32())
	}
	text := token.String()
	for _, written := range []string{text, strings.ToUpper(text), " " + text[:40] + "\r\n" + text[40:] + "\n"} {
		got, err := parseJoinToken(written)
		if err != nil || got.secret != token.secret || got.authority != token.authority || !slices.Equal(got.addresses, token.addresses) {
			t.Fatalf("%q: %+v, %v", written, got, err)
		}
	}
	for range 300 {
		b := []byte(text)
		at := r.IntN(len(b))
		was := b[at]
		if b[at] = "abcdefghijklmnopqrstuvwxyz234567"[r.IntN(32)]; b[at] == was {
			b = append(b[:at], b[at+1:]...)
		}
		if got, err := parseJoinToken(string(b)); err == nil {
			t.Fatalf("%q was taken for a token: %+v", b, got)
		}
	}
	newer := &joinToken{addresses: token.addresses}
	raw, err := secretText.DecodeString(strings.ToUpper(newer.String()))
	if err != nil {
		t.Fatal(err)
	}
	raw[0] = joinTokenVersion + 1
	sum := sha256.Sum256(raw[:len(raw)-joinTokenCheck])
	copy(raw[len(raw)-joinTokenCheck:], sum[:])
	for bad, want := range map[string]string{secretText.EncodeToString(raw): "install the release", "": "whole token",
		strings.Repeat("a", maxTokenText+1): "whole token", (&joinToken{}).String(): "whole token"} {
		if _, err := parseJoinToken(bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v", bad, err)
		}
	}
	if token.id() == (&joinToken{}).id() || token.hash() == sha256.Sum256(nil) {
		t.Error("the token's record does not depend on its secret")
	}
}

func FuzzToken(f *testing.F) {
	f.Add((&joinToken{addresses: []string{"a:1"}}).String())
	f.Fuzz(func(t *testing.T, text string) {
		token, err := parseJoinToken(text)
		if err != nil {
			return
		}
		again, err := parseJoinToken(token.String())
		if err != nil || again.secret != token.secret || !slices.Equal(again.addresses, token.addresses) {
			t.Fatalf("%q: %+v, %v", text, again, err)
		}
	})
}
