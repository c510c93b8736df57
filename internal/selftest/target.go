package selftest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/flotilla-mail/flotilla/frontends/admin/adminclient"
	"github.com/flotilla-mail/flotilla/internal/dev"
)

// Target is the cluster that is tested, as its clients reach it.
type Target struct {
	Nodes []Node
	// Admin are the nodes' admin APIs; one is enough.
	Admin []*adminclient.Client
	// Domain is one that the cluster takes mail for.
	Domain string
	// Roots are whose certificates IMAP is to show; nil trusts what the machine does.
	Roots *x509.CertPool
	// Dev is set for a dev cluster, which alone takes faults.
	Dev *dev.Cluster
}

// Node is where clients reach one node, as host:port. Without LMTP all mail comes by SMTP.
type Node struct {
	Name, SMTP, LMTP, IMAPS string
}

// DevTarget is a dev cluster.
func DevTarget(c *dev.Cluster) (*Target, error) {
	ca, err := os.ReadFile(filepath.Join(c.Dir, "ca.pem"))
	if err != nil {
		return nil, fmt.Errorf("trust root: %w", err)
	}
	t := &Target{Domain: dev.Domain, Roots: x509.NewCertPool(), Dev: c}
	if !t.Roots.AppendCertsFromPEM(ca) {
		return nil, errors.New("trust root: no certificate in ca.pem")
	}
	for _, n := range c.Names() {
		at := func(port int) string { return fmt.Sprintf("%s:%d", dev.Host(n), c.Port(port)) }
		t.Nodes = append(t.Nodes, Node{Name: n, SMTP: at(2525), LMTP: at(2424), IMAPS: at(2993)})
		t.Admin = append(t.Admin, c.Admin(n))
	}
	return t, nil
}

// Ready refuses a cluster of which not every node serves clients: it would be measured by its troubles.
func (t *Target) Ready(ctx context.Context) error {
	var status struct {
		Nodes []struct {
			Node, Progress, Error string
			Ready                 bool
		}
	}
	if err := t.do(ctx, "GET", "/v1/status", nil, &status); err != nil {
		return err
	}
	for _, n := range status.Nodes {
		if n.Error != "" {
			return fmt.Errorf("the cluster is not ready: %s does not answer: %s", n.Node, n.Error)
		}
		if !n.Ready {
			return fmt.Errorf("the cluster is not ready: %s: %s", n.Node, n.Progress)
		}
	}
	return nil
}

// do asks the first admin API that can be reached.
func (t *Target) do(ctx context.Context, method, path string, body, out any) error {
	var err error
	for _, a := range t.Admin {
		if err = a.Do(ctx, method, path, body, out); !errors.Is(err, adminclient.ErrUnreachable) {
			return err
		}
	}
	return err
}

// dialTimeout is how long a client tries to connect.
const dialTimeout = 3 * time.Second

func (t *Target) dial(ctx context.Context, address string) (net.Conn, error) {
	return (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", address)
}

func (t *Target) dialTLS(ctx context.Context, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	raw, err := t.dial(ctx, address)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, &tls.Config{RootCAs: t.Roots, ServerName: host})
	limited, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if err := conn.HandshakeContext(limited); err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	return conn, nil
}
