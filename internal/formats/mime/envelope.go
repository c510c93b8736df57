package mime

import (
	"slices"
	"strings"
	"time"
)

// EnvelopeFields tells which single-valued fields a header has, since RFC 9051 7.5.2 tells an absent field (NIL)
// from an empty one.
type EnvelopeFields uint8

// The fields of EnvelopeFields.
const (
	HasDate EnvelopeFields = 1 << iota
	HasSubject
	HasInReplyTo
	HasMessageID
)

// Envelope is what IMAP calls by this name (RFC 9051 7.5.2). Strings are as received: unfolded, undecoded. Sender
// and ReplyTo are From's where the header has none. Lists may share memory and are not to be changed.
type Envelope struct {
	Date      string
	Subject   string
	InReplyTo string
	MessageID string
	Has       EnvelopeFields

	From, Sender, ReplyTo, To, Cc, Bcc []Address
}

// DecodedSubject is the subject in UTF-8.
func (e *Envelope) DecodedSubject() string { return DecodeText(e.Subject) }

// SentDate is the point in time of the Date field.
func (e *Envelope) SentDate() (time.Time, bool) { return ParseDate(e.Date) }

func (v *fieldValues) envelope() *Envelope {
	e := &Envelope{
		Date: v.value[fieldDate], Subject: v.value[fieldSubject],
		InReplyTo: v.value[fieldInReplyTo], MessageID: v.value[fieldMessageID],
		From: ParseAddresses(v.value[fieldFrom]), Sender: ParseAddresses(v.value[fieldSender]),
		ReplyTo: ParseAddresses(v.value[fieldReplyTo]), To: ParseAddresses(v.value[fieldTo]),
		Cc: ParseAddresses(v.value[fieldCc]), Bcc: ParseAddresses(v.value[fieldBcc]),
	}
	for i, id := range []fieldID{fieldDate, fieldSubject, fieldInReplyTo, fieldMessageID} {
		if v.present[id] {
			e.Has |= 1 << i
		}
	}
	e.fillFromFrom()
	return e
}

func (e *Envelope) fillFromFrom() {
	if len(e.Sender) == 0 {
		e.Sender = e.From
	}
	if len(e.ReplyTo) == 0 {
		e.ReplyTo = e.From
	}
}

// ParseEnvelope reads the envelope of a header.
func ParseEnvelope(header []byte) *Envelope {
	var r fieldReader
	r.reset(DefaultLimits().MaxHeader)
	for line := range headerLines(header) {
		if isBlank(line) {
			break
		}
		r.line(line)
	}
	return r.finish().envelope()
}

// ParseDate reads a Date field leniently: day names, comments and seconds may be missing, years have 2 or 4 digits,
// zones are numbers or names; asctime and ISO 8601 forms are understood too.
func ParseDate(s string) (time.Time, bool) {
	s = compactDate(s)
	if t, ok := parseISODate(s); ok {
		return t, true
	}
	var d dateParts
	d.day, d.month, d.year = -1, 0, -1
	words := strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == '\t' || r == ',' })
	for i, w := range words {
		if i > 12 {
			break
		}
		d.word(w)
	}
	return d.time()
}

// compactDate drops comments.
func compactDate(s string) string {
	s = s[:min(len(s), 200)]
	for {
		i := strings.IndexByte(s, '(')
		if i < 0 {
			return strings.TrimSpace(s)
		}
		s = s[:i] + " " + s[skipComment(s, i):]
	}
}

func parseISODate(s string) (time.Time, bool) {
	if len(s) < 10 || s[4] != '-' {
		return time.Time{}, false
	}
	for _, layout := range []string{
		time.RFC3339, "2006-01-02T15:04:05-0700", "2006-01-02 15:04:05 -0700", "2006-01-02 15:04:05Z07:00",
		"2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02",
	} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

type dateParts struct {
	day, month, year  int
	hour, minute, sec int
	hasTime, hasZone  bool
	zone              int // seconds east
}

// word puts one word of a date where its form says it belongs.
func (d *dateParts) word(w string) {
	switch c := w[0]; {
	case strings.Contains(w, ":"):
		d.clock(w)
	case c == '+' || c == '-':
		d.offset(w)
	case '0' <= c && c <= '9':
		d.number(w)
	default:
		d.name(strings.ToLower(w))
	}
}

func (d *dateParts) clock(w string) {
	if d.hasTime {
		return
	}
	if i := strings.IndexAny(w, "+-"); i > 0 {
		d.offset(w[i:])
		w = w[:i]
	}
	var part [3]int
	for i, f := range strings.SplitN(w, ":", 3) {
		part[i], _ = digits(f)
	}
	d.hour, d.minute, d.sec, d.hasTime = part[0], part[1], part[2], true
}

func (d *dateParts) offset(w string) {
	n, count := digits(strings.ReplaceAll(w[1:], ":", ""))
	if count == 2 {
		n *= 100
	}
	if count == 0 || d.hasZone {
		return
	}
	d.zone, d.hasZone = (n/100*60+n%100)*60, true
	if w[0] == '-' {
		d.zone = -d.zone
	}
	if d.zone < -24*3600 || d.zone > 24*3600 {
		d.zone = 0
	}
}

// number takes a day or a year, or a day-month-year in one word.
func (d *dateParts) number(w string) {
	if parts := strings.Split(w, "-"); len(parts) == 3 {
		for _, p := range parts {
			if p != "" {
				d.word(p)
			}
		}
		return
	}
	n, count := digits(w)
	switch {
	case d.day < 0 && count <= 2:
		d.day = n
	case d.year < 0 && count >= 4:
		d.year = n
	case d.year < 0 && count == 2 && n < 50:
		d.year = 2000 + n
	case d.year < 0 && (count == 2 || count == 3):
		d.year = 1900 + n
	}
}

func (d *dateParts) name(w string) {
	if len(w) >= 3 {
		if i := strings.Index("janfebmaraprmayjunjulaugsepoctnovdec", w[:3]); i >= 0 && i%3 == 0 && d.month == 0 {
			d.month = i/3 + 1
			return
		}
	}
	if d.hasZone || !d.hasTime {
		return
	}
	if i := slices.Index(zoneNames[:], w); i >= 0 {
		d.zone, d.hasZone = int(zoneHours[i])*3600, true
	}
}

// zoneNames and zoneHours are RFC 5322 4.3; other names say nothing and count as UTC.
var (
	zoneNames = [...]string{"ut", "gmt", "utc", "z", "edt", "est", "cdt", "cst", "mdt", "mst", "pdt", "pst", "cet", "cest"}
	zoneHours = [...]int8{0, 0, 0, 0, -4, -5, -5, -6, -6, -7, -7, -8, 1, 2}
)

func (d *dateParts) time() (time.Time, bool) {
	if d.day < 1 || d.day > 31 || d.month == 0 || d.year < 0 || d.year > 9999 || d.hour > 24 || d.minute > 59 || d.sec > 60 {
		return time.Time{}, false
	}
	loc := time.UTC
	if d.zone != 0 {
		loc = time.FixedZone("", d.zone)
	}
	return time.Date(d.year, time.Month(d.month), d.day, d.hour, d.minute, d.sec, 0, loc), true
}

// digits reads the leading digits of s, at most 6.
func digits(s string) (n, count int) {
	for count < len(s) && count < 6 && '0' <= s[count] && s[count] <= '9' {
		n = n*10 + int(s[count]-'0')
		count++
	}
	return n, count
}
