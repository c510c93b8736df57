package imap

import (
	"context"

	"github.com/flotilla-mail/flotilla/frontends/imap/imapwire"
)

// state is where a session is (RFC 9051 3); a row of the command table holds the set of states that allow it.
type state uint8

const (
	notAuthenticated state = 1 << iota
	authenticated
	selected
	loggedOut

	anyState  = notAuthenticated | authenticated | selected
	signedIn  = authenticated | selected
	inMailbox = selected
)

func (s state) String() string {
	switch s {
	case notAuthenticated:
		return "not signed in"
	case authenticated:
		return "signed in, no mailbox selected"
	case selected:
		return "in a mailbox"
	}
	return "over"
}

// pace says which deadline a command has.
type pace uint8

const (
	quick     pace = iota // Config.CommandTimeout
	transfers             // Config.TransferTimeout
	waits                 // none of its own: IDLE
)

// command is a row of the command table.
type command struct {
	name string
	in   state
	pace pace
	// tells says what of the selected mailbox's news follows the command's own responses, whether it found anything
	// to do or not: a client that only searches and fetches has to hear of new mail as well.
	tells news
	spec  string
	run   action
}

// action parses a command's arguments and performs it.
type action func(*session, context.Context) error

// commandTable is what the server understands. The name of a UID command has two words.
func commandTable() map[string]*command {
	rows := []command{
		{"CAPABILITY", anyState, quick, silent, "RFC 9051 6.1.1", plain((*session).capability)},
		{"NOOP", anyState, quick, silent, "RFC 9051 6.1.2", plain((*session).noop)},
		{"LOGOUT", anyState, quick, silent, "RFC 9051 6.1.3", plain((*session).logout)},
		{"ID", anyState, quick, silent, "RFC 2971 3.1", with(parseID, (*session).id)},
		{"STARTTLS", notAuthenticated, quick, silent, "RFC 9051 6.2.1", plain((*session).startTLS)},
		{"AUTHENTICATE", notAuthenticated, quick, silent, "RFC 9051 6.2.2", with(parseAuthenticate, (*session).authenticate)},
		{"LOGIN", notAuthenticated, quick, silent, "RFC 9051 6.2.3", with(parseLogin, (*session).login)},
		{"ENABLE", signedIn, quick, silent, "RFC 9051 6.3.1", with(parseEnable, (*session).enable)},
		{"SELECT", signedIn, quick, silent, "RFC 9051 6.3.2", with(parseSelect, (*session).selectWrite)},
		{"EXAMINE", signedIn, quick, silent, "RFC 9051 6.3.3", with(parseSelect, (*session).selectRead)},
		{"CREATE", signedIn, quick, silent, "RFC 9051 6.3.4", with(parseCreate, (*session).create)},
		{"DELETE", signedIn, quick, silent, "RFC 9051 6.3.5", with(parseMailbox, (*session).delete)},
		{"RENAME", signedIn, transfers, silent, "RFC 9051 6.3.6", with(parseRename, (*session).rename)},
		{"SUBSCRIBE", signedIn, quick, silent, "RFC 9051 6.3.7", with(parseMailbox, (*session).subscribe)},
		{"UNSUBSCRIBE", signedIn, quick, silent, "RFC 9051 6.3.8", with(parseMailbox, (*session).unsubscribe)},
		{"LIST", signedIn, quick, silent, "RFC 9051 6.3.9", with(parseList, (*session).list)},
		{"LSUB", signedIn, quick, silent, "RFC 3501 6.3.9", with(parseLsub, (*session).lsub)},
		{"NAMESPACE", signedIn, quick, silent, "RFC 9051 6.3.10", plain((*session).namespace)},
		{"STATUS", signedIn, quick, silent, "RFC 9051 6.3.11", with(parseStatus, (*session).statusCommand)},
		{"GETQUOTA", signedIn, quick, silent, "RFC 9208 4.1.1", with(parseQuotaRoot, (*session).getQuota)},
		{"GETQUOTAROOT", signedIn, quick, silent, "RFC 9208 4.1.2", with(parseMailbox, (*session).getQuotaRoot)},
		{"SETQUOTA", signedIn, quick, silent, "RFC 9208 4.1.3", with(parseSetQuota, (*session).setQuota)},
		{"APPEND", signedIn, transfers, expunges, "RFC 9051 6.3.12", (*session).appendCommand},
		{"IDLE", signedIn, waits, silent, "RFC 9051 6.3.13", plain((*session).idle)},
		{"CHECK", inMailbox, quick, silent, "RFC 3501 6.4.1", plain((*session).noop)},
		{"CLOSE", inMailbox, transfers, silent, "RFC 9051 6.4.1", plain((*session).closeMailbox)},
		{"UNSELECT", inMailbox, quick, silent, "RFC 9051 6.4.2", plain((*session).unselect)},
		{"EXPUNGE", inMailbox, transfers, expunges, "RFC 9051 6.4.3", plain((*session).expunge)},
		{"UID EXPUNGE", inMailbox, transfers, expunges, "RFC 9051 6.4.9", with(parseUIDs, (*session).uidExpunge)},
		{"SEARCH", inMailbox, transfers, noExpunges, "RFC 9051 6.4.4", with(parseSearch, (*session).search)},
		{"UID SEARCH", inMailbox, transfers, expunges, "RFC 9051 6.4.9", with(byUID(parseSearch), (*session).search)},
		{"FETCH", inMailbox, transfers, noExpunges, "RFC 9051 6.4.5", with(parseFetch, (*session).fetch)},
		{"UID FETCH", inMailbox, transfers, expunges, "RFC 9051 6.4.9", with(byUID(parseFetch), (*session).fetch)},
		{"STORE", inMailbox, transfers, silent, "RFC 9051 6.4.6", with(parseStore, (*session).store)},
		{"UID STORE", inMailbox, transfers, silent, "RFC 9051 6.4.9", with(byUID(parseStore), (*session).store)},
		{"COPY", inMailbox, transfers, expunges, "RFC 9051 6.4.7", with(parseCopy, (*session).copy)},
		{"UID COPY", inMailbox, transfers, expunges, "RFC 9051 6.4.9", with(byUID(parseCopy), (*session).copy)},
		{"MOVE", inMailbox, transfers, expunges, "RFC 9051 6.4.8", with(parseCopy, (*session).move)},
		{"UID MOVE", inMailbox, transfers, expunges, "RFC 9051 6.4.9", with(byUID(parseCopy), (*session).move)},
	}
	table := make(map[string]*command, len(rows))
	for i := range rows {
		table[rows[i].name] = &rows[i]
	}
	return table
}

// plain is a command without arguments.
func plain(handle func(*session, context.Context) error) action {
	return func(s *session, ctx context.Context) error {
		if s.dec.CRLF(); s.dec.Err() != nil {
			return s.dec.Err()
		}
		return handle(s, ctx)
	}
}

// with is a command whose arguments parse reads, from the octet behind the command's name to the end of the line.
func with[A any](parse func(*imapwire.Decoder) A, handle func(*session, context.Context, A) error) action {
	return func(s *session, ctx context.Context) error {
		args := parse(s.dec)
		if s.dec.CRLF(); s.dec.Err() != nil {
			return s.dec.Err()
		}
		return handle(s, ctx, args)
	}
}

// uidForm is an argument that knows whether the command is a UID command.
type uidForm interface{ setUID() }

// byUID parses a UID command by the parser of the command without UID.
func byUID[A uidForm](parse func(*imapwire.Decoder) A) func(*imapwire.Decoder) A {
	return func(d *imapwire.Decoder) A {
		args := parse(d)
		args.setUID()
		return args
	}
}

func parseMailbox(d *imapwire.Decoder) string {
	d.SP()
	return d.Mailbox()
}
