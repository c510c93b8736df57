package oxvcard

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/internal/convert/object"
	"github.com/flotilla-mail/flotilla/internal/formats/contentline"
	"github.com/flotilla-mail/flotilla/internal/formats/vcard"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

const (
	smtp        = "SMTP"
	iconContact = 0x200
	iconList    = 0x202
	// photoName is the name that clients know a contact's picture by (MS-OXOCNTC 2.2.1.8.1).
	photoName = "ContactPicture"
	// maxPhoto is the largest picture that becomes an attachment; a larger one is kept.
	maxPhoto = 16 << 20
	// maxCategories bounds the categories of a contact; more are kept.
	maxCategories = 500
)

// contact sets what an IPM.Contact has of a card.
func (in *importer) contact(card *vcard.Card) {
	p := &in.m.Props
	p.SetText(mapi.PidTagMessageClass, classContact)
	p.Bag.Set(mapi.PidTagIconIndex, mapi.Integer32(iconContact))
	rows := texts()
	lines := preferred(card.Lines)
	for i := range lines {
		l := &lines[i]
		if set := special[l.Name]; set != nil {
			set(in, l)
			continue
		}
		in.text(rows, l)
	}
	name := p.Text(mapi.PidTagDisplayName)
	p.SetText(mapi.PidTagNormalizedSubject, name)
	in.fileUnder(name)
	in.emailLists()
	in.mailingAddress()
}

// preferred are lines with those first that are preferred, most of all those of PREF=1 (RFC 6350 5.3): a contact has places for a
// few of a kind, and the first of them is its own address, number or picture.
func preferred(lines []contentline.Line) []contentline.Line {
	rank := func(l contentline.Line) int {
		n, err := strconv.Atoi(l.Param("PREF"))
		if err != nil || n < 1 || n > 100 {
			return 101
		}
		return n
	}
	return slices.SortedStableFunc(slices.Values(lines), func(a, b contentline.Line) int { return cmp.Compare(rank(a), rank(b)) })
}

// special reads the lines that are more than a text.
var special = map[string]func(*importer, *contentline.Line){
	"N": (*importer).name, "ORG": (*importer).org, "TEL": (*importer).phone, "X-MS-TEL": (*importer).phone, "EMAIL": (*importer).email,
	"ADR": (*importer).address, "BDAY": (*importer).birthday, "ANNIVERSARY": (*importer).anniversary, "GENDER": (*importer).gender,
	"CATEGORIES": (*importer).categories, "CLASS": (*importer).class, "PHOTO": (*importer).photo, "REV": (*importer).revision, "RELATED": (*importer).related,
	"KEY": (*importer).key, "X-MS-CARDPICTURE": (*importer).cardPicture, "X-MS-OL-DEFAULT-POSTAL-ADDRESS": (*importer).defaultAddress,
}

// nameParts are in the order of N.
var nameParts = [5]mapi.Tag{mapi.PidTagSurname, mapi.PidTagGivenName, mapi.PidTagMiddleName, mapi.PidTagDisplayNamePrefix, mapi.PidTagGeneration}

func (in *importer) name(l *contentline.Line) {
	for i, part := range contentline.Split(l.Value, ';') {
		if i < len(nameParts) {
			in.m.SetText(nameParts[i], strings.Join(contentline.Texts(part, ','), " "))
		}
	}
}

func (in *importer) org(l *contentline.Line) {
	parts := contentline.Texts(l.Value, ';')
	in.m.SetText(mapi.PidTagCompanyName, parts[0])
	if len(parts) > 1 {
		in.m.SetText(mapi.PidTagDepartmentName, parts[1])
	}
}

