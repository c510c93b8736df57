package imap

import (
	"context"
	"errors"
	"fmt"

	"github.com/emersion/go-imap/v2"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/frontends/imap/imapwire"
)

// reply is a status response: kind, response code without brackets, text.
type reply struct {
	kind imap.StatusResponseType
	code string
	text string
}

// refusal is a reply as an error.
type refusal struct{ reply }

func (r *refusal) Error() string { return string(r.kind) + " [" + r.code + "] " + r.text }

func no(code imap.ResponseCode, text string) error {
	return &refusal{reply{imap.StatusResponseTypeNo, string(code), text}}
}

func bad(text string) error {
	return &refusal{reply{imap.StatusResponseTypeBad, "", text}}
}

var (
	// errCut ends a session without a word, in the middle of a response that cannot be completed.
	errCut = errors.New("response could not be completed")
	// errInjected ends a session whose client, or somebody between, sent commands ahead of the TLS handshake.
	errInjected = fmt.Errorf("octets before the handshake: %w", errCut)
	// errAnswered says that the command's tagged answer is written.
	errAnswered = errors.New("answered")
)

// statusError is the refusal of a kind.
func statusError(kind cluster.Kind) error { return &refusal{kinds()[kind]} }

// Response codes that go-imap does not name.
const (
	codeModified      = "MODIFIED"      // RFC 7162 3.1.3
	codeHighestModSeq = "HIGHESTMODSEQ" // RFC 7162 3.1.2.1
	codeExpungeIssued = "EXPUNGEISSUED" // RFC 5530 3
	codeUseAttr       = "USEATTR"       // RFC 6154 3
	codeBadCharset    = "BADCHARSET"    // RFC 9051 7.1
)

// kinds turns the kinds of refusal into replies; every kind of exmdb and cluster that can reach a front-end has a row.
func kinds() map[cluster.Kind]reply {
	refuse := func(code imap.ResponseCode, text string) reply {
		return reply{imap.StatusResponseTypeNo, string(code), text}
	}
	later := refuse(imap.ResponseCodeUnavailable, "Mailbox is not available now, try again")
	return map[cluster.Kind]reply{
		exmdb.KindNoMailbox:     refuse(imap.ResponseCodeContactAdmin, "There is no mailbox for this account"),
		exmdb.KindNoFolder:      refuse(imap.ResponseCodeNonExistent, "No such mailbox"),
		exmdb.KindNoMessage:     refuse(codeExpungeIssued, "Message is gone"),
		exmdb.KindFolderExists:  refuse(imap.ResponseCodeAlreadyExists, "Mailbox exists"),
		exmdb.KindBadName:       refuse(imap.ResponseCodeCannot, "Mailbox name is not allowed"),
		exmdb.KindSearchFolder:  refuse(imap.ResponseCodeCannot, "Mailbox name is not allowed"),
		exmdb.KindFixedFolder:   refuse(imap.ResponseCodeCannot, "This mailbox is a fixed one"),
		exmdb.KindAccessDenied:  refuse(imap.ResponseCodeNoPerm, "Access denied"),
		exmdb.KindOverQuota:     refuse(imap.ResponseCodeOverQuota, "Mailbox is full"),
		exmdb.KindTooBig:        refuse(imap.ResponseCodeTooBig, "Message is too big"),
		exmdb.KindBadContent:    refuse(imap.ResponseCodeServerBug, "Message could not be stored"),
		exmdb.KindStaleToken:    refuse(imap.ResponseCodeClientBug, "Select the mailbox again"),
		exmdb.KindConflict:      refuse(imap.ResponseCodeInUse, "Changed by somebody else"),
		exmdb.KindHasChildren:   refuse(imap.ResponseCodeHasChildren, "Mailbox has children, delete them first"),
		exmdb.KindCycle:         refuse(imap.ResponseCodeCannot, "A mailbox cannot be moved below itself"),
		exmdb.KindKeywordLimit:  refuse(imap.ResponseCodeLimit, "Too many different keywords"),
		exmdb.KindNoSuchUser:    refuse(imap.ResponseCodeAuthenticationFailed, "Sign-in failed"),
		exmdb.KindBadPassword:   refuse(imap.ResponseCodeAuthenticationFailed, "Sign-in failed"),
		exmdb.KindThrottled:     refuse(imap.ResponseCodeLimit, "Too many failures, try again later"),
		exmdb.KindDisabled:      refuse(imap.ResponseCodeAuthorizationFailed, "Sign-in is not allowed"),
		cluster.KindOverloaded:  refuse(imap.ResponseCodeUnavailable, "Server is busy, try again"),
		cluster.KindTooLarge:    refuse(imap.ResponseCodeLimit, "Too much at once"),
		cluster.KindDiskFull:    refuse(imap.ResponseCodeUnavailable, "Server is out of room, try again later"),
		cluster.KindNotLeader:   later,
		cluster.KindUnavailable: later,
		cluster.KindNoSpace:     later,
		cluster.KindMoving:      later,
		cluster.KindDeadline:    later,
		cluster.KindNoMethod:    later,
		cluster.KindDamaged:     later,
		// the effect may be there: the client has to look (CLUSTER 1.7)
		cluster.KindUnknownOutcome: refuse(imap.ResponseCodeUnavailable, "Outcome is not known, look before trying again"),
		cluster.KindStaleRequest:   refuse(imap.ResponseCodeUnavailable, "Outcome is not known, look before trying again"),
		cluster.KindContentMissing: later,
	}
}

// statusOf is the answer to a command that ended in err. It never shows an error's own text, but that of mistakes in
// the client's grammar.
func statusOf(err error) reply {
	var refused *refusal
	if errors.As(err, &refused) {
		return refused.reply
	}
	var syntax *imapwire.SyntaxError
	if errors.As(err, &syntax) {
		return reply{imap.StatusResponseTypeBad, "", syntax.Text}
	}
	if errors.Is(err, imapwire.ErrTooLong) {
		return reply{imap.StatusResponseTypeBad, string(imap.ResponseCodeLimit), "Command is too long"}
	}
	var known *cluster.Error
	if errors.As(err, &known) {
		if r, ok := kinds()[known.Kind]; ok {
			return r
		}
	} else if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return reply{imap.StatusResponseTypeNo, string(imap.ResponseCodeUnavailable), "Command took too long"}
	}
	return reply{imap.StatusResponseTypeNo, string(imap.ResponseCodeServerBug), "Internal error"}
}

// kindOf is the kind of err, zero if it has none.
func kindOf(err error) cluster.Kind {
	var known *cluster.Error
	if errors.As(err, &known) {
		return known.Kind
	}
	return 0
}
