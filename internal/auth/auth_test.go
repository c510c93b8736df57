package auth

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/directory"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

type fakeUsers struct {
	local, fresh map[string]*entry
	down         bool
	reads        []bool
}

type entry struct {
	o *directory.Object
	v []byte
}

func (f *fakeUsers) Credential(_ context.Context, address string, fresh bool) (*directory.Object, []byte, error) {
	f.reads = append(f.reads, fresh)
	from := f.local
	if fresh {
		if f.down {
			return nil, nil, cluster.ErrUnavailable
		}
		from = f.fresh
	}
	e := from[address]
	if e == nil {
		return nil, nil, cluster.Errorf(exmdb.KindNoSuchUser, "none")
	}
	return e.o, e.v, nil
}

func newFake(t *testing.T, password string) (*fakeUsers, *entry) {
	t.Helper()
	v, err := NewVerifiers(password)
	if err != nil {
		t.Fatal(err)
	}
	e := &entry{o: &directory.Object{GUID: mapi.NewGUID(), Address: "alice@example.test", Zone: "Europe/Berlin", CredentialVersion: 1,
		Aliases: []string{"al@example.test"}, Mailbox: mapi.NewMailboxID()}, v: v}
	m := map[string]*entry{"alice@example.test": e}
	return &fakeUsers{local: m, fresh: m}, e
}

func newPasswords(t *testing.T, u Users, now func() time.Time) *Passwords {
	t.Helper()
	p, err := NewPasswords(u, Throttle{Failures: throttleLimit, Window: throttleWindow}, now)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func try(p *Passwords, user, password string) (*Principal, error) {
	return p.Authenticate(context.Background(), Attempt{Protocol: IMAP, User: user, Password: password, Remote: "192.0.2.1"})
}

func TestPasswordsRightAndWrong(t *testing.T) {
	users, e := newFake(t, "secret")
	p := newPasswords(t, users, time.Now)
	got, err := try(p, "alice@example.test", "secret")
	if err != nil || got.Mailbox != e.o.Mailbox || len(got.Addresses) != 2 || got.Zone != e.o.Zone || got.Credential != 1 || got.Identity.Privileges != exmdb.PrivilegeOwner {
		t.Fatalf("%+v, %v", got, err)
	}
	for _, c := range [][2]string{{"alice@example.test", "Secret"}, {"alice@example.test", ""}, {"eve@example.test", "secret"}} {
		if _, err := try(p, c[0], c[1]); cluster.KindOf(err) != exmdb.KindBadPassword {
			t.Fatalf("%q: %v", c, err)
		}
	}
}

// TestOneHashForEachAnswer counts what a sign-in costs: whoever guesses must not learn by the time it takes which
// users there are, nor make the node work twice.
func TestOneHashForEachAnswer(t *testing.T) {
	users, e := newFake(t, "secret")
	changed := &entry{o: &directory.Object{GUID: e.o.GUID, CredentialVersion: 2}, v: e.v}
	other := &entry{o: &directory.Object{GUID: mapi.NewGUID(), CredentialVersion: 1}, v: e.v}
	for _, c := range []struct {
		what         string
		local, fresh *entry
		password     string
		hashes       int
	}{
		{"unknown user", nil, nil, "secret", 1},
		{"wrong password", e, e, "wrong", 1},
		{"right password", e, e, "secret", 1},
		{"right password of a user who is new here", nil, e, "secret", 1},
		{"wrong password of a user who is gone", e, nil, "wrong", 1},
		{"wrong password, changed elsewhere", e, changed, "wrong", 2},
		{"wrong password, another user of that name", e, other, "wrong", 2},
		{"without verifiers", &entry{o: e.o}, &entry{o: e.o}, "secret", 1},
	} {
		hashes := 0
		users.local, users.fresh = map[string]*entry{"a@example.test": c.local}, map[string]*entry{"a@example.test": c.fresh}
		p := newPasswords(t, users, time.Now)
		p.verify = func(v *Verifiers, password string) bool {
			if v.Memory == argonMemory && v.Time == argonTime {
				hashes++
			}
			return v.verify(password)
		}
		_, err := try(p, "a@example.test", c.password)
		right := c.fresh != nil && c.fresh.v != nil && c.password == "secret"
		if hashes != c.hashes || right != (err == nil) || err != nil && cluster.KindOf(err) != exmdb.KindBadPassword {
			t.Errorf("%s: %d hashes, want %d; %v", c.what, hashes, c.hashes, err)
		}
	}
}

func TestChangedPasswordEndsTheRememberedOne(t *testing.T) {
	users, e := newFake(t, "old")
	p := newPasswords(t, users, time.Now)
	if _, err := try(p, "alice@example.test", "old"); err != nil {
		t.Fatal(err)
	}
	v, err := NewVerifiers("new")
	if err != nil {
		t.Fatal(err)
	}
	changed := *e.o
	changed.CredentialVersion = 2
	// Only the fresh reading knows of the change: the new password must work at once on a node whose copy lags.
	users.fresh = map[string]*entry{"alice@example.test": {o: &changed, v: v}}
	if _, err := try(p, "alice@example.test", "new"); err != nil {
		t.Fatalf("new password: %v", err)
	}
	users.local = users.fresh
	if _, err := try(p, "alice@example.test", "old"); cluster.KindOf(err) != exmdb.KindBadPassword {
		t.Fatalf("old password: %v", err)
	}
}

func TestRefusalNeedsTheSystemGroup(t *testing.T) {
	users, _ := newFake(t, "secret")
	users.down = true
	p := newPasswords(t, users, time.Now)
	if _, err := try(p, "alice@example.test", "wrong"); cluster.KindOf(err) != cluster.KindUnavailable {
		t.Fatalf("wrong password without quorum: %v", err)
	}
	if _, err := try(p, "alice@example.test", "secret"); err != nil {
		t.Fatalf("right password from the own copy: %v", err)
	}
}

func TestDisabledAndBarred(t *testing.T) {
	users, e := newFake(t, "secret")
	p := newPasswords(t, users, time.Now)
	e.o.Barred = []string{"imap"}
	if _, err := try(p, "alice@example.test", "secret"); cluster.KindOf(err) != exmdb.KindDisabled {
		t.Fatal(err)
	}
	e.o.Barred, e.o.Disabled = nil, true
	if _, err := try(p, "alice@example.test", "secret"); cluster.KindOf(err) != exmdb.KindDisabled {
		t.Fatal(err)
	}
}

// What the tests of throttling set.
const (
	throttleLimit  = 3
	throttleWindow = time.Hour
)

func TestThrottleByUserAndAddress(t *testing.T) {
	users, _ := newFake(t, "secret")
	now := time.Unix(1e9, 0)
	p := newPasswords(t, users, func() time.Time { return now })
	for range throttleLimit {
		if _, err := try(p, "alice@example.test", "x"); cluster.KindOf(err) != exmdb.KindBadPassword {
			t.Fatal(err)
		}
	}
	if _, err := try(p, "alice@example.test", "secret"); cluster.KindOf(err) != exmdb.KindThrottled {
		t.Fatalf("right password after %d failures: %v", throttleLimit, err)
	}
	a := Attempt{Protocol: IMAP, User: "bob@example.test", Password: "x", Remote: "192.0.2.1"}
	if _, err := p.Authenticate(context.Background(), a); cluster.KindOf(err) != exmdb.KindThrottled {
		t.Fatalf("other user from the same address: %v", err)
	}
	now = now.Add(throttleWindow)
	if _, err := try(p, "alice@example.test", "secret"); err != nil {
		t.Fatalf("after the window: %v", err)
	}
}

func TestThrottleTableIsBounded(t *testing.T) {
	th := newThrottle(3, time.Minute)
	th.keys = 100
	now := time.Unix(1e9, 0)
	for i := range 1000 {
		th.failed(now.Add(time.Duration(i)*time.Millisecond), fmt.Sprint(i))
		if n := th.held(); n > 100 {
			t.Fatalf("%d keys kept after %d failures", n, i+1)
		}
	}
	if n := th.held(); n < 50 {
		t.Fatalf("%d keys kept of 100", n)
	}
}

func (t *throttle) held() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.fails) + len(t.older)
}

