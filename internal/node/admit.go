package node

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/internal/wire"
	"github.com/flotilla-mail/flotilla/placement"
	"github.com/flotilla-mail/flotilla/placement/store"
)

// A machine and a node exchange one joinRequest and one joinAnswer over a connection on which the node has proved who it
// is (transport.DialJoin), each behind its length in four bytes, little endian. Tags are for ever.

// joinRequest is a machine that wants to become a node.
type joinRequest struct {
	Secret []byte `wire:"1"`
	// Key is an Ed25519 key of the machine, Proof its signature over what TLS exports of this connection: whoever took a
	// token once can ask again, and nobody else can with the token alone.
	Key   []byte `wire:"2"`
	Proof []byte `wire:"3"`
	// Clock is the machine's.
	Clock   time.Time `wire:"4"`
	Version string    `wire:"5"`

	Node     cluster.NodeID `wire:"6"`
	Address  string         `wire:"7"`
	External string         `wire:"8"`
	DC       string         `wire:"9"`
	Zone     string         `wire:"10"`
	// MinLevel and MaxLevel are the cluster levels that its program speaks.
	MinLevel uint32 `wire:"11"`
	MaxLevel uint32 `wire:"12"`
}

// joinAnswer is what makes the machine a node, or why it does not become one.
type joinAnswer struct {
	// Refused says so in words; Elsewhere that another node may answer otherwise.
	Refused   string `wire:"1"`
	Elsewhere bool   `wire:"2"`

	// Signer is the authority's key, Gossip that of the gossip.
	Signer []byte `wire:"3"`
	Gossip []byte `wire:"4"`
	// Nodes are the nodes that there are, name=host:port.
	Nodes []string `wire:"5"`
	// What follows is the same on every node: see Config.
	Groups   int    `wire:"6"`
	Replicas int    `wire:"7"`
	Cluster  string `wire:"8"`
	Reads    string `wire:"9"`
}

const (
	// joinLabel binds a proof to its purpose (RFC 8446 7.5).
	joinLabel = "EXPORTER-flotilla-join"
	// maxJoinRequest and maxJoinAnswer bound the messages.
	maxJoinRequest = 8 << 10
	maxJoinAnswer  = 256 << 10
	// joinSkew is how far a machine's clock may be off: the cluster's windows of time are minutes long.
	joinSkew = 5 * time.Minute
)

func writeJoin(w io.Writer, v any) error {
	b := wire.Append(make([]byte, 4), v)
	binary.LittleEndian.PutUint32(b, uint32(len(b)-4))
	_, err := w.Write(b)
	return err
}

func readJoin(r io.Reader, limit uint32, v any) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n > limit {
		return fmt.Errorf("a message of %d bytes, at most %d", n, limit)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return err
	}
	return wire.Unmarshal(b, v)
}

// attempts bounds how often machines may come with a token. The zero value is ready.
type attempts struct {
	mu    sync.Mutex
	since time.Time      // guarded by mu
	of    map[string]int // by host; guarded by mu
	all   int            // guarded by mu
}

// Attempts in a minute, of one host and of all.
const (
	hostAttempts = 10
	allAttempts  = 100
)

// allow counts an attempt, and refuses one too many.
func (a *attempts) allow(host string, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now.Sub(a.since).Abs() >= time.Minute {
		a.since, a.of, a.all = now, make(map[string]int), 0
	}
	if a.all >= allAttempts || a.of[host] >= hostAttempts {
		return false
	}
	a.all++
	a.of[host]++
	return true
}

// refusal is why a machine is not let in, in words for its administrator.
type refusal struct {
	text      string
	elsewhere bool
}

func (r *refusal) Error() string { return r.text }

func refusef(format string, args ...any) error { return &refusal{text: fmt.Sprintf(format, args...)} }

// letIn serves a machine that comes with a token.
func (n *Node) letIn(ctx context.Context, conn *tls.Conn) {
	remote := conn.RemoteAddr()
	host, _, err := net.SplitHostPort(remote.String())
	if err != nil {
		host = remote.String()
	}
	var q joinRequest
	a := &joinAnswer{}
	if !n.attempts.allow(host, time.Now()) {
		err = refusef("%s has asked too often: wait a minute and run 'flotilla join' again", host)
	} else if err = readJoin(conn, maxJoinRequest, &q); err != nil {
		n.log.Warn("a machine that asks to join is not understood", "code", "FL-1050", "remote", remote, "err", err)
		return
	} else if err = n.checkJoin(conn, &q); err == nil {
		a, err = n.admit(ctx, &q)
	}
	if err != nil {
		n.log.Warn("a machine was not let in", "code", "FL-1051", "remote", remote, "name", string(q.Node), "err", err)
		a = refused(err)
	} else {
		n.log.Info("a machine joins the cluster", "remote", remote, "name", q.Node, "address", q.Address, "version", q.Version)
	}
	if err := writeJoin(conn, a); err != nil {
		n.log.Info("a machine that asked to join has not heard the answer", "remote", remote, "err", err)
	}
}

func refused(err error) *joinAnswer {
	r := &refusal{}
	if errors.As(err, &r) {
		return &joinAnswer{Refused: r.text, Elsewhere: r.elsewhere}
	}
	return &joinAnswer{Refused: fmt.Sprintf("the cluster cannot let a machine in now: %v", err), Elsewhere: true}
}

