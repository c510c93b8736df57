// Package kept keeps what a conversion cannot carry. An imported object is exported at once; whatever of the source does
// not come back is kept beside the object, each piece with the piece that the export made in its place. A later export
// puts the source's piece back wherever it makes that same piece again. So what no client touched comes back as it was,
// and what a client changed is what the client made of it.
//
// A piece is a content line or a whole component, in the form that its grammar writes. The package knows neither; it
// never knows a property but the one its pieces are kept in.
package kept

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"

	"github.com/flotilla-mail/flotilla/internal/convert/object"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Piece is a line or a component. Name says which pieces may stand for each other, and those with the same Value do so
// first; Text is its written form, Key is equal where pieces say the same.
type Piece struct{ Name, Value, Text, Key string }

// property is the property that pieces are kept in.
func property(name string) mapi.NamedProperty { return Property(name, mapi.TypeBinary) }

// Property is a property of our own set, in which conversions keep what MAPI has no place for.
func Property(name string, t mapi.Type) mapi.NamedProperty {
	return mapi.NamedProperty{PropertyName: mapi.PropertyName{Set: set, Kind: mapi.NameByString, Name: name}, Type: t}
}

// OfSource reports whether a property says what a source had: it counts beside what was made of that source, and nowhere else.
func OfSource(n mapi.PropertyName) bool { return n.Set == set && strings.HasPrefix(n.Name, mine) }

// mine begins the names of what is kept of a source.
const mine = "Kept"

// set is the property set 5b7d2f0e-43a1-4c0b-9f4e-6b1d8a2c7e90. It is on disk for ever.
var set = mapi.GUID{0x0e, 0x2f, 0x7d, 0x5b, 0xa1, 0x43, 0x0b, 0x4c, 0x9f, 0x4e, 0x6b, 0x1d, 0x8a, 0x2c, 0x7e, 0x90}

// The names of the properties: of a card, of an event or task, and of the calendar around it.
const (
	Card      = "KeptCard"
	Component = "KeptComponent"
	Calendar  = "KeptCalendar"
)

const (
	// mark is how a piece that stands for nothing made begins.
	mark    = "-"
	hashLen = 16
	// MaxBytes bounds what is kept of one object.
	MaxBytes = 32 << 20
)

// ErrTooMuch says that an object has more than can be kept.
var ErrTooMuch = errors.New("more of an object than can be kept is unknown")

// Together says for the name of a piece which names say one thing with it. A piece of such a name comes back only while
// all that is made under those names stays; none means that it stands for itself.
type Together func(name string) []string

func hashOf(p Piece) string { return digest(p.Key) }

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:hashLen/2])
}

// entry is one record: in the place of the piece with the hash, or for itself, stands text. With names it counts only
// while what is made under them has the digest.
type entry struct {
	hash, text string
	names      string
	digest     string
}

// digests are those of what is made, by names.
type digests struct {
	made  []Piece
	known map[string]string
}

// of is the digest of what is made under names.
func (d *digests) of(names string) string {
	if known, ok := d.known[names]; ok {
		return known
	}
	list := strings.Split(names, ",")
	var keys []string
	for _, m := range d.made {
		if slices.Contains(list, m.Name) {
			keys = append(keys, m.Key)
		}
	}
	slices.Sort(keys)
	if d.known == nil {
		d.known = map[string]string{}
	}
	d.known[names] = digest(strings.Join(keys, "\n"))
	return d.known[names]
}

// Keep sets the property to what is in source and not in made. It takes it out if that is nothing.
func Keep(p *object.Props, name string, source, made []Piece, together Together) error {
	families := digests{made: made}
	source, made = difference(source, made)
	record := func(hash, name, text string) entry {
		e := entry{hash: hash, text: text, names: strings.Join(together(name), ",")}
		if e.names != "" {
			e.digest = families.of(e.names)
		}
		return e
	}
	partner := pair(source, made)
	taken := make([]bool, len(source))
	var list []entry
	size := 0
	for i, m := range made {
		text := ""
		if at := partner[i]; at >= 0 {
			text, taken[at] = source[at].Text, true
		}
		list = append(list, record(hashOf(m), m.Name, text))
		size += len(text)
	}
	for i, s := range source {
		if !taken[i] {
			list = append(list, record(mark, s.Name, s.Text))
			size += len(s.Text)
		}
	}
	if size > MaxBytes {
		return ErrTooMuch
	}
	if len(list) == 0 {
		p.DeleteLid(property(name))
		return nil
	}
	p.SetLid(property(name), mapi.Binary(encode(list)))
	return nil
}