// TestThrottleKeepsWhoGoesOn floods the table with names while one goes on failing: that one stays counted, and a
// user who signs in is forgotten wherever he is counted.
func TestThrottleKeepsWhoGoesOn(t *testing.T) {
	th := newThrottle(3, time.Minute)
	th.keys = 100
	now := time.Unix(1e9, 0)
	for i := range 120 {
		if i%40 == 0 {
			th.failed(now, "persistent")
		}
		th.failed(now, fmt.Sprint(i))
	}
	if !th.blocked(now, "persistent") {
		t.Error("failures were forgotten among those of others")
	}
	for i := range 40 {
		th.failed(now, fmt.Sprint("more ", i))
	}
	th.succeeded("persistent")
	if th.blocked(now, "persistent") {
		t.Error("a user who signed in is blocked")
	}
	for range 3 {
		th.failed(now, "late")
	}
	if !th.blocked(now.Add(time.Minute-1), "late") || th.blocked(now.Add(time.Minute), "late") {
		t.Error("failures count for another time than the window")
	}
}

// TestFullThrottleIsQuick has a full table meet as many failures again: each must not cost a walk through the table.
func TestFullThrottleIsQuick(t *testing.T) {
	th := newThrottle(throttleLimit, throttleWindow)
	began := time.Now()
	now := time.Unix(1e9, 0)
	for i := range 3 * th.keys {
		th.failed(now.Add(time.Duration(i)), fmt.Sprint(i))
		if time.Since(began) > 30*time.Second {
			t.Fatalf("%d failures took %v", i, time.Since(began))
		}
	}
}

func TestVerifiersRefuseForeignCosts(t *testing.T) {
	v := Verifiers{Salt: make([]byte, 16), Hash: make([]byte, 32), Memory: 1 << 30, Time: 1, Threads: 1}
	if v.verify("x") {
		t.Fatal("verified with a gigantic cost")
	}
	if _, err := NewVerifiers(""); cluster.KindOf(err) != cluster.KindBadRequest {
		t.Fatal(err)
	}
	if errors.Is(errBadPassword, errThrottled) {
		t.Fatal("kinds must differ")
	}
}

// TestNewPasswordsTakeTurns: what is hashed for new passwords counts with the sign-ins.
func TestNewPasswordsTakeTurns(t *testing.T) {
	p, err := NewPasswords(nil, Throttle{}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for range maxHashing {
		if err := p.turn(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Verifiers(gone, "secret"); cluster.KindOf(err) != cluster.KindUnavailable {
		t.Fatalf("with all turns taken: %v", err)
	}
	<-p.hashing
	coded, err := p.Verifiers(t.Context(), "secret")
	if err != nil || len(p.hashing) != maxHashing-1 {
		t.Fatalf("%d of %d turns are taken after: %v", len(p.hashing), maxHashing, err)
	}
	var v Verifiers
	if err := wire.Unmarshal(coded, &v); err != nil || !v.verify("secret") {
		t.Fatalf("verifiers do not fit: %v", err)
	}
}
