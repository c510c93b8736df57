// Package cli works with a cluster of real processes as an administrator and his users do: by the command line, the
// admin port and mail programs' protocols.
package cli

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/internal/dev"
	"github.com/flotilla-mail/flotilla/test/devtest"
)

// patience is for what has to come, on a slow machine too.
const patience = time.Minute

// TestCluster shares one cluster among the parts, which run in this order: the last ones take nodes away.
func TestCluster(t *testing.T) {
	c := &site{Cluster: devtest.StartGroups(t, 5, 3)}
	for _, x := range []struct {
		name string
		run  func(*testing.T, *site)
	}{
		{"commands", commands}, {"into mailboxes", intoMailboxes}, {"time zones", timeZones}, {"a refused add leaves nothing", refusedAdd}, {"submission", submission}, {"sizes", sizes},
		{"throttle", throttle}, {"AutoDiscover", discover}, {"sessions of changed users", changedUsers},
		{"metrics", metrics}, {"readme", readme}, {"cut off", cutOff}, {"drain under load", drainUnderLoad},
		{"faults need staging, drains need others", unsafe},
	} {
		if !t.Run(x.name, func(t *testing.T) { x.run(t, c) }) && t.Failed() {
			return // what follows would fail for reasons of its own
		}
	}
}

// site is a cluster with its command line.
type site struct{ *dev.Cluster }

func (c *site) addr(node string, port int) string {
	return fmt.Sprintf("%s:%d", dev.Host(node), c.Port(port))
}

// run performs a command line and returns its output and exit code.
func (c *site) run(t *testing.T, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	said := devtest.Run(t, c.Cluster, stdin, args...)
	return said.Out, said.Err, said.Code
}

// do is run on the cluster for a command that has to succeed.
func (c *site) do(t *testing.T, args ...string) string {
	t.Helper()
	stdout, stderr, code := c.run(t, "a long password\n", append(args, "--dir", c.Dir)...)
	if code != 0 {
		t.Fatalf("flotilla %s: exit code %d: %s", strings.Join(args, " "), code, stderr)
	}
	return stdout
}

// refused is run on the cluster for a command that has to be refused with an exit code and a text.
func (c *site) refused(t *testing.T, code int, text string, args ...string) {
	t.Helper()
	_, stderr, got := c.run(t, "a long password\n", append(args, "--dir", c.Dir)...)
	if got != code || !strings.Contains(stderr, text) {
		t.Errorf("flotilla %s: exit code %d: %s; want %d and %q", strings.Join(args, " "), got, stderr, code, text)
	}
}

// answer is do with --json, decoded.
func answer[T any](t *testing.T, c *site, args ...string) T {
	t.Helper()
	var v T
	out := c.do(t, append(args, "--json")...)
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		t.Fatalf("flotilla %s: %v in %s", strings.Join(args, " "), err, out)
	}
	return v
}

// object is a directory object as scripts see it.
type object struct {
	GUID, Address, Name, Mailbox string
	Kind                         int
	Aliases, Members             []string
	Disabled                     bool
	Quota                        uint64
	Zone                         string
}

type group struct {
	Group, Term, Applied uint64
	Leader               string
	Mailboxes            int
	Replicas             []struct {
		Node, State, Hash string
	}
}

func commands(t *testing.T, c *site) {
	status := answer[struct {
		Ready bool
		Nodes []struct {
			Node, Version, Progress string
			Ready                   bool
		}
	}](t, c, "status")
	if !status.Ready || len(status.Nodes) != 3 || status.Nodes[2].Node != "n3" || status.Nodes[0].Progress != "ready" || status.Nodes[1].Version == "" {
		t.Errorf("status: %+v", status)
	}
	if text := c.do(t, "status"); strings.Count(text, "ready") != 3 {
		t.Errorf("status:\n%s", text)
	}
	groups := answer[[]group](t, c, "groups", "--hash")
	if len(groups) != 4 {
		t.Errorf("%d groups", len(groups))
	}
	for _, g := range groups {
		if g.Leader == "" || g.Term == 0 || len(g.Replicas) != 3 || g.Replicas[0].Hash == "" {
			t.Errorf("group %+v", g)
		}
	}
	people(t, c)
	lists(t, c)
	c.do(t, "domain", "add", "Example.NET")
	c.refused(t, 1, "exists", "domain", "add", "example.net")
	if domains := answer[[]struct{ Name string }](t, c, "domain", "list"); len(domains) != 2 || domains[0].Name != "example.net" {
		t.Errorf("domains: %+v", domains)
	}
	c.do(t, "user", "add", "dora@example.net", "--password-stdin")
	c.refused(t, 1, "still has addresses", "domain", "remove", "example.net")
	c.do(t, "user", "remove", "dora@example.net")
	c.do(t, "domain", "remove", "example.net")
	c.refused(t, 1, "not a domain of this cluster", "domain", "remove", "example.net")
}

