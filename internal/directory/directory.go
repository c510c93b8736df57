// Package directory says who there is: users, resources, distribution lists, contacts and domains, and which mailboxes
// an address leads to.
//
// It knows names and identities, never how a person proves to be one (internal/auth) or what a mailbox holds. Its
// root is the contract; builtin keeps the objects in the system group. Invariants (MAILBOX 1): an object's GUID, SID
// and legacyExchangeDN are given at creation and never change; an address belongs to one object. Tags reach disk and
// are never reused.
package directory

import (
	"context"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/idna"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// Kind says what an object is. Numbers reach disk.
type Kind uint8

// The kinds of object.
const (
	KindUser     Kind = 1
	KindShared   Kind = 2
	KindResource Kind = 3
	KindList     Kind = 4
	KindContact  Kind = 5
	// KindRoom and KindEquipment are resources that answer requests by themselves, KindArchive and KindPublic mailboxes to
	// which no mail leads (MAILBOX 1).
	KindRoom      Kind = 6
	KindEquipment Kind = 7
	KindArchive   Kind = 8
	KindPublic    Kind = 9
)

var kindNames = [...]string{"", "user", "shared", "resource", "list", "contact", "room", "equipment", "archive", "public"}

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// KindByName reads a kind.
func KindByName(name string) (Kind, bool) {
	i := slices.Index(kindNames[1:], name) + 1
	return Kind(i), i > 0
}

// KindNames lists the kinds for a message.
func KindNames() string { return strings.Join(kindNames[1:], ", ") }

// TakesMail reports whether mail to an object of the kind goes anywhere.
func (k Kind) TakesMail() bool { return k != KindArchive && k != KindPublic }

// Object is a directory object. Rights and per-user state refer to its GUID, never to an address.
type Object struct {
	GUID mapi.GUID `wire:"1" json:"guid"`
	Kind Kind      `wire:"2" json:"kind"`
	// SID is the object's security identifier in MS-DTYP 2.4.2.1 string form.
	SID string `wire:"3" json:"sid"`
	// LegacyDN is the legacyExchangeDN: the X.500 name that entry ids of Outlook carry.
	LegacyDN string `wire:"4" json:"legacy_dn"`
	// Address is the primary address; Aliases are the others. All are normalised.
	Address string   `wire:"5" json:"address"`
	Aliases []string `wire:"6" json:"aliases,omitempty"`
	Name    string   `wire:"7" json:"name"`
	// Mailbox is zero for objects without one.
	Mailbox mapi.MailboxID `wire:"8" json:"mailbox"`
	// Disabled bars sign-in; mail is still delivered.
	Disabled bool `wire:"9" json:"disabled,omitempty"`
	// Barred names protocols the user may not sign in with.
	Barred []string `wire:"10" json:"barred,omitempty"`
	// CredentialVersion rises with every change of password (MAILBOX 8).
	CredentialVersion uint32 `wire:"11" json:"-"`
	// Quota is the storage limit in bytes, zero for none.
	Quota uint64 `wire:"12" json:"quota,omitempty"`
	// Members are a list's addresses: of ours, or others.
	Members []string  `wire:"13" json:"members,omitempty"`
	Created time.Time `wire:"14" json:"created"`
	// Senders is who may send to a list; Allowed are objects that may whatever it says: people, and lists for their members.
	Senders SenderPolicy `wire:"15" json:"senders,omitempty"`
	Allowed []mapi.GUID  `wire:"16" json:"allowed,omitempty"`
	// FullAccess are the objects that have the object's mailbox as its owner has it, SendAs those that may send under its
	// addresses. A list there stands for its members.
	FullAccess []mapi.GUID `wire:"17" json:"full_access,omitempty"`
	SendAs     []mapi.GUID `wire:"18" json:"send_as,omitempty"`
	// Booking is what is done with requests for meetings.
	Booking BookingPolicy `wire:"19" json:"booking,omitempty"`
	// Zone is the time zone that whole days and times without one are in, by its name in the tz database; empty is UTC.
	Zone    string       `wire:"20" json:"zone,omitempty"`
	Unknown wire.Unknown `json:"-"`
}

// Addresses are all addresses of an object, the primary one first.
func (o *Object) Addresses() []string { return append([]string{o.Address}, o.Aliases...) }

// BookingPolicy is what a mailbox does by itself with mail about meetings. Numbers reach disk.
type BookingPolicy uint8

// The policies. By its kind, a mailbox of people enters them as tentative, and a room or a piece of equipment answers: yes
// when it is free, no when it is not.
const (
	BookingAuto      BookingPolicy = 0
	BookingTentative BookingPolicy = 1
	BookingOff       BookingPolicy = 2
)

var bookingNames = [...]string{"auto", "tentative", "off"}

func (p BookingPolicy) String() string {
	if int(p) < len(bookingNames) {
		return bookingNames[p]
	}
	return "unknown"
}

// BookingPolicyByName reads a policy.
func BookingPolicyByName(name string) (BookingPolicy, bool) {
	i := slices.Index(bookingNames[:], name)
	return BookingPolicy(max(i, 0)), i >= 0
}

// Meetings is what becomes of mail about meetings in the object's mailbox.
func (o *Object) Meetings() exmdb.MeetingHandling {
	resource := o.Kind == KindRoom || o.Kind == KindEquipment || o.Kind == KindResource
	switch {
	case o.Booking == BookingOff || o.Mailbox.IsZero() || !o.Kind.TakesMail():
		return exmdb.MeetingsLeft
	case o.Booking == BookingAuto && resource:
		return exmdb.MeetingsDecided
	}
	return exmdb.MeetingsEntered
}

// SenderPolicy is who may send to a list. Numbers reach disk.
type SenderPolicy uint8

// The policies. Whom only a reverse-path names is nobody: that can be written by anyone.
const (
	SendersAnyone   SenderPolicy = 0
	SendersInternal SenderPolicy = 1 // people of ours who have signed in
	SendersMembers  SenderPolicy = 2
	SendersNamed    SenderPolicy = 3 // those who are allowed by name only
)

var policyNames = [...]string{"anyone", "internal", "members", "named"}

func (p SenderPolicy) String() string {
	if int(p) < len(policyNames) {
		return policyNames[p]
	}
	return "unknown"
}

// SenderPolicyByName reads a policy.
func SenderPolicyByName(name string) (SenderPolicy, bool) {
	i := slices.Index(policyNames[:], name)
	return SenderPolicy(max(i, 0)), i >= 0
}

// Grant is something that one object gives to others by their GUIDs. Numbers reach disk.
type Grant uint8

// The grants.
const (
	GrantFullAccess Grant = 1
	GrantSendAs     Grant = 2
	GrantSender     Grant = 3 // to send to a list
)

// Standing is what the directory gives somebody beside his own mailbox, as it was at one sequence of its space.
type Standing struct {
	User *Object
	// Groups are all lists he is in, directly or by other lists.
	Groups []mapi.GUID
	// FullAccess and SendAs are whose mailboxes he may use, and as whom he may send.
	FullAccess, SendAs []*Object
	Sequence           uint64
}

// Domain is a mail domain of ours.
type Domain struct {
	Name    string       `wire:"1" json:"name"`
	GUID    mapi.GUID    `wire:"2" json:"guid"`
	Created time.Time    `wire:"3" json:"created"`
	Unknown wire.Unknown `json:"-"`
}

// Recipient is one mailbox that an address leads to.
type Recipient struct {
	Mailbox mapi.MailboxID
	User    mapi.GUID
	// Address is the primary address of the mailbox's object, Aliases are the others, Name is what it is called; Quota is its
	// storage limit in bytes, zero for none.
	Address string
	Aliases []string
	Name    string
	Quota   uint64
	// Meetings is what the mailbox does with mail about meetings, Zone is the time zone of the object.
	Meetings exmdb.MeetingHandling
	Zone     string
}

// Resolution is where mail for an address goes.
type Resolution struct {
	// Mailboxes are the mailboxes of ours, each once.
	Mailboxes []Recipient
	// External are addresses elsewhere, from lists and contacts, each once.
	External []string
	// Restricted is the list that the address is of, where not everybody may send to it. Lists within a list do not ask:
	// whoever may send to the outer one reaches its members.
	Restricted mapi.GUID
}

// Directory answers from this node's copy. Negative answers are never stale: when the copy does not know, a read
// index of the system group confirms it, and where there is none the error is KindUnavailable (CLUSTER 4.4).
type Directory interface {
	// Resolve follows aliases and lists; exmdb.KindNoSuchUser when a domain of ours has no such address.
	Resolve(ctx context.Context, address string) (Resolution, error)
	// Local reports whether a domain is ours.
	Local(ctx context.Context, domain string) (bool, error)
	// Lookup finds an object by one of its addresses.
	Lookup(ctx context.Context, address string) (*Object, error)
}

// Hints is implemented by directories that can answer at once from what this node knows, however old that is: for what is
// better with the directory's word and does no harm without.
type Hints interface {
	// People reports whether the sender's domain is known to be ours, and lists the objects that some addresses are known
	// to be of, each once.
	People(ctx context.Context, sender string, addresses []string) (internal bool, people []Person)
}

// Person is an object with all lists that it is in.
type Person struct {
	*Object
	Groups []mapi.GUID
}

// LegacyDNPrefix is what every legacyExchangeDN of ours begins with; the GUID of the object follows, in hex.
const LegacyDNPrefix = "/o=Flotilla/ou=Exchange Administrative Group/cn=Recipients/cn="

// LegacyDNOf is the legacyExchangeDN that an object gets at its creation.
func LegacyDNOf(id mapi.GUID) string {
	return LegacyDNPrefix + strings.ReplaceAll(id.String(), "-", "")
}

// IdentityOf is the GUID in a legacyExchangeDN of ours.
func IdentityOf(dn string) (mapi.GUID, bool) {
	if len(dn) != len(LegacyDNPrefix)+32 || !strings.EqualFold(dn[:len(LegacyDNPrefix)], LegacyDNPrefix) {
		return mapi.GUID{}, false
	}
	s := dn[len(LegacyDNPrefix):]
	id, err := mapi.ParseGUID(s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:])
	return id, err == nil
}

