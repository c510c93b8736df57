// Package ical reads and writes iCalendar (RFC 5545) and what it says of time: dates, durations, offsets, rules.
//
// It knows components and the forms of values; it never knows an appointment, a mailbox or a time zone's rules. Reading
// is lenient: components that do not end, vCalendar 1.0 and events without a calendar around them come in. Lines and
// components keep their order.
package ical

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/flotilla-mail/flotilla/internal/formats/contentline"
)

// Component is a calendar or what is in one. Its name is in capitals.
type Component struct {
	Name     string
	Lines    []contentline.Line
	Children []*Component
}

// ErrTooMany says that a calendar has more lines, or components deeper in each other, than any has.
var ErrTooMany = errors.New("calendar with too many lines or components")

const (
	// maxLines bounds a calendar, maxInside the lines, and the components other than a calendar's, in one component. A
	// line costs its reader some 200 bytes, and a converter ten times that for the component it is at.
	maxLines  = 300_000
	maxInside = 10_000
	maxDepth  = 6
	calendar  = "VCALENDAR"
)

// Decoder reads calendars one after the other.
type Decoder struct {
	lines *contentline.Reader
	left  int
}

// NewDecoder reads from r.
func NewDecoder(r io.Reader, limits contentline.Limits) *Decoder {
	return &Decoder{lines: contentline.NewReader(r, limits)}
}

// Skipped counts the lines that were no content lines.
func (d *Decoder) Skipped() int { return d.lines.Skipped }

// Next is the next calendar; io.EOF after the last. A component that stands by itself has a calendar put around it.
func (d *Decoder) Next() (*Component, error) {
	d.lines.Restart()
	d.left = maxLines
	for {
		line, err := d.lines.Next()
		if err != nil {
			return nil, err
		}
		if line.Name != "BEGIN" {
			continue
		}
		c, err := d.component(&line, 0)
		if err != nil {
			return nil, err
		}
		if c.Name != calendar {
			c = &Component{Name: calendar, Children: []*Component{c}}
		}
		return c, nil
	}
}

func nameIn(l *contentline.Line) string { return strings.ToUpper(strings.TrimSpace(l.Value)) }

// component reads what follows BEGIN. The end of an outer component ends the inner ones, the end of the input all.
func (d *Decoder) component(begin *contentline.Line, depth int) (*Component, error) {
	c := &Component{Name: nameIn(begin)}
	for {
		line, err := d.lines.Next()
		if d.left--; d.left < 0 || depth > maxDepth || len(c.Lines) > maxInside || len(c.Children) > maxInside && c.Name != calendar {
			return nil, fmt.Errorf("%s, %d deep, with %d lines: %w", c.Name, depth, len(c.Lines), ErrTooMany)
		}
		switch {
		case errors.Is(err, io.EOF):
			return c, nil
		case err != nil:
			return nil, err
		case line.Name == "END":
			return c, nil
		case line.Name != "BEGIN":
			c.Lines = append(c.Lines, line)
			continue
		}
		child, err := d.component(&line, depth+1)
		if err != nil {
			return nil, err
		}
		c.Children = append(c.Children, child)
	}
}

// Get is the first line of the name, nil if there is none.
func (c *Component) Get(name string) *contentline.Line {
	for i := range c.Lines {
		if c.Lines[i].Name == name {
			return &c.Lines[i]
		}
	}
	return nil
}

// Value is the value of the first line of the name, "" if there is none.
func (c *Component) Value(name string) string {
	if l := c.Get(name); l != nil {
		return strings.TrimSpace(l.Value)
	}
	return ""
}

// Text is Value without its escapes and with its blanks.
func (c *Component) Text(name string) string {
	if l := c.Get(name); l != nil {
		return contentline.Unescape(l.Value)
	}
	return ""
}

// All yields the lines of the name.
func (c *Component) All(name string) []*contentline.Line {
	var lines []*contentline.Line
	for i := range c.Lines {
		if c.Lines[i].Name == name {
			lines = append(lines, &c.Lines[i])
		}
	}
	return lines
}

// Inside yields the children of the name.
func (c *Component) Inside(name string) []*Component {
	var list []*Component
	for _, child := range c.Children {
		if child.Name == name {
			list = append(list, child)
		}
	}
	return list
}

// Put adds a line.
func (c *Component) Put(name, value string, params ...contentline.Param) {
	c.Lines = append(c.Lines, contentline.Line{Name: name, Value: value, Params: params})
}

// PutText adds a line of text unless that is empty.
func (c *Component) PutText(name, text string, params ...contentline.Param) {
	if text != "" {
		c.Put(name, contentline.Escape(text), params...)
	}
}

// Append adds the component as it is written.
func (c *Component) Append(dst []byte) []byte {
	dst = append(dst, "BEGIN:"+c.Name+"\r\n"...)
	for i := range c.Lines {
		dst = c.Lines[i].Append(dst)
	}
	for _, child := range c.Children {
		dst = child.Append(dst)
	}
	return append(dst, "END:"+c.Name+"\r\n"...)
}
