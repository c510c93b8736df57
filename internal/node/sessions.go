package node

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/auth"
	"github.com/flotilla-mail/flotilla/internal/directory"
	"github.com/flotilla-mail/flotilla/internal/directory/builtin"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

const (
	// sessionPause gathers changes of the directory into one look at the sessions.
	sessionPause = 500 * time.Millisecond
	// sessionCheck is how often sessions are looked at without a change: one may have begun with what was valid when
	// it was checked, just before the change came.
	sessionCheck = time.Minute
)

// ender is a front-end whose sessions last: it ends those of whom over names, as soon as their protocol lets it.
type ender interface {
	EndSessions(over func(*auth.Principal) bool) int
}

// signedIn is such a front-end with the protocol that its users have signed in to.
type signedIn struct {
	ender
	protocol auth.Protocol
}

// watchPeople ends sessions when the directory takes back what they began with: the user is disabled, barred from the
// protocol or gone, or has another password (CLUSTER 1.8).
func (n *Node) watchPeople(ctx context.Context) error {
	var seen uint64
	for ctx.Err() == nil {
		wait, cancel := context.WithTimeout(ctx, sessionCheck)
		seq, err := systemReplica{n}.WaitApplied(wait, builtin.Space, seen)
		cancel()
		if err == nil {
			seen = seq
		} else if !errors.Is(err, context.DeadlineExceeded) {
			n.log.Debug("directory not readable", "err", err)
		}
		n.endSessions(ctx)
		pause(ctx, sessionPause)
	}
	return nil
}

func (n *Node) endSessions(ctx context.Context) {
	n.mu.Lock()
	fronts := slices.Clone(n.fronts)
	n.mu.Unlock()
	for _, f := range fronts {
		ended := f.EndSessions(takenBack(f.protocol, func(id mapi.GUID) (*directory.Object, error) { return n.people.ByGUID(ctx, id) }))
		if ended > 0 {
			n.log.Info("sessions ended: their users have changed", "protocol", f.protocol, "sessions", ended)
		}
	}
}

// takenBack reports of a principal whether it could not sign in to the protocol any more. What cannot be read ends no
// session. Sessions of one user are many: each is looked up once.
func takenBack(protocol auth.Protocol, find func(mapi.GUID) (*directory.Object, error)) func(*auth.Principal) bool {
	known := make(map[mapi.GUID]*directory.Object)
	return func(p *auth.Principal) bool {
		o, have := known[p.Identity.User]
		if !have {
			var err error
			o, err = find(p.Identity.User)
			if err != nil && cluster.KindOf(err) != exmdb.KindNoSuchUser {
				return false
			}
			if err != nil {
				o = nil // gone
			}
			known[p.Identity.User] = o
		}
		return o == nil || o.Disabled || slices.Contains(o.Barred, string(protocol)) || o.CredentialVersion != p.Credential
	}
}

// endsSessions makes a front-end hear of changed users.
func (n *Node) endsSessions(protocol auth.Protocol, e ender) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fronts = append(n.fronts, signedIn{e, protocol})
}
