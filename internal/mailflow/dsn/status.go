package dsn

import (
	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mailflow"
)

// reason is how a kind of refusal reads in a report: its status code (RFC 3463) and, behind a colon, in words.
type reason struct{ status, text string }

var (
	reasons = map[cluster.Kind]reason{
		exmdb.KindNoSuchUser:       {"5.1.1", "there is no such address"},
		exmdb.KindBadAddress:       {"5.1.3", "this is not an address"},
		exmdb.KindNoMailbox:        {"5.2.1", "the mailbox is not there any more"},
		exmdb.KindOverQuota:        {"5.2.2", "the mailbox is full"},
		exmdb.KindAccessDenied:     {"5.7.1", "mail to this address is not permitted"},
		exmdb.KindTooBig:           {"5.3.4", "the mail is too big"},
		exmdb.KindBadContent:       {"5.6.0", "the mail cannot be stored"},
		mailflow.KindRelay:         {"5.4.4", "this system does not carry mail to other systems"},
		mailflow.KindLoop:          {"5.4.6", "the mail has come through here before"},
		cluster.KindTooLarge:       {"5.3.4", "the mail is too big"},
		cluster.KindInternal:       {"5.3.0", "the mail system met an error of its own"},
		cluster.KindBadRequest:     {"5.3.0", "the mail system met an error of its own"},
		cluster.KindContentMissing: {"5.3.0", "the mail system met an error of its own"},
	}
	// tooLate is the reason of all that would have gone away with time.
	tooLate = reason{"4.4.7", "the mailbox was not available for too long"}
)

func reasonOf(k cluster.Kind) reason {
	if r, ok := reasons[k]; ok {
		return r
	}
	return tooLate
}

// status is the status code of a recipient; that of a delay speaks of a failure that goes away (RFC 3463 2).
func (to *Recipient) status() string {
	switch to.Action {
	case Delivered:
		return "2.0.0"
	case Delayed:
		return "4.3.0"
	}
	return reasonOf(to.Kind).status
}
