package web

import (
	"cmp"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/internal/auth"
	"github.com/flotilla-mail/flotilla/internal/invariant"
)

// secureHeaders sets what goes with every answer; a handler may set its own over it.
func secureHeaders(h http.Header, overTLS bool) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Cache-Control", "no-store")
	if overTLS {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// ServeHTTP implements http.Handler.
func (h *Host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begin := time.Now()
	rec := &recorder{ResponseWriter: w}
	secureHeaders(w.Header(), r.TLS != nil)
	defer h.line(rec, r, begin)
	defer h.recovered(rec, r)
	if r.ContentLength > h.cfg.MaxBody {
		refuse(rec, reply{code: http.StatusRequestEntityTooLarge, text: "The request is too large."})
		return
	}
	if r.Body != nil {
		r.Body = http.MaxBytesReader(rec, r.Body, h.cfg.MaxBody)
	}
	q := h.folded(r)
	defer func() { rec.route = q.Pattern }() // the mux writes it there
	h.mux.ServeHTTP(rec, q)
}

// folded is the request, its path in lower case if nothing is mounted at the path as written.
func (h *Host) folded(r *http.Request) *http.Request {
	if _, pattern := h.mux.Handler(r); pattern != "" {
		return r
	}
	low := strings.ToLower(r.URL.Path)
	if low == r.URL.Path {
		return r
	}
	folded := *r
	folded.URL = &url.URL{Path: low, RawQuery: r.URL.RawQuery}
	return &folded
}

// recovered turns a handler's bug into a 500 and a line; the other requests go on.
func (h *Host) recovered(rec *recorder, r *http.Request) {
	v := recover()
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler { // the documented way to cut a connection
		panic(v)
	}
	if broken, is := v.(invariant.Violation); is {
		go func() { panic(broken) }() // net/http would swallow it here, and it has to stop the process
	}
	h.log.Error("request ended by a bug", slog.String("code", "WB-9001"), slog.String("path", r.URL.Path),
		slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
	if rec.code == 0 {
		refuse(rec, statusOf(nil))
	}
}

func (h *Host) line(rec *recorder, r *http.Request, begin time.Time) {
	if h.cfg.Events.Answered != nil {
		h.cfg.Events.Answered(cmp.Or(rec.route, "none"), cmp.Or(rec.code, http.StatusOK), time.Since(begin))
	}
	h.log.LogAttrs(r.Context(), slog.LevelDebug, "http request",
		slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.Int("status", rec.code),
		slog.Int64("bytes", rec.bytes), slog.Duration("took", time.Since(begin)),
		slog.String("remote", remote(r)), slog.String("user", rec.user))
}

// remote is the client's address without port.
func remote(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// route is a mounted handler with the check in front of it.
type route struct {
	host   *Host
	access Access
	handle Handler
}

// ServeHTTP implements http.Handler.
func (t *route) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if t.access == Open {
		t.handle(w, r, nil)
		return
	}
	p, ok := t.host.signIn(w, r)
	if !ok {
		return
	}
	if rec, is := w.(*recorder); is {
		rec.user = p.Address
	}
	t.handle(w, r, p)
}

// signIn is the principal of the request's credentials; without one the refusal is already written.
func (h *Host) signIn(w http.ResponseWriter, r *http.Request) (*auth.Principal, bool) {
	user, password, ok := r.BasicAuth()
	if !ok {
		h.challenge(w, reply{code: http.StatusUnauthorized, text: "Sign in first."})
		return nil, false
	}
	p, err := h.users.Authenticate(r.Context(), auth.Attempt{
		Protocol: auth.HTTP, User: user, Password: password, Remote: remote(r),
	})
	if err == nil {
		return p, true
	}
	answer := statusOf(err)
	switch answer.code {
	case http.StatusUnauthorized:
		h.challenge(w, answer)
		return nil, false
	case http.StatusInternalServerError:
		h.log.Error("sign-in failed", slog.String("code", "WB-9002"), slog.Any("err", err))
	}
	refuse(w, answer)
	return nil, false
}

// challenge asks for credentials (RFC 7617 2 and 2.1).
func (h *Host) challenge(w http.ResponseWriter, answer reply) {
	w.Header().Set("WWW-Authenticate", `Basic realm="`+quoted(h.cfg.Realm)+`", charset="UTF-8"`)
	refuse(w, answer)
}

// quoted escapes the inside of a quoted-string (RFC 9110 5.6.4).
func quoted(s string) string { return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) }

// recorder notes what was answered, for the access line.
type recorder struct {
	http.ResponseWriter
	code  int
	route string
	bytes int64
	user  string
}

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(code int) {
	if r.code == 0 && code >= 200 {
		r.code = code
	}
	r.ResponseWriter.WriteHeader(code)
}

// Write implements http.ResponseWriter.
func (r *recorder) Write(b []byte) (int, error) {
	if r.code == 0 {
		r.code = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(b)
	r.bytes += int64(n)
	return n, err
}

// Unwrap serves http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
