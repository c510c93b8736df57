package node

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/cluster/transport"
	"github.com/flotilla-mail/flotilla/frontends/admin"
	"github.com/flotilla-mail/flotilla/internal/wire"
	"github.com/flotilla-mail/flotilla/placement/store"
)

// joinToken is what a new machine is given, in one word: whom to ask, how to know that it is them, and a secret that they
// know again. The cluster keeps the hash of the secret alone.
//
//	version 1 · SHA-256 of the authority's certificate, 32 · secret, 16 · addresses, host:port with commas between · check, 4
//
// in base32 without padding. The check is the beginning of the SHA-256 of what stands before it.
type joinToken struct {
	authority [sha256.Size]byte
	secret    [16]byte
	addresses []string
}

const (
	joinTokenVersion = 1
	joinTokenCheck   = 4
	// maxTokenAddresses bounds those that a token carries: one that answers is enough.
	maxTokenAddresses = 5
	// maxTokenText bounds what is read as a token.
	maxTokenText = 4096
)

func (t *joinToken) String() string {
	b := append([]byte{joinTokenVersion}, t.authority[:]...)
	b = append(append(b, t.secret[:]...), strings.Join(t.addresses, ",")...)
	check := sha256.Sum256(b)
	return strings.ToLower(secretText.EncodeToString(append(b, check[:joinTokenCheck]...)))
}

var errTokenText = errors.New("this is not a whole token: something is missing or was changed. " +
	"Copy all of what 'flotilla node token' printed, or run it again on a node of the cluster")

// parseJoinToken reads a token as it was printed, in either case and with spaces or line ends that a terminal put in.
func parseJoinToken(text string) (*joinToken, error) {
	if len(text) > maxTokenText {
		return nil, errTokenText
	}
	text = strings.ToUpper(strings.Join(strings.Fields(text), ""))
	b, err := secretText.DecodeString(text)
	t := new(joinToken)
	const head = 1 + len(t.authority) + len(t.secret)
	// The last letter has bits that mean nothing: another one is a slip of the hand too.
	if err != nil || len(b) < head+joinTokenCheck || secretText.EncodeToString(b) != text {
		return nil, errTokenText
	}
	b, check := b[:len(b)-joinTokenCheck], b[len(b)-joinTokenCheck:]
	if sum := sha256.Sum256(b); !slices.Equal(sum[:joinTokenCheck], check) {
		return nil, errTokenText
	}
	if b[0] != joinTokenVersion {
		return nil, fmt.Errorf("the token has version %d, this program reads version %d: install the release that the cluster runs", b[0], joinTokenVersion)
	}
	copy(t.authority[:], b[1:])
	copy(t.secret[:], b[1+len(t.authority):])
	t.addresses = strings.Split(string(b[head:]), ",")
	for _, a := range t.addresses {
		if host, port, err := net.SplitHostPort(a); err != nil || host == "" || port == "" {
			return nil, errTokenText
		}
	}
	return t, nil
}

// id finds the token's record; the hash proves the secret.
func (t *joinToken) id() (id store.TokenID) {
	sum := sha256.Sum256(append([]byte("flotilla token id "), t.secret[:]...))
	copy(id[:], sum[:])
	return id
}

func (t *joinToken) hash() [sha256.Size]byte { return sha256.Sum256(t.secret[:]) }

// Limits of how long a token may be good for.
const (
	tokenValid    = time.Hour
	maxTokenValid = 7 * 24 * time.Hour
)

// NodeToken implements admin.Backend.
func (b backend) NodeToken(ctx context.Context, q admin.TokenRequest) (*admin.Token, error) {
	if q.Valid == 0 {
		q.Valid = tokenValid
	}
	if q.Valid < time.Minute || q.Valid > maxTokenValid {
		return nil, cluster.Errorf(cluster.KindBadRequest, "valid for %v: want 1m to %v", q.Valid, maxTokenValid)
	}
	t := joinToken{addresses: b.n.tokenAddresses()}
	if len(t.addresses) == 0 {
		return nil, cluster.Errorf(cluster.KindBadRequest, "no node has an address that another machine could reach: name this one in nodes of flotilla.toml")
	}
	var err error
	if t.authority, err = transport.AuthorityHash(b.n.trust.authority); err != nil {
		return nil, err
	}
	if _, err := rand.Read(t.secret[:]); err != nil {
		return nil, fmt.Errorf("draw token: %w", err)
	}
	replaces := cluster.NodeID(q.Replace)
	if replaces != "" {
		if err := mayReplace(replaces, b.n.allStatus(ctx)); err != nil {
			return nil, err
		}
	}
	raw, err := b.n.ops.Call(ctx, &ops.Request{Op: store.OpDrawToken, Space: store.Space,
		Payload: wire.Marshal(&store.DrawTokenRequest{ID: t.id(), Hash: t.hash(), Valid: q.Valid, Replaces: replaces})}, ops.Write)
	if err != nil {
		return nil, err
	}
	var a store.DrawTokenAnswer
	if err := wire.Unmarshal(raw, &a); err != nil {
		return nil, fmt.Errorf("decode token answer: %w", err)
	}
	return &admin.Token{Token: t.String(), Until: a.Until, Addresses: t.addresses}, nil
}

// mayReplace refuses to give the name of a node away that answers: two machines would have it.
func mayReplace(node cluster.NodeID, all []Status) error {
	if slices.ContainsFunc(all, func(s Status) bool { return s.Node == node && s.Err == "" }) {
		return cluster.Errorf(cluster.KindUnsafe, "%s answers: stop it for good first. To move what it has to a node of another name, run 'flotilla node replace %s NODE'", node, node)
	}
	return nil
}

// tokenAddresses are where a new machine may ask: this node first, since it runs, then others that answer.
func (n *Node) tokenAddresses() []string {
	var own, others []string
	for _, p := range n.everyone() {
		addr, ok := n.resolve(p.ID)
		switch host, _, err := net.SplitHostPort(addr); {
		case !ok || err != nil || host == "":
		case p.ID == n.self:
			own = append(own, addr)
		default:
			others = append(others, addr)
		}
	}
	all := append(own, others...)
	return all[:min(len(all), maxTokenAddresses)]
}
