package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/frontends/admin/adminclient"
	"github.com/flotilla-mail/flotilla/internal/directory"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/testkit"
)

// straw is a node that notes what it is asked and answers err, or something of the right type.
type straw struct {
	mu    sync.Mutex
	err   error    // guarded by mu
	asked []string // guarded by mu
	// objects are what there is, before anything is asked.
	objects []*directory.Object
}

func (b *straw) note(format string, args ...any) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = append(b.asked, fmt.Sprintf(format, args...))
	return b.err
}

func (b *straw) take() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.asked
	b.asked = nil
	return all
}

func (b *straw) refuse(err error) {
	b.mu.Lock()
	b.err = err
	b.mu.Unlock()
}

func (b *straw) Status(context.Context) (any, error) { return "status", b.note("status") }
func (b *straw) Groups(_ context.Context, hash bool) (any, error) {
	return "groups", b.note("groups hash=%v", hash)
}
func (b *straw) Ready() error                                          { return b.note("ready") }
func (b *straw) ScrubGroup(_ context.Context, g cluster.GroupID) error { return b.note("scrub %d", g) }
func (b *straw) ScrubState(_ context.Context, g cluster.GroupID) (any, error) {
	return "scrub", b.note("scrub of %d", g)
}
func (b *straw) RebuildReplica(_ context.Context, g cluster.GroupID, node cluster.NodeID) error {
	return b.note("rebuild %d on %s", g, node)
}
func (b *straw) Fault(_ context.Context, f Fault) error      { return b.note("fault %+v", f) }
func (b *straw) Stop()                                       { _ = b.note("stop") }
func (b *straw) AddDomain(_ context.Context, n string) error { return b.note("add domain %s", n) }
func (b *straw) RemoveDomain(_ context.Context, n string) error {
	return b.note("remove domain %s", n)
}
func (b *straw) Domains(context.Context) ([]*directory.Domain, error) {
	return []*directory.Domain{{Name: "example.test"}}, b.note("domains")
}
func (b *straw) AddObject(_ context.Context, o NewObject) (*directory.Object, error) {
	return &directory.Object{Address: o.Address, CredentialVersion: 7}, b.note("add %+v", o)
}
func (b *straw) ChangeObject(_ context.Context, a string, c Change) (*directory.Object, error) {
	raw, err := json.Marshal(c)
	return &directory.Object{Address: a}, errors.Join(err, b.note("change %s %s", a, raw))
}
func (b *straw) RemoveObject(_ context.Context, a string, purge bool) error {
	return b.note("remove %s purge=%v", a, purge)
}
func (b *straw) Object(_ context.Context, a string) (*directory.Object, error) {
	return &directory.Object{Address: a}, b.note("object %s", a)
}
func (b *straw) Objects(_ context.Context, k directory.Kind) ([]*directory.Object, error) {
	return append([]*directory.Object{}, b.objects...), b.note("objects %d", k)
}
func (b *straw) Mailbox(_ context.Context, a string) (any, error) {
	return "box", b.note("mailbox %s", a)
}
func (b *straw) ShowMailbox(_ context.Context, address, part string, q MailboxQuery) (any, error) {
	return part, b.note("%s of %s, %d", part, address, q.Limit)
}
func (b *straw) Rights(_ context.Context, a string) (*Rights, error) {
	return &Rights{FullAccess: []string{"c@b"}}, b.note("rights %s", a)
}
func (b *straw) Grant(_ context.Context, a, right, to string) error {
	return b.note("grant %s %s %s", a, right, to)
}
func (b *straw) Revoke(_ context.Context, a, right, to string) error {
	return b.note("revoke %s %s %s", a, right, to)
}
func (b *straw) SetSenders(_ context.Context, a, policy string) error {
	return b.note("senders %s %s", a, policy)
}
func (b *straw) Queue(context.Context) (any, error) { return "queue", b.note("queue") }
func (b *straw) QueueEntry(_ context.Context, id string) (any, error) {
	return "entry", b.note("entry %s", id)
}
func (b *straw) RetryQueueEntry(_ context.Context, id string) (any, error) {
	return "entry", b.note("retry %s", id)
}
func (b *straw) RemoveQueueEntry(_ context.Context, id string) (any, error) {
	return "entry", b.note("remove entry %s", id)
}

