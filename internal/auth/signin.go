package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/directory"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// Users finds who has an address, with the verifiers of the password. fresh asks for an answer that no other node
// could contradict; otherwise the node's own copy will do.
type Users interface {
	Credential(ctx context.Context, address string, fresh bool) (*directory.Object, []byte, error)
}

// Throttle is how much guessing is borne: so many failures of a user, or from an address, within the window.
type Throttle struct {
	Failures int
	Window   time.Duration
}

// Defaults fills what is zero (DESIGN 6).
func (t Throttle) Defaults() Throttle {
	if t.Failures == 0 {
		t.Failures = 10
	}
	if t.Window == 0 {
		t.Window = 10 * time.Minute
	}
	return t
}

// maxHashing bounds the argon2id computations at a time: each takes 19 MiB.
const maxHashing = 4

// maxRemembered bounds the sign-ins a node remembers.
const maxRemembered = 50_000

// Passwords is the Authenticator of passwords kept in the directory. It is safe for concurrent use.
type Passwords struct {
	users    Users
	now      func() time.Time
	throttle *throttle
	hashing  chan struct{}
	verify   func(v *Verifiers, password string) bool
	bootKey  []byte
	dummy    Verifiers

	mu         sync.Mutex
	remembered map[mapi.GUID]remembered // guarded by mu
}

// remembered is a secret that was verified: its HMAC under the key of this boot, for one credential version
// (MAILBOX 8).
type remembered struct {
	version uint32
	sum     [sha256.Size]byte
}

// NewPasswords makes an authenticator; now is the clock.
func NewPasswords(users Users, limit Throttle, now func() time.Time) (*Passwords, error) {
	limit = limit.Defaults()
	p := &Passwords{users: users, now: now, throttle: newThrottle(limit.Failures, limit.Window),
		hashing: make(chan struct{}, maxHashing), verify: (*Verifiers).verify, bootKey: make([]byte, 32), remembered: make(map[mapi.GUID]remembered)}
	if _, err := rand.Read(p.bootKey); err != nil {
		return nil, fmt.Errorf("draw boot key: %w", err)
	}
	p.dummy = Verifiers{Salt: p.bootKey[:saltBytes], Hash: make([]byte, hashBytes),
		Memory: argonMemory, Time: argonTime, Threads: argonThreads}
	return p, nil
}

var (
	errBadPassword = cluster.Errorf(exmdb.KindBadPassword, "user name or password is wrong")
	errThrottled   = cluster.Errorf(exmdb.KindThrottled, "too many failures: try again in some minutes")
	errDisabled    = cluster.Errorf(exmdb.KindDisabled, "the account may not sign in here")
)

// Authenticate implements Authenticator. A user who is not there costs as much time as a wrong password.
func (p *Passwords) Authenticate(ctx context.Context, a Attempt) (*Principal, error) {
	user := "u:" + strings.ToLower(a.User)
	if p.throttle.blocked(p.now(), user, "r:"+a.Remote) {
		return nil, errThrottled
	}
	var seen refused
	o, err := p.check(ctx, a, false, &seen)
	if errors.Is(err, errBadPassword) {
		o, err = p.check(ctx, a, true, &seen)
	}
	switch {
	case errors.Is(err, errBadPassword):
		p.throttle.failed(p.now(), user, "r:"+a.Remote)
		return nil, err
	case err != nil:
		return nil, err
	case o.Disabled || slices.Contains(o.Barred, string(a.Protocol)):
		return nil, errDisabled
	case a.Authorize != "" && !strings.EqualFold(a.Authorize, a.User):
		return nil, errBadPassword
	}
	p.throttle.succeeded(user)
	return principal(o), nil
}

func principal(o *directory.Object) *Principal {
	return &Principal{
		Identity:  exmdb.Identity{User: o.GUID, Privileges: exmdb.PrivilegeOwner},
		Mailbox:   o.Mailbox,
		Address:   o.Address,
		Addresses: append([]string{o.Address}, o.Aliases...), Zone: o.Zone, Credential: o.CredentialVersion,
	}
}

