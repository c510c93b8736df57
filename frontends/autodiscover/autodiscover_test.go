package autodiscover

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/auth"
	"github.com/flotilla-mail/flotilla/internal/directory"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/testkit"
)

var rewrite = flag.Bool("rewrite", false, "write the answers into testdata")

// people is a directory of example.org; mailboxes are owned by 127.0.0.<n>, the last of them by nobody.
type people struct{}

func (people) Lookup(_ context.Context, address string) (*directory.Object, error) {
	box := func(n byte) mapi.MailboxID { return mapi.MailboxID{15: n} }
	switch strings.ToLower(address) {
	case "anna@example.org", "annie@example.org":
		return &directory.Object{Address: "anna@example.org", Name: "Anna <A&B>", LegacyDN: "/o=flotilla/cn=anna", Mailbox: box(2)}, nil
	case "ben@example.org":
		return &directory.Object{Address: "ben@example.org", LegacyDN: "/o=flotilla/cn=ben", Mailbox: box(3)}, nil
	case "lost@example.org":
		return &directory.Object{Address: "lost@example.org", Mailbox: box(9)}, nil
	case "all@example.org":
		return &directory.Object{Address: "all@example.org", Kind: directory.KindList}, nil
	case "later@example.org":
		return nil, cluster.ErrUnavailable
	case "broken@example.org":
		return nil, errors.New("broken")
	}
	return nil, cluster.Errorf(exmdb.KindNoSuchUser, "no such address")
}

func (people) Local(_ context.Context, domain string) (bool, error) {
	if domain == "later.example" {
		return false, cluster.ErrUnavailable
	}
	return domain == "example.org", nil
}

func (people) Resolve(context.Context, string) (directory.Resolution, error) {
	return directory.Resolution{}, cluster.ErrNoMethod
}

func (people) Owner(_ context.Context, box mapi.MailboxID) (string, error) {
	if box[15] == 9 {
		return "", cluster.ErrUnavailable
	}
	return fmt.Sprintf("127.0.0.%d", box[15]), nil
}

func newServer(services ...Service) *Server {
	return New(Config{
		HTTPSPort: 2443, IMAPPort: 2143, IMAPSPort: 2993, SubmissionPort: 2587, SubmissionsPort: 2465,
		ClusterName: "mail.example.org", Services: services,
		Now: func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 6e8, time.UTC) },
	}, people{}, people{}, slog.New(slog.DiscardHandler))
}

// mux mounts the routes; the signed-in ones are anna's.
func mux(s *Server) *http.ServeMux {
	m := http.NewServeMux()
	for _, route := range s.Routes() {
		m.HandleFunc(route.Pattern, func(w http.ResponseWriter, r *http.Request) {
			var p *auth.Principal
			if route.SignedIn {
				p = &auth.Principal{Address: "anna@example.org"}
			}
			route.Handle(w, r, p)
		})
	}
	return m
}

// Each script holds a request and its answer; the word services in its head turns all services on.
func TestScripts(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) { script(t, path) })
	}
}

func script(t *testing.T, path string) {
	a, err := txtar.ParseFile(path)
	if err != nil || len(a.Files) != 2 {
		t.Fatalf("not a script: %v", err)
	}
	line, body, _ := strings.Cut(string(a.Files[0].Data), "\n\n")
	method, target, _ := strings.Cut(strings.TrimSpace(line), " ")
	var on []Service
	if strings.Contains(string(a.Comment), "services") {
		on = []Service{EWS, ActiveSync, Web}
	}
	w := httptest.NewRecorder()
	mux(newServer(on...)).ServeHTTP(w, httptest.NewRequest(method, target, strings.NewReader(body)))
	got := fmt.Sprintf("%d %s\n", w.Code, w.Header().Get("Content-Type"))
	if after := w.Header().Get("Retry-After"); after != "" {
		got += "Retry-After: " + after + "\n"
	}
	got += "\n" + w.Body.String()
	if *rewrite {
		a.Files[1].Data = []byte(got)
		if err := os.WriteFile(path, txtar.Format(a), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want := string(a.Files[1].Data); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestHugeBody(t *testing.T) {
	w := httptest.NewRecorder()
	body := "<Autodiscover>" + strings.Repeat(" ", maxRequest)
	mux(newServer()).ServeHTTP(w, httptest.NewRequest("POST", "/autodiscover/autodiscover.xml", strings.NewReader(body)))
	if w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("got %d", w.Code)
	}
}

// Nobody who has not signed in can tell a user from no user.
func TestOpenAnswersHideUsers(t *testing.T) {
	for _, route := range newServer().Routes() {
		if route.SignedIn {
			continue
		}
		_, path, _ := strings.Cut(route.Pattern, " ")
		answer := func(user string) string {
			at := strings.ReplaceAll(path, "{email}", user+"@example.org") +
				"?protocol=AutodiscoverV1&emailaddress=" + user + "@example.org&email=" + user + "@example.org"
			w := httptest.NewRecorder()
			mux(newServer()).ServeHTTP(w, httptest.NewRequest("GET", at, nil))
			if w.Code != 200 {
				t.Errorf("%s: got %d", at, w.Code)
			}
			return w.Body.String()
		}
		if there, not := answer("anna"), answer("nobody"); there != not {
			t.Errorf("%s tells:\n%s\nfrom:\n%s", path, there, not)
		}
	}
}

func TestURL(t *testing.T) {
	for _, c := range []struct {
		host string
		port int
		want string
	}{
		{"mail.example.org", 443, "https://mail.example.org/EWS/Exchange.asmx"},
		{"127.0.0.2", 2443, "https://127.0.0.2:2443/EWS/Exchange.asmx"},
		{"::1", 443, "https://[::1]/EWS/Exchange.asmx"},
		{"::1", 2443, "https://[::1]:2443/EWS/Exchange.asmx"},
	} {
		s := newServer()
		s.cfg.HTTPSPort = c.port
		if got := s.url(c.host, EWS); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

// A service that is off is not answered.
func TestPortsOff(t *testing.T) {
	s := newServer()
	s.cfg.IMAPPort, s.cfg.SubmissionsPort = 0, 0
	var got []int
	for _, e := range s.endpoints() {
		got = append(got, e.port)
	}
	if fmt.Sprint(got) != "[2993 2587]" {
		t.Errorf("got %v", got)
	}
}

func FuzzDecode(f *testing.F) {
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range paths {
		a, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		_, body, _ := strings.Cut(string(a.Files[0].Data), "\n\n")
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		defer testkit.Bounded(t)()
		q, err := decode(strings.NewReader(body))
		if err != nil {
			if statusOf(err).http == http.StatusInternalServerError {
				t.Errorf("bad input is no bug: %v", err)
			}
			return
		}
		if q.Request.EMailAddress == "" && q.Request.LegacyDN == "" {
			t.Error("a request for nobody")
		}
	})
}