func people(t *testing.T, c *site) {
	made := answer[object](t, c, "user", "add", "Dave@Example.TEST", "--name", "Dave D", "--quota", "1G", "--alias", "d@example.test", "--password-stdin")
	if made.Address != "dave@example.test" || made.GUID == "" || made.Quota != 1<<30 {
		t.Errorf("made %+v", made)
	}
	for _, node := range c.Names() { // at once, wherever it is asked
		if err := signInIMAP(c, node, "dave", "a long password"); err != nil {
			t.Errorf("%s: %v", node, err)
		}
	}
	c.do(t, "alias", "add", "sales@example.test", "dave@example.test")
	c.do(t, "alias", "remove", "d@example.test", "dave@example.test")
	c.do(t, "user", "quota", "dave@example.test", "2G")
	got := answer[object](t, c, "user", "show", "sales@example.test")
	if got.GUID != made.GUID || got.Name != "Dave D" || got.Quota != 2<<30 || len(got.Aliases) != 1 || got.Aliases[0] != "sales@example.test" {
		t.Errorf("shown %+v", got)
	}
	box := answer[mailbox](t, c, "user", "show", "dave@example.test", "--mailbox")
	if box.Mailbox != got.Mailbox || box.Owner == "" || box.Group == 0 || box.Info.Quota != 2<<30 {
		t.Errorf("mailbox %+v", box)
	}
	if all := answer[[]object](t, c, "user", "list"); len(all) != 9 { // alice, bob, carol, u1 … u5, dave: who has a mailbox
		t.Errorf("%d users", len(all))
	}
	c.refused(t, 1, "taken", "user", "add", "sales@example.test", "--password-stdin")
	c.refused(t, 1, "not in the directory", "user", "show", "nobody@example.test")
	c.refused(t, 1, "not an address", "user", "show", "nobody")
	c.do(t, "user", "remove", "dave@example.test")
	c.refused(t, 1, "not in the directory", "user", "remove", "dave@example.test")
}

// mailbox is what the store says.
type mailbox struct {
	Mailbox, Owner string
	Group          uint64
	Info           struct{ Messages, Used, Quota uint64 }
}

func lists(t *testing.T, c *site) {
	c.do(t, "group", "create", "team@example.test", "alice@example.test")
	c.do(t, "group", "add", "team@example.test", "bob@example.test", "carol@example.test")
	c.do(t, "group", "remove", "team@example.test", "alice@example.test")
	if team := answer[object](t, c, "group", "show", "team@example.test"); strings.Join(team.Members, " ") != "bob@example.test carol@example.test" || team.Kind != 4 {
		t.Errorf("list %+v", team)
	}
	if all := answer[[]object](t, c, "group", "list"); len(all) != 1 {
		t.Errorf("%d lists", len(all))
	}
	before := messages(t, c, "bob")
	if err := send(c, "n2", "bob's list", "team@example.test"); err != nil {
		t.Fatal(err)
	}
	if got := messages(t, c, "bob"); got != before+1 {
		t.Errorf("bob has %d mails, had %d", got, before)
	}
	c.do(t, "group", "senders", "team@example.test", "internal")
	if err := send(c, "n3", "bob's list", "team@example.test"); err == nil {
		t.Error("a stranger wrote to a group that is for people who have signed in")
	}
	c.do(t, "user", "grant", "send-as", "team@example.test", "bob@example.test")
	if r := answer[struct {
		Groups []string
		SendAs []string `json:"send_as_of"`
	}](t, c, "user", "show", "bob@example.test", "--rights"); len(r.Groups) != 1 || len(r.SendAs) != 1 || r.SendAs[0] != "team@example.test" {
		t.Errorf("rights %+v", r)
	}
	c.do(t, "user", "revoke", "send-as", "team@example.test", "bob@example.test")
	c.refused(t, 1, "does not have that", "user", "revoke", "send-as", "team@example.test", "bob@example.test")
	c.do(t, "group", "delete", "team@example.test")
}

func messages(t *testing.T, c *site, user string) uint64 {
	t.Helper()
	return answer[mailbox](t, c, "user", "show", user+"@"+dev.Domain, "--mailbox").Info.Messages
}

func mailboxes(t *testing.T, c *site) (n int) {
	t.Helper()
	for _, g := range answer[[]group](t, c, "groups") {
		n += g.Mailboxes
	}
	return n
}

