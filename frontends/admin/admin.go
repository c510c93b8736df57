// Package admin is the operator's API: JSON over HTTP, on the node's unix socket for the command line and on the admin
// port behind a token, with health and metrics beside it.
//
// It knows requests, status codes and who may ask; what is done is the Backend's. Invariant: everything that changes
// anything, or names a person, wants the token or the socket, whose file mode is the guard.
package admin

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/directory"
)

// Backend is the node behind the API.
type Backend interface {
	Status(ctx context.Context) (any, error)
	// Groups shows the groups; with hash each replica's content is hashed, which reads all of it.
	Groups(ctx context.Context, hash bool) (any, error)
	RepairBackend
	Ready() error
	Fault(ctx context.Context, f Fault) error
	Stop()

	AddDomain(ctx context.Context, name string) error
	RemoveDomain(ctx context.Context, name string) error
	Domains(ctx context.Context) ([]*directory.Domain, error)

	AddObject(ctx context.Context, o NewObject) (*directory.Object, error)
	ChangeObject(ctx context.Context, address string, c Change) (*directory.Object, error)
	// RemoveObject takes an object out of the directory; with purge its mailbox is deleted for good, else nothing leads to it.
	RemoveObject(ctx context.Context, address string, purge bool) error
	Object(ctx context.Context, address string) (*directory.Object, error)
	Objects(ctx context.Context, kind directory.Kind) ([]*directory.Object, error)
	// Mailbox is what the store says of an object's mailbox.
	Mailbox(ctx context.Context, address string) (any, error)
	// ShowMailbox looks at a part of an object's mailbox: see inspect.Mailbox.
	ShowMailbox(ctx context.Context, address, part string, q MailboxQuery) (any, error)

	RightsBackend
	FleetBackend
	MovesBackend
	TransferBackend
	NodesBackend
	PlacementBackend

	// Queue lists the mail that waits; the others show one mail of it, as it is after they have done their work.
	Queue(ctx context.Context) (any, error)
	QueueEntry(ctx context.Context, id string) (any, error)
	RetryQueueEntry(ctx context.Context, id string) (any, error)
	RemoveQueueEntry(ctx context.Context, id string) (any, error)

	// ScratchPut and ScratchGet write and read the scratch space of a group; they are refused unless the node was started
	// for tests.
	ScratchPut(ctx context.Context, group cluster.GroupID, key string, p ScratchPut) (*ScratchValue, error)
	ScratchGet(ctx context.Context, group cluster.GroupID, key string) (*ScratchValue, error)
	// PerformOp performs an op on a space as somebody; it is refused unless the node was started for tests.
	PerformOp(ctx context.Context, op SpaceOp) (*SpaceOpAnswer, error)
}

// ScratchPut sets a key, or adds to the number that it holds.
type ScratchPut struct {
	Value string `json:"value"`
	Add   bool   `json:"add,omitempty"`
	// ID is the request's, 16 bytes in hex: with the same one, at whichever node, it happens once. Empty draws one.
	ID string `json:"id,omitempty"`
}

// ScratchValue is what a key holds.
type ScratchValue struct {
	Value string `json:"value"`
	Found bool   `json:"found"`
}

// NewObject is a user, shared mailbox, resource or list to be made.
type NewObject struct {
	Kind     string   `json:"kind"`
	Address  string   `json:"address"`
	Name     string   `json:"name,omitempty"`
	Password string   `json:"password,omitempty"`
	Quota    uint64   `json:"quota,omitempty"`
	Aliases  []string `json:"aliases,omitempty"`
	Members  []string `json:"members,omitempty"`
	Language string   `json:"language,omitempty"`
	// Senders is who may send to a list; empty is anyone.
	Senders string `json:"senders,omitempty"`
	// Booking is what is done with requests for meetings: auto, tentative or off; empty is auto.
	Booking string `json:"booking,omitempty"`
	// Zone is the time zone, by its name in the tz database or in Windows; empty is none.
	Zone string `json:"zone,omitempty"`
	// Check asks only whether the object can be made, as far as can be said before; nothing is.
	Check bool `json:"check,omitempty"`
}