func (b *straw) NodeToken(_ context.Context, q TokenRequest) (*Token, error) {
	return &Token{Token: "abc", Addresses: []string{"a:1"}}, b.note("token %v %s", q.Valid, q.Replace)
}
func (b *straw) Nodes(context.Context) (any, error) { return "nodes", b.note("nodes") }
func (b *straw) SetNode(_ context.Context, name, want, successor string) error {
	return b.note("node %s %s %q", name, want, successor)
}

func (b *straw) PerformOp(_ context.Context, op SpaceOp) (*SpaceOpAnswer, error) {
	return &SpaceOpAnswer{Payload: []byte("yes"), Owner: "n2", Group: 3}, b.note("op %+v", op)
}
func (b *straw) MailboxOp(_ context.Context, address string, op MailboxOp) (*MailboxOpAnswer, error) {
	return &MailboxOpAnswer{Payload: []byte("yes")}, b.note("mailbox op %s %+v", address, op)
}
func (b *straw) ScratchPut(_ context.Context, g cluster.GroupID, key string, p ScratchPut) (*ScratchValue, error) {
	return &ScratchValue{Value: "8", Found: true}, b.note("put %d %s %+v", g, key, p)
}
func (b *straw) ScratchGet(_ context.Context, g cluster.GroupID, key string) (*ScratchValue, error) {
	return &ScratchValue{}, b.note("get %d %s", g, key)
}

const token = "0123456789abcdef"

// serve runs a server on a port and a socket; log is what it says.
func serve(t *testing.T, token string) (b *straw, port, socket string, log *bytes.Buffer) {
	t.Helper()
	b, log = &straw{}, &bytes.Buffer{}
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "flotilla_ready 1\n") })
	s := New(b, slog.New(slog.NewTextHandler(log, nil)), token, metrics)
	socket = filepath.Join(t.TempDir(), "admin.sock")
	ended := make(chan error, 2)
	for network, at := range map[string]string{"tcp": "127.0.0.1:0", "unix": socket} {
		l, err := net.Listen(network, at)
		if err != nil {
			t.Fatal(err)
		}
		if network == "tcp" {
			port = l.Addr().String()
		}
		go func() { ended <- s.Serve(l) }()
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := errors.Join(s.Close(ctx), <-ended, <-ended); err != nil {
			t.Error(err)
		}
	})
	return b, port, socket, log
}

type asking struct{ pattern, path, body, hears, answer string }

