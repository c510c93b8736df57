package simnet

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
)

// inNetwork runs fn in a bubble with a connection from a to b.
func inNetwork(t *testing.T, fn func(t *testing.T, n *Network, a, b net.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := New(rand.New(rand.NewPCG(1, 1)))
		l := n.Listen("b")
		a, err := n.Dial(t.Context(), Direction{"a", "b"})
		if err != nil {
			t.Fatal(err)
		}
		b, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		fn(t, n, a, b)
		if err := errors.Join(a.Close(), b.Close(), l.Close()); err != nil {
			t.Error(err)
		}
	})
}

func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

func expect(t *testing.T, c net.Conn, text string) (took time.Duration) {
	t.Helper()
	began := time.Now()
	b := make([]byte, len(text))
	if _, err := io.ReadFull(c, b); err != nil || string(b) != text {
		t.Fatalf("%q, %v, want %q", b, err, text)
	}
	return time.Since(began)
}

func TestAConnectionKeepsItsOrder(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *Network, a, b net.Conn) {
		n.Change(func(c *Conditions) { c.Lossy = 300 })
		want := ""
		for i := range 100 {
			text := string(rune('a' + i%26))
			send(t, a, text)
			want += text
		}
		if took := expect(t, b, want); took < resend {
			t.Errorf("with a third of the bytes lost it took %v", took)
		}
	})
}

func TestACutHoldsOneWay(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *Network, a, b net.Conn) {
		n.Change(func(c *Conditions) { c.Cut[Direction{"a", "b"}] = true })
		send(t, a, "held")
		send(t, b, "passes")
		expect(t, a, "passes")
		if err := b.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("through a cut: %v", err)
		}
		if err := b.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		limited, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := n.Dial(limited, Direction{"b", "a"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a dial whose answer is cut: %v", err)
		}
		n.Change(func(c *Conditions) { clear(c.Cut) })
		expect(t, b, "held")
	})
}

func TestAProcessThatEndsAndAHostThatDoes(t *testing.T) {
	for _, hostToo := range []bool{false, true} {
		inNetwork(t, func(t *testing.T, n *Network, a, b net.Conn) {
			send(t, b, "last words")
			n.Vanish("b", hostToo)
			expect(t, a, "last words")
			if err := a.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			want := error(io.EOF)
			if hostToo {
				want = os.ErrDeadlineExceeded
			}
			if _, err := a.Read(make([]byte, 1)); !errors.Is(err, want) {
				t.Errorf("host too %t: %v, want %v", hostToo, err, want)
			}
			limited, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, err := n.Dial(limited, Direction{"a", "b"})
			if refused := errors.Is(err, syscall.ECONNREFUSED); refused == hostToo {
				t.Errorf("host too %t: a dial ends with %v", hostToo, err)
			}
			n.Appear("b")
			if err := a.SetReadDeadline(time.Time{}); err != nil {
				t.Fatal(err)
			}
			if hostToo {
				if _, err := a.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("a connection that the new process does not know: %v", err)
				}
			}
			n.Listen(cluster.NodeID("b"))
			if _, err := n.Dial(t.Context(), Direction{"a", "b"}); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestPackets: a fifth is lost if that is asked for, all in a cut and all when a process has ended; the others come.
func TestPackets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(rand.New(rand.NewPCG(1, 1)))
		var came int
		n.TakePackets("a", func(cluster.NodeID, []byte) { t.Error("nobody writes to a") })
		n.TakePackets("b", func(from cluster.NodeID, b []byte) {
			if from != "a" || string(b) != "text" {
				t.Errorf("%q of %s", b, from)
			}
			came++
		})
		const all = 10000
		arrive := func(from cluster.NodeID) int {
			came = 0
			for range all {
				b := []byte("text")
				n.Send(Direction{from, "b"}, b)
				clear(b) // the sender's again
				time.Sleep(time.Millisecond)
				synctest.Wait()
			}
			return came
		}
		if got := arrive("a"); got != all {
			t.Errorf("%d arrived", got)
		}
		n.Change(func(c *Conditions) { c.Lossy = 200 })
		if got := arrive("a"); got < all*77/100 || got > all*83/100 {
			t.Errorf("with a fifth lost %d arrived", got)
		}
		n.Heal()
		n.Change(func(c *Conditions) { c.Cut[Direction{"a", "b"}] = true })
		if got := arrive("a"); got != 0 {
			t.Errorf("in a cut %d arrived", got)
		}
		n.Heal()
		if got := arrive("c"); got != 0 {
			t.Errorf("of one without a port %d arrived", got)
		}
		n.Vanish("b", false)
		if got := arrive("a"); got != 0 {
			t.Errorf("to a process that has ended %d arrived", got)
		}
	})
}

// TestALostHandshakeCostsASecond: the first bytes of a connection are sent again later than others.
func TestALostHandshakeCostsASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(rand.New(rand.NewPCG(1, 1)))
		l := n.Listen("b")
		n.Change(func(c *Conditions) { c.Lossy = 200 })
		slow := 0
		for range 200 {
			began := time.Now()
			a, err := n.Dial(t.Context(), Direction{"a", "b"})
			if err != nil {
				t.Fatal(err)
			}
			switch took := time.Since(began); {
			case took >= resendSYN:
				slow++
			case took > 10*time.Millisecond:
				t.Errorf("a connection took %v", took)
			}
			b, err := l.Accept()
			if err := errors.Join(err, a.Close(), b.Close()); err != nil {
				t.Fatal(err)
			}
		}
		if slow < 40 || slow > 110 { // 0.36 of them
			t.Errorf("%d of 200 handshakes lost something", slow)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
}
