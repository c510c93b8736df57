package web

import (
	"net"
	"net/http"
	"strconv"
	"strings"
)

// serveRedirect sends a request to the same address over HTTPS.
//
// Certificates are not fetched by ACME here, so its challenges are answered as unknown and never redirected. Outlook's
// search for a server asks over plain HTTP and follows 302 only (MS-OXDISCO); all others get 308, which keeps
// method and body.
func (h *Host) serveRedirect(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if strings.HasPrefix(r.URL.Path, "/.well-known/acme-challenge/") || r.URL.Path == "/.well-known/acme-challenge" {
		http.NotFound(w, r)
		return
	}
	host, ok := hostOnly(r.Host)
	if !ok {
		refuse(w, reply{code: http.StatusBadRequest, text: "The request names no host."})
		return
	}
	if h.cfg.HTTPSPort != 443 {
		host += ":" + strconv.Itoa(h.cfg.HTTPSPort)
	}
	code := http.StatusPermanentRedirect
	if r.Method == http.MethodGet && strings.HasPrefix(strings.ToLower(r.URL.Path), "/autodiscover/") {
		code = http.StatusFound
	}
	w.Header().Set("Location", "https://"+host+r.URL.RequestURI())
	w.WriteHeader(code)
}

// hostOnly is the host of a Host header without its port, an IPv6 address in brackets.
func hostOnly(host string) (string, bool) {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if ip := net.ParseIP(host); ip != nil && ip.To4() == nil {
		return "[" + host + "]", true
	}
	letter := func(r rune) bool {
		return r == '-' || r == '.' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
	}
	return host, host != "" && len(host) <= 253 && strings.IndexFunc(host, func(r rune) bool { return !letter(r) }) < 0
}