// Change is what to change of an object; what is nil or empty stays.
type Change struct {
	Name          *string   `json:"name,omitempty"`
	Password      *string   `json:"password,omitempty"`
	Disabled      *bool     `json:"disabled,omitempty"`
	Quota         *uint64   `json:"quota,omitempty"`
	Barred        *[]string `json:"barred,omitempty"`
	AddAliases    []string  `json:"add_aliases,omitempty"`
	RemoveAliases []string  `json:"remove_aliases,omitempty"`
	AddMembers    []string  `json:"add_members,omitempty"`
	RemoveMembers []string  `json:"remove_members,omitempty"`
	Booking       *string   `json:"booking,omitempty"`
	Zone          *string   `json:"zone,omitempty"`
}

// Fault is a fault for tests (DESIGN 6); it is refused unless the node was started for that.
type Fault struct {
	// Kind is cut, cut-in, cut-out, latency, clock, disk-full, disk-free, disk-slow, die-at, freeze-at or clear.
	Kind  string        `json:"kind"`
	Value time.Duration `json:"value,omitempty"`
	Peer  string        `json:"peer,omitempty"`
	// Step is the step of a move, an intent or work at a time at which the node dies or freezes; STEP/3 is its third time.
	Step string `json:"step,omitempty"`
	// Percent of its disk is what the node takes to be free, with disk-free.
	Percent int `json:"percent,omitempty"`
}

// Server serves the API.
type Server struct {
	// Member, if set, is why the node is none of the cluster any more; nil while it is.
	Member func() error
	// Patience is how long a request may take, but for those that are long by what they do (longRoutes).
	Patience time.Duration

	backend Backend
	log     *slog.Logger
	token   string
	metrics http.Handler
	http    *http.Server
}

// New makes a server; token guards the port, metrics answers /metrics.
func New(b Backend, log *slog.Logger, token string, metrics http.Handler) *Server {
	s := &Server{Patience: time.Minute, backend: b, log: log, token: token, metrics: metrics}
	s.http = &http.Server{Handler: s.routes(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, overSocket{}, c.LocalAddr().Network() == "unix")
		}}
	return s
}

// overSocket is the context key that says whether a request came over the unix socket.
type overSocket struct{}

