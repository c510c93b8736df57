package gossip

import (
	"net"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
)

// TestPortTellsPoolsApart: what names no pool of this node is dropped, whoever says nothing is not waited for, and the
// pool goes on.
func TestPortTellsPoolsApart(t *testing.T) {
	t.Parallel()
	m := start(t, "n1", nil)
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", m.Addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	for range maxUnknown {
		dial() // and says nothing
	}
	closed := func(conn net.Conn) {
		t.Helper()
		if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		var one [1]byte
		if n, err := conn.Read(one[:]); n != 0 || err == nil || isTimeout(err) {
			t.Errorf("read %d bytes, %v", n, err)
		}
	}
	closed(dial())
	eventually(t, "room again", func() bool { return len(m.mux.slots) == 0 })
	for _, text := range []string{"\xf4\x08wan-test", "\xf4\x00", "\xf4\x05wan", "hello"} {
		conn := dial()
		if _, err := conn.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		closed(conn)
		m.mux.packet(&memberlist.Packet{Buf: []byte(text), From: conn.LocalAddr()})
	}
	other := start(t, "n2", seeds(m))
	eventually(t, "both", func() bool { return m.alive() == 2 && other.alive() == 2 })
}

func isTimeout(err error) bool {
	ne, ok := err.(net.Error)
	return ok && ne.Timeout()
}

// TestPoolsCloseWithoutWaiting: a branch that is gone takes nothing and holds up nobody.
func TestPoolsCloseWithoutWaiting(t *testing.T) {
	t.Parallel()
	m := start(t, "n1", nil)
	b := m.mux.branch("x") // nobody takes anything off it
	done := make(chan struct{})
	go func() {
		m.mux.packet(&memberlist.Packet{Buf: []byte("\xf4\x01xmessage"), From: &net.UDPAddr{}})
		close(done)
	}()
	if err := b.Shutdown(); err != nil {
		t.Fatal(err)
	}
	<-done
	if m.mux.find("x") != nil {
		t.Error("the pool is still there")
	}
	if _, err := b.DialTimeout(m.Addr(), time.Minute); err == nil {
		t.Error("a pool that was closed dials")
	}
}
