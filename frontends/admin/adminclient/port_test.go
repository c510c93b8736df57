package adminclient

import (
	"io/fs"
	"net"
	"net/url"
	"strings"
	"syscall"
	"testing"
)

func TestPortOfANode(t *testing.T) {
	for address, want := range map[string]string{
		"n1":               "http://n1:2808",
		"n1:99":            "http://n1:99",
		"10.0.0.1":         "http://10.0.0.1:2808",
		"2001:db8::1":      "http://[2001:db8::1]:2808",
		"[2001:db8::1]":    "http://[2001:db8::1]:2808",
		"[2001:db8::1]:99": "http://[2001:db8::1]:99",
		"https://n1/":      "https://n1",
	} {
		if got := Port(address, "").base; got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
}

// TestWhoMayAsk: another user of the machine is told that it is one, not that there is no node.
func TestWhoMayAsk(t *testing.T) {
	socket := &net.OpError{Op: "dial", Net: "unix", Err: syscall.EACCES}
	for err, want := range map[error]string{
		&url.Error{Op: "Get", URL: "http://node/v1", Err: socket}:      "no node answers: dial unix: permission denied: only root and the user of the service may ask here",
		&url.Error{Op: "Get", URL: "http://n1/v1", Err: net.ErrClosed}: "no node answers: use of closed network connection",
		fs.ErrClosed: "no node answers: file already closed",
	} {
		if got := unreachable(err).Error(); strings.TrimSpace(got) != want {
			t.Errorf("%v: %s", err, got)
		}
	}
}
