package oxvcard

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/flotilla-mail/flotilla/internal/convert/kept"
	"github.com/flotilla-mail/flotilla/internal/convert/object"
	"github.com/flotilla-mail/flotilla/internal/formats/contentline"
	"github.com/flotilla-mail/flotilla/internal/formats/vcard"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
	"github.com/flotilla-mail/flotilla/internal/testkit/objects"
)

// derived are the properties that an import makes of others (docs/design/conversions.md, "Objects of MAPI").
var derived = []string{
	"PidTagIconIndex", "PidTagNormalizedSubject", "PidLidFileUnder", "PidLidHasPicture", "PidLidAddressBookProviderEmailList", "PidLidAddressBookProviderArrayType",
	"PidLidBirthdayLocal", "PidLidWeddingAnniversaryLocal", "PidLidHomeAddress", "PidLidWorkAddress", "PidLidOtherAddress", "PidTagPostalAddress",
	"PidTagPostOfficeBox", "PidTagStreetAddress", "PidTagLocality", "PidTagStateOrProvince", "PidTagPostalCode", "PidTagCountry",
	"PidLidDistributionListName", "PidLidDistributionListMembers",
}

// maker makes a contact up, as a client would have made it.
type maker struct{ t *rapid.T }

func (k maker) n(low, high int) int { return rapid.IntRange(low, high).Draw(k.t, "n") }

func (k maker) one(of int) bool { return k.n(0, of) == 0 }

// text is a text that is not empty and has no blanks at its ends.
func (k maker) text() string {
	return strings.TrimSpace(rapid.StringOfN(rapid.RuneFrom([]rune("abc ÄßΩ日😀,;:\\n\"^=-0123@")), 0, 30, -1).Draw(k.t, "text") + "x")
}

func (k maker) moment() mapi.FileTime {
	at := time.Date(2024, 1, 1, 0, 0, k.n(0, 1<<25), 0, time.UTC)
	return mapi.FileTimeOf(at) + mapi.FileTime(k.n(0, 9_999_999))
}

func (k maker) day() mapi.FileTime {
	return mapi.FileTimeOf(time.Date(k.n(1602, 2100), 1, k.n(1, 365), 0, 0, 0, 0, time.UTC))
}

// contact sets what an IPM.Contact has. Of several slots of a kind the first ones are taken, as clients do.
func (k maker) contact(m *object.Message) {
	p := &m.Props
	p.SetText(mapi.PidTagMessageClass, classContact)
	for _, r := range texts() {
		if r.read {
			continue
		}
		for _, s := range r.slots {
			if r.name != "FN" && k.one(1) {
				break
			}
			s.set(p, k.text())
		}
	}
	if k.one(1) {
		p.SetText(mapi.PidTagBody, k.text()+"\r\n"+k.text())
	}
	for _, tag := range append([]mapi.Tag{mapi.PidTagCompanyName, mapi.PidTagDepartmentName}, nameParts[:]...) {
		if k.one(1) {
			p.SetText(tag, k.text())
		}
	}
	p.SetText(mapi.PidTagSurname, k.text()) // 3.0 has no card without a name in parts, and would make one of the other
	for _, r := range phones() {
		for _, tag := range r.slots {
			if k.one(1) {
				break
			}
			p.SetText(tag, "+49 "+k.text())
		}
	}
	for _, r := range emails() {
		if k.one(2) {
			break
		}
		address := fmt.Sprintf("a%d@example.test", k.n(0, 99))
		p.SetLidText(r.kind, smtp)
		for _, n := range []mapi.NamedProperty{r.address, r.original, r.display} {
			p.SetLidText(n, address)
		}
		p.SetLid(r.entry, mapi.Binary(oxcdata.OneOffOf(address, smtp, address).Append(nil)))
	}
	k.addresses(p)
	k.rest(m)
}

func (k maker) addresses(p *object.Props) {
	for _, r := range addresses() {
		if k.one(1) {
			continue
		}
		for _, s := range r.parts {
			if !s.isNone() && !k.one(2) {
				s.set(p, rapid.SampledFrom([]string{k.text(), k.text() + "\n" + k.text()}).Draw(k.t, "part"))
			}
		}
		if !isEmpty(p, r.parts) && k.one(2) {
			p.SetLid(mapi.PidLidPostalAddressId, mapi.Integer32(r.id))
		}
	}
}