// refused is what the password of an attempt was held against in vain.
type refused struct {
	hashed  bool
	user    mapi.GUID
	version uint32
}

// check verifies the password against one reading of the directory. The second reading, of a wrong password, is
// behind a read index: it was perhaps just changed on another node. It is hashed again only if it was.
func (p *Passwords) check(ctx context.Context, a Attempt, fresh bool, seen *refused) (*directory.Object, error) {
	o, coded, err := p.users.Credential(ctx, a.User, fresh)
	kind := cluster.KindOf(err)
	switch {
	case err == nil:
	case kind == exmdb.KindNoSuchUser || kind == exmdb.KindBadAddress:
		if fresh && !seen.hashed {
			if _, err := p.hash(ctx, &p.dummy, a.Password); err != nil {
				return nil, err
			}
		}
		return nil, errBadPassword
	case !fresh && cluster.Retryable(err):
		return p.check(ctx, a, true, seen)
	default:
		return nil, &cluster.Error{Kind: cluster.KindUnavailable, Text: "the directory cannot be read now"}
	}
	if p.recall(o, a.Password) {
		return o, nil
	}
	before := *seen
	*seen = refused{hashed: true, user: o.GUID, version: o.CredentialVersion}
	if before == *seen {
		return nil, errBadPassword
	}
	ok, err := p.matches(ctx, o, coded, a.Password)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, errBadPassword
	}
	p.remember(o, a.Password)
	return o, nil
}

// matches holds a password against a user's coded verifiers. Who has none costs as much as who has.
func (p *Passwords) matches(ctx context.Context, o *directory.Object, coded []byte, password string) (bool, error) {
	if len(coded) == 0 {
		_, err := p.hash(ctx, &p.dummy, password)
		return false, err
	}
	var v Verifiers
	if err := wire.Unmarshal(coded, &v); err != nil {
		return false, fmt.Errorf("verifiers of %s: %w", o.GUID, err)
	}
	return p.hash(ctx, &v, password)
}

func (p *Passwords) hash(ctx context.Context, v *Verifiers, password string) (fits bool, err error) {
	if err := p.turn(ctx); err != nil {
		return false, err
	}
	defer func() { <-p.hashing }()
	return p.verify(v, password), nil
}

// turn waits until one more argon2id computation may run.
func (p *Passwords) turn(ctx context.Context) error {
	select {
	case p.hashing <- struct{}{}:
		return nil
	case <-ctx.Done():
		return &cluster.Error{Kind: cluster.KindUnavailable, Text: "too many passwords to hash at a time"}
	}
}

// Verifiers is NewVerifiers when it is this call's turn among the sign-ins and the other new passwords.
func (p *Passwords) Verifiers(ctx context.Context, password string) ([]byte, error) {
	if err := p.turn(ctx); err != nil {
		return nil, err
	}
	defer func() { <-p.hashing }()
	return NewVerifiers(password)
}

func (p *Passwords) sum(o *directory.Object, password string) [sha256.Size]byte {
	h := hmac.New(sha256.New, p.bootKey)
	h.Write(o.GUID[:])
	h.Write([]byte(password))
	return [sha256.Size]byte(h.Sum(nil))
}

func (p *Passwords) recall(o *directory.Object, password string) bool {
	p.mu.Lock()
	r, ok := p.remembered[o.GUID]
	p.mu.Unlock()
	if !ok || r.version != o.CredentialVersion {
		return false
	}
	sum := p.sum(o, password)
	return hmac.Equal(sum[:], r.sum[:])
}

func (p *Passwords) remember(o *directory.Object, password string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.remembered) >= maxRemembered {
		clear(p.remembered)
	}
	p.remembered[o.GUID] = remembered{version: o.CredentialVersion, sum: p.sum(o, password)}
}
