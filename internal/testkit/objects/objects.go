// Package objects shows what conversions make, for golden files, and reads corpora. Only tests use it.
package objects

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/flotilla-mail/flotilla/internal/convert/kept"
	"github.com/flotilla-mail/flotilla/internal/convert/object"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/testkit"
)

// shown is the most bytes of a value that a dump shows.
const shown = 240

// Dump is a message in lines for people and golden files: every property by name, recipients and attachments indented.
func Dump(m *object.Message) string {
	var b strings.Builder
	d := dumper{&b, names()}
	d.message(m, "")
	return b.String()
}

type dumper struct {
	b     *strings.Builder
	names map[mapi.PropertyName]string
}

func names() map[mapi.PropertyName]string {
	list := map[mapi.PropertyName]string{}
	mapi.NamedCanonicals(func(name string, n mapi.NamedProperty) bool {
		list[n.Canonical()] = name
		return true
	})
	return list
}

func (d dumper) message(m *object.Message, indent string) {
	d.props(&m.Props, indent)
	for i := range m.Recipients {
		fmt.Fprintf(d.b, "%srecipient %d\n", indent, i)
		d.props(&object.Props{Bag: m.Recipients[i]}, indent+"  ")
	}
	for i := range m.Attachments {
		fmt.Fprintf(d.b, "%sattachment %d\n", indent, i)
		d.props(&m.Attachments[i].Props, indent+"  ")
		if e := m.Attachments[i].Embedded; e != nil {
			fmt.Fprintf(d.b, "%s  message\n", indent)
			d.message(e, indent+"    ")
		}
	}
}

func (d dumper) props(p *object.Props, indent string) {
	for _, prop := range p.Bag.All() {
		name := prop.Tag.Name()
		if name == "" {
			name = prop.Tag.String()
		}
		fmt.Fprintf(d.b, "%s%s: %s\n", indent, name, show(prop.Value))
	}
	for _, n := range p.Names() {
		if strings.HasPrefix(n.Name, "Kept") {
			for _, text := range kept.Texts(p, n.Name) {
				fmt.Fprintf(d.b, "%s%s: %s\n", indent, n.Name, cut(strings.ReplaceAll(text, "\r\n", " | ")))
			}
			continue
		}
		fmt.Fprintf(d.b, "%s%s: %s\n", indent, d.nameOf(n), show(p.Named[n]))
	}
}

func (d dumper) nameOf(n mapi.PropertyName) string {
	if known := d.names[n]; known != "" {
		return known
	}
	if n.Kind == mapi.NameByString {
		return n.Name
	}
	return fmt.Sprintf("%s:%#x", n.Set, n.LID)
}

func show(v mapi.Value) string {
	s := ""
	switch v := v.(type) {
	case mapi.String:
		s = fmt.Sprintf("%q", string(v))
	case mapi.Strings:
		s = fmt.Sprintf("%q", []string(v))
	case mapi.FileTime:
		s = v.Time().Format("2006-01-02T15:04:05Z")
	case mapi.Binary:
		s = fmt.Sprintf("%x", []byte(v))
	case mapi.Binaries:
		s = fmt.Sprintf("%x", [][]byte(v))
	default:
		s = fmt.Sprint(v)
	}
	return cut(s)
}

func cut(s string) string {
	if len(s) <= shown {
		return s
	}
	return fmt.Sprintf("%s… %d", strings.ToValidUTF8(s[:shown], ""), len(s))
}