// Gate is implemented by directories that know who may send to a list. Without it nobody may who would have to be asked for.
type Gate interface {
	// Admits reports whether the user who signed in with an address may send to a list. An empty address is anybody.
	Admits(ctx context.Context, list mapi.GUID, user string) (bool, error)
}

// MaxAddress is the longest address, in bytes (RFC 5321 4.5.3.1.3 less the brackets).
const MaxAddress = 254

// Normalise brings an address into the form under which it is kept: local part and domain in lower case, an
// internationalised domain in its ASCII form.
func Normalise(address string) (string, error) {
	at := strings.LastIndexByte(address, '@')
	if at <= 0 || at == len(address)-1 || len(address) > MaxAddress {
		return "", cluster.Errorf(exmdb.KindBadAddress, "%q is not an address: want name@domain", address)
	}
	local := strings.ToLower(address[:at])
	if at > 64 || strings.ContainsFunc(local, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '<' || r == '>' }) {
		return "", cluster.Errorf(exmdb.KindBadAddress, "%q is not an address: the part before @ has characters that are not allowed, or more than 64", address)
	}
	domain, err := NormaliseDomain(address[at+1:])
	if err != nil {
		return "", err
	}
	return local + "@" + domain, nil
}

// NormaliseDomain brings a domain into its lower-case ASCII form (RFC 5891).
func NormaliseDomain(domain string) (string, error) {
	ascii, err := idna.Lookup.ToASCII(strings.TrimSuffix(domain, "."))
	if err != nil || ascii == "" || len(ascii) > 253 || strings.ContainsAny(ascii, " /\\@") {
		return "", cluster.Errorf(exmdb.KindBadAddress, "%q is not a domain", domain)
	}
	return strings.ToLower(ascii), nil
}

// DomainOf is the part of a normalised address behind the @.
func DomainOf(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }
