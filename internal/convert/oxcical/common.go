package oxcical

import (
	"encoding/base64"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/flotilla-mail/flotilla/internal/convert/object"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	"github.com/flotilla-mail/flotilla/internal/formats/contentline"
	"github.com/flotilla-mail/flotilla/internal/formats/ical"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

const (
	htmlType = "text/html"
	altDesc  = "X-ALT-DESC"
	// maxCategories bounds the categories of a message; more are kept.
	maxCategories = 500
)

// common sets what every kind of component has.
func (in *importer) common(m *object.Message, c *ical.Component) {
	prefix, subject := oxcmsg.SplitSubject(object.Clean(c.Text("SUMMARY")))
	m.SetText(mapi.PidTagSubjectPrefix, prefix)
	m.SetText(mapi.PidTagNormalizedSubject, subject)
	m.SetText(mapi.PidTagBody, c.Text(bodyLine(c.Name, in.method)))
	if html := htmlOf(c, bodyLine(c.Name, in.method)); html != "" {
		m.SetHTML(html)
	}
	var words mapi.Strings
	for _, l := range c.All("CATEGORIES") {
		for _, w := range contentline.Texts(l.Value, ',') {
			if w = strings.TrimSpace(object.Clean(w)); w != "" && len(words) < maxCategories && !slices.Contains(words, w) {
				words = append(words, w)
			}
		}
	}
	if len(words) > 0 {
		m.SetLid(mapi.PidNameKeywords, words)
	}
	setClass(m, c)
	for _, t := range []struct {
		name string
		tag  mapi.Tag
	}{{"CREATED", mapi.PidTagCreationTime}, {"LAST-MODIFIED", mapi.PidTagLastModificationTime}} {
		if at, ok := in.moment(c, t.name); ok {
			m.Bag.Set(t.tag, at)
		}
	}
	in.attachments(m, c)
}

// htmlOf is the text in HTML: in a line of its own, as Outlook has it, or beside the body in a URI, as Thunderbird has it (RFC 5545 3.2.1).
func htmlOf(c *ical.Component, body string) string {
	for _, l := range c.All(altDesc) {
		if strings.EqualFold(l.Param("FMTTYPE"), htmlType) {
			return contentline.Unescape(l.Value)
		}
	}
	l := c.Get(body)
	if l == nil {
		return ""
	}
	head, data, _ := strings.Cut(l.Param("ALTREP"), ",")
	said := strings.Split(strings.ToLower(head), ";")
	if said[0] != "data:"+htmlType {
		return ""
	}
	text, err := url.PathUnescape(data)
	if err == nil && slices.Contains(said, "base64") {
		var raw []byte
		raw, err = base64.StdEncoding.DecodeString(text)
		text = string(raw)
	}
	if err != nil || !utf8.ValidString(text) {
		return ""
	}
	return text
}

// bodyLine is the line that has the body: in an answer it is what the attendee says to it, and DESCRIPTION what the meeting says
// (MS-OXCICAL 2.1.3.1.1.20.5 and .11).
func bodyLine(component, method string) string {
	if component == vevent && isReply(method) {
		return "COMMENT"
	}
	return "DESCRIPTION"
}

// moment is a line's time in UTC.
func (in *importer) moment(c *ical.Component, name string) (mapi.FileTime, bool) {
	d, err := ical.ParseDateTime(c.Value(name))
	if err != nil || !d.UTC || !representable(d.Wall) {
		return 0, false
	}
	return mapi.FileTimeOf(d.Wall), true
}

// classes are by PidTagSensitivity (MS-OXCICAL 2.1.3.1.1.20.4).
var classes = []string{"PUBLIC", "X-PERSONAL", "PRIVATE", "CONFIDENTIAL"}

// setClass sets how private and how important a component is (MS-OXCICAL 2.1.3.1.1.20.4, .17, .32 and .43).
func setClass(m *object.Message, c *ical.Component) {
	if at := slices.Index(classes, strings.ToUpper(c.Value("CLASS"))); at > 0 {
		m.Bag.Set(mapi.PidTagSensitivity, mapi.Integer32(at))
		m.SetLid(mapi.PidLidPrivate, mapi.Boolean(at > 1))
	}
	said := firstOf(c, "X-MICROSOFT-CDO-IMPORTANCE", "X-MICROSOFT-MSNCALENDAR-IMPORTANCE")
	if n, err := strconv.Atoi(said); err == nil && n >= 0 && n < len(priorities) {
		m.Bag.Set(mapi.PidTagImportance, mapi.Integer32(n))
		return
	}
	switch n, err := strconv.Atoi(c.Value("PRIORITY")); {
	case err != nil || n < 1 || n > 9:
	case n < normalPriority:
		m.Bag.Set(mapi.PidTagImportance, mapi.Integer32(2))
	case n > normalPriority:
		m.Bag.Set(mapi.PidTagImportance, mapi.Integer32(0))
	default:
		m.Bag.Set(mapi.PidTagImportance, mapi.Integer32(1))
	}
}

// normalPriority is the middle of 1, the highest, and 9.
const normalPriority = 5

// priorities are by PidTagImportance.
var priorities = []string{"9", "5", "1"}

// common writes what every kind of component has.
func (x *exporter) common() {
	m := x.m
	x.c.PutText("SUMMARY", m.Text(mapi.PidTagSubjectPrefix)+m.Text(mapi.PidTagNormalizedSubject))
	x.c.PutText(bodyLine(x.c.Name, methodOf(m)), strings.ReplaceAll(m.BodyText(), "\r\n", "\n"))
	x.c.PutText(altDesc, m.BodyHTML(), contentline.Param{Name: "FMTTYPE", Values: []string{htmlType}})
	if words, ok := m.Lid(mapi.PidNameKeywords).(mapi.Strings); ok && len(words) > 0 {
		x.c.Put("CATEGORIES", contentline.Join(words, ","))
	}
	if n, _ := m.Int(mapi.PidTagSensitivity); n > 0 && int(n) < len(classes) {
		x.c.Put("CLASS", classes[n])
	}
	if n, ok := m.Int(mapi.PidTagImportance); ok && n >= 0 && int(n) < len(priorities) {
		x.c.Put("PRIORITY", priorities[n])
	}
	x.moment("CREATED", m.Bag.Get(mapi.PidTagCreationTime))
	x.moment("LAST-MODIFIED", m.Bag.Get(mapi.PidTagLastModificationTime))
	x.attachments()
}

// moment writes a time in UTC, if there is one.
func (x *exporter) moment(name string, v mapi.Value) {
	if at, ok := v.(mapi.FileTime); ok && at != 0 && representable(at.Time()) {
		x.putTime(name, ical.Moment(at.Time()))
	}
}
