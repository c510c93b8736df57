// Package autodiscover tells clients where their mailbox is served: Outlook and ActiveSync by POX (MS-OXDSCLI,
// MS-ASCMD 2.2.1.1), newer ones by JSON, Thunderbird by its autoconfig.
//
// It knows ports, names and the schemas of the answers; it never knows how a person signs in or what a mailbox holds.
// Invariants: who has not signed in learns the names of the cluster and of its domains, never whether an address
// exists nor who owns it; a URL is handed out only for a service that Config names, MobileSync's excepted.
package autodiscover

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/flotilla-mail/flotilla/internal/auth"
	"github.com/flotilla-mail/flotilla/internal/directory"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Locator says where a mailbox is served best.
type Locator interface {
	// Owner is the external name of the node that owns the mailbox: a host name or an IP literal.
	Owner(ctx context.Context, mailbox mapi.MailboxID) (host string, err error)
}

// Service is a service on the HTTPS port.
type Service uint8

// The services whose URLs can be handed out.
const (
	EWS Service = iota + 1
	ActiveSync
	Web
)

// Config is what is handed out. A port of zero says that the service is off.
type Config struct {
	HTTPSPort, IMAPPort, IMAPSPort, SubmissionPort, SubmissionsPort int
	// ClusterName is the name under which any node is reached.
	ClusterName string
	// Services are those that are built and mounted beside this one.
	Services []Service
	// Now is the clock, time.Now if nil.
	Now func() time.Time
}

// Server answers the requests.
type Server struct {
	cfg   Config
	dir   directory.Directory
	where Locator
	log   *slog.Logger
}

// New makes a server; its Routes are to be mounted.
func New(cfg Config, dir directory.Directory, where Locator, log *slog.Logger) *Server {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Server{cfg: cfg, dir: dir, where: where, log: log}
}

// Route is a handler and where it is mounted. Patterns are http.ServeMux's, in lower case; clients write them in any.
type Route struct {
	Pattern string
	// SignedIn routes are called with the principal of the request's credentials, others with nil.
	SignedIn bool
	Handle   func(http.ResponseWriter, *http.Request, *auth.Principal)
}

// Routes are all handlers.
func (s *Server) Routes() []Route {
	return []Route{
		{"/autodiscover/autodiscover.xml", true, s.pox},
		{"GET /autodiscover/autodiscover.json", false, s.json},
		{"GET /autodiscover/autodiscover.json/v1.0/{email}", false, s.json},
		{"GET /.well-known/autoconfig/mail/config-v1.1.xml", false, s.autoconfig},
		{"GET /mail/config-v1.1.xml", false, s.autoconfig},
	}
}

// serviceRow is one service: its name in JSON and its path.
type serviceRow struct {
	service Service
	name    string
	path    string
}

// autodiscoverV1 is this package's own POX, always there.
const autodiscoverV1 Service = 0

func services() []serviceRow {
	return []serviceRow{
		{autodiscoverV1, "AutodiscoverV1", "/autodiscover/autodiscover.xml"},
		{EWS, "Ews", "/EWS/Exchange.asmx"},
		{ActiveSync, "ActiveSync", "/Microsoft-Server-ActiveSync"},
		{Web, "", "/"},
	}
}

// built reports whether a service's URL may be handed out.
func (s *Server) built(service Service) bool {
	for _, b := range s.cfg.Services {
		if b == service {
			return true
		}
	}
	return service == autodiscoverV1
}

// url is a service's URL on a host.
func (s *Server) url(host string, service Service) string {
	at := host
	switch {
	case s.cfg.HTTPSPort != 443 && s.cfg.HTTPSPort != 0:
		at = net.JoinHostPort(host, strconv.Itoa(s.cfg.HTTPSPort))
	case net.ParseIP(host) != nil && net.ParseIP(host).To4() == nil:
		at = "[" + host + "]"
	}
	for _, row := range services() {
		if row.service == service {
			return "https://" + at + row.path
		}
	}
	return "https://" + at + "/"
}

// owner is the host that serves a mailbox best. Any node serves any mailbox, so while nobody owns it the answer is
// the cluster's name.
func (s *Server) owner(ctx context.Context, box mapi.MailboxID) string {
	host, err := s.where.Owner(ctx, box)
	if err != nil || host == "" {
		s.log.LogAttrs(ctx, slog.LevelDebug, "owner not known, the cluster's name is answered",
			slog.String("mailbox", box.String()), slog.Any("err", err))
		return s.cfg.ClusterName
	}
	return host
}

// endpoint is one way to IMAP or to submission.
type endpoint struct {
	// pox and autoconfig are the protocol's names there.
	pox, autoconfig string
	port            int
	startTLS        bool
}

// endpoints are those that are on, the preferred first (RFC 8314 3).
func (s *Server) endpoints() []endpoint {
	var on []endpoint
	for _, e := range []endpoint{
		{"IMAP", "imap", s.cfg.IMAPSPort, false},
		{"IMAP", "imap", s.cfg.IMAPPort, true},
		{"SMTP", "smtp", s.cfg.SubmissionsPort, false},
		{"SMTP", "smtp", s.cfg.SubmissionPort, true},
	} {
		if e.port != 0 {
			on = append(on, e)
		}
	}
	return on
}