// rows are the requests of every route: how it is asked for, what the node hears, what comes back.
var rows = []asking{
	{"GET /healthz/live", "/healthz/live", "", "", `{"ok":true}`},
	{"GET /healthz/ready", "/healthz/ready", "", "ready", `{"ok":true}`},
	{"GET /v1/status", "/v1/status", "", "status", `"status"`},
	{"GET /v1/groups", "/v1/groups", "", "groups hash=false", `"groups"`},
	{"GET /v1/groups", "/v1/groups?hash", "", "groups hash=true", `"groups"`},
	{"POST /v1/groups/{group}/scrub", "/v1/groups/3/scrub", "", "scrub 3", `{"ok":true}`},
	{"GET /v1/groups/{group}/scrub", "/v1/groups/3/scrub", "", "scrub of 3", `"scrub"`},
	{"DELETE /v1/groups/{group}/replicas/{node}", "/v1/groups/3/replicas/n2", "", "rebuild 3 on n2", `{"ok":true}`},
	{"POST /v1/stop", "/v1/stop", "", "stop", `{"ok":true}`},
	{"POST /v1/fault", "/v1/fault", `{"kind":"cut","peer":"b","value":5}`, "fault {Kind:cut Value:5ns Peer:b Step: Percent:0}", `{"ok":true}`},
	{"GET /v1/domains", "/v1/domains", "", "domains", `[{"name":"example.test",`},
	{"PUT /v1/domains/{name}", "/v1/domains/example.org", "", "add domain example.org", `{"ok":true}`},
	{"DELETE /v1/domains/{name}", "/v1/domains/example.org", "", "remove domain example.org", `{"ok":true}`},
	{"GET /v1/objects", "/v1/objects", "", "objects 0", `[]`},
	{"GET /v1/objects", "/v1/objects?mailbox", "", "objects 0", `[]`},
	{"GET /v1/objects", "/v1/objects?kind=list", "", "objects 4", `[]`},
	{"POST /v1/objects", "/v1/objects", `{"kind":"user","address":"a@b","quota":7}`, "add {Kind:user Address:a@b Name: Password: Quota:7 Aliases:[] Members:[] Language: Senders: Booking: Zone: Check:false}", `"address":"a@b"`},
	{"GET /v1/objects/{address}", "/v1/objects/a%2Fb@example.test", "", "object a/b@example.test", `"address":"a/b@example.test"`},
	{"PATCH /v1/objects/{address}", "/v1/objects/a@b", `{"disabled":false,"add_aliases":["x@b"]}`, `change a@b {"disabled":false,"add_aliases":["x@b"]}`, `"address":"a@b"`},
	{"DELETE /v1/objects/{address}", "/v1/objects/a@b", "", "remove a@b purge=false", `{"ok":true}`},
	{"DELETE /v1/objects/{address}", "/v1/objects/a@b?purge", "", "remove a@b purge=true", `{"ok":true}`},
	{"GET /v1/objects/{address}/mailbox", "/v1/objects/a@b/mailbox", "", "mailbox a@b", `"box"`},
	{"POST /v1/ops", "/v1/ops", `{"space":"AQI=","op":7,"mode":1,"as":"Aw==","payload":"BA==","id":"BQ=="}`,
		"op {Space:[1 2] Op:7 Mode:1 As:[3] Payload:[4] ID:[5]}", `{"payload":"eWVz","owner":"n2","group":3}`},
	{"POST /v1/mailboxes/{address}/op", "/v1/mailboxes/a@b.c/op", `{"op":7,"payload":"BA==","id":"BQ=="}`,
		"mailbox op a@b.c {Op:7 Payload:[4] ID:[5]}", `{"payload":"eWVz"}`},
	{"GET /v1/mailboxes/{address}/{part}", "/v1/mailboxes/a@b.c/items?limit=3", "", "items of a@b.c, 3", `"items"`},
	{"GET /v1/objects/{address}/rights", "/v1/objects/a@b/rights", "", "rights a@b", `"full_access":["c@b"]`},
	{"PUT /v1/objects/{address}/grants/{right}/{to}", "/v1/objects/a%2Fb@b/grants/send-as/c%2Fd@b", "", "grant a/b@b send-as c/d@b", `{"ok":true}`},
	{"DELETE /v1/objects/{address}/grants/{right}/{to}", "/v1/objects/a@b/grants/sender/c@b", "", "revoke a@b sender c@b", `{"ok":true}`},
	{"PUT /v1/objects/{address}/senders/{policy}", "/v1/objects/a@b/senders/members", "", "senders a@b members", `{"ok":true}`},
	{"GET /v1/queue", "/v1/queue", "", "queue", `"queue"`},
	{"GET /v1/queue/{id}", "/v1/queue/1-a", "", "entry 1-a", `"entry"`},
	{"POST /v1/queue/{id}/retry", "/v1/queue/1-a/retry", "", "retry 1-a", `"entry"`},
	{"DELETE /v1/queue/{id}", "/v1/queue/1-a", "", "remove entry 1-a", `"entry"`},
	{"POST /v1/nodes/tokens", "/v1/nodes/tokens", `{"valid":60000000000,"replace":"n3"}`, "token 1m0s n3", `"token":"abc"`},
	{"GET /v1/nodes", "/v1/nodes", "", "nodes", `"nodes"`},
	{"PUT /v1/nodes/{name}/{want}", "/v1/nodes/n3/removing?successor=n4", "", `node n3 removing "n4"`, `{"ok":true}`},
	{"PUT /v1/nodes/{name}/{want}", "/v1/nodes/n3/draining", "", `node n3 draining ""`, `{"ok":true}`},
	{"PUT /v1/scratch/{group}/{key}", "/v1/scratch/4/a%2Fb", `{"value":"5","add":true,"id":"00"}`, "put 4 a/b {Value:5 Add:true ID:00}", `{"value":"8","found":true}`},
	{"GET /v1/scratch/{group}/{key}", "/v1/scratch/0/k", "", "get 0 k", `{"value":"","found":false}`},
}

func ask(t *testing.T, method, url, body, token string) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(raw)), resp.Header
}

