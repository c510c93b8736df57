// Command gen writes internal/mapi/properties_generated.go from internal/mapi/properties.tsv, which says what its
// columns are. It runs in the folder of both by go generate.
package main

import (
	"bytes"
	"fmt"
	"go/format"
	"os"
	"slices"
	"strconv"
	"strings"
)

const (
	source = "properties.tsv"
	target = "properties_generated.go"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run() error {
	table, err := os.ReadFile(source)
	if err != nil {
		return err
	}
	code, err := generate(string(table))
	if err != nil {
		return err
	}
	return os.WriteFile(target, code, 0o644)
}

// properties is the table taken apart.
type properties struct {
	sets  map[string]string // name to GUID
	order []string          // of sets
	tags  []tag
	named []named
}

type tag struct {
	name string
	id   uint64
	typ  string
}

type named struct{ name, set, lid, text, typ string }

func generate(table string) ([]byte, error) {
	p := properties{sets: map[string]string{}}
	seen := map[string]bool{}
	for i, line := range strings.Split(table, "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := p.add(strings.Split(line, "\t"), seen); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	return format.Source(p.code())
}

func (p *properties) add(columns []string, seen map[string]bool) error {
	name := columns[0]
	if seen[name] {
		return fmt.Errorf("%s stands there twice", name)
	}
	seen[name] = true
	switch {
	case strings.HasPrefix(name, "PS") && len(columns) == 2:
		p.sets[name] = columns[1]
		p.order = append(p.order, name)
		return nil
	case strings.HasPrefix(name, "PidTag") && len(columns) == 3:
		id, err := strconv.ParseUint(columns[1], 16, 15)
		p.tags = append(p.tags, tag{name, id, columns[2]})
		return err
	case strings.HasPrefix(name, "Pid") && len(columns) == 3:
		return p.addNamed(columns)
	}
	return fmt.Errorf("%q is no property and no property set", columns)
}

func (p *properties) addNamed(columns []string) error {
	set, text, _ := strings.Cut(columns[1], ":")
	if p.sets[set] == "" {
		return fmt.Errorf("%s is in no known property set", columns[0])
	}
	n := named{name: columns[0], set: set, text: text, typ: columns[2]}
	if lid, isNumber := strings.CutPrefix(text, "0x"); isNumber {
		if _, err := strconv.ParseUint(lid, 16, 32); err != nil {
			return err
		}
		n.lid, n.text = text, ""
	}
	p.named = append(p.named, n)
	return nil
}

func (p *properties) code() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "// Code generated from %s by internal/gen. DO NOT EDIT.\n\npackage mapi\n\n", source)
	fmt.Fprint(&b, "// Property sets (MS-OXPROPS 1.3.2).\nvar (\n")
	for _, set := range p.order {
		fmt.Fprintf(&b, "\t%s = %s // %s\n", goName(set), guid(p.sets[set]), p.sets[set])
	}
	fmt.Fprint(&b, ")\n\n// Properties (MS-OXPROPS 2).\nconst (\n")
	for _, t := range p.tags {
		fmt.Fprintf(&b, "\t%s = Tag(0x%04X_0000 | Tag(Type%s))\n", t.name, t.id, t.typ)
	}
	fmt.Fprint(&b, ")\n\n// Named properties (MS-OXPROPS 2).\nvar (\n")
	for _, n := range p.named {
		fmt.Fprintf(&b, "\t%s = NamedProperty{%s, Type%s}\n", n.name, n.literal(), n.typ)
	}
	fmt.Fprint(&b, ")\n\n")
	p.tables(&b)
	return b.Bytes()
}

func (n named) literal() string {
	if n.lid != "" {
		return fmt.Sprintf("PropertyName{Set: %s, Kind: NameByLID, LID: %s}", goName(n.set), n.lid)
	}
	return fmt.Sprintf("PropertyName{Set: %s, Kind: NameByString, Name: %q}", goName(n.set), n.text)
}

// tables writes what lookups search: tags by name, their places by tag, named properties by name.
func (p *properties) tables(b *bytes.Buffer) {
	byName := func(a, b tag) int { return strings.Compare(a.name, b.name) }
	slices.SortFunc(p.tags, byName)
	fmt.Fprint(b, "var tagsByName = [...]knownTag{\n")
	for _, t := range p.tags {
		fmt.Fprintf(b, "\t{%q, %s},\n", t.name, t.name)
	}
	places := make([]int, len(p.tags))
	for i := range places {
		places[i] = i
	}
	slices.SortStableFunc(places, func(a, b int) int { return int(p.tags[a].id) - int(p.tags[b].id) })
	fmt.Fprint(b, "}\n\n// tagsByID are places in tagsByName, ascending by property id.\nvar tagsByID = [...]uint16{\n")
	for i, at := range places {
		fmt.Fprintf(b, "%d,", at)
		if i%20 == 19 {
			b.WriteByte('\n')
		}
	}
	slices.SortFunc(p.named, func(a, b named) int { return strings.Compare(a.name, b.name) })
	fmt.Fprint(b, "\n}\n\nvar namedByName = [...]knownNamed{\n")
	for _, n := range p.named {
		fmt.Fprintf(b, "\t{%q, &%s},\n", n.name, n.name)
	}
	fmt.Fprint(b, "}\n")
}

// goName turns PS_PUBLIC_STRINGS into PSPublicStrings.
func goName(set string) string {
	name := ""
	for _, word := range strings.Split(set, "_") {
		if abbreviation := word == "PS" || word == "PSETID" || word == "MAPI"; !abbreviation {
			word = word[:1] + lowerIfAllUpper(word[1:])
		}
		name += word
	}
	return name
}

func lowerIfAllUpper(s string) string {
	if s == strings.ToUpper(s) {
		return strings.ToLower(s)
	}
	return s
}

// guid is the literal of a GUID in the order of its bytes on the wire: the first three parts are little endian.
func guid(text string) string {
	digits := strings.ReplaceAll(text, "-", "")
	var list []string
	for _, at := range []int{3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15} {
		list = append(list, "0x"+digits[2*at:2*at+2])
	}
	return "GUID{" + strings.Join(list, ", ") + "}"
}
