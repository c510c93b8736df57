package kept

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/flotilla-mail/flotilla/internal/convert/object"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/testkit"
)

func piece(s string) Piece {
	name, value, _ := strings.Cut(s, ":")
	return Piece{Name: name, Value: value, Text: s, Key: s}
}

func listOf(list ...string) []Piece {
	var pieces []Piece
	for _, s := range list {
		pieces = append(pieces, piece(s))
	}
	return pieces
}

func apart(string) []string { return nil }

func TestKeep(t *testing.T) {
	together := func(name string) []string {
		if name == "END" || name == "LENGTH" {
			return []string{"END", "LENGTH"}
		}
		return nil
	}
	for _, c := range []struct {
		name               string
		source, made, then []string
		want               []string
	}{
		{"all is carried", []string{"A:1"}, []string{"A:1"}, []string{"A:1"}, []string{"A:1"}},
		{"unknown stays", []string{"A:1", "X:1"}, []string{"A:1"}, []string{"A:2"}, []string{"A:2", "X:1"}},
		{"another form comes back", []string{"A:one"}, []string{"A:1"}, []string{"A:1"}, []string{"A:one"}},
		{"another form is void when changed", []string{"A:one"}, []string{"A:1"}, []string{"A:2"}, []string{"A:2"}},
		{"another form is void when deleted", []string{"A:one"}, []string{"A:1"}, nil, nil},
		{"what only is made is left out", nil, []string{"A:1"}, []string{"A:1"}, nil},
		{"what only is made counts when changed", nil, []string{"A:1"}, []string{"A:2"}, []string{"A:2"}},
		{"a repeated piece", []string{"A:1", "A:1"}, []string{"A:1"}, []string{"A:1"}, []string{"A:1", "A:1"}},
		{"made too often", []string{"A:1"}, []string{"A:1", "A:1"}, []string{"A:1", "A:1"}, []string{"A:1"}},
		{"together and unchanged", []string{"LENGTH:5"}, []string{"END:5"}, []string{"END:5"}, []string{"LENGTH:5"}},
		{"together and changed", []string{"LENGTH:5"}, []string{"END:5"}, []string{"END:6"}, []string{"END:6"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var p object.Props
			if err := Keep(&p, Card, listOf(c.source...), listOf(c.made...), together); err != nil {
				t.Fatal(err)
			}
			got := Restore(&p, Card, listOf(c.then...))
			slices.Sort(got)
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// A piece is paired with one of its value before one of its name, so that what is taken away takes its own along.
func TestPairs(t *testing.T) {
	with := func(value, more string) Piece {
		return Piece{Name: "TEL", Value: value, Text: "TEL" + more + ":" + value, Key: "TEL" + more + ":" + value}
	}
	var p object.Props
	if err := Keep(&p, Card, []Piece{with("1", ";odd"), with("2", ";red")}, []Piece{with("2", "")}, apart); err != nil {
		t.Fatal(err)
	}
	if got := Restore(&p, Card, nil); !slices.Equal(got, []string{"TEL;odd:1"}) {
		t.Errorf("got %q", got)
	}
}

func TestTooMuch(t *testing.T) {
	var p object.Props
	huge := Piece{Name: "X", Text: strings.Repeat("x", MaxBytes+1)}
	if err := Keep(&p, Card, []Piece{huge}, nil, apart); !errors.Is(err, ErrTooMuch) {
		t.Errorf("got %v", err)
	}
}

// Whatever is made of a source, the source comes back while that is made again.
func TestSourceComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOfN(rapid.StringMatching("[A-C]:[0-3]"), 0, 12)
		source, made := lines.Draw(t, "source"), lines.Draw(t, "made")
		together := apart
		if rapid.Bool().Draw(t, "together") {
			together = func(name string) []string { return []string{name, "A"} }
		}
		var p object.Props
		if err := Keep(&p, Component, listOf(source...), listOf(made...), together); err != nil {
			t.Fatal(err)
		}
		got := Restore(&p, Component, listOf(made...))
		slices.Sort(got)
		slices.Sort(source)
		if !slices.Equal(got, source) {
			t.Fatalf("%q came back as %q, made was %q", source, got, made)
		}
		Forget(&p)
		if len(p.Named) != 0 {
			t.Fatalf("not forgotten: %v", p.Named)
		}
	})
}

// FuzzRestore gives a client's bytes in the place of what was kept.
func FuzzRestore(f *testing.F) {
	f.Add([]byte("- X:1\x00"))
	f.Add([]byte("0011223344556677@A,B#0011223344556677 A:1\x00@# \x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		defer testkit.Bounded(t)()
		var p object.Props
		setRaw(&p, b)
		size := 0
		for _, s := range Restore(&p, Card, listOf("A:1", "B:2")) {
			size += len(s)
		}
		if size > len(b)+6 {
			t.Errorf("%d bytes became %d", len(b), size)
		}
	})
}

func setRaw(p *object.Props, b []byte) { p.SetLid(property(Card), mapi.Binary(b)) }
