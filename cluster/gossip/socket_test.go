package gossip

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/testkit/simnet"
)

// wires is a network in memory; machine 7 is n07, at 10.0.0.7. It counts what is sent.
type wires struct {
	*simnet.Network
	packets, bytes, dials atomic.Int64
}

func machine(number int) (name cluster.NodeID, addr string) {
	return cluster.NodeID(fmt.Sprintf("n%02d", number)), fmt.Sprintf("10.0.0.%d:7946", number)
}

// machineAt is the machine of an address.
func machineAt(addr string) (cluster.NodeID, error) {
	at, err := netip.ParseAddrPort(addr)
	if err != nil {
		return "", err
	}
	name, _ := machine(int(at.Addr().As4()[3]))
	return name, nil
}

// receiveBuffer is how many packets wait for a process to take them; more are lost.
const receiveBuffer = 256

// socket is a machine's port on the wires.
type socket struct {
	*simnet.Listener
	wires   *wires
	node    cluster.NodeID
	bound   netip.AddrPort
	packets chan *memberlist.Packet
	streams chan net.Conn
	worker  sync.WaitGroup
}

// sender is who sent a packet, as a net.Addr.
type sender cluster.NodeID

func (sender) Network() string  { return "wires" }
func (s sender) String() string { return string(s) }

// open is an opener.
func (w *wires) open(bind netip.AddrPort, _ *log.Logger) (port, error) {
	node, err := machineAt(bind.String())
	if err != nil {
		return nil, err
	}
	s := &socket{wires: w, node: node, bound: bind, Listener: w.Listen(node), streams: make(chan net.Conn),
		packets: make(chan *memberlist.Packet, receiveBuffer)}
	w.TakePackets(node, func(from cluster.NodeID, b []byte) {
		select {
		case s.packets <- &memberlist.Packet{Buf: b, From: sender(from), Timestamp: time.Now()}:
		default:
		}
	})
	s.worker.Go(func() {
		for conn, err := s.Accept(); err == nil; conn, err = s.Accept() {
			s.streams <- conn
		}
	})
	return s, nil
}

func (s *socket) GetAutoBindPort() int                { return int(s.bound.Port()) }
func (s *socket) PacketCh() <-chan *memberlist.Packet { return s.packets }
func (s *socket) StreamCh() <-chan net.Conn           { return s.streams }

func (s *socket) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return s.bound.Addr().AsSlice(), int(s.bound.Port()), nil
}

func (s *socket) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	to, err := machineAt(a.Addr)
	if err != nil {
		return time.Time{}, err
	}
	s.wires.packets.Add(1)
	s.wires.bytes.Add(int64(len(b)))
	s.wires.Send(simnet.Direction{From: s.node, To: to}, b)
	return time.Now(), nil
}

func (s *socket) dial(ctx context.Context, addr string) (net.Conn, error) {
	to, err := machineAt(addr)
	if err != nil {
		return nil, err
	}
	s.wires.dials.Add(1)
	return s.wires.Dial(ctx, simnet.Direction{From: s.node, To: to})
}

// Shutdown ends the port; what it took in is taken off it meanwhile.
func (s *socket) Shutdown() error {
	s.wires.TakePackets(s.node, nil)
	err := s.Close()
	s.worker.Wait()
	return err
}
