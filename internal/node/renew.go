package node

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/transport"
)

// A node signs its certificates anew by itself, so that no cluster ends on a day that nobody wrote down. For that it
// keeps the authority's key, which is the secret's only part that a running node needs. Whoever reads a node's disk can
// then make certificates for further nodes; he already speaks for every mailbox with the node's own key, since between
// nodes an op carries its caller unproved (docs/design/decisions.md).

// certificateValidity is that of a node's certificates; they are issued anew when less than half of it is left.
const certificateValidity = 2 * 365 * 24 * time.Hour

const (
	// certificateCheck is how often a running node looks at its certificates.
	certificateCheck = time.Hour
	// certificateWarn is how often it says that one ends and cannot be renewed here.
	certificateWarn = 24 * time.Hour
	// certificateLate is how long before its end a certificate of the administrator's is one to warn of.
	certificateLate = 14 * 24 * time.Hour
)

// signerFile holds the authority's key.
const signerFile = "authority.key"

func readSigner(dir string, cert []byte) (*transport.Authority, error) {
	key, err := os.ReadFile(filepath.Join(dir, signerFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read authority's key: %w", err)
	}
	return transport.LoadAuthority(transport.KeyPair{CertPEM: cert, KeyPEM: key})
}

func keepSigner(dir string, a *transport.Authority) (*transport.Authority, error) {
	pair, err := a.PEM()
	if err != nil {
		return nil, err
	}
	return a, writeFile(filepath.Join(dir, signerFile), pair.KeyPEM, 0o600)
}

// certificateNames are the names under which a node's listeners are reached.
func (c *Config) certificateNames() transport.Names {
	host, _, err := net.SplitHostPort(c.Listen.Node)
	if err != nil {
		host = "" // Listen of a node without a listener of its own: the names are enough
	}
	return certificateNames(c.ExternalName(), c.ClusterName(), host, "localhost")
}

// renew issues the certificates that are due, writes them, and reports which.
func (t *trust) renew(cfg *Config, now time.Time) (renewed []string, err error) {
	if t.signer == nil {
		return nil, nil
	}
	names := cfg.certificateNames()
	for _, x := range []struct {
		name  string
		pair  *transport.KeyPair
		issue func() (transport.KeyPair, error)
	}{
		{"node", &t.node, func() (transport.KeyPair, error) {
			return t.signer.IssueNode(cluster.NodeID(cfg.Node), names, certificateValidity)
		}},
		{"server", &t.server, func() (transport.KeyPair, error) { return t.signer.IssueServer(names, certificateValidity) }},
	} {
		if !due(*x.pair, names, now) {
			continue
		}
		fresh, err := x.issue()
		if err != nil {
			return renewed, err
		}
		// A crash between the two leaves a pair that does not fit together, which is due too.
		base := filepath.Join(cfg.path("tls"), x.name)
		if err := errors.Join(writeFile(base+".key", fresh.KeyPEM, 0o600), writeFile(base+".pem", fresh.CertPEM, 0o644)); err != nil {
			return renewed, err
		}
		*x.pair, renewed = fresh, append(renewed, x.name)
	}
	return renewed, nil
}

// due reports whether a certificate has less than half of its time left, names other hosts, or is none.
func due(p transport.KeyPair, names transport.Names, now time.Time) bool {
	leaf, err := leafOf(p)
	if err != nil || !slices.Equal(leaf.DNSNames, names.DNS) {
		return true
	}
	if !slices.EqualFunc(leaf.IPAddresses, names.IPs, func(a, b net.IP) bool { return a.Equal(b) }) {
		return true
	}
	return leaf.NotAfter.Sub(now) < leaf.NotAfter.Sub(leaf.NotBefore)/2
}

func leafOf(p transport.KeyPair) (*x509.Certificate, error) {
	pair, err := tls.X509KeyPair(p.CertPEM, p.KeyPEM)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(pair.Certificate[0])
}

// shownPair is the certificate that clients are shown: the administrator's, or the one of the cluster's authority.
func (n *Node) shownPair(t *trust) (transport.KeyPair, error) {
	if n.cfg.TLS.Certificate == "" {
		return t.server, nil
	}
	var p transport.KeyPair
	var err error
	if p.CertPEM, err = os.ReadFile(n.cfg.TLS.Certificate); err != nil {
		return p, fmt.Errorf("tls.certificate: %w", err)
	}
	if p.KeyPEM, err = os.ReadFile(n.cfg.TLS.Key); err != nil {
		return p, fmt.Errorf("tls.key: %w", err)
	}
	return p, nil
}

// useCertificates renews what is due and puts what is on disk to use, in connections that begin from now on.
func (n *Node) useCertificates(t *trust, now time.Time) error {
	renewed, err := t.renew(&n.cfg, now)
	for _, name := range renewed {
		n.log.Info("certificate issued anew", "certificate", name)
	}
	if err != nil {
		return fmt.Errorf("renew certificates: %w", err)
	}
	p, err := n.shownPair(t)
	if err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(p.CertPEM, p.KeyPEM)
	if err != nil {
		return fmt.Errorf("certificate for clients: %w", err)
	}
	if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
		return fmt.Errorf("certificate for clients: %w", err)
	}
	n.shown.Store(&pair)
	if n.credentials == nil {
		n.credentials, err = transport.NewCredentials(t.authority, t.node)
		return err
	}
	return n.credentials.Reload(t.authority, t.node)
}

// keepCertificates looks after the certificates while the node runs. What 'flotilla setup', or a tool that fetches
// certificates, has written meanwhile is taken up.
func (n *Node) keepCertificates(ctx context.Context) error {
	tick := time.NewTicker(certificateCheck)
	defer tick.Stop()
	var warned time.Time
	for {
		if now := n.storage.clock.Now(); now.Sub(warned).Abs() >= certificateWarn && n.warnOfEnds(now) {
			warned = now
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		t, err := readTrust(n.cfg.path("tls"))
		if err == nil {
			err = n.useCertificates(t, n.storage.clock.Now())
		}
		if err != nil {
			n.log.Warn("certificates are not as they should be: those in use stay", "code", "FL-1019", "err", err)
		}
	}
}

// warnOfEnds says which certificates end before long.
func (n *Node) warnOfEnds(now time.Time) (said bool) {
	limits := map[string]time.Duration{"node": certificateValidity / 2, "client": certificateValidity / 2}
	if n.cfg.TLS.Certificate != "" {
		limits["client"] = certificateLate
	}
	for name, end := range n.certificateEnds() {
		if left := end.Sub(now); left < limits[name] {
			n.log.Warn("a certificate ends and was not renewed: run 'flotilla setup' again with the cluster's secret, or replace [tls]'s",
				"code", "FL-1020", "certificate", name, "left", left.Round(time.Hour))
			said = true
		}
	}
	return said
}

// certificateEnds is when the certificates in use end: the one that peers see, and the one that clients see.
func (n *Node) certificateEnds() map[string]time.Time {
	return map[string]time.Time{"node": n.credentials.NotAfter(), "client": n.shown.Load().Leaf.NotAfter}
}
