package testkit

import (
	"errors"
	"net"
	"testing"
)

// ClosedBefore is a listener that whoever closes it finds closed by somebody else, who was just ahead of him.
func ClosedBefore(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return closedBefore{l}
}

type closedBefore struct{ net.Listener }

// Close implements net.Listener.
func (l closedBefore) Close() error { return errors.Join(net.ErrClosed, l.Listener.Close()) }
