package rules

import (
	"slices"
	"strings"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

// Reason is why something is not sent, in words for a log; empty when it is.
type Reason string

// The reasons.
const (
	ReasonNullSender   Reason = "null reverse-path"
	ReasonSelf         Reason = "sent by the user himself"
	ReasonSystem       Reason = "sent by a system"
	ReasonAutomatic    Reason = "sent automatically"
	ReasonList         Reason = "sent to a list"
	ReasonBulk         Reason = "bulk mail"
	ReasonReport       Reason = "a report about another mail"
	ReasonSuppressed   Reason = "the sender wants no such answer"
	ReasonLoop         Reason = "handed on by this mailbox before"
	ReasonHops         Reason = "too many hops"
	ReasonUnreadable   Reason = "header beyond what is looked at"
	ReasonUnknown      Reason = "nothing known of the mailbox's addresses"
	ReasonNotAddressed Reason = "the user is not among the recipients"
	ReasonAudience     Reason = "the sender is not one who is told"
	ReasonAnswered     Reason = "the sender has been told"
	ReasonNotAway      Reason = "the user is not away"
	ReasonNoText       Reason = "there is no text"
	ReasonTooMany      Reason = "too many things sent for one mail"
)

const (
	// maxHops is how many systems a mail may have passed before it goes on (RFC 5321 6.3 asks for 100 at least before mail is
	// refused; this is about mail that we would make more of).
	maxHops = 30
	// maxLoops is how many mailboxes' rules may hand a mail on, one after another.
	maxLoops = 3
)

// mayGoOn says why a message must not be handed on.
func (m *Mail) mayGoOn() Reason {
	f := m.Facts()
	switch {
	case m.Header == nil:
		return ReasonUnreadable
	case len(m.About.Own) == 0:
		return ReasonUnknown
	case len(f.Loops) >= maxLoops || slices.ContainsFunc(f.Loops, m.isOwn):
		return ReasonLoop
	case f.Hops > maxHops:
		return ReasonHops
	}
	return ""
}

// mayAnswer says why a message must not be answered by a machine (RFC 3834 2, RFC 5230 4.6).
func (m *Mail) mayAnswer(kind Suppress) Reason {
	if why := m.mayGoOn(); why != "" {
		return why
	}
	f := m.Facts()
	switch {
	case m.From == "":
		return ReasonNullSender
	case m.isOwn(m.From) || m.isOwn(AddressOf(m.author())):
		return ReasonSelf
	case isSystem(m.From) || isSystem(AddressOf(m.author())):
		return ReasonSystem
	case f.Report:
		return ReasonReport
	case f.Automatic:
		return ReasonAutomatic
	case f.List:
		return ReasonList
	case f.Bulk:
		return ReasonBulk
	case f.Suppress&kind != 0:
		return ReasonSuppressed
	}
	return ""
}

// Local parts of systems, whose mail no machine answers: whole, or as the beginning or end of one.
var (
	systems = []string{"mailer-daemon", "postmaster", "listserv", "majordomo", "sympa", "noreply", "no-reply", "no_reply",
		"donotreply", "do-not-reply", "do_not_reply", "bounce", "bounces"}
	systemPrefixes = []string{"owner-", "noreply", "no-reply", "no_reply", "donotreply", "do-not-reply", "bounce-", "bounce+",
		"bounces-", "bounces+", "mailer-daemon", "msprvs1="}
	systemSuffixes = []string{"-request", "-owner", "-bounces", "-bounce", "-noreply", "-no-reply", ".noreply", ".no-reply"}
)

func isSystem(address string) bool {
	local := address
	if at := strings.LastIndexByte(address, '@'); at >= 0 {
		local = address[:at]
	}
	local = strings.ToLower(local)
	return slices.Contains(systems, local) ||
		slices.ContainsFunc(systemPrefixes, func(p string) bool { return strings.HasPrefix(local, p) }) ||
		slices.ContainsFunc(systemSuffixes, func(p string) bool { return strings.HasSuffix(local, p) })
}

// Recipient is whom a forward is for: by Address, or by DN where the client gave a legacyExchangeDN alone.
type Recipient struct {
	Name    string
	Address string
	DN      string
}

// recipientsOf are the recipients of a forward, each once and not the user himself; bad counts those that no address leads
// to.
func (m *Mail) recipientsOf(list mapi.ForwardAction) (to []Recipient, bad int) {
	for _, props := range list {
		r := recipientOf(props)
		known := func(o Recipient) bool {
			return strings.EqualFold(o.Address, r.Address) && strings.EqualFold(o.DN, r.DN)
		}
		switch {
		case r.Address == "" && r.DN == "":
			bad++
		case m.isOwn(r.Address) || slices.ContainsFunc(to, known):
		default:
			to = append(to, r)
		}
	}
	return to, bad
}

// recipientOf reads whom properties of a client mean (MS-OXORULE 2.2.5.1.2.4): by its SMTP address, by address and type,
// else by what the entry id says.
func recipientOf(props []mapi.Prop) Recipient {
	bag := new(mapi.PropBag)
	for _, p := range props {
		bag.Set(p.Tag, p.Value)
	}
	r := Recipient{Name: text(bag, mapi.PidTagDisplayName), Address: text(bag, mapi.PidTagSmtpAddress)}
	if r.Address != "" {
		return r
	}
	r.Address, r.DN = addressed(text(bag, mapi.PidTagAddressType), text(bag, mapi.PidTagEmailAddress))
	if r.Address != "" || r.DN != "" {
		return r
	}
	b, _ := bag.Get(mapi.PidTagEntryId).(mapi.Binary)
	id, err := oxcdata.ParseEntryID(b)
	if err != nil {
		return r
	}
	switch id := id.(type) {
	case *oxcdata.OneOffEntryID:
		r.Address, r.DN = addressed(id.AddressType, id.EmailAddress)
	case *oxcdata.AddressBookEntryID:
		r.DN = id.DN
	}
	return r
}

// addressed tells addresses of the two types that there are apart.
func addressed(kind, address string) (smtp, dn string) {
	switch {
	case strings.EqualFold(kind, "SMTP"):
		return address, ""
	case strings.EqualFold(kind, "EX"):
		return "", address
	}
	return "", ""
}

// Away is what the question whether a sender is told asks of the mailbox.
type Away struct {
	Settings *exmdb.OOFSettings
	// Active says that the user is away now.
	Active bool
	// Contact reports whether an address is one of the user's contacts; Answered, whether its sender has been told lately.
	Contact  func(address string) (bool, error)
	Answered func(address string) (bool, error)
}

// Tell is the text with which the sender of a message is told that the user is away; nil and why, when he is not (MS-OXWOOF
// 3.2). What costs most is asked last.
func Tell(m *Mail, a *Away) (*exmdb.ReplyText, Reason, error) {
	if !a.Active {
		return nil, ReasonNotAway, nil
	}
	if why := m.mayAnswer(SuppressOOF); why != "" {
		return nil, why, nil
	}
	if !m.namesMe() {
		return nil, ReasonNotAddressed, nil
	}
	t := &a.Settings.External
	switch {
	case m.About.Internal:
		t = &a.Settings.Internal
	case a.Settings.Audience == exmdb.OOFNone:
		return nil, ReasonAudience, nil
	}
	if t.Plain == "" && t.HTML == "" {
		return nil, ReasonNoText, nil
	}
	if done, err := a.Answered(m.From); err != nil || done {
		return nil, ReasonAnswered, err
	}
	if m.About.Internal || a.Settings.Audience == exmdb.OOFAll {
		return t, "", nil
	}
	known, err := a.Contact(m.From)
	if err != nil || !known {
		return nil, ReasonAudience, err
	}
	return t, "", nil
}
