package node

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func valid() Config {
	c := Defaults()
	c.Node, c.Nodes = "a", []string{"a=10.0.0.1:7400", "b=10.0.0.2:7400", "c=10.0.0.3:7400"}
	return c
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "flotilla.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestConfigComesBackAsItWasWritten(t *testing.T) {
	want := valid()
	want.AllFolders, want.Reads, want.LogStore, want.DC, want.Gateway = true, "strict", "bolt", "north", "never"
	want.Domains = []string{"example.org"}
	want.Limits = Limits{Message: 1 << 20, Recipients: 200, Connections: 11, ConnectionsPerUser: 12, ConnectionsPerRemote: 13,
		IMAPLine: 8 << 10, Idle: Duration(time.Hour), DuplicateWindow: 0, DefaultQuota: 50 << 30, ThrottleFailures: 3,
		SoftDeleted: Duration(24 * time.Hour), QuotaWarning: 70, ThrottleWindow: Duration(90 * time.Second)}
	var b bytes.Buffer
	if err := want.Write(&b); err != nil {
		t.Fatal(err)
	}
	got, err := ReadConfig(write(t, b.String()))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%v\n got %+v\nwant %+v", err, got, want)
	}
}

// Every setting stands in `flotilla config default`, since that is where an administrator looks.
func TestDefaultsAreComplete(t *testing.T) {
	var b bytes.Buffer
	if err := Defaults().Write(&b); err != nil {
		t.Fatal(err)
	}
	printed := "\n" + b.String()
	var walk func(reflect.Type)
	walk = func(rt reflect.Type) {
		for i := range rt.NumField() {
			f := rt.Field(i)
			if !f.IsExported() {
				continue
			}
			name, option, _ := strings.Cut(f.Tag.Get("toml"), ",")
			if f.Type.Kind() == reflect.Struct {
				walk(f.Type)
			} else if option == "" && !strings.Contains(printed, "\n"+name+" = ") {
				t.Errorf("%s is not printed", name)
			}
		}
	}
	walk(reflect.TypeFor[Config]())
	for _, text := range []string{"imap_line = 65536", "throttle_failures = 10", "soft_deleted = '336h0m0s'", "quota_warning = 90", "throttle_window = '10m0s'", "default_quota = 0",
		"imap_all_folders = false", "connections_per_remote = 200", "message = 157286400"} {
		if !strings.Contains(printed, "\n"+text+"\n") {
			t.Errorf("%q is not printed", text)
		}
	}
}

