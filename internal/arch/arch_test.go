package arch

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const root = "../.."

func TestTree(t *testing.T) {
	g, err := Load(root)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := g["cluster"]; !ok {
		t.Fatalf("the tree was not found: %d packages", len(g))
	}
	for _, b := range Check(g) {
		t.Error(b)
	}
}

func TestTopLevel(t *testing.T) {
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	for _, b := range CheckTop(names) {
		t.Error(b)
	}
	if got := CheckTop([]string{"pkg", "README.md", ".ci", "utils"}); len(got) != 2 {
		t.Errorf("pkg and utils at the top: %v", got)
	}
}

// sound is a small tree that keeps every rule, so a broken one below is found for its own reason.
func sound() Graph {
	return Graph{
		"cluster":                  {"errors"},
		"cluster/group":            {"cluster", "cluster/space", "internal/lsm", "github.com/hashicorp/raft", "log"},
		"cluster/gossip":           {"github.com/hashicorp/memberlist"},
		"cluster/space":            {"cluster", "internal/wire", "internal/lsm"},
		"exmdb":                    {"internal/mapi", "cluster"},
		"exmdb/store":              {"exmdb", "exmdb/rules", "cluster/space", "internal/convert/oxcmail"},
		"exmdb/rules":              {"exmdb", "internal/mapi"},
		"exmdb/client":             {"exmdb", "exmdb/server", "placement/view", "cluster/rpc"},
		"frontends/imap":           {"exmdb", "frontends/imap/imapwire", "github.com/emersion/go-imap/v2", "log/slog"},
		"frontends/mapihttp":       {"frontends/emsmdb", "frontends/nspi"},
		"frontends/web":            {"exmdb"},
		"internal/lsm":             {"github.com/cockroachdb/pebble/v2"},
		"internal/mapi":            {"internal/wire"},
		"internal/mapi/oxcdata":    {"internal/mapi", "internal/wire"},
		"internal/formats/ical":    {"strings"},
		"internal/convert/oxcmail": {"internal/formats/mime", "internal/mapi"},
		"internal/node":            {"frontends/imap", "exmdb/client", "cluster/group"},
		"internal/testkit":         {"testing"},
		"placement/planner":        {"placement"},
		"cmd/flotilla":             {"internal/node", "github.com/spf13/cobra"},
		"internal/deps":            {"github.com/hashicorp/raft"},
	}
}

// broken adds one import to the sound tree; want is the rule that must name it.
var broken = []struct{ want, pkg, imp string }{
	{"layers", "internal/mapi", "exmdb"},
	{"layers", "cluster", "cluster/space"},
	{"layers", "internal/lsm", "exmdb"},
	{"layers", "exmdb", "exmdb/store"},
	{"layers", "exmdb/store", "exmdb/server"},
	{"layers", "exmdb/client", "internal/mailflow/deliver"},
	{"layers", "frontends/emsmdb", "frontends/mapihttp"},
	{"layers", "frontends/imap", "internal/node"},
	{"layers", "internal/node", "cmd/flotilla"},
	{"layers", "internal/wire", "internal/mapi"},
	{"layers", "exmdb", "internal/convert/oxcmail"},
	{"house", "internal/util", "strings"},
	{"front-end and cluster", "frontends/imap", "cluster/space"},
	{"front-end and cluster", "frontends/imap", "placement/view"},
	{"front-end and store", "frontends/imap/imapwire", "exmdb/client"},
	{"front-end and database", "frontends/dav", "internal/lsm"},
	{"front-end and front-end", "frontends/imap", "frontends/smtp"},
	{"front-end and front-end", "frontends/web", "frontends/emsmdb"},
	{"carriers", "frontends/mapihttp", "frontends/ews"},
	{"cluster knows no mail", "cluster/space", "internal/mapi"},
	{"cluster knows no mail", "cluster/group", "exmdb"},
	{"placement knows no mail", "placement", "internal/mapi"},
	{"grammar and meaning", "internal/formats/ical", "internal/mapi"},
	{"mapi is pure", "internal/mapi/oxcdata", "os"},
	{"layers", "internal/mapi/oxcdata", "exmdb"},
	{"convert is pure", "internal/convert/oxcmail", "os"},
	{"convert is pure", "internal/convert/oxcmail", "net/http"},
	{"reports are pure", "internal/mailflow/dsn", "internal/mailflow/queue"},
	{"reports are pure", "internal/mailflow/dsn", "net"},
	{"pure engines", "exmdb/rules", "cluster/space"},
	{"pure engines", "placement/planner", "os"},
	{"engines log nothing", "exmdb/store", "log/slog"},
	{"full text knows no mailbox", "exmdb/fulltext", "exmdb/schema"},
	{"engines log nothing", "cluster/rpc", "github.com/prometheus/client_golang/prometheus"},
	{"raft's door", "cluster/space", "github.com/hashicorp/raft"},
	{"raft's door", "internal/node", "github.com/hashicorp/raft-boltdb/v2"},
	{"bbolt's door", "internal/directory", "go.etcd.io/bbolt"},
	{"memberlist's door", "internal/node", "github.com/hashicorp/memberlist"},
	{"Pebble's door", "exmdb/search", "github.com/cockroachdb/pebble/v2"},
	{"yamux's door", "exmdb/client", "github.com/hashicorp/yamux"},
	{"cobra's door", "internal/node", "github.com/spf13/cobra"},
	{"go-imap's door", "exmdb/store", "github.com/emersion/go-imap/v2"},
	{"rrule-go's door", "internal/convert/oxcical", "github.com/teambition/rrule-go"},
	{"porcupine's door", "cluster/space", "github.com/anishathalye/porcupine"},
	{"tests only", "internal/node", "internal/testkit"},
	{"tests only", "internal/mapi/oxcdata", "internal/testkit/vectors"},
}

func TestEveryRuleCatches(t *testing.T) {
	if got := Check(sound()); len(got) != 0 {
		t.Fatalf("the sound tree is not: %v", got)
	}
	caught := map[string]bool{}
	for _, tt := range broken {
		g := sound()
		g[tt.pkg] = append(g[tt.pkg], tt.imp)
		found := false
		for _, b := range Check(g) {
			if b.Package != tt.pkg || b.Import != tt.imp && tt.want != "house" {
				t.Errorf("%s importing %s also blames: %v", tt.pkg, tt.imp, b)
			}
			found = found || b.Rule == tt.want && b.Reason != "" && strings.Contains(b.String(), tt.pkg)
		}
		if !found {
			t.Errorf("%s imports %s and %q does not see it", tt.pkg, tt.imp, tt.want)
		}
		caught[tt.want] = true
	}
	for _, r := range never {
		if !caught[r.name] {
			t.Errorf("no case breaks %q", r.name)
		}
	}
}

func TestLoadLeavesTestsAndTestdataOut(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{
		"exmdb/a.go":             "package exmdb\nimport (\n\"errors\"\n\"" + Module + "/internal/mapi\"\n)",
		"exmdb/b_other.go":       "//go:build never\n\npackage exmdb\nimport \"errors\"\nimport \"os\"",
		"exmdb/a_test.go":        "package exmdb\nimport \"testing\"",
		"exmdb/testdata/x/x.go":  "package x\nimport \"net\"",
		".hidden/x.go":           "package x",
		"frontends/imap/imap.go": "package imap",
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	g, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(g["exmdb"], " "); len(g) != 2 || got != "errors internal/mapi os" {
		t.Errorf("%v", g)
	}
	if err := os.WriteFile(filepath.Join(dir, "exmdb/c.go"), []byte("not Go"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir); err == nil {
		t.Error("a file that is not Go was read")
	}
}
