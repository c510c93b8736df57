package rules

import (
	"slices"
	"strings"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/directory"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

// A rule may ask whether somebody is in a distribution list (RELOP_MEMBER_OF_DL, MS-OXCDATA 2.12.5.1). It names both by
// entry id; what lists there are is the directory's, and came with the mail.

// entryID names a person: by the address book where the directory knows him, else by his address.
func (m *Mail) entryID(a mime.Address) mapi.Value {
	s := AddressOf(a)
	if s == "" {
		return nil
	}
	for i := range m.About.Known {
		if k := &m.About.Known[i]; strings.EqualFold(k.Address, s) {
			return mapi.Binary(oxcdata.AddressBookOf(oxcdata.DisplayMailUser, k.LegacyDN).Append(nil))
		}
	}
	name, _ := shownName(a).(mapi.String)
	return mapi.Binary(oxcdata.OneOffOf(string(name), "SMTP", a.Local+"@"+a.Host).Append(nil))
}

// MemberOfDL implements mapi.Members.
func (m *Mail) MemberOfDL(member, list []byte) bool {
	who, whoKnown := legacyDN(member)
	dn, listKnown := legacyDN(list)
	if !whoKnown || !listKnown {
		return false
	}
	id, ok := directory.IdentityOf(dn)
	return ok && slices.ContainsFunc(m.About.Memberships, func(x exmdb.Membership) bool {
		return strings.EqualFold(x.LegacyDN, who) && slices.Contains(x.Lists, id)
	})
}

func legacyDN(entryID []byte) (string, bool) {
	id, err := oxcdata.ParseEntryID(entryID)
	if err != nil {
		return "", false
	}
	book, ok := id.(*oxcdata.AddressBookEntryID)
	if !ok {
		return "", false
	}
	return book.DN, true
}

// MemberOfDL implements mapi.Members.
func (r *recipient) MemberOfDL(member, list []byte) bool { return r.mail.MemberOfDL(member, list) }