// rest sets what is more than a text.
func (k maker) rest(m *object.Message) {
	p := &m.Props
	k.both(m)
	if k.one(1) {
		p.Bag.Set(mapi.PidTagBirthday, k.day())
	}
	if k.one(1) {
		p.Bag.Set(mapi.PidTagWeddingAnniversary, k.day())
	}
	if n := k.n(0, 2); n > 0 {
		p.Bag.Set(mapi.PidTagGender, mapi.Integer16(n))
	}
	if k.one(1) {
		p.Bag.Set(mapi.PidTagChildrensNames, mapi.Strings{k.text(), "Ida"})
	}
	data := rapid.SliceOfN(rapid.Byte(), 1, 40)
	if k.one(2) {
		p.Bag.Set(mapi.PidTagUserX509Certificate, mapi.Binaries{append([]byte{sequence}, data.Draw(k.t, "certificate")...), {sequence}})
		p.SetLid(mapi.PidLidBusinessCardCardPicture, mapi.Binary(data.Draw(k.t, "card")))
	}
	if k.one(2) {
		in := importer{m}
		l := contentline.Line{Name: "PHOTO", Value: vcard.DataURI(rapid.SampledFrom([]string{"image/png", "image/gif", "image/jpeg"}).Draw(k.t, "media"), data.Draw(k.t, "photo"))}
		in.photo(&l)
	}
}

// both sets what contacts and lists have.
func (k maker) both(m *object.Message) {
	m.Bag.Set(mapi.PidTagLastModificationTime, k.moment())
	if k.one(1) {
		m.SetLid(mapi.PidNameKeywords, mapi.Strings{k.text() + "1", k.text() + "2"})
	}
	if n := k.n(0, 3); n > 0 {
		m.Bag.Set(mapi.PidTagSensitivity, mapi.Integer32(n))
	}
}

func (k maker) list(m *object.Message) {
	m.SetText(mapi.PidTagMessageClass, classDistList)
	m.SetText(mapi.PidTagDisplayName, k.text())
	m.SetLidText(UID(), "urn:uuid:"+fmt.Sprint(k.n(0, 99)))
	m.SetText(mapi.PidTagBody, k.text())
	var members mapi.Binaries
	for range k.n(0, 4) {
		name, address := k.text(), fmt.Sprintf("m%d@example.test", k.n(0, 99))
		if k.one(1) {
			name = address
		}
		members = append(members, oxcdata.OneOffOf(name, smtp, address).Append(nil))
	}
	if len(members) > 0 {
		m.SetLid(mapi.PidLidDistributionListOneOffMembers, members)
		m.SetLid(mapi.PidLidDistributionListMembers, members)
	}
	k.both(m)
}

// TestMAPIGenerated: what a client has made comes back from a card as it was, in both versions, up to the normal form that
// conversions.md describes, with nothing kept; and a second time it is the very same. In the long form: go test -run TestMAPIGenerated
// -rapid.checks=2500.
func TestMAPIGenerated(t *testing.T) {
	for range 4 {
		rapid.Check(t, func(rt *rapid.T) {
			was := &object.Message{}
			if k := (maker{rt}); k.one(4) {
				k.list(was)
			} else {
				k.contact(was)
			}
			for _, version := range []vcard.Version{vcard.V3, vcard.V4} {
				written := Export(was, version)
				now := imported(t, parse(t, string(written)))
				if lost := lostOf(was, now); len(lost) > 0 {
					rt.Fatalf("%s\nof\n%s\nwritten\n%s", strings.Join(lost, "\n"), objects.Dump(was), written)
				}
				if again := imported(t, parse(t, string(Export(now, version)))); objects.Dump(again) != objects.Dump(now) {
					rt.Fatalf("a second time it is\n%s\nnot\n%s", objects.Dump(again), objects.Dump(now))
				}
			}
		})
	}
}

func lostOf(was, now *object.Message) []string {
	list := objects.Lost(&was.Props, &now.Props, append([]string{kept.Card}, derived...))
	for _, text := range kept.Texts(&now.Props, kept.Card) {
		// 3.0 wants an N of every card, of a list too, and no list has a place for it.
		if was.Text(mapi.PidTagMessageClass) != classDistList || !strings.HasPrefix(text, "and N:") {
			list = append(list, "kept: "+text)
		}
	}
	if len(was.Attachments) != len(now.Attachments) {
		return append(list, fmt.Sprintf("%d attachments became %d", len(was.Attachments), len(now.Attachments)))
	}
	for i := range was.Attachments {
		list = append(list, objects.Lost(&was.Attachments[i].Props, &now.Attachments[i].Props, nil)...)
	}
	return list
}