func TestConfigRefusesAndSaysWhich(t *testing.T) {
	for text, want := range map[string]string{
		"nod = 'a'":                             "unknown setting",
		"node = 'A'":                            "node =",
		"dir = ''":                              "dir is empty",
		"replicas = 2":                          "replicas = 2",
		"groups = 0":                            "groups = 0",
		"block_cache = 1000":                    "block_cache",
		"log_store = 'x'":                       "log_store",
		"reads = 'x'":                           "reads",
		"roles = ['x']":                         "roles",
		"gateway = 'x'":                         "gateway",
		"external_name = 'a b'":                 "external_name",
		"cluster_name = 'https://mail'":         "cluster_name",
		"domains = ['example.org','x y']":       "domains: \"x y\" is not a domain",
		"[listen]\nsmtp = '25'":                 "listen.smtp = \"25\": want :port or address:port",
		"[listen]\nimaps = ':imapz'":            "listen.imaps",
		"[listen]\nnode = ''":                   "listen.node",
		"[log]\nlevel = 'loud'":                 "log.level",
		"[log]\nformat = 'xml'":                 "log.format",
		"nodes = ['b=h:7400']":                  "not among them",
		"nodes = ['a']":                         "want name=host:port",
		"nodes = ['a=h:1','a=h:2']":             "a is named twice",
		"[tls]\ncertificate = 'x'":              "go together",
		"plaintext = true":                      "loopback addresses only",
		"[limits]\nmessage = 1":                 "limits.message = 1",
		"[limits]\nrecipients = 99":             "limits.recipients",
		"[limits]\nconnections = 0":             "limits.connections",
		"[limits]\nconnections_per_user = 0":    "limits.connections_per_user",
		"[limits]\nconnections_per_remote = -1": "limits.connections_per_remote",
		"[limits]\nimap_line = 1024":            "limits.imap_line",
		"[limits]\nthrottle_failures = 0":       "limits.throttle_failures",
		"[limits]\nthrottle_window = '0s'":      "throttle_window",
		"[limits]\nsoft_deleted = '-1s'":        "soft_deleted",
		"[limits]\nquota_warning = 101":         "quota_warning",
		"[limits]\nidle = '1s'":                 "limits.idle",
		"[limits]\nidle = 'x'":                  "idle",
		"[limits]\ndefault_quota = -1":          "default_quota",
		"[copy]\nrate = -1":                     "copy.rate = -1",
		"[copy]\nshare = 0":                     "copy.share = 0",
	} {
		top := "node = 'a'\n"
		if strings.HasPrefix(text, "node ") {
			top = ""
		}
		if _, err := ReadConfig(write(t, top+text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestPlaintextOnLoopback(t *testing.T) {
	c := valid()
	c.Plaintext = true
	c.Listen.IMAP, c.Listen.Submission, c.Listen.HTTP = "127.0.0.1:143", "[::1]:587", ""
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	c.Listen.IMAP = ":143"
	if err := c.Validate(); err == nil {
		t.Fatal("sign-in in plain text on all addresses")
	}
}

func TestNodeAddress(t *testing.T) {
	for text, want := range map[string]string{
		"a":                     "a=a:7400",
		"A.Example.org":         "a=A.Example.org:7400",
		"mail-1.example.org:99": "mail-1=mail-1.example.org:99",
		"a=10.0.0.1":            "a=10.0.0.1:7400",
		"a=10.0.0.1:7401":       "a=10.0.0.1:7401",
		"a=[2001:db8::1]:7401":  "a=[2001:db8::1]:7401",
		"a=2001:db8::1":         "a=[2001:db8::1]:7400",
		"a=b.example.org":       "a=b.example.org:7400",
	} {
		if got, err := NodeAddress(text); err != nil || got != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "=", "a=", "=a", "10.0.0.1", "10.0.0.1:7400", "[::1]:7400", "a:0", "a:x", "a:70000", "a b", "a=b=c", "A=b", "a_b", "a:1:2"} {
		if got, err := NodeAddress(text); err == nil {
			t.Errorf("%q: %q", text, got)
		}
	}
}

// What is taken from an administrator is a node of the configuration, and means the same when it is read again.
func FuzzNodeAddress(f *testing.F) {
	for _, text := range []string{"a", "A.example.org:99", "a=10.0.0.1", "a=[2001:db8::1]:7401", "a=::1", "10.0.0.1", "=:"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		full, err := NodeAddress(text)
		if err != nil {
			return
		}
		if again, err := NodeAddress(full); err != nil || again != full {
			t.Fatalf("%q: %q, then %q, %v", text, full, again, err)
		}
		c := Config{Nodes: []string{full}}
		c.Node, _, _ = strings.Cut(full, "=")
		if peers, err := c.Peers(); err != nil || len(peers) != 1 {
			t.Fatalf("%q: %v, %v", text, peers, err)
		}
	})
}

func TestNamesShown(t *testing.T) {
	n := &Node{cfg: Config{Node: "a", External: "a.example.org", Cluster: "mail.example.org"}}
	if got := n.anyNode(); got != "mail.example.org" {
		t.Errorf("AutoDiscover names %q as the cluster", got)
	}
	n.cfg.Cluster = ""
	if got := n.anyNode(); got != "a.example.org" {
		t.Errorf("without a cluster's name: %q", got)
	}
	n.cfg.Cluster, n.cfg.Staging = "mail.example.test", true
	if got := n.anyNode(); got != "a.example.org" {
		t.Errorf("in a dev cluster, whose name is in no DNS: %q", got)
	}
}