// checkJoin refuses what no token helps.
func (n *Node) checkJoin(conn *tls.Conn, q *joinRequest) error {
	state := conn.ConnectionState()
	bound, err := state.ExportKeyingMaterial(joinLabel, nil, sha256.Size)
	if err != nil {
		return fmt.Errorf("bind the request to its connection: %w", err)
	}
	if len(q.Key) != ed25519.PublicKeySize || !ed25519.Verify(q.Key, bound, q.Proof) {
		return refusef("the request is not signed by the machine's key")
	}
	if !q.Node.Valid() {
		return refusef("%q is no name of a node: want 1 to 63 lower case letters, digits or dashes", q.Node)
	}
	if host, port, err := net.SplitHostPort(q.Address); err != nil || host == "" || port == "" {
		return refusef("%q is no address at which the others could reach %s: say --address host:port", q.Address, q.Node)
	}
	if off := q.Clock.Sub(n.storage.clock.Now()); off.Abs() > joinSkew {
		way := "ahead of"
		if off < 0 {
			way = "behind"
		}
		return refusef("the machine's clock is %v %s that of %s: set it, 'timedatectl set-ntp true' keeps it right, and run 'flotilla join' again",
			off.Abs().Round(time.Second), way, n.self)
	}
	return nil
}

// admit spends the token and, only when that is certain, answers with what makes the machine a node.
func (n *Node) admit(ctx context.Context, q *joinRequest) (*joinAnswer, error) {
	t, err := readTrust(n.cfg.path("tls"))
	if err != nil {
		return nil, err
	}
	if t.signer == nil {
		return nil, &refusal{elsewhere: true, text: fmt.Sprintf("%s does not keep the authority's key, so it lets no machine in: "+
			"run 'flotilla node token' on a node that does, or 'flotilla setup' on %s with the cluster's secret", n.self, n.self)}
	}
	pair, err := t.signer.PEM()
	if err != nil {
		return nil, err
	}
	if err := n.spend(ctx, q); err != nil {
		return nil, err
	}
	// Only now: from here on who changes the gossip's key asks this machine too.
	if t, err = readTrust(n.cfg.path("tls")); err != nil {
		return nil, err
	}
	a := &joinAnswer{Signer: pair.KeyPEM, Gossip: t.gossip.used, Groups: n.cfg.Groups, Replicas: n.cfg.Replicas,
		Cluster: n.cfg.Cluster, Reads: n.cfg.Reads}
	for _, p := range n.everyone() {
		if addr, ok := n.resolve(p.ID); ok && p.ID != q.Node {
			a.Nodes = append(a.Nodes, string(p.ID)+"="+addr)
		}
	}
	return a, nil
}

// spend uses the token up and makes the machine known, in one update of the system group.
func (n *Node) spend(ctx context.Context, q *joinRequest) error {
	token := &joinToken{}
	if copy(token.secret[:], q.Secret) != len(q.Secret) || len(q.Secret) != len(token.secret) {
		return unknownToken()
	}
	req := &store.UseTokenRequest{ID: token.id(), Hash: token.hash(), Key: sha256.Sum256(q.Key),
		Node: placement.NodeState{ID: q.Node, Address: q.Address, External: q.External, DC: q.DC, Zone: q.Zone,
			MinLevel: q.MinLevel, MaxLevel: q.MaxLevel}}
	raw, err := n.ops.Call(ctx, &ops.Request{Op: store.OpUseToken, Space: store.Space, Payload: wire.Marshal(req)}, ops.Write)
	if err != nil {
		return err
	}
	var a store.UseTokenAnswer
	if err := wire.Unmarshal(raw, &a); err != nil {
		return fmt.Errorf("decode token answer: %w", err)
	}
	return tokenRefused(&a, q)
}

func unknownToken() error {
	return refusef("the cluster does not know this token: draw a new one with 'flotilla node token' on one of its nodes")
}

// tokenRefused says a refusal in words, and what to do.
func tokenRefused(a *store.UseTokenAnswer, q *joinRequest) error {
	name := q.Node
	switch a.Refusal {
	case store.TokenTaken:
		return nil
	case store.TokenExpired:
		return refusef("the token ended at %s: draw a new one with 'flotilla node token' on a node of the cluster", a.Until.UTC().Format(time.RFC3339))
	case store.TokenUsed:
		return refusef("the token was used by the machine that is %s now: draw another for this one with 'flotilla node token'", a.By)
	case store.NameTaken:
		return refusef("the cluster has a node %s: choose another --name, or draw a token for a machine that takes "+
			"its place with 'flotilla node token --replace %s'", name, name)
	case store.NameRemoved:
		return refusef("%s was removed from the cluster, and its name is not given again: choose another --name", name)
	case store.LevelUnknown:
		speaks := placement.Levels{Oldest: placement.Level(q.MinLevel), Newest: placement.Level(q.MaxLevel)}
		return refusef("the cluster is at level %d and this machine's program, %s, speaks %s: %s; then run 'flotilla join' again with the same token",
			a.Level, q.Version, speaks, speaks.Remedy(a.Level))
	case store.NameOther:
		return refusef("the token is for a machine that takes the place of %s: run 'flotilla join' with --name %s, or draw one for a new node with 'flotilla node token'", a.By, a.By)
	}
	return unknownToken()
}
