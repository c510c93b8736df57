package adminclient

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/internal/testkit"
)

// TestOneRequestLeavesNoConnection: a test that polls makes a client for each look, thousands of them.
func TestOneRequestLeavesNoConnection(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	var open, served atomic.Int64
	srv := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { served.Add(1); fmt.Fprint(w, "{}") }),
		ConnState: func(_ net.Conn, s http.ConnState) {
			switch s {
			case http.StateNew:
				open.Add(1)
			case http.StateClosed, http.StateHijacked:
				open.Add(-1)
			}
		}}
	go func() { _ = srv.Serve(l) }() // ends with Close
	defer srv.Close()
	const clients = 50
	for range clients {
		if err := Socket(path).Do(t.Context(), "GET", "/", nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	testkit.Eventually(t, time.Minute, func(context.Context) error {
		if n := open.Load(); n != 0 {
			return fmt.Errorf("%d connections are open", n)
		}
		return nil
	})
	if served.Load() != clients {
		t.Errorf("%d of %d requests were served", served.Load(), clients)
	}
}
