package smtp

import (
	"errors"

	"github.com/emersion/go-smtp"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mailflow"
)

func reply(code, class, subject, detail int, text string) *smtp.SMTPError {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{class, subject, detail}, Message: text}
}

// stored is the answer that takes the mail over.
var stored = reply(250, 2, 0, 0, "Stored")

// refusals are the replies that need no error from below.
var refusals = struct {
	signIn, noSignIn, noMechanism, inMail, badExchange, nested, notYours, badSender, badRecipient, notUTF8,
	closing, nodeFull, remoteFull, tooManyFailures, tooManyRefused, cutOff, longLine, loop *smtp.SMTPError
}{
	signIn:          reply(530, 5, 7, 0, "Sign in first"),                                     // RFC 4954 6
	noSignIn:        reply(503, 5, 5, 1, "There is no sign-in on this port"),                  // RFC 4954 4
	noMechanism:     reply(504, 5, 5, 4, "Mechanism is not known, use PLAIN or LOGIN"),        // RFC 4954 4
	inMail:          reply(503, 5, 5, 1, "No sign-in inside a mail"),                          // RFC 4954 4
	badExchange:     reply(501, 5, 5, 2, "That is not what the mechanism sends"),              // RFC 4954 4
	nested:          reply(503, 5, 5, 1, "There is a sender already"),                         // RFC 5321 4.1.4
	notYours:        reply(553, 5, 7, 1, "That is not an address of yours"),                   // RFC 6409 6.1
	badSender:       reply(553, 5, 1, 7, "That is not an address to send from"),               // RFC 3463 3.2
	badRecipient:    reply(553, 5, 1, 3, "That is not an address"),                            // RFC 3463 3.2
	notUTF8:         reply(553, 5, 6, 7, "The address needs SMTPUTF8"),                        // RFC 6531 3.5
	closing:         reply(421, 4, 3, 2, "Closing down, try another host"),                    // RFC 5321 3.8
	nodeFull:        reply(421, 4, 3, 2, "Too many connections, try later"),                   //
	remoteFull:      reply(421, 4, 7, 0, "Too many connections from your address, try later"), //
	tooManyFailures: reply(421, 4, 7, 0, "Too many failed sign-ins"),                          // RFC 4954 4
	tooManyRefused:  reply(421, 4, 7, 0, "Too many unknown recipients"),                       //
	cutOff:          reply(451, 4, 4, 2, "The mail did not arrive whole"),                     //
	longLine:        reply(554, 5, 6, 0, "A line of the mail is too long"),                    // RFC 5321 4.5.3.1.6
	loop:            reply(554, 5, 4, 6, "Too many hops"),                                     // RFC 5321 6.3
}

// internal is the answer to what is not in the table: the sender keeps the mail.
var internal = reply(451, 4, 3, 0, "Local error, try later")

// statuses gives every kind of refusal its reply (RFC 5321 4.2, RFC 3463).
var statuses = map[cluster.Kind]*smtp.SMTPError{
	exmdb.KindNoSuchUser:       reply(550, 5, 1, 1, "No such user here"),
	exmdb.KindBadAddress:       refusals.badRecipient,
	exmdb.KindNoMailbox:        reply(451, 4, 2, 1, "Mailbox is not available now, try later"),
	exmdb.KindAccessDenied:     reply(550, 5, 7, 1, "Mail to this address is not permitted"),
	exmdb.KindOverQuota:        reply(552, 5, 2, 2, "Mailbox is full"),
	exmdb.KindTooBig:           reply(552, 5, 3, 4, "Mail is too big"),
	exmdb.KindBadContent:       reply(554, 5, 6, 0, "Mail cannot be stored"),
	exmdb.KindBadPassword:      reply(535, 5, 7, 8, "User name or password is wrong"),
	exmdb.KindDisabled:         reply(535, 5, 7, 13, "The account may not sign in here"),
	exmdb.KindThrottled:        reply(454, 4, 7, 0, "Too many failures, try later"),
	mailflow.KindRelay:         reply(550, 5, 7, 1, "Relaying is not permitted"),
	mailflow.KindSender:        refusals.notYours,
	mailflow.KindTooMany:       reply(452, 4, 5, 3, "Too many recipients"),
	mailflow.KindLoop:          refusals.loop,
	cluster.KindNotLeader:      reply(451, 4, 3, 0, "Not available now, try later"),
	cluster.KindUnknownOutcome: reply(451, 4, 3, 0, "Not known to be stored, try again"),
	cluster.KindOverloaded:     reply(451, 4, 3, 2, "Overloaded, try later"),
	cluster.KindUnavailable:    reply(451, 4, 3, 0, "Not available now, try later"),
	cluster.KindNoSpace:        reply(451, 4, 3, 0, "Mailbox is not available now, try later"),
	cluster.KindTooLarge:       reply(552, 5, 3, 4, "Mail is too big"),
	cluster.KindStaleRequest:   reply(451, 4, 3, 0, "Not known to be stored, try again"),
	cluster.KindDeadline:       reply(451, 4, 3, 0, "Took too long, try again"),
	cluster.KindDiskFull:       reply(452, 4, 3, 1, "Disk is nearly full, try later"),
	cluster.KindDamaged:        reply(451, 4, 3, 0, "Not available now, try later"),
	cluster.KindMoving:         reply(451, 4, 3, 0, "Mailbox is moving, try again"),
	cluster.KindContentMissing: reply(451, 4, 3, 0, "Not stored, try again"),
	cluster.KindNoMethod:       reply(451, 4, 3, 0, "Not available now, try later"),
}

// statusOf is what a client is told of err. An error that is several, such as those of a list's members, is told by
// one that time may heal, if there is one. known is false for what has no row: that wants an operator.
func statusOf(err error) (r *smtp.SMTPError, known bool) {
	var several interface{ Unwrap() []error }
	if errors.As(err, &several) {
		return statusOfAll(several.Unwrap())
	}
	var own *smtp.SMTPError
	if errors.As(err, &own) {
		return own, true
	}
	if errors.Is(err, smtp.ErrTooLongLine) {
		return refusals.longLine, true
	}
	if errors.Is(err, smtp.ErrDataReset) {
		return refusals.cutOff, true
	}
	if r, ok := statuses[cluster.KindOf(err)]; ok {
		return r, true
	}
	return internal, false
}

func statusOfAll(errs []error) (first *smtp.SMTPError, known bool) {
	known = true
	for _, err := range errs {
		r, k := statusOf(err)
		known = known && k
		if first == nil || r.Temporary() && !first.Temporary() {
			first = r
		}
	}
	return first, known
}
