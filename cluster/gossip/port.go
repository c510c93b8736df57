package gossip

import (
	"context"
	"log"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/hashicorp/memberlist"
)

const bindTries = 10 // a free port is taken for TCP first; somebody else may have it for UDP

// port is where a node's packets and connections go out and come in: the machine's, or in tests that of a network in memory.
// What is not said here is as in memberlist.Transport.
type port interface {
	// GetAutoBindPort is the number that was bound.
	GetAutoBindPort() int
	FinalAdvertiseAddr(ip string, port int) (net.IP, int, error)
	WriteToAddress(b []byte, a memberlist.Address) (time.Time, error)
	PacketCh() <-chan *memberlist.Packet
	dial(ctx context.Context, addr string) (net.Conn, error)
	StreamCh() <-chan net.Conn
	Shutdown() error
}

// opener binds a port.
type opener func(bind netip.AddrPort, logger *log.Logger) (port, error)

// machinePort is the port of a machine.
type machinePort struct{ *memberlist.NetTransport }

// openPort binds the port of this machine; port 0 takes a free one.
func openPort(bind netip.AddrPort, logger *log.Logger) (port, error) {
	c := &memberlist.NetTransportConfig{BindAddrs: []string{bind.Addr().String()}, BindPort: int(bind.Port()), Logger: logger}
	for try := 1; ; try++ {
		t, err := memberlist.NewNetTransport(c)
		if err == nil {
			return machinePort{t}, nil
		}
		if try == bindTries || c.BindPort != 0 || !strings.Contains(err.Error(), "address already in use") {
			return nil, err
		}
	}
}

func (machinePort) dial(ctx context.Context, addr string) (net.Conn, error) {
	var dialer net.Dialer
	return dialer.DialContext(ctx, "tcp", addr)
}
