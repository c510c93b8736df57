// Package auth says who is calling: it turns what a client proves (a password now; tokens and tickets later) into the
// identity that the store checks, and throttles guessing.
//
// It knows credentials and sign-in policy; it never knows protocols or mailboxes' contents, and never logs a secret.
package auth

import (
	"context"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Principal is a person who has signed in.
type Principal struct {
	// Identity is what ops carry; it holds PrivilegeOwner for the person's own mailbox only.
	Identity exmdb.Identity
	// Mailbox is the person's own mailbox.
	Mailbox mapi.MailboxID
	// Address is the primary address, lower case; Addresses are all that may stand as sender.
	Address   string
	Addresses []string
	// Zone is the time zone of days and times that name none, by its name in the tz database; empty is UTC.
	Zone string
	// Credential is the version of the credential that was proved (MAILBOX 8): a session ends when another one is set.
	Credential uint32
}

// Protocol is the service a sign-in is for; users may be barred from single ones.
type Protocol string

// The protocols of this release.
const (
	IMAP       Protocol = "imap"
	POP3       Protocol = "pop3"
	Submission Protocol = "submission"
	HTTP       Protocol = "http"
)

// Attempt is one try to sign in.
type Attempt struct {
	Protocol Protocol
	// User is the name given: an address or alias; Password is never kept.
	User, Password string
	// Authorize is the SASL authorization identity, empty for the user himself.
	Authorize string
	// Remote is the client's address without port, for throttling.
	Remote string
}

// Authenticator checks attempts. Refusals are *cluster.Error of kind exmdb.KindBadPassword, KindThrottled or
// KindDisabled; cluster.KindUnavailable means that it could not be told (CLUSTER 4.4) and the client may try again.
type Authenticator interface {
	Authenticate(ctx context.Context, a Attempt) (*Principal, error)
}
