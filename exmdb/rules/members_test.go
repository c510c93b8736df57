package rules

import (
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/directory"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

func TestMembersOfLists(t *testing.T) {
	team, other := mapi.NewGUID(), mapi.NewGUID()
	list := func(dn string) mapi.Value {
		return mapi.Binary(oxcdata.AddressBookOf(oxcdata.DisplayList, dn).Append(nil))
	}
	member := func(t mapi.Tag, list mapi.Value) mapi.Restriction {
		return &mapi.PropertyRestriction{Op: mapi.RelOpMemberOfDL, Tag: t, Value: mapi.Prop{Tag: t, Value: list}}
	}
	recipient := func(r mapi.Restriction) mapi.Restriction {
		return &mapi.SubObjectRestriction{Tag: mapi.PidTagMessageRecipients, Of: r}
	}
	header := "From: Bob <bob@example.test>\r\nSender: carl@elsewhere.test\r\nTo: dora@example.test, x@far.test\r\n\r\n"
	m := &Mail{Digest: mime.MarshalDigest(mime.Scan([]byte(header))), Header: []byte(header), About: exmdb.Circumstances{
		Known:       []exmdb.KnownAddress{{Address: "bob@example.test", LegacyDN: bobDN}, {Address: "Dora@example.test", LegacyDN: "/o=dora"}},
		Memberships: []exmdb.Membership{{LegacyDN: bobDN, Lists: []mapi.GUID{other, team}}, {LegacyDN: "/o=dora", Lists: []mapi.GUID{other}}}}}
	for name, c := range map[string]struct {
		r    mapi.Restriction
		want bool
	}{
		"the author":                 {member(mapi.PidTagSentRepresentingEntryId, list(directory.LegacyDNOf(team))), true},
		"in another case":            {member(mapi.PidTagSentRepresentingEntryId, list(strings.ToUpper(directory.LegacyDNOf(team)))), true},
		"the sender, from elsewhere": {member(mapi.PidTagSenderEntryId, list(directory.LegacyDNOf(team))), false},
		"a list that he is not in":   {member(mapi.PidTagSentRepresentingEntryId, list(directory.LegacyDNOf(mapi.NewGUID()))), false},
		"no list of ours":            {member(mapi.PidTagSentRepresentingEntryId, list("/o=Other/cn=team")), false},
		"no address book":            {member(mapi.PidTagSentRepresentingEntryId, mapi.Binary(oxcdata.OneOffOf("t", "SMTP", "t@x").Append(nil))), false},
		"no entry id":                {member(mapi.PidTagSentRepresentingEntryId, mapi.Binary("x")), false},
		"a recipient":                {recipient(member(mapi.PidTagEntryId, list(directory.LegacyDNOf(other)))), true},
		"no recipient":               {recipient(member(mapi.PidTagEntryId, list(directory.LegacyDNOf(team)))), false},
		"he who is not":              {&mapi.NotRestriction{Of: member(mapi.PidTagSentRepresentingEntryId, list(directory.LegacyDNOf(team)))}, false},
	} {
		if got := c.r.Match(&tagged{m, new(Plan)}); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if id, err := oxcdata.ParseEntryID(m.Get(mapi.PidTagSenderEntryId).(mapi.Binary)); err != nil || id.(*oxcdata.OneOffEntryID).EmailAddress != "carl@elsewhere.test" {
		t.Errorf("%+v, %v", id, err)
	}
}