// Every route is asked with the token, without one and with a wrong one.
func TestEveryRoute(t *testing.T) {
	b, port, _, _ := serve(t, token)
	tried, routes := make(map[string]bool), allRoutes()
	for _, r := range slices.Concat(rows, fleetRows, moveRows, placementRows) {
		tried[r.pattern] = true
		i := slices.IndexFunc(routes, func(x route) bool { return x.pattern == r.pattern })
		if i < 0 {
			t.Errorf("%s is no route", r.pattern)
			continue
		}
		method, _, _ := strings.Cut(r.pattern, " ")
		code, answer, header := ask(t, method, "http://"+port+r.path, r.body, token)
		heard := strings.Join(b.take(), "; ")
		if code != http.StatusOK || heard != r.hears || !strings.Contains(answer, r.answer) || header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s; the node heard %q, want %q", r.path, code, answer, heard, r.hears)
		}
		for _, wrong := range []string{"", "0123456789abcdeg", token + "0", token[1:]} {
			code, answer, header := ask(t, method, "http://"+port+r.path, r.body, wrong)
			heard := b.take()
			if open := routes[i].open; open != (code == http.StatusOK) || !open && (code != http.StatusUnauthorized || len(heard) > 0 || header.Get("WWW-Authenticate") == "") {
				t.Errorf("%s with token %q: %d %s, the node heard %q", r.path, wrong, code, answer, heard)
			}
		}
	}
	for _, r := range routes {
		if !tried[r.pattern] {
			t.Errorf("%s is not tried", r.pattern)
		}
	}
}

func TestOnlyHealthAndMetricsAreOpen(t *testing.T) {
	for _, r := range allRoutes() {
		if r.open != strings.Contains(r.pattern, " /healthz/") {
			t.Errorf("%s: open %v", r.pattern, r.open)
		}
	}
	b, port, _, _ := serve(t, token)
	for path, want := range map[string]int{"/metrics": 200, "/debug/pprof/": 401, "/debug/pprof/heap": 401, "/debug/pprof/profile": 401,
		"/debug/pprof/trace": 401, "/": 404, "/v1": 404, "/v1/objects/a@b/password": 404} {
		if code, answer, _ := ask(t, "GET", "http://"+port+path, "", ""); code != want {
			t.Errorf("%s: %d %s", path, code, answer)
		}
	}
	if code, answer, _ := ask(t, "GET", "http://"+port+"/debug/pprof/heap?debug=1", "", token); code != 200 || !strings.Contains(answer, "heap profile") {
		t.Errorf("a profile with the token: %d %.40s", code, answer)
	}
	for method, want := range map[string]int{"POST": 405, "DELETE": 405} {
		if code, _, _ := ask(t, method, "http://"+port+"/v1/status", "", token); code != want {
			t.Errorf("%s /v1/status: %d", method, code)
		}
	}
	if heard := b.take(); len(heard) > 0 {
		t.Errorf("the node heard %q", heard)
	}
}

// What a node that was removed could not do any more it refuses, whoever asks, and says why.
func TestARemovedNodeAnswersForItself(t *testing.T) {
	b := &straw{}
	s := New(b, slog.New(slog.DiscardHandler), token, nil)
	s.Member = func() error { return cluster.Errorf(cluster.KindGone, "n1 was removed") }
	for _, r := range slices.Concat(rows, fleetRows, moveRows, placementRows) {
		method, _, _ := strings.Cut(r.pattern, " ")
		q := httptest.NewRequestWithContext(t.Context(), method, r.path, strings.NewReader(r.body))
		q.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		s.routes().ServeHTTP(w, q)
		own := strings.Contains(r.pattern, " /healthz/") || slices.Contains(ownRoutes, r.pattern)
		heard := b.take()
		if refused := w.Code == http.StatusGone && strings.Contains(w.Body.String(), "n1 was removed"); refused == own || refused != (len(heard) == 0) && r.hears != "" {
			t.Errorf("%s: %d %s; the node heard %q", r.pattern, w.Code, w.Body, heard)
		}
	}
}

// lost is a node that hears nothing of the system group.
type lost struct{ Backend }

func (lost) AddDomain(ctx context.Context, _ string) error {
	<-ctx.Done()
	return fmt.Errorf("add domain: %w", ctx.Err())
}

