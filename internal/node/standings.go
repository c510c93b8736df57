package node

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/client"
	"github.com/flotilla-mail/flotilla/internal/auth"
	"github.com/flotilla-mail/flotilla/internal/directory"
	"github.com/flotilla-mail/flotilla/internal/directory/builtin"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// standings is the Caller of the front-ends. A session knows who has signed in; what the directory gives him in the
// mailboxes of others is looked up here with each op, so that what is taken back ends in sessions that are open.
type standings struct {
	client.Client
	people standingReader
	// age is how old the copy of the directory may be.
	age func() time.Duration

	mu    sync.Mutex
	known map[mapi.GUID]*directory.Standing // guarded by mu; good for one sequence of the directory
}

// standingReader is what of the directory is asked.
type standingReader interface {
	Standing(ctx context.Context, user mapi.GUID) (*directory.Standing, error)
	Sequence(ctx context.Context) (uint64, error)
}

// maxStandings bounds the people a node remembers.
const maxStandings = 50_000

func newStandings(c client.Client, people standingReader, age func() time.Duration) *standings {
	return &standings{Client: c, people: people, age: age, known: make(map[mapi.GUID]*directory.Standing)}
}

// Call implements exmdb.Caller.
func (s *standings) Call(ctx context.Context, as exmdb.Identity, box mapi.MailboxID, op exmdb.OpInfo, req, resp any) error {
	as, err := s.identify(ctx, as, box)
	if err != nil {
		return err
	}
	return s.Client.Call(ctx, as, box, op, req, resp)
}

// Upload implements exmdb.Caller.
func (s *standings) Upload(ctx context.Context, as exmdb.Identity, box mapi.MailboxID) (exmdb.Upload, error) {
	as, err := s.identify(ctx, as, box)
	if err != nil {
		return nil, err
	}
	return s.Client.Upload(ctx, as, box)
}

// identify adds what somebody has in one mailbox: all his groups, and of what others give him what is about this one. In
// his own he needs none of it, so that works on an old copy of the directory too (CLUSTER 1.8).
func (s *standings) identify(ctx context.Context, as exmdb.Identity, box mapi.MailboxID) (exmdb.Identity, error) {
	if as.User.IsZero() || as.Privileges&exmdb.PrivilegeSystem != 0 {
		return as, nil
	}
	as.Groups, as.FullAccess, as.SendAs = nil, nil, nil
	if known := s.remembered(as.User); known != nil && known.User.Mailbox == box {
		return as, nil // whose a mailbox is never changes
	}
	now, err := s.standing(ctx, as.User)
	switch {
	case cluster.KindOf(err) == exmdb.KindNoSuchUser:
		return as, nil
	case err != nil:
		return as, err
	case now.User.Mailbox == box || now.User.Disabled:
		return as, nil
	case s.age() > builtin.MaxAge:
		return as, cluster.Errorf(cluster.KindUnavailable, "this node's copy of the directory may be older than %v", builtin.MaxAge)
	}
	as.Groups = now.Groups
	as.FullAccess, as.SendAs = ownersOf(now.FullAccess, box), ownersOf(now.SendAs, box)
	return as, nil
}

func ownersOf(objects []*directory.Object, box mapi.MailboxID) (owners []mapi.GUID) {
	for _, o := range objects {
		if o.Mailbox == box {
			owners = append(owners, o.GUID)
		}
	}
	return owners
}

func (s *standings) remembered(user mapi.GUID) *directory.Standing {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known[user]
}

// standing is what somebody has by the copy of the directory as it is now.
func (s *standings) standing(ctx context.Context, user mapi.GUID) (*directory.Standing, error) {
	seq, err := s.people.Sequence(ctx)
	if err != nil {
		return nil, err
	}
	if known := s.remembered(user); known != nil && known.Sequence == seq {
		return known, nil
	}
	now, err := s.people.Standing(ctx, user)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known) >= maxStandings {
		clear(s.known)
	}
	s.known[user] = now
	return now, nil
}

// maySendAs reports whether the directory lets somebody send under an address of another.
func (s *standings) maySendAs(ctx context.Context, p *auth.Principal, from string) (bool, error) {
	a, err := directory.Normalise(from)
	if err != nil {
		return false, nil // what is no address is nobody's
	}
	now, err := s.standing(ctx, p.Identity.User)
	if err != nil || now.User.Disabled {
		return false, err
	}
	if s.age() > builtin.MaxAge {
		return false, cluster.Errorf(cluster.KindUnavailable, "this node's copy of the directory may be older than %v", builtin.MaxAge)
	}
	return slices.ContainsFunc(now.SendAs, func(o *directory.Object) bool { return slices.Contains(o.Addresses(), a) }), nil
}
