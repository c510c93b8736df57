package devtest

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/flotilla-mail/flotilla/internal/dev"
	"github.com/flotilla-mail/flotilla/internal/probe"
)

// Dial is how the client with a number connects to a port as it is without shift.
type Dial func(client, port int) func(context.Context) (net.Conn, error)

// Stay has each client stay at one of the nodes, in turn.
func Stay(c *dev.Cluster, nodes ...string) Dial {
	return func(client, port int) func(context.Context) (net.Conn, error) {
		return func(ctx context.Context) (net.Conn, error) {
			return probe.Plain(ctx, fmt.Sprintf("%s:%d", dev.Host(nodes[client%len(nodes)]), c.Port(port)))
		}
	}
}

// Roam has each client begin at another node, and go to the next with each connection.
func Roam(c *dev.Cluster) Dial {
	return func(client, port int) func(context.Context) (net.Conn, error) {
		var addrs []string
		for i := range c.Names() {
			addrs = append(addrs, fmt.Sprintf("%s:%d", dev.Host(c.Names()[(client+i)%len(c.Names())]), c.Port(port)))
		}
		return probe.InTurn(probe.Plain, addrs...)
	}
}

// Crew is a client of each protocol for each of some numbered users' mailboxes, and one that idles in it.
func Crew(dial Dial, first, users int) *probe.Crew {
	w := &probe.Crew{}
	for i, by := range []struct {
		protocol probe.Protocol
		port     int
	}{{probe.IMAP, 2143}, {probe.SMTP, 2525}, {probe.LMTP, 2424}} {
		for u := range users {
			n := i*users + u
			w.Clients = append(w.Clients, &probe.Client{Protocol: by.protocol, Address: address(first + u), Password: dev.Password,
				Name: fmt.Sprintf("c%d", n), Pause: 25 * time.Millisecond, Dial: dial(n, by.port)})
		}
	}
	for u := range users {
		w.Watchers = append(w.Watchers, &probe.Watcher{Address: address(first + u), Password: dev.Password, Dial: dial(u, 2143)})
	}
	return w
}

func address(user int) string { return fmt.Sprintf("u%d@%s", user, dev.Domain) }
