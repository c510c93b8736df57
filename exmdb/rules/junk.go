package rules

import (
	"strings"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/directory"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
)

// Verdict is what junk filing finds.
type Verdict struct {
	Junk bool
	Why  Reason
}

// The reasons for a verdict.
const (
	ReasonSafeSender    Reason = "a safe sender"
	ReasonSafeRecipient Reason = "to a safe recipient"
	ReasonBlocked       Reason = "a blocked sender"
	ReasonSpam          Reason = "spam, a filter says"
	ReasonStranger      Reason = "not a safe sender"
)

// Lists is what junk filing asks of the user's lists.
type Lists struct {
	// Has reports whether a list has an entry, in the form of JunkEntry; nil where the user has no lists.
	Has func(list exmdb.JunkList, entry string) (bool, error)
	// Contact reports whether an address is one of the user's contacts.
	Contact func(address string) (bool, error)
}

// maxSafeRecipients is how many recipients of a mail are looked up.
const maxSafeRecipients = 50

// JudgeJunk says whether a message is filed as junk (MS-OXCSPAM 3.1.5.1). Whom the user calls safe is, whatever a filter
// says; whom he blocks is not.
func JudgeJunk(m *Mail, s *exmdb.JunkSettings, l *Lists) (Verdict, error) {
	if s.Off {
		return Verdict{}, nil
	}
	threshold := int(s.Threshold)
	if threshold == 0 {
		threshold = exmdb.DefaultJunkThreshold
	}
	if v, err := l.judge(m); err != nil || v.Why != "" {
		return v, err
	}
	v := Verdict{Junk: true}
	switch {
	case m.isSafe():
		return Verdict{}, nil
	case m.Facts().Spam >= threshold:
		v.Why = ReasonSpam
	case s.OnlySafe:
		v.Why = ReasonStranger
	default:
		return Verdict{}, nil
	}
	if author := AddressOf(m.author()); s.TrustContacts && author != "" {
		// All contacts are looked through for this, so it is asked for what else were junk only.
		known, err := l.Contact(author)
		if err != nil {
			return Verdict{}, err
		}
		if known {
			return Verdict{Why: ReasonSafeSender}, nil
		}
	}
	return v, nil
}

// judge is what the user's lists say; nothing of a mail that is on none.
func (l *Lists) judge(m *Mail) (Verdict, error) {
	if l.Has == nil {
		return Verdict{}, nil // the structure of the mail need not be read
	}
	safe, err := l.safe(m)
	if err != nil || safe != "" {
		return Verdict{Why: safe}, err
	}
	for _, a := range m.senders() {
		blocked, err := l.has(exmdb.JunkBlocked, a)
		if err != nil {
			return Verdict{}, err
		}
		if blocked {
			return Verdict{Junk: true, Why: ReasonBlocked}, nil
		}
	}
	return Verdict{}, nil
}

// senders are the addresses under which a mail says that it was sent, each once.
func (m *Mail) senders() []string {
	var list []string
	for _, a := range []string{AddressOf(m.author()), AddressOf(m.sender()), strings.ToLower(m.From)} {
		known := a == ""
		for _, o := range list {
			known = known || o == a
		}
		if !known {
			list = append(list, a)
		}
	}
	return list
}

// safe says why a mail is safe by the user's word. Only its author counts, since that is whom the user sees.
func (l *Lists) safe(m *Mail) (Reason, error) {
	found, err := l.has(exmdb.JunkSafeSenders, AddressOf(m.author()))
	if err != nil {
		return "", err
	}
	if found {
		return ReasonSafeSender, nil
	}
	looked := 0
	e := m.envelope()
	for _, list := range [][]mime.Address{e.To, e.Cc} {
		for _, a := range list {
			if looked++; looked > maxSafeRecipients {
				return "", nil
			}
			found, err := l.has(exmdb.JunkSafeRecipients, AddressOf(a))
			if err != nil {
				return "", err
			}
			if found {
				return ReasonSafeRecipient, nil
			}
		}
	}
	return "", nil
}

// has reports whether a list has an address, its domain, or a domain above that.
func (l *Lists) has(list exmdb.JunkList, address string) (bool, error) {
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return false, nil
	}
	if found, err := l.Has(list, address); err != nil || found {
		return found, err
	}
	for domain := address[at+1:]; strings.Contains(domain, "."); {
		if found, err := l.Has(list, "@"+domain); err != nil || found {
			return found, err
		}
		_, domain, _ = strings.Cut(domain, ".")
	}
	return false, nil
}

// JunkEntry is the form in which an address or a domain stands in a list: the address in small letters, or the domain
// behind an @. ok is false for what is neither.
func JunkEntry(s string) (entry string, ok bool) {
	s = strings.TrimSpace(s)
	if at := strings.LastIndexByte(s, '@'); at > 0 {
		a, err := directory.Normalise(s)
		return a, err == nil
	}
	d, err := directory.NormaliseDomain(strings.TrimPrefix(s, "@"))
	return "@" + d, err == nil && strings.Contains(d, ".")
}
