package oxvcard

import (
	"slices"
	"strings"

	"github.com/flotilla-mail/flotilla/internal/convert/object"
	"github.com/flotilla-mail/flotilla/internal/formats/contentline"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// textRow is a line of one text and where it is kept. Types are those of the line; a row without takes any.
type textRow struct {
	name  string
	types []string
	slots []slot
	// uri values have no escapes.
	uri bool
	// related are values of RELATED that are texts and no URI.
	related bool
	// read rows are another program's name for what a row above is written as.
	read bool
}

// texts returns the lines that hold one text (MS-OXVCARD 2.1.3); where two rows fit a line, the first takes it.
func texts() []textRow {
	return []textRow{
		{name: "FN", slots: []slot{{tag: mapi.PidTagDisplayName}}},
		{name: "NICKNAME", slots: []slot{{tag: mapi.PidTagNickname}}},
		{name: "TITLE", slots: []slot{{tag: mapi.PidTagTitle}}},
		{name: "ROLE", slots: []slot{{tag: mapi.PidTagProfession}}},
		{name: "NOTE", slots: []slot{{tag: mapi.PidTagBody}}},
		{name: "UID", slots: []slot{{lid: UID()}}},
		{name: "HOBBY", slots: []slot{{tag: mapi.PidTagHobbies}}},
		{name: "URL", types: []string{"home"}, slots: []slot{{tag: mapi.PidTagPersonalHomePage}}, uri: true},
		{name: "URL", slots: []slot{{tag: mapi.PidTagBusinessHomePage}}, uri: true},
		{name: "FBURL", slots: []slot{{lid: mapi.PidLidFreeBusyLocation}}, uri: true},
		{name: "IMPP", slots: []slot{{lid: mapi.PidLidInstantMessagingAddress}}, uri: true},
		{name: "RELATED", types: []string{"spouse"}, slots: []slot{{tag: mapi.PidTagSpouseName}}, related: true},
		{name: "RELATED", types: []string{"agent"}, slots: []slot{{tag: mapi.PidTagAssistant}}, related: true},
		{name: "X-MS-MANAGER", slots: []slot{{tag: mapi.PidTagManagerName}}},
		{name: "X-PHONETIC-FIRST-NAME", slots: []slot{{lid: mapi.PidLidYomiFirstName}}},
		{name: "X-PHONETIC-LAST-NAME", slots: []slot{{lid: mapi.PidLidYomiLastName}}},
		{name: "X-PHONETIC-ORG", slots: []slot{{lid: mapi.PidLidYomiCompanyName}}},
		{name: "X-MS-IMADDRESS", slots: []slot{{lid: mapi.PidLidInstantMessagingAddress}}, read: true},
		{name: "X-MS-TEXT", slots: []slot{{lid: mapi.PidLidContactUserField1}, {lid: mapi.PidLidContactUserField2}, {lid: mapi.PidLidContactUserField3},
			{lid: mapi.PidLidContactUserField4}}},
	}
}

func (r *textRow) takes(l *contentline.Line) bool {
	if r.name != l.Name || r.related != (l.Name == "RELATED" && l.Param("VALUE") == "text") {
		return false
	}
	types := l.All("TYPE")
	return !slices.ContainsFunc(r.types, func(t string) bool { return !slices.Contains(types, t) })
}

// text puts a line's text into the first free place that its row has.
func (in *importer) text(rows []textRow, l *contentline.Line) {
	for i := range rows {
		if !rows[i].takes(l) {
			continue
		}
		s := l.Value
		if !rows[i].uri {
			s = contentline.Unescape(s)
		}
		if to := free(&in.m.Props, rows[i].slots); to != nil {
			to.set(&in.m.Props, s)
		}
		return
	}
}

// texts writes the rows.
func (x *exporter) texts() {
	for _, r := range texts() {
		if r.read {
			continue
		}
		for _, s := range r.slots {
			value := s.get(&x.m.Props)
			if s.tag == mapi.PidTagBody {
				value = x.m.BodyText()
			}
			if !r.uri {
				value = contentline.Escape(value)
			}
			var params []contentline.Param
			if len(r.types) > 0 {
				params = append(params, typeParam(r.types...))
			}
			if r.related {
				params = append(params, contentline.Param{Name: "VALUE", Values: []string{"text"}})
			}
			x.put(r.name, value, params...)
		}
	}
}

// phoneRow is where the numbers of a kind are kept.
type phoneRow struct {
	name  string
	types []string
	slots []mapi.Tag
	// voice is written and not asked for.
	voice bool
}

// phones returns the kinds of numbers (MS-OXVCARD 2.1.3.4.1): a number goes by the first row whose types it has.
func phones() []phoneRow {
	return []phoneRow{
		{"TEL", []string{"home", "fax"}, []mapi.Tag{mapi.PidTagHomeFaxNumber}, false},
		{"TEL", []string{"work", "fax"}, []mapi.Tag{mapi.PidTagBusinessFaxNumber}, false},
		{"TEL", []string{"fax"}, []mapi.Tag{mapi.PidTagPrimaryFaxNumber}, false},
		{"TEL", []string{"pager"}, []mapi.Tag{mapi.PidTagPagerTelephoneNumber}, false},
		{"TEL", []string{"car"}, []mapi.Tag{mapi.PidTagCarTelephoneNumber}, false},
		{"TEL", []string{"isdn"}, []mapi.Tag{mapi.PidTagIsdnNumber}, false},
		{"TEL", []string{"textphone"}, []mapi.Tag{mapi.PidTagTelecommunicationsDeviceForDeafTelephoneNumber}, false},
		{"TEL", []string{"cell"}, []mapi.Tag{mapi.PidTagMobileTelephoneNumber}, true},
		{"TEL", []string{"home"}, []mapi.Tag{mapi.PidTagHomeTelephoneNumber, mapi.PidTagHome2TelephoneNumber}, true},
		{"TEL", []string{"work"}, []mapi.Tag{mapi.PidTagBusinessTelephoneNumber, mapi.PidTagBusiness2TelephoneNumber}, true},
		{"TEL", []string{"main"}, []mapi.Tag{mapi.PidTagPrimaryTelephoneNumber}, false},
		{"TEL", nil, []mapi.Tag{mapi.PidTagOtherTelephoneNumber}, true},
		{"X-MS-TEL", []string{"assistant"}, []mapi.Tag{mapi.PidTagAssistantTelephoneNumber}, false},
		{"X-MS-TEL", []string{"company"}, []mapi.Tag{mapi.PidTagCompanyMainTelephoneNumber}, false},
		{"X-MS-TEL", []string{"callback"}, []mapi.Tag{mapi.PidTagCallbackTelephoneNumber}, false},
		{"X-MS-TEL", []string{"radio"}, []mapi.Tag{mapi.PidTagRadioTelephoneNumber}, false},
		{"X-MS-TEL", []string{"ttytdd"}, []mapi.Tag{mapi.PidTagTelecommunicationsDeviceForDeafTelephoneNumber}, false},
		{"X-MS-TEL", []string{"telex"}, []mapi.Tag{mapi.PidTagTelexNumber}, false},
	}
}

// phone puts a number into the first free place of its row, or of a later row that also fits.
func (in *importer) phone(l *contentline.Line) {
	types := l.All("TYPE")
	number := strings.TrimSpace(contentline.Unescape(l.Value))
	if len(number) > 4 && strings.EqualFold(number[:4], "tel:") {
		number = number[4:]
	}
	for _, r := range phones() {
		if r.name != l.Name || slices.ContainsFunc(r.types, func(t string) bool { return !slices.Contains(types, t) }) {
			continue
		}
		for _, tag := range r.slots {
			if in.m.Text(tag) == "" {
				in.m.SetText(tag, number)
				return
			}
		}
		if slices.Contains(types, "fax") {
			return // a fax is no telephone
		}
	}
}

func (x *exporter) phones() {
	var done []mapi.Tag
	for _, r := range phones() {
		types := r.types
		if r.voice {
			types = append(slices.Clone(types), "voice")
		}
		for _, tag := range r.slots {
			if !slices.Contains(done, tag) {
				x.put(r.name, contentline.Escape(x.m.Text(tag)), typeParam(types...))
			}
			done = append(done, tag)
		}
	}
}

// emailRow is one of the three addresses a contact has (MS-OXOCNTC 2.2.1.2).
type emailRow struct {
	kind, display, address, original, entry mapi.NamedProperty
}

func emails() []emailRow {
	return []emailRow{
		{mapi.PidLidEmail1AddressType, mapi.PidLidEmail1DisplayName, mapi.PidLidEmail1EmailAddress, mapi.PidLidEmail1OriginalDisplayName, mapi.PidLidEmail1OriginalEntryId},
		{mapi.PidLidEmail2AddressType, mapi.PidLidEmail2DisplayName, mapi.PidLidEmail2EmailAddress, mapi.PidLidEmail2OriginalDisplayName, mapi.PidLidEmail2OriginalEntryId},
		{mapi.PidLidEmail3AddressType, mapi.PidLidEmail3DisplayName, mapi.PidLidEmail3EmailAddress, mapi.PidLidEmail3OriginalDisplayName, mapi.PidLidEmail3OriginalEntryId},
	}
}

// addressRow is where a postal address is kept: the parts in the order of ADR, the whole, and its number in
// PidLidPostalAddressId (MS-OXOCNTC 2.2.1.3).
type addressRow struct {
	kind  string
	parts [7]slot
	whole mapi.NamedProperty
	id    int32
}

func addresses() []addressRow {
	return []addressRow{
		{"home", [7]slot{{tag: mapi.PidTagHomeAddressPostOfficeBox}, {}, {tag: mapi.PidTagHomeAddressStreet}, {tag: mapi.PidTagHomeAddressCity},
			{tag: mapi.PidTagHomeAddressStateOrProvince}, {tag: mapi.PidTagHomeAddressPostalCode}, {tag: mapi.PidTagHomeAddressCountry}}, mapi.PidLidHomeAddress, 1},
		// A work address has the office in the place of the apartment (MS-OXVCARD 2.1.3.3.1).
		{"work", [7]slot{{lid: mapi.PidLidWorkAddressPostOfficeBox}, {tag: mapi.PidTagOfficeLocation}, {lid: mapi.PidLidWorkAddressStreet}, {lid: mapi.PidLidWorkAddressCity},
			{lid: mapi.PidLidWorkAddressState}, {lid: mapi.PidLidWorkAddressPostalCode}, {lid: mapi.PidLidWorkAddressCountry}}, mapi.PidLidWorkAddress, 2},
		{"", [7]slot{{tag: mapi.PidTagOtherAddressPostOfficeBox}, {}, {tag: mapi.PidTagOtherAddressStreet}, {tag: mapi.PidTagOtherAddressCity},
			{tag: mapi.PidTagOtherAddressStateOrProvince}, {tag: mapi.PidTagOtherAddressPostalCode}, {tag: mapi.PidTagOtherAddressCountry}}, mapi.PidLidOtherAddress, 3},
	}
}

// mailing are the parts of the address that letters go to, in the order of ADR.
func mailing() [7]slot {
	return [7]slot{{tag: mapi.PidTagPostOfficeBox}, {}, {tag: mapi.PidTagStreetAddress}, {tag: mapi.PidTagLocality},
		{tag: mapi.PidTagStateOrProvince}, {tag: mapi.PidTagPostalCode}, {tag: mapi.PidTagCountry}}
}

func (s slot) isNone() bool { return s.tag == 0 && s.lid == (mapi.NamedProperty{}) }

// isEmpty reports whether no part has text.
func isEmpty(p *object.Props, parts [7]slot) bool {
	return !slices.ContainsFunc(parts[:], func(s slot) bool { return !s.isNone() && s.get(p) != "" })
}
