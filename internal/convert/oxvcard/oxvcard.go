// Package oxvcard turns cards into contacts and distribution lists and back (MS-OXVCARD, MS-OXOCNTC).
//
// It knows vCard's syntax and MAPI's values; it never knows a mailbox, does no I/O and has no state. A card comes back
// from the contact made of it as it was, up to the forms of package vcard: what a contact has no property for is kept
// beside it (package kept). Tables say what is carried: texts.go, phones.go.
package oxvcard

import (
	"fmt"
	"slices"
	"strings"

	"github.com/flotilla-mail/flotilla/internal/convert/kept"
	"github.com/flotilla-mail/flotilla/internal/convert/object"
	"github.com/flotilla-mail/flotilla/internal/formats/contentline"
	"github.com/flotilla-mail/flotilla/internal/formats/vcard"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Message classes (MS-OXOCNTC 2.2.1.1, 2.2.2.2).
const (
	classContact  = "IPM.Contact"
	classDistList = "IPM.DistList"
)

// UID is the property that has a card's UID: vCard's identity has no property in MS-OXPROPS.
func UID() mapi.NamedProperty { return kept.UID() }

// Import is the contact or distribution list of a card.
func Import(card *vcard.Card) (*object.Message, error) {
	m := &object.Message{}
	in := importer{m}
	if isGroup(card) {
		in.distList(card)
	} else {
		in.contact(card)
	}
	if err := kept.Keep(&m.Props, kept.Card, pieces(card.Lines), pieces(made(m)), together); err != nil {
		return nil, fmt.Errorf("keep what no contact has: %w", err)
	}
	return m, nil
}

// Export is the card of a contact or distribution list.
func Export(m *object.Message, version vcard.Version) []byte {
	card := vcard.Card{Version: version}
	for _, text := range kept.Restore(&m.Props, kept.Card, pieces(made(m))) {
		if line, ok := contentline.Parse([]byte(text)); ok {
			card.Lines = append(card.Lines, line)
		}
	}
	return card.Append(nil, version)
}

// alone are the names that say one thing only: what is kept of one is void once a client says it.
var alone = []string{"FN", "N", "ORG", "TITLE", "ROLE", "NICKNAME", "BDAY", "ANNIVERSARY", "GENDER", "CLASS", "REV", "UID", "KIND", "CATEGORIES", "PHOTO",
	"X-MS-CARDPICTURE"}

func together(name string) []string {
	switch {
	case name == "LABEL", name == "X-MS-OL-DEFAULT-POSTAL-ADDRESS":
		return []string{"ADR"}
	case name == "SORT-STRING":
		return []string{"N"}
	case name == "X-MS-IMADDRESS":
		return []string{"IMPP"}
	case slices.Contains(alone, name):
		return []string{name}
	}
	return nil
}

func isGroup(card *vcard.Card) bool {
	kind := card.Get("KIND")
	return kind != nil && strings.EqualFold(kind.Value, "group")
}

// made is the lines of the properties, in the forms of 4.0.
func made(m *object.Message) []contentline.Line {
	out := exporter{m: m}
	if strings.HasPrefix(m.Text(mapi.PidTagMessageClass), classDistList) {
		out.distList()
	} else {
		out.contact()
	}
	return out.lines
}

// pieces are lines as package kept compares them: the order of parameters and of types says nothing.
func pieces(lines []contentline.Line) []kept.Piece {
	list := make([]kept.Piece, len(lines))
	for i := range lines {
		normal := lines[i].Normal()
		for j := range normal.Params {
			if p := &normal.Params[j]; p.Name == "TYPE" {
				slices.Sort(p.Values)
			}
		}
		list[i] = kept.Piece{Name: normal.Name, Value: normal.Value, Text: lines[i].String(), Key: normal.String()}
	}
	return list
}

type importer struct{ m *object.Message }

type exporter struct {
	m     *object.Message
	lines []contentline.Line
}

// put adds a line that has a value.
func (x *exporter) put(name, value string, params ...contentline.Param) {
	if strings.Trim(value, ";") != "" {
		x.lines = append(x.lines, contentline.Line{Name: name, Value: value, Params: params})
	}
}

// slot is where a text stands: under a tag, or under a name.
type slot struct {
	tag mapi.Tag
	lid mapi.NamedProperty
}

func (s slot) get(p *object.Props) string {
	if s.tag != 0 {
		return p.Text(s.tag)
	}
	return p.LidText(s.lid)
}

func (s slot) set(p *object.Props, text string) {
	if s.tag != 0 {
		p.SetText(s.tag, text)
		return
	}
	p.SetLidText(s.lid, text)
}

// free is the first slot without text, nil if there is none.
func free(p *object.Props, slots []slot) *slot {
	for i := range slots {
		if slots[i].get(p) == "" {
			return &slots[i]
		}
	}
	return nil
}

func typeParam(types ...string) contentline.Param {
	return contentline.Param{Name: "TYPE", Values: types}
}
