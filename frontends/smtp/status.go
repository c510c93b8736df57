package smtp

import (
	"context"
	"errors"

	"github.com/emersion/go-smtp"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mailflow"
)

func answer(code int, class, subject, detail int, text string) *smtp.SMTPError {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{class, subject, detail}, Message: text}
}

// replies are the refusals that need no error from below.
var replies = struct {
	authRequired, notYourAddress, noAuth, noMechanism, closing, tooManyConnections *smtp.SMTPError
}{
	answer(530, 5, 7, 0, "Sign in first"),
	answer(553, 5, 7, 1, "That is not an address of yours"),
	answer(503, 5, 5, 1, "There is no sign-in on this port"),
	answer(504, 5, 5, 4, "Mechanism not known: use PLAIN or LOGIN"),
	answer(421, 4, 3, 2, "Closing down, try another host"),
	answer(421, 4, 7, 0, "Too many connections, try later"),
}

// internal is the answer to what is not in the table.
var internal = answer(451, 4, 3, 0, "Local error, try later")

// statuses gives every kind of refusal its reply (RFC 5321 4.2, RFC 3463).
var statuses = map[cluster.Kind]*smtp.SMTPError{
	exmdb.KindNoSuchUser:       answer(550, 5, 1, 1, "No such user here"),
	exmdb.KindNoMailbox:        answer(451, 4, 2, 1, "Mailbox not available now"),
	exmdb.KindBadAddress:       answer(553, 5, 1, 3, "That is not an address"),
	mailflow.KindRelay:         answer(550, 5, 7, 1, "Relaying is not permitted"),
	mailflow.KindSender:        answer(553, 5, 7, 1, "That is not an address of yours"),
	mailflow.KindTooMany:       answer(452, 4, 5, 3, "Too many recipients"),
	mailflow.KindLoop:          answer(554, 5, 4, 6, "Too many hops"),
	exmdb.KindOverQuota:        answer(552, 5, 2, 2, "Mailbox is full"),
	exmdb.KindTooBig:           answer(552, 5, 3, 4, "Message is too big"),
	cluster.KindTooLarge:       answer(552, 5, 3, 4, "Message is too big"),
	exmdb.KindBadContent:       answer(554, 5, 6, 0, "Message cannot be stored"),
	exmdb.KindBadPassword:      answer(535, 5, 7, 8, "User name or password is wrong"),
	exmdb.KindDisabled:         answer(535, 5, 7, 13, "The account may not sign in here"),
	exmdb.KindThrottled:        answer(454, 4, 7, 0, "Too many failures, try later"),
	cluster.KindUnavailable:    answer(451, 4, 3, 0, "Not available now, try later"),
	cluster.KindUnknownOutcome: answer(451, 4, 3, 0, "Not known to be stored, try again"),
	cluster.KindNotLeader:      answer(451, 4, 3, 0, "Not available now, try later"),
	cluster.KindOverloaded:     answer(451, 4, 3, 2, "Overloaded, try later"),
	cluster.KindDeadline:       answer(451, 4, 3, 0, "Took too long, try again"),
	cluster.KindDiskFull:       answer(452, 4, 3, 1, "Disk is nearly full, try later"),
	cluster.KindMoving:         answer(451, 4, 3, 0, "Mailbox is moving, try again"),
}

// reply turns an error into what the client is told. What is not in the table is logged and said to be temporary:
// the mail is then kept by the sender.
func (x *session) reply(err error) error {
	var own *smtp.SMTPError
	if errors.As(err, &own) {
		return own
	}
	if r := statuses[cluster.KindOf(err)]; r != nil {
		return r
	}
	if x.ctx.Err() == nil && !errors.Is(err, context.Canceled) {
		x.log.Error("mail not stored", "code", "SM-1002", "err", err)
	}
	return internal
}

// temporary reports whether an error would be answered by 4xx.
func temporary(err error) bool {
	r := statuses[cluster.KindOf(err)]
	return r == nil || r.Code < 500
}
