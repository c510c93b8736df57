package node

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"github.com/flotilla-mail/flotilla/frontends/imap"
	"github.com/flotilla-mail/flotilla/internal/auth"
	"github.com/flotilla-mail/flotilla/internal/mailflow/deliver"
)

func (n *Node) startIMAP(users auth.Authenticator, mail *deliver.Deliverer, tc *tls.Config) error {
	if n.cfg.Listen.IMAP == "" && n.cfg.Listen.IMAPS == "" {
		return nil
	}
	s, err := imap.New(imap.Config{TLS: tc, AllowPlaintext: n.cfg.Plaintext, MaxConnections: n.cfg.Limits.Connections,
		AllFolders: n.cfg.AllFolders, MaxPerUser: n.cfg.Limits.ConnectionsPerUser, MaxLine: n.cfg.Limits.IMAPLine,
		MaxMessage: n.cfg.Limits.Message, IdleTimeout: time.Duration(n.cfg.Limits.Idle)}.Defaults(),
		imap.Services{Mailboxes: n.asked, Users: users, Messages: mail, Log: n.log.With("service", "imap"), Events: n.metrics.imapEvents()})
	if err != nil {
		return err
	}
	n.endsSessions(auth.IMAP, s)
	for _, x := range []struct {
		name, addr string
		mode       imap.Mode
	}{{"imap", n.cfg.Listen.IMAP, imap.StartTLS}, {"imaps", n.cfg.Listen.IMAPS, imap.ImplicitTLS}} {
		if x.addr == "" {
			continue
		}
		l, err := net.Listen("tcp", x.addr)
		if err != nil {
			return fmt.Errorf("listen for %s: %w", x.name, err)
		}
		n.services.add(x.name, n, l, func(l net.Listener) error { return s.Serve(n.ctx, l, x.mode) }, s.Drain,
			func(context.Context) error { s.Close(); return nil })
	}
	return nil
}
