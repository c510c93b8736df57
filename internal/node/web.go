package node

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/frontends/autodiscover"
	"github.com/flotilla-mail/flotilla/frontends/web"
	"github.com/flotilla-mail/flotilla/internal/auth"
	"github.com/flotilla-mail/flotilla/internal/mailflow/deliver"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// startWeb opens the HTTPS host with what is mounted on it.
func (n *Node) startWeb(users auth.Authenticator, _ *deliver.Deliverer, tc *tls.Config) error {
	if n.cfg.Listen.HTTPS == "" {
		return nil
	}
	host := web.New(web.Config{TLS: tc, Events: n.metrics.webEvents(), AllowPlaintext: n.cfg.Plaintext, HTTPSPort: portOf(n.cfg.Listen.HTTPS)}, users, n.log.With("service", "web"))
	ad := autodiscover.New(autodiscover.Config{HTTPSPort: portOf(n.cfg.Listen.HTTPS), IMAPPort: portOf(n.cfg.Listen.IMAP),
		IMAPSPort: portOf(n.cfg.Listen.IMAPS), SubmissionPort: portOf(n.cfg.Listen.Submission),
		SubmissionsPort: portOf(n.cfg.Listen.Submissions), ClusterName: n.anyNode(), Now: n.storage.clock.Now},
		n.people, owners{n}, n.log.With("service", "autodiscover"))
	for _, r := range ad.Routes() {
		access := web.Open
		if r.SignedIn {
			access = web.SignedIn
		}
		host.Handle(r.Pattern, access, r.Handle)
	}
	for _, x := range []struct {
		name, addr string
		serve      func(net.Listener) error
	}{{"https", n.cfg.Listen.HTTPS, host.Serve}, {"http", n.cfg.Listen.HTTP, host.ServeRedirect}} {
		if x.addr == "" {
			continue
		}
		l, err := net.Listen("tcp", x.addr)
		if err != nil {
			return fmt.Errorf("listen for %s: %w", x.name, err)
		}
		n.services.add(x.name, n, l, x.serve, host.Close, host.Close)
	}
	return nil
}

// anyNode is the name under which any node is reached. That of a dev cluster is in no DNS: there it is this node's.
func (n *Node) anyNode() string {
	if n.cfg.Staging {
		return n.cfg.ExternalName()
	}
	return n.cfg.ClusterName()
}

// portOf is the port of a listen address, 0 for a service that is off.
func portOf(addr string) int {
	port := addr[strings.LastIndexByte(addr, ':')+1:]
	p, err := strconv.Atoi(port)
	if err != nil {
		return 0
	}
	return p
}

// owners says on which host a mailbox is served without a detour.
type owners struct{ n *Node }

// Owner implements autodiscover.Locator.
func (o owners) Owner(ctx context.Context, box mapi.MailboxID) (string, error) {
	r, err := o.n.view.Route(ctx, cluster.SpaceID(box))
	if err != nil {
		return "", err
	}
	s := o.n.view.Map().Node(r.Leader)
	if s == nil || s.External == "" {
		return "", cluster.Errorf(cluster.KindUnavailable, "the owner of the mailbox is not known now")
	}
	return s.External, nil
}