// Serve answers on l until Close.
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Close ends the listeners and waits for requests under way until ctx ends. That a listener is closed already is what is wanted.
func (s *Server) Close(ctx context.Context) error {
	if err := s.http.Shutdown(ctx); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// route is a row of the API.
type route struct {
	pattern string
	open    bool // needs no token
	handle  func(s *Server, r *http.Request) (any, error)
}

var routes = []route{
	{"GET /healthz/live", true, func(*Server, *http.Request) (any, error) { return okay, nil }},
	{"GET /healthz/ready", true, func(s *Server, _ *http.Request) (any, error) { return okay, s.backend.Ready() }},
	{"GET /v1/status", false, func(s *Server, r *http.Request) (any, error) { return s.backend.Status(r.Context()) }},
	{"GET /v1/groups", false, func(s *Server, r *http.Request) (any, error) {
		return s.backend.Groups(r.Context(), r.URL.Query().Has("hash"))
	}},
	{"POST /v1/stop", false, func(s *Server, r *http.Request) (any, error) { s.backend.Stop(); return okay, nil }},
	{"POST /v1/fault", false, withBody(func(s *Server, r *http.Request, f *Fault) (any, error) {
		return okay, s.backend.Fault(r.Context(), *f)
	})},
	{"GET /v1/domains", false, func(s *Server, r *http.Request) (any, error) { return s.backend.Domains(r.Context()) }},
	{"PUT /v1/domains/{name}", false, func(s *Server, r *http.Request) (any, error) {
		return okay, s.backend.AddDomain(r.Context(), r.PathValue("name"))
	}},
	{"DELETE /v1/domains/{name}", false, func(s *Server, r *http.Request) (any, error) {
		return okay, s.backend.RemoveDomain(r.Context(), r.PathValue("name"))
	}},
	{"GET /v1/objects", false, listObjects},
	{"POST /v1/objects", false, withBody(func(s *Server, r *http.Request, o *NewObject) (any, error) {
		return s.backend.AddObject(r.Context(), *o)
	})},
	{"GET /v1/objects/{address}", false, func(s *Server, r *http.Request) (any, error) {
		return s.backend.Object(r.Context(), r.PathValue("address"))
	}},
	{"PATCH /v1/objects/{address}", false, withBody(func(s *Server, r *http.Request, c *Change) (any, error) {
		return s.backend.ChangeObject(r.Context(), r.PathValue("address"), *c)
	})},
	{"DELETE /v1/objects/{address}", false, func(s *Server, r *http.Request) (any, error) {
		return okay, s.backend.RemoveObject(r.Context(), r.PathValue("address"), r.URL.Query().Has("purge"))
	}},
	{"GET /v1/objects/{address}/mailbox", false, func(s *Server, r *http.Request) (any, error) {
		return s.backend.Mailbox(r.Context(), r.PathValue("address"))
	}},
	{"GET /v1/mailboxes/{address}/{part}", false, showMailbox},
	{"GET /v1/queue", false, func(s *Server, r *http.Request) (any, error) { return s.backend.Queue(r.Context()) }},
	{"GET /v1/queue/{id}", false, func(s *Server, r *http.Request) (any, error) {
		return s.backend.QueueEntry(r.Context(), r.PathValue("id"))
	}},
	{"POST /v1/queue/{id}/retry", false, func(s *Server, r *http.Request) (any, error) {
		return s.backend.RetryQueueEntry(r.Context(), r.PathValue("id"))
	}},
	{"DELETE /v1/queue/{id}", false, func(s *Server, r *http.Request) (any, error) {
		return s.backend.RemoveQueueEntry(r.Context(), r.PathValue("id"))
	}},
	{"POST /v1/ops", false, withBody(func(s *Server, r *http.Request, op *SpaceOp) (any, error) {
		return s.backend.PerformOp(r.Context(), *op)
	})},
	{"PUT /v1/scratch/{group}/{key}", false, withBody(func(s *Server, r *http.Request, p *ScratchPut) (any, error) {
		g, err := groupOf(r)
		if err != nil {
			return nil, err
		}
		return s.backend.ScratchPut(r.Context(), g, r.PathValue("key"), *p)
	})},
	{"GET /v1/scratch/{group}/{key}", false, withGroup(func(s *Server, r *http.Request, g cluster.GroupID) (any, error) {
		return s.backend.ScratchGet(r.Context(), g, r.PathValue("key"))
	})},
}

// allRoutes are the routes of the API.
func allRoutes() []route {
	return slices.Concat(routes, repairRoutes, rightsRoutes, fleetRoutes, nodeRoutes, moveRoutes, placementRoutes, transferRoutes)
}

func groupOf(r *http.Request) (cluster.GroupID, error) {
	g, err := strconv.ParseUint(r.PathValue("group"), 10, 32)
	if err != nil {
		return 0, cluster.Errorf(cluster.KindBadRequest, "group %q: want a number", r.PathValue("group"))
	}
	return cluster.GroupID(g), nil
}

var okay = map[string]bool{"ok": true}

// listObjects lists by address: all objects, those of a kind, or with ?mailbox those that have one.
func listObjects(s *Server, r *http.Request) (any, error) {
	var kind directory.Kind
	if k := r.URL.Query().Get("kind"); k != "" {
		var ok bool
		if kind, ok = directory.KindByName(k); !ok {
			return nil, cluster.Errorf(cluster.KindBadRequest, "kind %q: want one of %s", k, directory.KindNames())
		}
	}
	all, err := s.backend.Objects(r.Context(), kind)
	if r.URL.Query().Has("mailbox") {
		all = slices.DeleteFunc(all, func(o *directory.Object) bool { return o.Mailbox.IsZero() })
	}
	slices.SortFunc(all, func(a, b *directory.Object) int { return strings.Compare(a.Address, b.Address) })
	return all, err
}

// maxBody bounds a request.
const maxBody = 1 << 20

func withBody[T any](fn func(*Server, *http.Request, *T) (any, error)) func(*Server, *http.Request) (any, error) {
	return withLongBody(maxBody, fn)
}

// withLongBody is withBody with another bound.
func withLongBody[T any](limit int64, fn func(*Server, *http.Request, *T) (any, error)) func(*Server, *http.Request) (any, error) {
	return func(s *Server, r *http.Request) (any, error) {
		v := new(T)
		d := json.NewDecoder(http.MaxBytesReader(nil, r.Body, limit))
		d.DisallowUnknownFields()
		if err := d.Decode(v); err != nil {
			kind := cluster.KindBadRequest
			if errors.As(err, new(*http.MaxBytesError)) {
				kind = cluster.KindTooLarge
			}
			return nil, cluster.Errorf(kind, "request body: %v", err)
		}
		return fn(s, r, v)
	}
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	for _, row := range allRoutes() {
		mux.HandleFunc(row.pattern, func(w http.ResponseWriter, r *http.Request) {
			if !row.open && !s.allowed(r) {
				refuseStranger(w)
				return
			}
			v, err := s.answer(&row, r)
			if err != nil {
				s.refuse(w, r, err)
				return
			}
			writeJSON(w, http.StatusOK, v)
		})
	}
	if s.metrics != nil {
		mux.Handle("GET /metrics", s.metrics)
	}
	s.profiles(mux)
	return mux
}

// ownRoutes are about the node alone, and are answered when it is none of the cluster any more.
var ownRoutes = []string{"GET /v1/status", "POST /v1/stop", "POST /v1/fault"}

// longRoutes have limits of their own, or none. The others would wait for ever for a system group without a leader.
var longRoutes = []string{"GET /v1/groups", "POST /v1/ops", "POST /v1/mailboxes/{address}/op", "POST /v1/drain", "POST /v1/undrain",
	"POST /v1/upgrade/stage", "POST /v1/upgrade/switch", "POST /v1/upgrade/finalize", "POST /v1/drills/{kind}/{group}", "POST /v1/gossip/key"}

// answer performs a row, within the time that it may take.
func (s *Server) answer(row *route, r *http.Request) (any, error) {
	if s.Member != nil && !row.open && !slices.Contains(ownRoutes, row.pattern) {
		if err := s.Member(); err != nil {
			return nil, err
		}
	}
	if slices.Contains(longRoutes, row.pattern) {
		return row.handle(s, r)
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.Patience)
	defer cancel()
	v, err := row.handle(s, r.WithContext(ctx))
	if errors.Is(err, context.DeadlineExceeded) && cluster.KindOf(err) == cluster.KindInternal {
		err = cluster.Errorf(cluster.KindUnavailable, "no answer within %v: %v", s.Patience, err)
	}
	return v, err
}

func (s *Server) allowed(r *http.Request) bool {
	if over, ok := r.Context().Value(overSocket{}).(bool); ok && over {
		return true
	}
	got, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return ok && s.token != "" && subtle.ConstantTimeCompare([]byte(got), []byte(s.token)) == 1
}

func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	code, text := status(err)
	if code == http.StatusInternalServerError {
		s.log.Error("admin request failed", "code", "AD-1001", "path", r.URL.Path, "err", err)
	}
	writeJSON(w, code, map[string]any{"error": text, "kind": cluster.KindOf(err)})
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // the client has gone: there is no one to tell
}