// Golden compares what was made with the archive at path, or writes it.
func Golden(t *testing.T, path string, got *txtar.Archive, rewrite bool) {
	t.Helper()
	if rewrite {
		if err := os.WriteFile(path, txtar.Format(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(want.Files) != len(got.Files) {
		t.Fatalf("%d objects, golden file has %d", len(got.Files), len(want.Files))
	}
	for i, f := range want.Files {
		if g := got.Files[i]; g.Name != f.Name || strings.TrimSpace(string(g.Data)) != strings.TrimSpace(string(f.Data)) {
			t.Errorf("%s: got\n%s\nwant %s\n%s", g.Name, g.Data, f.Name, f.Data)
		}
	}
}

// Lost lists the properties of was that now has not, or otherwise, and those of now that was has not and derived does not name:
// what a way there and back has changed. Values are compared in the form that content lines can say: texts with bare line feeds,
// times in whole seconds.
func Lost(was, now *object.Props, derived []string) []string {
	before, after := valuesOf(was), valuesOf(now)
	var list []string
	for _, name := range slices.Sorted(maps.Keys(before)) {
		switch v, there := after[name]; {
		case !there:
			list = append(list, fmt.Sprintf("%s: %s is lost", name, show(before[name])))
		case !reflect.DeepEqual(spoken(before[name]), v):
			list = append(list, fmt.Sprintf("%s: %s became %s", name, show(before[name]), show(v)))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if _, there := before[name]; !there && !slices.Contains(derived, name) {
			list = append(list, fmt.Sprintf("%s: %s came from nowhere", name, show(after[name])))
		}
	}
	return list
}

// valuesOf are the values of properties by name.
func valuesOf(p *object.Props) map[string]mapi.Value {
	d := dumper{names: names()}
	list := map[string]mapi.Value{}
	for _, prop := range p.Bag.All() {
		list[prop.Tag.Name()] = prop.Value
	}
	for n, v := range p.Named {
		list[d.nameOf(n)] = v
	}
	return list
}

// spoken is a value as content lines can say it.
func spoken(v mapi.Value) mapi.Value {
	switch v := v.(type) {
	case mapi.String:
		return mapi.String(strings.ReplaceAll(string(v), "\r\n", "\n"))
	case mapi.FileTime:
		return mapi.FileTimeOf(v.Time().Truncate(time.Second))
	}
	return v
}

// Table is the rows of the first table below a heading of a page, without its head: each of so many cells.
func Table(t *testing.T, page, heading string, cells int) [][]string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(testkit.Root(t), filepath.FromSlash(page)))
	if err != nil {
		t.Fatal(err)
	}
	_, below, found := strings.Cut(string(b), "\n## "+heading+"\n")
	below, _, _ = strings.Cut(below, "\n## ")
	var rows [][]string
	for line := range strings.Lines(below) {
		if !strings.HasPrefix(line, "|") {
			continue
		}
		row := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range row {
			row[i] = strings.TrimSpace(row[i])
		}
		if len(row) != cells {
			t.Fatalf("%s: %d cells, not %d, in %s", page, len(row), cells, line)
		}
		rows = append(rows, row)
	}
	if !found || len(rows) < 3 {
		t.Fatalf("%s has no table below %q", page, heading)
	}
	return rows[2:]
}

// Code is what stands between backquotes in a cell of a table.
func Code(cell string) []string {
	var list []string
	for i, s := range strings.Split(cell, "`") {
		if i%2 == 1 {
			list = append(list, s)
		}
	}
	return list
}

// Need ends the test where a program of a Debian package is not installed; make install installs all of test/packages.txt. A judge
// that is not there has agreed to nothing, so this is no reason to pass.
func Need(t *testing.T, debian string, programs ...string) {
	t.Helper()
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%s is not installed, which Debian has in %s: make install", program, debian)
		}
	}
}

// Judge gives input to a script of Python that needs a module, and returns what the script writes. As with Need the test fails where
// Python or the module is not installed.
func Judge(t *testing.T, module, script string, input []byte) []byte {
	t.Helper()
	python := pythonWith(module)
	if python == "" {
		t.Fatalf("no python3 here has the module %s, which Debian has in python3-%s: make install", module, module)
	}
	cmd := exec.Command(python, script)
	cmd.Stdin = bytes.NewReader(input)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, stderr.Bytes())
	}
	return out
}

// pythonWith is a Python that has the module: Debian's own first, which is not the first in every PATH.
func pythonWith(module string) string {
	for _, python := range []string{"/usr/bin/python3", "python3"} {
		if exec.Command(python, "-c", "import "+module).Run() == nil {
			return python
		}
	}
	return ""
}
