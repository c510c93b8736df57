package transport

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
)

// A machine that is to become a node (CLUSTER 6.2) comes to the same port under an ALPN name of its own. It has no
// certificate yet; of the cluster it knows the hash of the authority's certificate, which it holds the node's chain
// against. What it may have is the handler's to judge: it gets a connection and who the machine is not.
const (
	alpnJoin = "flotilla-join/1"

	// maxJoins bounds the machines that are served at a time, joinTimeout what each may take.
	maxJoins    = 8
	joinTimeout = 30 * time.Second

	// noSuchProtocol is no_application_protocol (RFC 7301 3.2).
	noSuchProtocol = tls.AlertError(120)
)

// JoinHandler serves the connection of a machine that is no node. The connection is closed when it returns; its
// deadline is ctx's.
type JoinHandler func(ctx context.Context, conn *tls.Conn)

// HandleJoins registers the handler of machines that are no nodes, before Start. Without one they are refused.
func (t *Transport) HandleJoins(fn JoinHandler) {
	t.mustNotHaveStarted("the handler of joins is registered")
	t.joins, t.joining = fn, make(chan struct{}, maxJoins)
}

// join is the listener's configuration towards a machine that offers nothing but alpnJoin. The chain holds the roots, for
// the machine has only a hash.
func (c *Credentials) join() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		SessionTicketsDisabled: true,
		NextProtos:             []string{alpnJoin},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			set := c.current.Load()
			chain := set.cert
			chain.Certificate = slices.Concat(set.cert.Certificate, set.rootsDER)
			return &chain, nil
		},
	}
}

// forClient picks the listener's configuration: nil for nodes.
func (c *Credentials) forClient(h *tls.ClientHelloInfo) (*tls.Config, error) {
	if slices.Equal(h.SupportedProtos, []string{alpnJoin}) {
		return c.join(), nil
	}
	return nil, nil
}

// serveJoin hands a machine to the handler, if there is room.
func (t *Transport) serveJoin(w *wire, conn *tls.Conn) {
	if t.joins == nil {
		t.reject(w.Conn, "", errors.New("this node takes no machines that are no nodes"))
		return
	}
	select {
	case t.joining <- struct{}{}:
	default:
		t.reject(w.Conn, "", errors.New("too many machines ask to become nodes"))
		return
	}
	defer func() { <-t.joining }()
	ctx, cancel := context.WithTimeout(t.ctx, joinTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { w.kill(ctx.Err()) })
	defer stop()
	t.joins(ctx, conn)
	conn.Close()
}

// AuthorityHash names the cluster's authority as Authority.Hash does: by the first of the roots.
func AuthorityHash(rootsPEM []byte) (h [sha256.Size]byte, err error) {
	certs, err := parseCerts(rootsPEM)
	if err != nil {
		return h, fmt.Errorf("authority: %w", err)
	}
	return sha256.Sum256(certs[0].Raw), nil
}

// JoinConn is a machine's connection to a node of the cluster that it is to join.
type JoinConn struct {
	*tls.Conn
	// Node and Cluster are what the node has proved to be; Authority is the certificate that it was proved by, in PEM.
	Node      cluster.NodeID
	Cluster   ClusterID
	Authority []byte
}

// DialJoin connects a machine to a node's port and sees to it that this is a node of the cluster whose authority's
// certificate has the hash.
func DialJoin(ctx context.Context, addr string, authority [sha256.Size]byte, now time.Time) (*JoinConn, error) {
	var d net.Dialer
	raw, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	j := &JoinConn{}
	j.Conn = tls.Client(raw, &tls.Config{
		MinVersion:         tls.VersionTLS13,
		NextProtos:         []string{alpnJoin},
		InsecureSkipVerify: true, // a node has no name but its id: judge holds its chain against the hash
		VerifyConnection:   func(s tls.ConnectionState) error { return j.judge(s, authority, now) },
	})
	if err := j.HandshakeContext(ctx); err != nil {
		if alert := tls.AlertError(0); errors.As(err, &alert) && alert == noSuchProtocol {
			err = fmt.Errorf("%w (%w)", ErrNoJoins, err)
		}
		return nil, errors.Join(err, raw.Close())
	}
	return j, nil
}

// judge finds the authority in the node's chain by its hash and verifies the node's certificate by it.
func (j *JoinConn) judge(s tls.ConnectionState, authority [sha256.Size]byte, now time.Time) error {
	i := slices.IndexFunc(s.PeerCertificates, func(c *x509.Certificate) bool { return sha256.Sum256(c.Raw) == authority })
	if i < 1 { // 0 is the node's own
		return ErrOtherAuthority
	}
	roots := x509.NewCertPool()
	roots.AddCert(s.PeerCertificates[i])
	leaf := s.PeerCertificates[0]
	opts := x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	err := verifyLeaf(leaf, opts)
	if err != nil {
		return err
	}
	if j.Cluster, j.Node, err = identity(leaf); err != nil || j.Node == "" {
		return errors.Join(errors.New("its certificate is not a node's"), err)
	}
	j.Authority = encodeCert(s.PeerCertificates[i].Raw)
	return nil
}
