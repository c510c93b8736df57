package web

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/internal/testkit"
)

func TestEvents(t *testing.T) {
	type answer struct {
		route  string
		status int
	}
	var open, taken atomic.Int32
	answers := make(chan answer, 10)
	h := newHost(&users{}, quiet())
	h.cfg.Events = Events{
		Connected: func() { open.Add(1); taken.Add(1) }, Disconnected: func() { open.Add(-1) },
		Answered: func(route string, status int, took time.Duration) {
			if took < 0 {
				t.Errorf("took %v", took)
			}
			answers <- answer{route, status}
		},
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- h.Serve(l) }()
	client := &http.Client{Transport: &http.Transport{}}
	ask := func(method, path, body string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+l.Addr().String()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, resp.Body)
		if cerr := resp.Body.Close(); err != nil || cerr != nil {
			t.Fatal(err, cerr)
		}
	}
	for _, c := range []struct {
		method, path, body string
		want               answer
	}{
		{"GET", "/open", "", answer{"/open", 200}},
		{"GET", "/OPEN", "", answer{"/open", 200}},
		{"POST", "/mine", "x", answer{"POST /mine", 401}},
		{"GET", "/nothing", "", answer{"none", 404}},
		{"POST", "/open", strings.Repeat("x", 17), answer{"none", 413}},
		{"GET", "/bug", "", answer{"/bug", 500}},
	} {
		ask(c.method, c.path, c.body)
		if got := <-answers; got != c.want {
			t.Errorf("%s %s: %+v, want %+v", c.method, c.path, got, c.want)
		}
	}
	if taken.Load() == 0 || open.Load() == 0 {
		t.Errorf("%d connections taken, %d open", taken.Load(), open.Load())
	}
	client.CloseIdleConnections()
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, time.Minute, func(context.Context) error {
		if n := open.Load(); n != 0 {
			return fmt.Errorf("%d connections open after the end", n)
		}
		return nil
	})
}
