package oxvcard

import (
	"slices"
	"strings"

	"github.com/flotilla-mail/flotilla/internal/convert/object"
	"github.com/flotilla-mail/flotilla/internal/formats/contentline"
	"github.com/flotilla-mail/flotilla/internal/formats/vcard"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

// photo makes a picture in the card the attachment that clients show (MS-OXOCNTC 2.2.1.8). One that stands elsewhere
// is kept.
func (in *importer) photo(l *contentline.Line) {
	media, data, ok := vcard.ParseDataURI(l.Value)
	if !ok || len(data) == 0 || len(data) > maxPhoto || in.m.LidBool(mapi.PidLidHasPicture) {
		return
	}
	in.m.SetLid(mapi.PidLidHasPicture, mapi.Boolean(true))
	var a object.Attachment
	name := photoName + extension(media)
	a.Bag.Set(mapi.PidTagAttachMethod, mapi.Integer32(mapi.AttachByValue))
	a.Bag.Set(mapi.PidTagAttachDataBinary, mapi.Binary(data))
	a.Bag.Set(mapi.PidTagAttachSize, mapi.Integer32(int32(len(data))))
	a.Bag.Set(mapi.PidTagAttachmentContactPhoto, mapi.Boolean(true))
	a.Bag.Set(mapi.PidTagAttachmentHidden, mapi.Boolean(true))
	a.SetText(mapi.PidTagAttachMimeTag, media)
	a.SetText(mapi.PidTagAttachLongFilename, name)
	a.SetText(mapi.PidTagAttachFilename, name)
	a.SetText(mapi.PidTagAttachExtension, extension(media))
	in.m.Attachments = append(in.m.Attachments, a)
}

// jpeg is what a picture is taken for that nobody says the kind of.
const jpeg = "image/jpeg"

// extension is the ending of a picture's name.
func extension(media string) string {
	switch media {
	case "image/png":
		return ".png"
	case "image/gif":
		return ".gif"
	}
	return ".jpg"
}

func (x *exporter) photo() {
	for i := range x.m.Attachments {
		a := &x.m.Attachments[i]
		data, ok := a.Bag.Get(mapi.PidTagAttachDataBinary).(mapi.Binary)
		shown, _ := a.Bag.Get(mapi.PidTagAttachmentContactPhoto).(mapi.Boolean)
		if !ok || !bool(shown) && !strings.HasPrefix(a.Text(mapi.PidTagAttachLongFilename), photoName) {
			continue
		}
		media := a.Text(mapi.PidTagAttachMimeTag)
		if media == "" {
			media = vcard.PictureMedia(data, jpeg)
		}
		x.put("PHOTO", vcard.DataURI(media, data))
		return
	}
}

const (
	// certificate is the media type of an X.509 certificate (RFC 2585 4.1); older cards say TYPE=X509.
	certificate = "application/pkix-cert"
	x509Type    = "application/x509"
	// sequence is the first byte of a certificate in DER.
	sequence = 0x30
	// maxKeys bounds the certificates of a contact; more are kept.
	maxKeys = 100
)

// key takes a certificate; a key of another kind is kept (MS-OXVCARD 2.1.3.8.2).
func (in *importer) key(l *contentline.Line) {
	media, data, ok := vcard.ParseDataURI(l.Value)
	if !ok || media != certificate && media != x509Type || len(data) == 0 || data[0] != sequence || len(data) > maxPhoto {
		return
	}
	list, _ := in.m.Bag.Get(mapi.PidTagUserX509Certificate).(mapi.Binaries)
	if len(list) < maxKeys {
		in.m.Bag.Set(mapi.PidTagUserX509Certificate, append(slices.Clone(list), data))
	}
}

func (x *exporter) keys() {
	list, _ := x.m.Bag.Get(mapi.PidTagUserX509Certificate).(mapi.Binaries)
	for _, data := range list {
		if len(data) > 0 && data[0] == sequence {
			x.put("KEY", vcard.DataURI(x509Type, data))
		}
	}
}

// cardPicture takes the picture of an electronic business card (MS-OXOCNTC 2.2.1.7.2).
func (in *importer) cardPicture(l *contentline.Line) {
	_, data, ok := vcard.ParseDataURI(l.Value)
	if ok && len(data) > 0 && len(data) <= maxPhoto && in.m.LidBinary(mapi.PidLidBusinessCardCardPicture) == nil {
		in.m.SetLid(mapi.PidLidBusinessCardCardPicture, mapi.Binary(data))
	}
}

func (x *exporter) cardPicture() {
	if data := x.m.LidBinary(mapi.PidLidBusinessCardCardPicture); len(data) > 0 {
		x.put("X-MS-CARDPICTURE", vcard.DataURI(vcard.PictureMedia(data, jpeg), data))
	}
}

// maxMembers bounds a distribution list; MS-OXOCNTC 2.2.2.2.1 bounds it at 15,000 bytes in older clients.
const maxMembers = 5_000

// memberName is the parameter that has a member's name, for which vCard has none.
const memberName = "X-CN"

// distList sets what an IPM.DistList has of a card. Members that are named by anything but an address are kept.
func (in *importer) distList(card *vcard.Card) {
	p := &in.m.Props
	p.SetText(mapi.PidTagMessageClass, classDistList)
	p.Bag.Set(mapi.PidTagIconIndex, mapi.Integer32(iconList))
	var members mapi.Binaries
	rows := texts()
	for i := range card.Lines {
		l := &card.Lines[i]
		switch l.Name {
		case "MEMBER":
			if id := member(l); id != nil && len(members) < maxMembers {
				members = append(members, id)
			}
		case "CATEGORIES", "CLASS", "REV":
			special[l.Name](in, l)
		case "FN", "NOTE", "UID":
			in.text(rows, l)
		}
	}
	name := p.Text(mapi.PidTagDisplayName)
	p.SetText(mapi.PidTagNormalizedSubject, name)
	p.SetLidText(mapi.PidLidFileUnder, name)
	p.SetLidText(mapi.PidLidDistributionListName, name)
	if len(members) > 0 {
		p.SetLid(mapi.PidLidDistributionListMembers, members)
		p.SetLid(mapi.PidLidDistributionListOneOffMembers, members)
	}
}

// member is the entry id of one that is named by an address, else nil.
func member(l *contentline.Line) []byte {
	address, ok := mailto(l.Value)
	if !ok {
		return nil
	}
	name := l.Param(memberName)
	if name == "" {
		name = address
	}
	return oxcdata.OneOffOf(object.Clean(name), smtp, object.Clean(address)).Append(nil)
}

func mailto(uri string) (string, bool) {
	if len(uri) < 8 || !strings.EqualFold(uri[:7], "mailto:") {
		return "", false
	}
	return uri[7:], true
}

func (x *exporter) distList() {
	p := &x.m.Props
	x.put("KIND", "group")
	name := p.Text(mapi.PidTagDisplayName)
	if name == "" {
		name = p.LidText(mapi.PidLidDistributionListName)
	}
	x.put("FN", contentline.Escape(name))
	x.put("UID", contentline.Escape(p.LidText(UID())))
	x.put("NOTE", contentline.Escape(p.BodyText()))
	members, _ := p.Lid(mapi.PidLidDistributionListOneOffMembers).(mapi.Binaries)
	for _, b := range members {
		id, err := oxcdata.ParseEntryID(b)
		one, ok := id.(*oxcdata.OneOffEntryID)
		if err != nil || !ok {
			continue // a member of the directory: it has no address here
		}
		l := contentline.Line{Name: "MEMBER", Value: "mailto:" + one.EmailAddress}
		if one.DisplayName != one.EmailAddress {
			l = l.With(memberName, one.DisplayName)
		}
		x.lines = append(x.lines, l)
	}
	x.dates()
	x.rest()
}
