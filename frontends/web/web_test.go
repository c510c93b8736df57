package web

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/auth"
	"github.com/flotilla-mail/flotilla/internal/testkit"
)

// users answers by the password: the name of a kind, or "secret".
type users struct{ last auth.Attempt }

func (u *users) Authenticate(_ context.Context, a auth.Attempt) (*auth.Principal, error) {
	u.last = a
	kinds := map[string]cluster.Kind{
		"wrong": exmdb.KindBadPassword, "disabled": exmdb.KindDisabled, "throttled": exmdb.KindThrottled,
		"unavailable": cluster.KindUnavailable, "broken": cluster.KindInternal,
	}
	if a.Password == "secret" {
		return &auth.Principal{Address: a.User}, nil
	}
	return nil, cluster.Errorf(kinds[a.Password], "refused")
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func newHost(u *users, log *slog.Logger) *Host {
	h := New(Config{AllowPlaintext: true, MaxBody: 16, HTTPSPort: 2443}, u, log)
	h.Handle("/open", Open, func(w http.ResponseWriter, _ *http.Request, p *auth.Principal) {
		if p != nil {
			panic("principal on an open route")
		}
		io.WriteString(w, "open")
	})
	h.Handle("POST /mine", SignedIn, func(w http.ResponseWriter, r *http.Request, p *auth.Principal) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, "cut", http.StatusRequestEntityTooLarge)
			return
		}
		io.WriteString(w, p.Address+":"+string(b))
	})
	h.Handle("/bug", Open, func(http.ResponseWriter, *http.Request, *auth.Principal) { panic("bug") })
	h.Handle("/Mixed", Open, func(w http.ResponseWriter, _ *http.Request, _ *auth.Principal) { io.WriteString(w, "mixed") })
	return h
}

func TestRequests(t *testing.T) {
	for _, c := range []struct {
		name, method, path, user, password, body string
		code                                     int
		want                                     string
		header, value                            string
	}{
		{name: "open", method: "GET", path: "/open", code: 200, want: "open", header: "X-Content-Type-Options", value: "nosniff"},
		{name: "path as it comes", method: "GET", path: "/OPEN", code: 200, want: "open"},
		{name: "mixed case is kept", method: "GET", path: "/Mixed", code: 200, want: "mixed"},
		{name: "nothing there", method: "GET", path: "/.well-known/caldav", code: 404},
		{name: "wrong method", method: "GET", path: "/Mine", code: 405, header: "Allow", value: "POST"},
		{name: "no credentials", method: "POST", path: "/mine", code: 401, header: "WWW-Authenticate", value: `Basic realm="Flotilla", charset="UTF-8"`},
		{name: "signed in", method: "POST", path: "/mine", user: "anna@example.org", password: "secret", body: "hi", code: 200, want: "anna@example.org:hi"},
		{name: "wrong", method: "POST", path: "/mine", user: "a", password: "wrong", code: 401, header: "WWW-Authenticate", value: `Basic realm="Flotilla", charset="UTF-8"`},
		{name: "disabled", method: "POST", path: "/mine", user: "a", password: "disabled", code: 403},
		{name: "throttled", method: "POST", path: "/mine", user: "a", password: "throttled", code: 429, header: "Retry-After", value: "60"},
		{name: "unavailable", method: "POST", path: "/mine", user: "a", password: "unavailable", code: 503, header: "Retry-After", value: "5"},
		{name: "broken", method: "POST", path: "/mine", user: "a", password: "broken", code: 500},
		{name: "body too large", method: "POST", path: "/mine", user: "a", password: "secret", body: strings.Repeat("x", 17), code: 413},
		{name: "bug", method: "GET", path: "/bug", code: 500},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := &users{}
			w := httptest.NewRecorder()
			r := httptest.NewRequest(c.method, c.path, strings.NewReader(c.body))
			if c.user != "" {
				r.SetBasicAuth(c.user, c.password)
			}
			newHost(u, quiet()).ServeHTTP(w, r)
			if w.Code != c.code || c.want != "" && w.Body.String() != c.want {
				t.Errorf("got %d %q, want %d %q", w.Code, w.Body, c.code, c.want)
			}
			if c.header != "" && w.Header().Get(c.header) != c.value {
				t.Errorf("%s: got %q, want %q", c.header, w.Header().Get(c.header), c.value)
			}
			if c.user != "" && c.code != 413 && (u.last.Protocol != auth.HTTP || u.last.Remote != "192.0.2.1" || u.last.User != c.user) {
				t.Errorf("attempt was %+v", u.last)
			}
		})
	}
}

// A body without a length is stopped while it is read.
func TestUnsizedBody(t *testing.T) {
	w := httptest.NewRecorder()
	r := httptest.NewRequest("POST", "/mine", io.MultiReader(strings.NewReader(strings.Repeat("x", 100))))
	r.ContentLength = -1
	r.SetBasicAuth("a", "secret")
	newHost(&users{}, quiet()).ServeHTTP(w, r)
	if w.Code != 413 {
		t.Errorf("got %d", w.Code)
	}
}

