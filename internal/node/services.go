package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/auth"
	"github.com/flotilla-mail/flotilla/internal/mailflow/deliver"
)

// services are the listeners of a node with their servers.
type services struct {
	mu      sync.Mutex
	running []service // guarded by mu
	wg      sync.WaitGroup
}

type service struct {
	name     string
	listener net.Listener
	drain    func(context.Context) error // nil when there is nothing to say to clients
	close    func(context.Context) error
}

// add serves a listener until close.
func (s *services) add(name string, n *Node, l net.Listener, serve func(net.Listener) error, drain, end func(context.Context) error) {
	s.mu.Lock()
	s.running = append(s.running, service{name, l, drain, end})
	s.mu.Unlock()
	s.wg.Go(func() {
		if err := serve(l); err != nil && n.ctx.Err() == nil && !n.draining.Load() && !errors.Is(err, net.ErrClosed) {
			n.log.Error("listener ended", "code", "FL-1013", "service", name, "err", err)
		}
	})
}

func (s *services) all() []service {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]service(nil), s.running...)
}

// stopListening closes the listeners of clients; who is connected stays.
func (s *services) stopListening() {
	for _, x := range s.all() {
		if x.drain != nil {
			_ = x.listener.Close() // some servers close it themselves
		}
	}
}

// drain ends the clients' sessions in the protocols' own words, all services side by side: none waits for the
// clients of another, and all have the whole of ctx's time.
func (s *services) drain(ctx context.Context) error {
	all := s.all()
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, x := range all {
		if x.drain == nil {
			continue
		}
		wg.Go(func() {
			if err := x.drain(ctx); err != nil {
				errs[i] = fmt.Errorf("drain %s: %w", x.name, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (s *services) close(ctx context.Context) error {
	var errs []error
	for _, x := range s.all() {
		_ = x.listener.Close() // some servers close it themselves
		if x.close != nil {
			errs = append(errs, x.close(ctx))
		}
	}
	s.wg.Wait()
	return errors.Join(errs...)
}

// forget ends what drain has left of the services of clients; the administrator's stay.
func (s *services) forget(ctx context.Context) error {
	s.mu.Lock()
	var gone, kept []service
	for _, x := range s.running {
		if x.drain != nil {
			gone = append(gone, x)
			continue
		}
		kept = append(kept, x)
	}
	s.running = kept
	s.mu.Unlock()
	var errs []error
	for _, x := range gone {
		if x.close != nil {
			errs = append(errs, x.close(ctx))
		}
	}
	return errors.Join(errs...)
}

// startServices opens the listeners of clients, on a node that serves any.
func (n *Node) startServices(_ context.Context) error {
	if !n.cfg.HasRole(RoleFrontend) {
		return nil
	}
	users := countedSignIns{n.passwords, n.metrics}
	if err := os.MkdirAll(n.spool(), 0o700); err != nil {
		return fmt.Errorf("make spool folder: %w", err)
	}
	mail := n.deliverer()
	for _, start := range []func(auth.Authenticator, *deliver.Deliverer, *tls.Config) error{n.startIMAP, n.startSMTP, n.startWeb} {
		if err := start(users, mail, n.clientTLS()); err != nil {
			return err
		}
	}
	return nil
}

// spool is a folder for mails under way that are too long for memory.
func (n *Node) spool() string { return n.cfg.path("spool") }

// deliverer takes mail in.
func (n *Node) deliverer() *deliver.Deliverer {
	return &deliver.Deliverer{Caller: countedMail{n.asked, n.metrics}, Directory: n.people, Spool: n.spool(), Limit: n.cfg.Limits.Message,
		Host: n.cfg.ClusterName(), Later: n.queue(), Now: n.storage.clock.Now, Events: n.deliverEvents()}
}

// clientTLS is what clients are shown; the certificate may change under it.
func (n *Node) clientTLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return n.shown.Load(), nil }}
}

// mailboxCounts is the number of spaces of every group.
func (n *Node) mailboxCounts(ctx context.Context) (map[cluster.GroupID]int, error) {
	return placementCounts(ctx, systemReplica{n})
}