func (in *importer) email(l *contentline.Line) {
	address := strings.TrimSpace(contentline.Unescape(l.Value))
	for _, r := range emails() {
		p := &in.m.Props
		if address == "" || p.LidText(r.address) != "" {
			continue
		}
		p.SetLidText(r.kind, smtp)
		p.SetLidText(r.address, address)
		p.SetLidText(r.original, address)
		p.SetLidText(r.display, address)
		p.SetLid(r.entry, mapi.Binary(oxcdata.OneOffOf(address, smtp, p.LidText(r.address)).Append(nil)))
		return
	}
}

// emailLists say which of the addresses there are, for the address book (MS-OXOCNTC 2.2.1.2.11, 2.2.1.2.12).
func (in *importer) emailLists() {
	var list mapi.Integers32
	bits := int32(0)
	for i, r := range emails() {
		if in.m.LidText(r.address) != "" {
			list = append(list, int32(i))
			bits |= 1 << i
		}
	}
	if bits != 0 {
		in.m.SetLid(mapi.PidLidAddressBookProviderEmailList, list)
		in.m.SetLid(mapi.PidLidAddressBookProviderArrayType, mapi.Integer32(bits))
	}
}

// fileUnder is the name that a contact is sorted by: family name first.
func (in *importer) fileUnder(name string) {
	family, given := in.m.Text(mapi.PidTagSurname), in.m.Text(mapi.PidTagGivenName)
	switch {
	case family != "" && given != "":
		name = family + ", " + given
		if middle := in.m.Text(mapi.PidTagMiddleName); middle != "" {
			name += " " + middle
		}
	case family != "":
		name = family
	}
	in.m.SetLidText(mapi.PidLidFileUnder, name)
}

func (in *importer) address(l *contentline.Line) {
	types := l.All("TYPE")
	p := &in.m.Props
	for _, r := range addresses() {
		if r.kind != "" && !slices.Contains(types, r.kind) || !isEmpty(p, r.parts) {
			continue
		}
		for i, part := range contentline.Split(l.Value, ';') {
			if i < len(r.parts) && !r.parts[i].isNone() {
				r.parts[i].set(p, strings.Join(contentline.Texts(part, ','), "\n"))
			}
		}
		p.SetLidText(r.whole, whole(l))
		if l.Param("PREF") == "1" {
			p.SetLid(mapi.PidLidPostalAddressId, mapi.Integer32(r.id))
		}
		return
	}
}

// whole is an address as it stands on an envelope: by its label, or put together.
func whole(l *contentline.Line) string {
	if label := l.Param("LABEL"); label != "" {
		return label
	}
	var parts [7]string
	copy(parts[:], contentline.Texts(l.Value, ';'))
	city := strings.Join(slices.DeleteFunc([]string{parts[5], parts[3], parts[4]}, func(s string) bool { return s == "" }), " ")
	lines := []string{parts[0], parts[1], parts[2], city, parts[6]}
	return strings.Join(slices.DeleteFunc(lines, func(s string) bool { return s == "" }), "\n")
}

// mailingAddress repeats the preferred address where clients look for the one that letters go to.
func (in *importer) mailingAddress() {
	p := &in.m.Props
	id, chosen := p.LidInt(mapi.PidLidPostalAddressId)
	for _, r := range addresses() {
		if !chosen || r.id != id {
			continue
		}
		for i, to := range mailing() {
			if !to.isNone() {
				to.set(p, r.parts[i].get(p))
			}
		}
		p.SetText(mapi.PidTagPostalAddress, p.LidText(r.whole))
	}
}

// defaultAddress is Outlook's way to say which address letters go to; PREF of that address says the same and is what is written
// (MS-OXVCARD 2.1.3.9).
func (in *importer) defaultAddress(l *contentline.Line) {
	id, err := strconv.ParseInt(strings.TrimSpace(l.Value), 10, 32)
	if _, chosen := in.m.LidInt(mapi.PidLidPostalAddressId); err == nil && id > 0 && int(id) <= len(addresses()) && !chosen {
		in.m.SetLid(mapi.PidLidPostalAddressId, mapi.Integer32(id))
	}
}

