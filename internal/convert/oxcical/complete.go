package oxcical

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/flotilla-mail/flotilla/internal/formats/contentline"
	"github.com/flotilla-mail/flotilla/internal/formats/ical"
)

// noStamp is the DTSTAMP of a component that came without.
const noStamp = "19700101T000000Z"

// complete is a calendar in normal form, the form that round trips are equal in: VERSION is left to the writer, PRODID,
// UID and DTSTAMP are there as RFC 5545 3.6 wants them, each EXDATE and RDATE has a line of its own, the parts of a rule
// have one order, and nothing is quoted-printable as in vCalendar 1.0, whose other lines stay as they are. It changes
// nothing of cal.
func complete(cal *ical.Component) *ical.Component {
	done := &ical.Component{Name: vcalendar}
	for _, l := range cal.Lines {
		if l.Name != "VERSION" {
			done.Lines = append(done.Lines, l)
		}
	}
	if done.Get("PRODID") == nil {
		done.Put("PRODID", productID)
	}
	for _, c := range cal.Children {
		if carried(c) {
			c = completeComponent(c)
		}
		done.Children = append(done.Children, c)
	}
	return done
}

func completeComponent(c *ical.Component) *ical.Component {
	done := &ical.Component{Name: c.Name, Children: c.Children}
	for _, l := range c.Lines {
		l = plain(l)
		if n := strings.Count(l.Value, ","); l.Name != "EXDATE" && l.Name != "RDATE" || n == 0 || n > maxDeleted {
			done.Lines = append(done.Lines, l)
			continue
		}
		for _, value := range strings.Split(l.Value, ",") {
			one := l
			one.Value = value
			done.Lines = append(done.Lines, one)
		}
	}
	if uid := done.Get("UID"); uid == nil {
		done.Put("UID", uidOf(done))
	} else if uid.Value = strings.TrimSpace(uid.Value); uid.Value == "" {
		uid.Value = uidOf(done)
	}
	if done.Get("DTSTAMP") == nil {
		stamp := noStamp
		for _, name := range []string{"LAST-MODIFIED", "CREATED"} {
			if at, err := ical.ParseDateTime(done.Value(name)); err == nil && at.UTC {
				stamp = at.String()
				break
			}
		}
		done.Put("DTSTAMP", stamp)
	}
	return done
}

// plain is a line without quoted-printable and, if it is a rule, with its parts in order.
func plain(l contentline.Line) contentline.Line {
	if l.Name == "RRULE" {
		if rule, err := ical.ParseRecur(l.Value); err == nil {
			l.Value = rule.String()
		}
	}
	if !strings.EqualFold(l.Param("ENCODING"), "QUOTED-PRINTABLE") {
		return l
	}
	l.Value = contentline.Escape(contentline.Unescape(contentline.Unquote(l.Value, l.Param("CHARSET"))))
	l.Drop("ENCODING")
	l.Drop("CHARSET")
	return l
}

// uidOf names a component that came without UID by what it says, so that it is the same when it comes again.
func uidOf(c *ical.Component) string {
	var text []string
	for i := range c.Lines {
		if l := &c.Lines[i]; l.Name != "UID" && l.Name != "DTSTAMP" {
			text = append(text, l.String())
		}
	}
	sum := sha256.Sum256([]byte(strings.Join(text, "\n")))
	return contentline.Escape(hex.EncodeToString(sum[:16]))
}
