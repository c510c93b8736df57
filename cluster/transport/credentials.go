package transport

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
)

// ALPN names of the two protocols between nodes on the port; alpnJoin is for machines that are none yet.
const (
	alpnRaft = "flotilla-raft/1"
	alpnCall = "flotilla-call/1"
)

// Credentials are a node's certificate and the roots it trusts. Every handshake reads them anew, so Reload
// rotates a certificate, or adds a root, without a restart. Safe for concurrent use.
type Credentials struct {
	current atomic.Pointer[credentialSet]
}

type credentialSet struct {
	cert  tls.Certificate
	leaf  *x509.Certificate
	roots *x509.CertPool
	// rootsDER are the certificates in roots.
	rootsDER [][]byte
	cluster  ClusterID
	node     cluster.NodeID
}

// NewCredentials reads roots (one or more certificates in PEM) and the node's own pair.
func NewCredentials(rootsPEM []byte, pair KeyPair) (*Credentials, error) {
	c := &Credentials{}
	return c, c.Reload(rootsPEM, pair)
}

// Reload replaces everything at once, or nothing when it returns an error. Connections that stand are kept.
func (c *Credentials) Reload(rootsPEM []byte, pair KeyPair) error {
	set, err := loadCredentialSet(rootsPEM, pair)
	if err != nil {
		return fmt.Errorf("credentials: %w", err)
	}
	if old := c.current.Load(); old != nil && (old.cluster != set.cluster || old.node != set.node) {
		return fmt.Errorf("credentials: certificate is for %s of cluster %s, not %s of cluster %s",
			set.node, set.cluster, old.node, old.cluster)
	}
	c.current.Store(set)
	return nil
}

// NotAfter is when the node's certificate ends.
func (c *Credentials) NotAfter() time.Time { return c.current.Load().leaf.NotAfter }

func loadCredentialSet(rootsPEM []byte, pair KeyPair) (*credentialSet, error) {
	roots, err := parseCerts(rootsPEM)
	if err != nil {
		return nil, fmt.Errorf("roots: %w", err)
	}
	cert, err := tls.X509KeyPair(pair.CertPEM, pair.KeyPEM)
	if err != nil {
		return nil, fmt.Errorf("node certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		return nil, fmt.Errorf("node certificate: %w", err)
	}
	cert.Leaf = leaf
	set := &credentialSet{cert: cert, leaf: leaf, roots: x509.NewCertPool()}
	for _, r := range roots {
		set.roots.AddCert(r)
		set.rootsDER = append(set.rootsDER, r.Raw)
	}
	if set.cluster, set.node, err = identity(leaf); err != nil {
		return nil, err
	}
	if set.node == "" {
		return nil, errors.New("certificate is not a node's")
	}
	return set, nil
}

func (c *Credentials) check(id ClusterID, node cluster.NodeID) error {
	set := c.current.Load()
	if set == nil {
		return errors.New("credentials are empty")
	}
	if set.cluster != id || set.node != node {
		return fmt.Errorf("certificate is for node %s of cluster %s, this is node %s of cluster %s",
			set.node, set.cluster, node, id)
	}
	return nil
}

// server is the listener's configuration: whatever certificate comes is judged by verify.
func (c *Credentials) server() *tls.Config {
	cfg := c.base(x509.ExtKeyUsageClientAuth, "")
	cfg.NextProtos = []string{alpnRaft, alpnCall}
	cfg.ClientAuth = tls.RequireAnyClientCert
	cfg.GetConfigForClient = c.forClient
	cfg.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		return &c.current.Load().cert, nil
	}
	return cfg
}

// client is the configuration of a dial to one node.
func (c *Credentials) client(node cluster.NodeID, alpn string) *tls.Config {
	cfg := c.base(x509.ExtKeyUsageServerAuth, node)
	cfg.NextProtos = []string{alpn}
	cfg.InsecureSkipVerify = true // names are node ids in a URI, which verify checks with the chain
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return &c.current.Load().cert, nil
	}
	return cfg
}

func (c *Credentials) base(usage x509.ExtKeyUsage, want cluster.NodeID) *tls.Config {
	return &tls.Config{
		MinVersion:                  tls.VersionTLS13,
		SessionTicketsDisabled:      true, // a resumed session would outlive the certificate it was made with
		DynamicRecordSizingDisabled: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			return c.verify(s, usage, want)
		},
	}
}

// verify judges the peer's certificate: chain, time, usage, cluster, and when we dialled, the node.
func (c *Credentials) verify(s tls.ConnectionState, usage x509.ExtKeyUsage, want cluster.NodeID) error {
	if len(s.PeerCertificates) == 0 {
		return errors.New("peer showed no certificate")
	}
	set, leaf := c.current.Load(), s.PeerCertificates[0]
	id, node, err := identity(leaf)
	if err != nil {
		return fmt.Errorf("peer's %w", err)
	}
	if id != set.cluster {
		return fmt.Errorf("%w: peer belongs to cluster %s, this is cluster %s", ErrOtherAuthority, id, set.cluster)
	}
	opts := x509.VerifyOptions{Roots: set.roots, Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{usage}}
	for _, i := range s.PeerCertificates[1:] {
		opts.Intermediates.AddCert(i)
	}
	if err := verifyLeaf(leaf, opts); err != nil {
		return fmt.Errorf("certificate of peer %s: %w", node, err)
	}
	if node == "" {
		return errors.New("peer's certificate is not a node's")
	}
	if want != "" && node != want {
		return fmt.Errorf("peer is node %s, not %s", node, want)
	}
	if s.NegotiatedProtocol == "" {
		return errors.New("peer named no protocol (ALPN)")
	}
	return nil
}

// ownFault says what a peer may have against this node's certificate, to explain a refusal that TLS leaves bare.
func (c *Credentials) ownFault(now time.Time) string {
	leaf := c.current.Load().leaf
	switch {
	case now.After(leaf.NotAfter):
		return fmt.Sprintf("this node's certificate expired at %s", leaf.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(leaf.NotBefore):
		return fmt.Sprintf("this node's certificate is valid only from %s", leaf.NotBefore.UTC().Format(time.RFC3339))
	}
	return "see the peer's log for what it holds against this node's certificate"
}
