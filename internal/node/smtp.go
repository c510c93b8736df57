package node

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"

	"github.com/flotilla-mail/flotilla/frontends/smtp"
	"github.com/flotilla-mail/flotilla/internal/auth"
	"github.com/flotilla-mail/flotilla/internal/mailflow/deliver"
)

// startSMTP opens the listeners through which mail comes in.
func (n *Node) startSMTP(users auth.Authenticator, mail *deliver.Deliverer, tc *tls.Config) error {
	s, err := smtp.New(smtp.Config{Host: n.cfg.ClusterName(), TLS: tc, AllowPlaintext: n.cfg.Plaintext,
		MaxMessage: n.cfg.Limits.Message, MaxRecipients: n.cfg.Limits.Recipients, MaxConnections: n.cfg.Limits.Connections,
		MaxPerRemote: n.cfg.Limits.ConnectionsPerRemote},
		smtp.Services{Mail: mail, Users: users, MaySendAs: n.asked.maySendAs, Log: n.log.With("service", "smtp"), Events: n.metrics.smtpEvents()})
	if err != nil {
		return err
	}
	n.endsSessions(auth.Submission, s)
	for _, x := range []struct {
		name, addr string
		service    smtp.Service
	}{
		{"smtp", n.cfg.Listen.SMTP, smtp.MX}, {"lmtp", n.cfg.Listen.LMTP, smtp.LMTP},
		{"submission", n.cfg.Listen.Submission, smtp.Submission}, {"submissions", n.cfg.Listen.Submissions, smtp.Submissions},
	} {
		if x.addr == "" {
			continue
		}
		l, err := net.Listen("tcp", x.addr)
		if err != nil {
			return fmt.Errorf("listen for %s: %w", x.name, err)
		}
		n.services.add(x.name, n, l, func(l net.Listener) error { return s.Serve(l, x.service) }, s.Drain,
			func(context.Context) error { return s.Close() })
	}
	return nil
}