// pair says which of source each of made stands for, -1 for none: one of its name and value, else one of its name.
func pair(source, made []Piece) []int {
	partner := make([]int, len(made))
	for i := range partner {
		partner[i] = -1
	}
	taken := make([]bool, len(source))
	for _, keyOf := range []func(Piece) string{func(p Piece) string { return p.Name + "\x00" + p.Value }, func(p Piece) string { return p.Name }} {
		free := map[string][]int{}
		for i, s := range source {
			if !taken[i] {
				free[keyOf(s)] = append(free[keyOf(s)], i)
			}
		}
		for i, m := range made {
			if at := free[keyOf(m)]; partner[i] < 0 && len(at) > 0 {
				partner[i], taken[at[0]] = at[0], true
				free[keyOf(m)] = at[1:]
			}
		}
	}
	return partner
}

// difference takes out of both what is in both, as often as it is.
func difference(a, b []Piece) (onlyA, onlyB []Piece) {
	count := map[string]int{}
	for _, p := range b {
		count[p.Key]++
	}
	for _, p := range a {
		if count[p.Key] > 0 {
			count[p.Key]--
			continue
		}
		onlyA = append(onlyA, p)
	}
	// What is left of the counts stands in b too often; the last ones of a kind are those.
	for i := len(b) - 1; i >= 0; i-- {
		if count[b[i].Key] > 0 {
			count[b[i].Key]--
			onlyB = append(onlyB, b[i])
		}
	}
	slices.Reverse(onlyB)
	return onlyA, onlyB
}

// Restore is the texts to write for what was made: each piece's own, or what is kept for it; at the end what is kept for
// itself.
func Restore(p *object.Props, name string, made []Piece) []string {
	byHash := map[string][]string{}
	families := digests{made: made}
	for _, e := range decode(p.LidBinary(property(name))) {
		if e.names == "" || families.of(e.names) == e.digest {
			byHash[e.hash] = append(byHash[e.hash], e.text)
		}
	}
	var out []string
	for _, m := range made {
		text := m.Text
		if hash := hashOf(m); len(byHash[hash]) > 0 {
			text, byHash[hash] = byHash[hash][0], byHash[hash][1:]
		}
		if text != "" {
			out = append(out, text)
		}
	}
	return append(out, byHash[mark]...)
}

// encode writes entries: the hash, with names those and the digest, a blank, the text, which holds no NUL, and a NUL.
func encode(list []entry) []byte {
	var b []byte
	for _, e := range list {
		b = append(b, e.hash...)
		if e.names != "" {
			b = append(b, "@"+e.names+"#"+e.digest...)
		}
		b = append(b, ' ')
		b = append(b, strings.ReplaceAll(e.text, "\x00", "")...)
		b = append(b, 0)
	}
	return b
}

// decode reads entries and passes over what is none.
func decode(b []byte) []entry {
	if len(b) == 0 {
		return nil
	}
	var list []entry
	for _, s := range strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00") {
		head, text, ok := strings.Cut(s, " ")
		if !ok {
			continue
		}
		e := entry{text: text}
		e.hash, head, _ = strings.Cut(head, "@")
		e.names, e.digest, _ = strings.Cut(head, "#")
		list = append(list, e)
	}
	return list
}

// Texts is what is kept under the name, for those who show it: "and" before what stands for itself, "not" before what
// stands in the place of something made.
func Texts(p *object.Props, name string) []string {
	var texts []string
	for _, e := range decode(p.LidBinary(property(name))) {
		if e.hash == mark {
			texts = append(texts, "and "+e.text)
			continue
		}
		texts = append(texts, "not "+e.text)
	}
	return texts
}

// UID is the property of our set that has the identity of a card or a task.
func UID() mapi.NamedProperty {
	return Property("UID", mapi.TypeString)
}

// Forget takes out what is kept of any source.
func Forget(p *object.Props) {
	for _, name := range []string{Card, Component, Calendar} {
		p.DeleteLid(property(name))
	}
}
