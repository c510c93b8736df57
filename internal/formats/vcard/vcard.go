// Package vcard reads and writes cards: vCard 4.0 (RFC 6350), 3.0 (RFC 2426) and, reading only, 2.1.
//
// A card in hand is always in the forms of 4.0, whatever it came in: types in lower case, preferences as PREF, binaries
// as data URIs, no quoted-printable. Written as 3.0 it goes the same way back. The package knows which property has
// which kind of value; it never knows a contact. What it does not know stays as it came.
package vcard

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/flotilla-mail/flotilla/internal/formats/contentline"
)

// Version is a version that cards are written in.
type Version string

// The versions.
const (
	V3 Version = "3.0"
	V4 Version = "4.0"
	v2 Version = "2.1"
)

// Card is one card, without the lines that every card has: BEGIN, VERSION and END.
type Card struct {
	// Version is what the card came as.
	Version Version
	Lines   []contentline.Line
}

// ErrTooMany says that a card has more lines than any card has.
var ErrTooMany = errors.New("vcard with too many lines")

const (
	maxLines = 10_000
	// maxNested bounds the cards in an AGENT.
	maxNested = 4
)

// Decoder reads cards one after the other.
type Decoder struct{ lines *contentline.Reader }

// NewDecoder reads from r.
func NewDecoder(r io.Reader, limits contentline.Limits) *Decoder {
	return &Decoder{contentline.NewReader(r, limits)}
}

// Skipped counts the lines that were no content lines.
func (d *Decoder) Skipped() int { return d.lines.Skipped }

func marks(l *contentline.Line, name string) bool {
	return l.Name == name && strings.EqualFold(strings.TrimSpace(l.Value), "VCARD")
}

// Next is the next card, in the forms of 4.0; io.EOF after the last. A card that ends with the input is one.
func (d *Decoder) Next() (*Card, error) {
	d.lines.Restart()
	for {
		line, err := d.lines.Next()
		if err != nil {
			return nil, err
		}
		if marks(&line, "BEGIN") {
			break
		}
	}
	card, err := d.card(0)
	if err != nil {
		return nil, err
	}
	card.upgrade()
	return card, nil
}

// card reads what follows BEGIN.
func (d *Decoder) card(depth int) (*Card, error) {
	card := &Card{}
	for {
		line, err := d.lines.Next()
		switch {
		case errors.Is(err, io.EOF) || err == nil && marks(&line, "END"):
			return card, nil
		case err != nil:
			return nil, err
		case len(card.Lines) == maxLines || depth > maxNested:
			return nil, fmt.Errorf("%d lines, %d deep: %w", len(card.Lines), depth, ErrTooMany)
		case line.Name == "VERSION":
			card.Version = Version(strings.TrimSpace(line.Value))
		case marks(&line, "BEGIN"):
			agent, err := d.card(depth + 1)
			if err != nil {
				return nil, err
			}
			card.nest(agent)
		default:
			card.Lines = append(card.Lines, line)
		}
	}
}

// nest puts an agent's card, which 2.1 writes behind an empty AGENT, into that line's value as 3.0 has it.
func (c *Card) nest(agent *Card) {
	n := len(c.Lines)
	if n == 0 || c.Lines[n-1].Name != "AGENT" || strings.TrimSpace(c.Lines[n-1].Value) != "" {
		return
	}
	agent.upgrade()
	c.Lines[n-1].Value = contentline.Escape(strings.TrimSuffix(string(agent.Append(nil, V3)), "\r\n"))
}

// Get is the first line of the name, nil if there is none.
func (c *Card) Get(name string) *contentline.Line {
	for i := range c.Lines {
		if c.Lines[i].Name == name {
			return &c.Lines[i]
		}
	}
	return nil
}

// Append adds the card as the version has it.
func (c *Card) Append(dst []byte, version Version) []byte {
	dst = append(dst, "BEGIN:VCARD\r\nVERSION:"+string(version)+"\r\n"...)
	labels := c.labels()
	for _, line := range c.Lines {
		if version == V3 {
			line = downgrade(downgradeLabeled(line.Clone(), labels[line.Group]))
		}
		dst = line.Append(dst)
	}
	if c.Get("FN") == nil {
		fn := contentline.Line{Name: "FN", Value: contentline.Escape(c.formatted())}
		dst = fn.Append(dst)
	}
	if version == V3 && c.Get("N") == nil {
		n := c.nameOf()
		dst = n.Append(dst)
	}
	return append(dst, "END:VCARD\r\n"...)
}