func TestAccessLine(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r := httptest.NewRequest("POST", "/mine?token=hidden", strings.NewReader("abc"))
	r.SetBasicAuth("anna@example.org", "secret")
	newHost(&users{}, log).ServeHTTP(httptest.NewRecorder(), r)
	line := out.String()
	for _, want := range []string{"level=DEBUG", "path=/mine", "status=200", "bytes=20", "remote=192.0.2.1", "user=anna@example.org"} {
		if !strings.Contains(line, want) {
			t.Errorf("no %s in %s", want, line)
		}
	}
	if strings.Contains(line, "secret") || strings.Contains(line, "hidden") {
		t.Errorf("the line tells too much: %s", line)
	}
}

func TestRedirect(t *testing.T) {
	for _, c := range []struct {
		method, host, path string
		code               int
		location           string
	}{
		{"GET", "example.org", "/a?b=c", 308, "https://example.org:2443/a?b=c"},
		{"POST", "127.0.0.2:2080", "/Autodiscover/Autodiscover.xml", 308, "https://127.0.0.2:2443/Autodiscover/Autodiscover.xml"},
		{"GET", "autodiscover.example.org:80", "/Autodiscover/Autodiscover.xml", 302, "https://autodiscover.example.org:2443/Autodiscover/Autodiscover.xml"},
		{"GET", "[::1]:2080", "/", 308, "https://[::1]:2443/"},
		{"GET", "example.org", "/.well-known/acme-challenge/token", 404, ""},
		{"GET", "exa<mple", "/", 400, ""},
		{"GET", "", "/", 400, ""},
		{"GET", "example.org", "//evil.example/x", 308, "https://example.org:2443//evil.example/x"},
	} {
		r := httptest.NewRequest(c.method, "/", nil)
		r.URL.Path, r.URL.RawQuery, _ = strings.Cut(c.path, "?")
		r.Host = c.host
		w := httptest.NewRecorder()
		newHost(&users{}, quiet()).serveRedirect(w, r)
		if w.Code != c.code || w.Header().Get("Location") != c.location {
			t.Errorf("%s http://%s%s: got %d %q, want %d %q", c.method, c.host, c.path, w.Code, w.Header().Get("Location"), c.code, c.location)
		}
	}
}

func listener(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Over real sockets: TLS with HTTP/2, and Close that waits for a request under way.
func TestServeAndClose(t *testing.T) {
	pair := httptest.NewUnstartedServer(nil)
	pair.EnableHTTP2 = true
	pair.StartTLS()
	defer pair.Close()
	h := New(Config{TLS: pair.TLS}, &users{}, quiet())
	entered, leave := make(chan struct{}), make(chan struct{})
	h.Handle("/slow", Open, func(w http.ResponseWriter, r *http.Request, _ *auth.Principal) {
		close(entered)
		<-leave
		io.WriteString(w, r.Proto)
	})
	l := listener(t)
	ended := make(chan error, 2)
	go func() { ended <- h.Serve(l) }()
	go func() { ended <- h.ServeRedirect(listener(t)) }()
	client := pair.Client()
	answer := make(chan string, 1)
	go func() {
		resp, err := client.Get("https://" + l.Addr().String() + "/slow")
		if err != nil {
			answer <- err.Error()
			return
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		answer <- string(b) + " " + resp.Header.Get("Strict-Transport-Security")
	}()
	<-entered
	closed := make(chan error, 1)
	go func() { closed <- h.Close(context.Background()) }()
	close(leave)
	if got := <-answer; got != "HTTP/2.0 max-age=31536000" {
		t.Errorf("got %q", got)
	}
	for _, c := range []chan error{closed, ended, ended} {
		if err := <-c; err != nil {
			t.Error(err)
		}
	}
}

// Close does not wait beyond its context.
func TestCloseCutsOff(t *testing.T) {
	h := New(Config{AllowPlaintext: true}, &users{}, quiet())
	entered, left := make(chan struct{}), make(chan struct{})
	h.Handle("/slow", Open, func(_ http.ResponseWriter, r *http.Request, _ *auth.Principal) {
		close(entered)
		<-r.Context().Done()
		close(left)
	})
	l := listener(t)
	ended := make(chan error, 1)
	go func() { ended <- h.Serve(l) }()
	go func() {
		if resp, err := http.Get("http://" + l.Addr().String() + "/slow"); err == nil {
			resp.Body.Close()
		}
	}()
	<-entered
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := h.Close(ctx); err == nil {
		t.Error("Close says that all went well")
	}
	<-left
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestNoTLSNoService(t *testing.T) {
	if err := New(Config{}, &users{}, quiet()).Serve(listener(t)); err == nil {
		t.Error("served without TLS")
	}
}

// TestListenersThatAreClosedAlready: requests are not cut off, nor is it a failure, where somebody else closed the listener.
func TestListenersThatAreClosedAlready(t *testing.T) {
	h, l, ended := newHost(nil, slog.New(slog.DiscardHandler)), testkit.ClosedBefore(t), make(chan error, 1)
	go func() { ended <- h.Serve(l) }()
	resp, err := http.Get("http://" + l.Addr().String() + "/open")
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Fatal(err)
	}
	if err := h.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