const (
	// dateForm is a whole date in 4.0.
	dateForm = "20060102"
	// halfDay rounds to a day.
	halfDay = 12 * time.Hour
)

// date is the day of a value that names a whole one, at midnight UTC. A year that Apple puts in because none is known is none.
func date(l *contentline.Line) (mapi.FileTime, bool) {
	s := l.Value
	if none := l.Param("X-APPLE-OMIT-YEAR"); none != "" && strings.HasPrefix(s, none) {
		return 0, false
	}
	if len(s) > len(dateForm) && s[len(dateForm)] == 'T' {
		s = s[:len(dateForm)]
	}
	day, err := time.Parse(dateForm, s)
	if err != nil || day.Year() < 1602 {
		return 0, false
	}
	return mapi.FileTimeOf(day), true
}

func (in *importer) birthday(l *contentline.Line) {
	if at, ok := date(l); ok {
		in.m.Bag.Set(mapi.PidTagBirthday, at)
		in.m.SetLid(mapi.PidLidBirthdayLocal, at)
	}
}

func (in *importer) anniversary(l *contentline.Line) {
	if at, ok := date(l); ok {
		in.m.Bag.Set(mapi.PidTagWeddingAnniversary, at)
		in.m.SetLid(mapi.PidLidWeddingAnniversaryLocal, at)
	}
}

// genders are by PidTagGender (MS-OXOCNTC 2.2.1.10.10); nought is unsaid.
var genders = []string{"", "F", "M"}

func (in *importer) gender(l *contentline.Line) {
	sex, _, _ := strings.Cut(strings.ToUpper(l.Value), ";")
	if at := slices.Index(genders, sex); at > 0 {
		in.m.Bag.Set(mapi.PidTagGender, mapi.Integer16(at))
	}
}

func (in *importer) categories(l *contentline.Line) {
	words, _ := in.m.Lid(mapi.PidNameKeywords).(mapi.Strings)
	for _, w := range contentline.Texts(l.Value, ',') {
		if w = strings.TrimSpace(object.Clean(w)); w != "" && len(words) < maxCategories && !slices.Contains(words, w) {
			words = append(slices.Clone(words), w)
		}
	}
	if len(words) > 0 {
		in.m.SetLid(mapi.PidNameKeywords, words)
	}
}

// related takes the names of children, of whom a contact may have many; the others are texts.
func (in *importer) related(l *contentline.Line) {
	if l.Param("VALUE") != "text" || !slices.Contains(l.All("TYPE"), "child") {
		in.text(texts(), l)
		return
	}
	names, _ := in.m.Bag.Get(mapi.PidTagChildrensNames).(mapi.Strings)
	if name := contentline.Unescape(l.Value); name != "" {
		in.m.Bag.Set(mapi.PidTagChildrensNames, append(slices.Clone(names), object.Clean(name)))
	}
}

// classes are by PidTagSensitivity (MS-OXVCARD 2.1.3.8.1); normal is written by no line.
var classes = []string{"PUBLIC", "X-PERSONAL", "PRIVATE", "CONFIDENTIAL"}

func (in *importer) class(l *contentline.Line) {
	if at := slices.Index(classes, strings.ToUpper(strings.TrimSpace(l.Value))); at > 0 {
		in.m.Bag.Set(mapi.PidTagSensitivity, mapi.Integer32(at))
	}
}

// revisionForm is how REV is written.
const revisionForm = "20060102T150405Z"

func (in *importer) revision(l *contentline.Line) {
	for _, form := range []string{revisionForm, time.RFC3339, "2006-01-02T15:04:05", "20060102T150405"} {
		if at, err := time.Parse(form, strings.TrimSpace(l.Value)); err == nil {
			in.m.Bag.Set(mapi.PidTagLastModificationTime, mapi.FileTimeOf(at))
			return
		}
	}
}