// Who asks a node without a system group is told so, and does not wait for ever.
func TestAnAnswerInTime(t *testing.T) {
	s := New(lost{}, slog.New(slog.DiscardHandler), token, nil)
	s.Patience = time.Millisecond
	q := httptest.NewRequestWithContext(t.Context(), "PUT", "/v1/domains/example.org", nil)
	q.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	s.routes().ServeHTTP(w, q)
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "no answer within 1ms: add domain") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for _, p := range slices.Concat(ownRoutes, longRoutes) {
		if !slices.ContainsFunc(allRoutes(), func(r route) bool { return r.pattern == p }) {
			t.Errorf("%s is no route", p)
		}
	}
}

// An empty token, of a file that could not be read, must not admit whoever sends none.
func TestNoTokenAdmitsNobody(t *testing.T) {
	b, port, _, _ := serve(t, "")
	for _, sent := range []string{"", " "} {
		if code, _, _ := ask(t, "GET", "http://"+port+"/v1/status", "", sent); code != http.StatusUnauthorized || len(b.take()) > 0 {
			t.Errorf("token %q: %d", sent, code)
		}
	}
}

// The socket's file mode is its guard: no token is asked for, and none that a client of the port claims helps.
func TestSocketNeedsNoToken(t *testing.T) {
	b, port, socket, _ := serve(t, token)
	var got string
	if err := adminclient.Socket(socket).Do(t.Context(), "GET", "/v1/status", nil, &got); err != nil || got != "status" {
		t.Fatalf("%q, %v", got, err)
	}
	b.take()
	var refused *adminclient.Refused
	if err := adminclient.Port(port, "").Do(t.Context(), "GET", "/v1/status", nil, &got); !errors.As(err, &refused) || refused.Status != 401 {
		t.Fatalf("%v", err)
	}
	for _, address := range []string{port, "http://" + port, "http://" + port + "/"} {
		if err := adminclient.Port(address, token).Do(t.Context(), "GET", "/v1/status", nil, &got); err != nil {
			t.Fatalf("%s: %v", address, err)
		}
	}
}

func TestBodies(t *testing.T) {
	b, port, _, _ := serve(t, token)
	long := `{"kind":"user","name":"` + strings.Repeat("x", maxBody) + `"}`
	for body, want := range map[string]int{"": 400, "{": 400, "[]": 400, `{"kind":7}`: 400, `{"kind":"user","admin":true}`: 400, long: 413,
		`{"kind":"user","quota":-1}`: 400} {
		code, answer, _ := ask(t, "POST", "http://"+port+"/v1/objects", body, token)
		if code != want || !strings.Contains(answer, `"error":"request body`) || len(b.take()) > 0 {
			t.Errorf("%.40q: %d %.100s", body, code, answer)
		}
	}
	if code, answer, _ := ask(t, "GET", "http://"+port+"/v1/objects?kind=person", "", token); code != 400 || !strings.Contains(answer, "want one of user") {
		t.Errorf("an unknown kind: %d %s", code, answer)
	}
	for method, body := range map[string]string{"GET": "", "PUT": "{}"} {
		code, answer, _ := ask(t, method, "http://"+port+"/v1/scratch/x/k", body, token)
		if code != 400 || !strings.Contains(answer, "want a number") || len(b.take()) > 0 {
			t.Errorf("%s in a group that is no number: %d %s", method, code, answer)
		}
	}
}

func TestObjectsComeByAddress(t *testing.T) {
	b, port, _, _ := serve(t, token)
	box := mapi.MailboxID{1}
	b.objects = []*directory.Object{{Address: "room@x", Kind: directory.KindRoom, Mailbox: box}, {Address: "list@x", Kind: directory.KindList},
		{Address: "anna@x", Kind: directory.KindUser, Mailbox: box}}
	for query, want := range map[string]string{"": "anna@x list@x room@x", "?mailbox": "anna@x room@x"} {
		code, answer, _ := ask(t, "GET", "http://"+port+"/v1/objects"+query, "", token)
		var all []directory.Object
		if err := json.Unmarshal([]byte(answer), &all); err != nil || code != http.StatusOK {
			t.Fatalf("%d %s: %v", code, answer, err)
		}
		var got []string
		for _, o := range all {
			got = append(got, o.Address)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %v, want %s", query, got, want)
		}
	}
}

