package node

import (
	"context"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/raftlog"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/frontends/smtp"
	"github.com/flotilla-mail/flotilla/internal/auth"
	"github.com/flotilla-mail/flotilla/internal/testkit"
)

// shown is what Prometheus reads.
func shown(t *testing.T, m *metrics) string {
	t.Helper()
	reg := prometheus.NewRegistry()
	reg.MustRegister(m.collectors()...)
	w := httptest.NewRecorder()
	promhttp.HandlerFor(reg, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}

// signer answers by the password: the error to give.
type signer map[string]error

func (s signer) Authenticate(_ context.Context, a auth.Attempt) (*auth.Principal, error) {
	return &auth.Principal{}, s[a.Password]
}

func TestMetricsCountWhatPartsReport(t *testing.T) {
	m := newMetrics()
	i := m.imapEvents()
	i.Connected()
	i.Connected()
	i.Disconnected()
	i.Command("FETCH", "OK", 3*time.Millisecond)
	i.Command("FETCH", "NO", time.Millisecond)
	s := m.smtpEvents()
	s.Connected(smtp.MX)
	s.Answered(smtp.MX, "RCPT", 550)
	s.Taken(smtp.MX, 2, 1, 700, time.Millisecond)
	w := m.webEvents()
	w.Connected()
	w.Answered("GET /x", 404, time.Millisecond)
	w.Disconnected()
	m.served("Deliver", time.Millisecond, nil)
	m.served("Deliver", time.Millisecond, cluster.ErrOverloaded)
	m.synced(raftlog.SyncInfo{Group: 0, Took: time.Millisecond})
	m.synced(raftlog.SyncInfo{Group: 7, Took: time.Millisecond})
	m.leaderChanged(7)
	m.delivered(&exmdb.DeliverResponse{}, nil)
	m.delivered(&exmdb.DeliverResponse{Duplicate: true}, nil)
	m.delivered(&exmdb.DeliverResponse{}, cluster.Errorf(exmdb.KindOverQuota, "full"))
	users := countedSignIns{signer{"wrong": cluster.Errorf(exmdb.KindBadPassword, "no"), "odd": cluster.Errorf(60000, "?"), "broken": errors.New("x")}, m}
	for _, password := range []string{"right", "right", "wrong", "odd", "broken"} {
		_, err := users.Authenticate(t.Context(), auth.Attempt{Protocol: auth.IMAP, Password: password})
		if (err == nil) != (password == "right") {
			t.Fatalf("%s: %v", password, err)
		}
	}
	got := "\n" + shown(t, m)
	for _, line := range []string{
		`flotilla_connections{service="imap"} 1`, `flotilla_connections_total{service="imap"} 2`,
		`flotilla_connections{service="mx"} 1`, `flotilla_connections{service="web"} 0`,
		`flotilla_commands_total{command="FETCH",result="NO",service="imap"} 1`,
		`flotilla_commands_total{command="RCPT",result="550",service="mx"} 1`,
		`flotilla_commands_total{command="GET /x",result="404",service="web"} 1`,
		`flotilla_command_duration_seconds_count{service="imap"} 2`, `flotilla_mail_bytes_total{service="mx"} 700`,
		`flotilla_op_duration_seconds_count{op="Deliver"} 2`, `flotilla_op_errors_total{kind="overloaded",op="Deliver"} 1`,
		`flotilla_log_sync_duration_seconds_count{log="system"} 1`, `flotilla_log_sync_duration_seconds_count{log="mailboxes"} 1`,
		`flotilla_group_leader_changes_total{group="7"} 1`,
		`flotilla_deliveries_total{result="stored"} 1`, `flotilla_deliveries_total{result="duplicate"} 1`, `flotilla_deliveries_total{result="over_quota"} 1`,
		`flotilla_sign_ins_total{protocol="imap",result="accepted"} 2`, `flotilla_sign_ins_total{protocol="imap",result="bad_password"} 1`,
		`flotilla_sign_ins_total{protocol="imap",result="kind_60000"} 1`, `flotilla_sign_ins_total{protocol="imap",result="internal"} 1`,
	} {
		if !strings.Contains(got, "\n"+line+"\n") {
			t.Errorf("not shown: %s", line)
		}
	}
	if t.Failed() {
		t.Log(got)
	}
}

var metricName = regexp.MustCompile(`\bflotilla_[a-z_]+`)

// An alert on a name that no node shows never fires, and nobody notices.
func TestAlertsUseNamesThatAreShown(t *testing.T) {
	known := make(map[string]bool)
	for _, c := range append(newMetrics().collectors(), nodeMetrics{}) {
		descs := make(chan *prometheus.Desc, 100)
		c.Describe(descs)
		close(descs)
		for d := range descs {
			name := metricName.FindString(d.String())
			if name == "" || known[name] {
				t.Errorf("%s: no name of ours, or one used twice", d)
			}
			for _, suffix := range []string{"", "_bucket", "_sum", "_count"} {
				known[name+suffix] = true
			}
		}
	}
	b, err := os.ReadFile(filepath.Join(testkit.Root(t), "deploy", "prometheus", "alerts.yml"))
	if err != nil {
		t.Fatal(err)
	}
	used := metricName.FindAllString(string(b), -1)
	for _, name := range used {
		if !known[name] {
			t.Errorf("alerts.yml uses %s, which nothing shows", name)
		}
	}
	if len(used) < 10 {
		t.Errorf("alerts.yml uses %d names: is it still read?", len(used))
	}
}

func TestKindNamesAreLabels(t *testing.T) {
	label := regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
	for kind, name := range kindNames {
		if !label.MatchString(name) {
			t.Errorf("kind %d: %q", kind, name)
		}
	}
}