// contact writes what an IPM.Contact has.
func (x *exporter) contact() {
	p := &x.m.Props
	x.texts()
	if p.Text(mapi.PidTagDisplayName) == "" {
		x.put("FN", contentline.Escape(p.Text(mapi.PidTagNormalizedSubject)))
	}
	var name []string
	for _, tag := range nameParts {
		name = append(name, contentline.Escape(p.Text(tag)))
	}
	x.put("N", strings.Join(name, ";"))
	org := contentline.Escape(p.Text(mapi.PidTagCompanyName))
	if department := p.Text(mapi.PidTagDepartmentName); department != "" {
		org += ";" + contentline.Escape(department)
	}
	x.put("ORG", org)
	x.phones()
	x.emails()
	x.addresses()
	x.dates()
	x.rest()
	x.photo()
	x.keys()
	x.cardPicture()
}

func (x *exporter) emails() {
	for _, r := range emails() {
		address := x.m.LidText(r.address)
		if kind := x.m.LidText(r.kind); kind != "" && kind != smtp {
			// An address of Exchange's own says its SMTP address here, if anywhere.
			address = x.m.LidText(r.original)
		}
		if strings.Contains(address, "@") || x.m.LidText(r.kind) == smtp {
			x.put("EMAIL", contentline.Escape(address))
		}
	}
}

func (x *exporter) addresses() {
	p := &x.m.Props
	chosen, _ := p.LidInt(mapi.PidLidPostalAddressId)
	for _, r := range addresses() {
		if isEmpty(p, r.parts) {
			continue
		}
		var parts []string
		for _, s := range r.parts {
			text := ""
			if !s.isNone() {
				text = contentline.Join(strings.Split(s.get(p), "\n"), ",")
			}
			parts = append(parts, text)
		}
		var params []contentline.Param
		if r.kind != "" {
			params = append(params, typeParam(r.kind))
		}
		if chosen == r.id {
			params = append(params, contentline.Param{Name: "PREF", Values: []string{"1"}})
		}
		x.put("ADR", strings.Join(parts, ";"), params...)
	}
}

func (x *exporter) dates() {
	p := &x.m.Props
	for _, d := range []struct {
		name  string
		local mapi.NamedProperty
		tag   mapi.Tag
	}{{"BDAY", mapi.PidLidBirthdayLocal, mapi.PidTagBirthday}, {"ANNIVERSARY", mapi.PidLidWeddingAnniversaryLocal, mapi.PidTagWeddingAnniversary}} {
		day, ok := p.LidTime(d.local)
		at := day.Time()
		if !ok {
			day, ok = p.Bag.Get(d.tag).(mapi.FileTime)
			at = day.Time().Add(halfDay) // midnight of a clock that nobody knows, in UTC
		}
		if ok && day != 0 {
			x.put(d.name, at.Format(dateForm))
		}
	}
	if at, ok := p.Bag.Get(mapi.PidTagLastModificationTime).(mapi.FileTime); ok {
		x.put("REV", at.Time().Format(revisionForm))
	}
}

// rest is what has a form of its own.
func (x *exporter) rest() {
	p := &x.m.Props
	if sex, ok := p.Bag.Get(mapi.PidTagGender).(mapi.Integer16); ok && sex > 0 && int(sex) < len(genders) {
		x.put("GENDER", genders[sex])
	}
	if words, ok := p.Lid(mapi.PidNameKeywords).(mapi.Strings); ok {
		x.put("CATEGORIES", contentline.Join(words, ","))
	}
	if n, _ := p.Int(mapi.PidTagSensitivity); n > 0 && int(n) < len(classes) {
		x.put("CLASS", classes[n])
	}
	if children, ok := p.Bag.Get(mapi.PidTagChildrensNames).(mapi.Strings); ok {
		for _, name := range children {
			x.put("RELATED", contentline.Escape(name), typeParam("child"), contentline.Param{Name: "VALUE", Values: []string{"text"}})
		}
	}
}