func TestStatusOfEveryKind(t *testing.T) {
	b, port, _, log := serve(t, token)
	for kind, want := range map[cluster.Kind]int{
		cluster.KindBadRequest: 400, exmdb.KindBadAddress: 400, exmdb.KindAccessDenied: 403, exmdb.KindNoSuchUser: 404,
		exmdb.KindNoMailbox: 404, exmdb.KindNoFolder: 404, exmdb.KindNoMessage: 404, exmdb.KindNoProperty: 404, exmdb.KindStaleToken: 410, exmdb.KindExists: 409, exmdb.KindMailboxExists: 409, exmdb.KindInUse: 409, cluster.KindUnsafe: 409,
		cluster.KindTooLarge: 413, cluster.KindUnavailable: 503, cluster.KindOverloaded: 503, cluster.KindUnknownOutcome: 504,
		cluster.KindDeadline: 504, cluster.KindGone: 410,
	} {
		b.refuse(fmt.Errorf("in a fake: %w", cluster.Errorf(kind, "because of %d", kind)))
		code, answer, _ := ask(t, "GET", "http://"+port+"/v1/status", "", token)
		if want := fmt.Sprintf(`{"error":"in a fake: because of %d","kind":%d}`, kind, kind); answer != want {
			t.Errorf("kind %d: %s", kind, answer)
		}
		if code != want {
			t.Errorf("kind %d: %d, want %d", kind, code, want)
		}
	}
	if log.Len() > 0 {
		t.Errorf("refusals were logged:\n%s", log)
	}
	for _, err := range []error{errors.New("secret at /var/lib"), cluster.Errorf(cluster.KindInternal, "secret"), cluster.Errorf(60000, "secret")} {
		b.refuse(err)
		code, answer, _ := ask(t, "GET", "http://"+port+"/healthz/ready", "", "")
		if code != http.StatusInternalServerError || strings.Contains(answer, "secret") {
			t.Errorf("%v: %d %s", err, code, answer)
		}
	}
	if n := strings.Count(log.String(), "AD-1001"); n != 3 {
		t.Errorf("%d of 3 internal errors were logged", n)
	}
}

func TestClientTellsRefusalsFromSilence(t *testing.T) {
	b, port, socket, _ := serve(t, token)
	b.refuse(cluster.Errorf(cluster.KindUnsafe, "not now"))
	var refused *adminclient.Refused
	if err := adminclient.Socket(socket).Do(t.Context(), "POST", "/v1/drain", nil, nil); !errors.As(err, &refused) || refused.Status != 409 || refused.Kind != cluster.KindUnsafe || err.Error() != "not now" {
		t.Fatalf("%v", err)
	}
	for name, c := range map[string]*adminclient.Client{"no socket": adminclient.Socket(socket + "x"), "no port": adminclient.Port("127.0.0.1:1", ""), "no URL": adminclient.Port("http://[::1", "")} {
		err := c.Do(t.Context(), "GET", "/v1/status", nil, nil)
		if err == nil || name != "no URL" && !errors.Is(err, adminclient.ErrUnreachable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	b.refuse(nil)
	var number int
	if err := adminclient.Port(port, token).Do(t.Context(), "GET", "/v1/status", nil, &number); err == nil || !strings.Contains(err.Error(), "decode answer") {
		t.Errorf("an answer of another type: %v", err)
	}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "bad gateway", http.StatusBadGateway) }))
	defer proxy.Close()
	if err := adminclient.Port(proxy.URL, "").Do(t.Context(), "GET", "/v1/status", nil, nil); !errors.As(err, &refused) || refused.Status != 502 {
		t.Errorf("something else answers: %v", err)
	}
	if got := adminclient.Path("v1", "objects", "a/b c@x"); got != "/v1/objects/a%2Fb%20c@x" {
		t.Errorf("path %q", got)
	}
}

// TestListenersThatAreClosedAlready: a node closes the listeners of its services before the services; which of the two comes first
// is no failure.
func TestListenersThatAreClosedAlready(t *testing.T) {
	s, l, ended := New(&straw{}, slog.New(slog.DiscardHandler), token, nil), testkit.ClosedBefore(t), make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	resp, err := http.Get("http://" + l.Addr().String() + "/")
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