func refusedAdd(t *testing.T, c *site) {
	before := mailboxes(t, c)
	c.refused(t, 1, "not a domain of this cluster", "user", "add", "eve@example.org", "--password-stdin")
	c.refused(t, 1, "alice@example.test is taken", "user", "add", "eve@example.test", "--alias", "alice@example.test", "--password-stdin")
	_, stderr, code := c.run(t, strings.Repeat("x", 2000), "user", "add", "eve@example.test", "--password-stdin", "--dir", c.Dir)
	if code != 1 || !strings.Contains(stderr, "a password has 1 to 1024 bytes") {
		t.Errorf("a password of 2000 bytes: exit code %d: %s", code, stderr)
	}
	if after := mailboxes(t, c); after != before {
		t.Errorf("%d spaces became %d", before, after)
	}
}

// get asks a node by HTTP.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// roots trusts the cluster's authority.
func (c *site) roots(t *testing.T) *tls.Config {
	t.Helper()
	pem, err := os.ReadFile(filepath.Join(c.Dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		t.Fatal("no trust root")
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}

// discover asks one node for the settings of a user whose mailbox another one owns.
func discover(t *testing.T, c *site) {
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: c.roots(t)}, Timeout: patience}
	for _, user := range []string{"alice", "bob", "carol", "u1", "u2", "u3", "u4", "u5"} {
		owner := answer[mailbox](t, c, "user", "show", user+"@"+dev.Domain, "--mailbox").Owner
		asked := "n1"
		if owner == "n1" {
			asked = "n2"
		}
		body := `<Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006"><Request><EMailAddress>` +
			user + "@" + dev.Domain + `</EMailAddress><AcceptableResponseSchema>http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a</AcceptableResponseSchema></Request></Autodiscover>`
		req, err := http.NewRequestWithContext(t.Context(), "POST", "https://"+c.addr(asked, 2443)+"/autodiscover/autodiscover.xml", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth(user+"@"+dev.Domain, dev.Password)
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		if err := errors.Join(err, resp.Body.Close()); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"<Type>IMAP</Type>", "<Server>" + dev.Host(owner) + "</Server>", fmt.Sprintf("<Port>%d</Port>", c.Port(2993))} {
			if resp.StatusCode != http.StatusOK || !strings.Contains(string(got), want) {
				t.Errorf("%s, owned by %s, at %s: %d without %s:\n%s", user, owner, asked, resp.StatusCode, want, got)
			}
		}
	}
}

// metrics: what has happened so far is to be seen.
func metrics(t *testing.T, c *site) {
	all := ""
	for _, node := range c.Names() {
		code, text := get(t, "http://"+c.addr(node, 2808)+"/metrics")
		if code != http.StatusOK {
			t.Fatalf("%s: %d", node, code)
		}
		all += text
		for _, name := range []string{"flotilla_ready 1", "flotilla_gossip_gateway 0", "flotilla_disk_syncs_total ", `flotilla_certificate_expiry_seconds{certificate="node"} 6.`,
			`flotilla_certificate_expiry_seconds{certificate="client"} 6.`, `flotilla_group_leads{group="0"}`, `flotilla_group_applied_index{group="1"}`,
			`flotilla_group_entries_total{group="2"}`, `flotilla_group_operations_total{group="3"}`, `flotilla_group_queue_bytes{group="0"}`,
			`flotilla_group_log_bytes{group="0"}`, `flotilla_group_leader_changes_total{group="0"}`,
			`flotilla_log_sync_duration_seconds_bucket{log="system",le="+Inf"}`, `flotilla_log_sync_duration_seconds_bucket{log="mailboxes",le="+Inf"}`,
			"go_goroutines ", "process_resident_memory_bytes "} {
			if !strings.Contains(text, name) {
				t.Errorf("%s does not show %s", node, name)
			}
		}
	}
	for _, name := range []string{`flotilla_connections_total{service="imap"}`, `flotilla_connections{service="mx"}`, `flotilla_connections_total{service="web"}`,
		`flotilla_commands_total{command="LOGIN",result="OK",service="imap"}`, `flotilla_commands_total{command="RCPT",result="550",service="submission"}`,
		`flotilla_commands_total{command="DATA",result="250",service="mx"}`, `flotilla_commands_total{command="/autodiscover/autodiscover.xml",result="200",service="web"}`,
		`flotilla_command_duration_seconds_bucket{service="imap",le="+Inf"}`, `flotilla_mail_bytes_total{service="mx"}`,
		`flotilla_deliveries_total{result="stored"}`, `flotilla_deliveries_total{result="duplicate"}`, `flotilla_deliveries_total{result="over_quota"}`,
		`flotilla_sign_ins_total{protocol="submission",result="accepted"}`, `flotilla_sign_ins_total{protocol="submission",result="throttled"}`,
		`flotilla_sign_ins_total{protocol="imap",result="disabled"}`, `flotilla_sign_ins_total{protocol="http",result="accepted"}`,
		`flotilla_op_duration_seconds_bucket{op="Deliver",le="+Inf"}`, `flotilla_op_errors_total{kind="over_quota",op="Deliver"}`} {
		if !strings.Contains(all, name) {
			t.Errorf("no node shows %s", name)
		}
	}
}
