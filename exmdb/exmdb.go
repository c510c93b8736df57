// Package exmdb says what a mailbox is and is the one way to ask it something: the table of ops with their requests
// and responses, the kinds of refusal, and Do.
//
// It never knows where a mailbox lives or how it is stored: a Caller carries the op to the owner. Op numbers, tags
// of fields and kinds reach wires and disks and are never reused.
package exmdb

import (
	"context"
	"io"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Identity is who asks: built by internal/auth, checked by the store (DESIGN 5).
type Identity struct {
	// User is the directory GUID of the person or service; zero with a privilege for the system's own work.
	User mapi.GUID `wire:"1"`
	// Groups are the GUIDs of all groups User is in, expanded.
	Groups []mapi.GUID `wire:"2"`
	// Privileges are the rights that do not come from a folder.
	Privileges Privileges `wire:"3"`
	// ActingFor is the user on whose behalf User acts; zero for himself.
	ActingFor mapi.GUID `wire:"4"`
	// FullAccess are the owners to whose mailboxes the directory gives User full access; SendAs are those as whom it lets
	// him send.
	FullAccess []mapi.GUID `wire:"5"`
	SendAs     []mapi.GUID `wire:"6"`
}

// Privileges are rights that do not come from a folder.
type Privileges uint32

const (
	// PrivilegeSystem is held by the mail flow and the administrator's commands.
	PrivilegeSystem Privileges = 1 << 0
	// PrivilegeOwner is full access to the mailbox that was made for User, and to no other.
	PrivilegeOwner Privileges = 1 << 1
)

// System is the identity of the store's own work: delivery, administration.
var System = Identity{Privileges: PrivilegeSystem}

// OpID numbers an op on the wire, for ever.
type OpID uint16

// OpInfo is what routing, metrics and logs need of an op.
type OpInfo struct {
	ID   OpID
	Name string
	// Write ops go through space.Update under a request id; the others through a lease read.
	Write bool
}

// Op is a row of the op table: its request is a *Q, its response an *R, both coded by internal/wire.
type Op[Q, R any] struct{ OpInfo }

// Caller performs ops on mailboxes wherever they are owned. A call that meets a change of owner is retried under
// one request id until ctx ends: a fail-over is a pause, not an error. Errors are *cluster.Error, of the kinds below
// or of cluster's.
type Caller interface {
	// Call performs op with the request req (a *Q) and fills resp (an *R).
	Call(ctx context.Context, as Identity, box mapi.MailboxID, op OpInfo, req, resp any) error
	// Upload begins to send content ahead of the op that will refer to it (CLUSTER 3.1).
	Upload(ctx context.Context, as Identity, box mapi.MailboxID) (Upload, error)
}

// Upload sends content to the group of one mailbox, a chunk at a time.
type Upload interface {
	// Put sends one chunk of at most MaxChunk bytes and returns its reference. It may return before the chunk is
	// replicated and blocks when too many are under way. The caller may reuse chunk.
	Put(ctx context.Context, chunk []byte) (ChunkRef, error)
	// Close waits until every chunk is in the log, in front of whatever op is called next.
	Close(ctx context.Context) error
}

// Do performs a typed op.
func Do[Q, R any](ctx context.Context, c Caller, as Identity, box mapi.MailboxID, op Op[Q, R], req *Q) (*R, error) {
	resp := new(R)
	if err := c.Call(ctx, as, box, op.OpInfo, req, resp); err != nil {
		return nil, err
	}
	return resp, nil
}

// The kinds of refusal that belong to mailboxes. Add at the end; never renumber.
const (
	KindNoMailbox     cluster.Kind = 1001 // the mailbox does not exist
	KindNoFolder      cluster.Kind = 1002 // no such folder
	KindNoMessage     cluster.Kind = 1003 // no such message
	KindFolderExists  cluster.Kind = 1004 // a sibling has the name
	KindBadName       cluster.Kind = 1005 // empty, too long or not allowed as a folder name
	KindFixedFolder   cluster.Kind = 1006 // fixed folders are not renamed, moved or deleted
	KindAccessDenied  cluster.Kind = 1007 // the caller's rights do not allow it
	KindOverQuota     cluster.Kind = 1008 // the mailbox is full
	KindTooBig        cluster.Kind = 1009 // message beyond the limit
	KindBadContent    cluster.Kind = 1010 // the recipe does not hold together
	KindStaleToken    cluster.Kind = 1011 // epoch or tombstone floor passed: full resync (MAILBOX 2)
	KindNoSuchUser    cluster.Kind = 1012 // the directory has no such user or address
	KindConflict      cluster.Kind = 1013 // the object changed since the caller read it
	KindHasChildren   cluster.Kind = 1014 // the folder has subfolders and may not be deleted alone
	KindCycle         cluster.Kind = 1015 // a folder would become its own ancestor
	KindKeywordLimit  cluster.Kind = 1016 // too many keyword names in the mailbox
	KindMailboxExists cluster.Kind = 1017 // creation met an existing mailbox
	KindBadPassword   cluster.Kind = 1018 // sign-in refused
	KindThrottled     cluster.Kind = 1019 // too many failures lately
	KindDisabled      cluster.Kind = 1020 // the user may not sign in
	KindExists        cluster.Kind = 1021 // directory name taken
	KindInUse         cluster.Kind = 1022 // directory object still referred to
	KindBadAddress    cluster.Kind = 1023 // not an address, or not in a domain of ours
	KindNameLimit     cluster.Kind = 1024 // too many named properties in the mailbox
	KindNoProperty    cluster.Kind = 1025 // the object has no such property
	KindNoMember      cluster.Kind = 1026 // the permissions list has no such entry
	KindTooComplex    cluster.Kind = 1030 // a restriction or sort order that is well formed and beyond what is evaluated
	KindRuleLimit     cluster.Kind = 1027 // too many rules, or too long, for one folder
	KindNoRule        cluster.Kind = 1028 // the folder has no such rule
	KindNoOutgoing    cluster.Kind = 1029 // nothing of the number goes out
	KindNotWaiting    cluster.Kind = 1032 // the message does not wait to be sent: it has gone, or was not submitted
	KindSubmitted     cluster.Kind = 1033 // the message waits to be sent and is not changed until it is taken back
	KindObjectDeleted cluster.Kind = 1031 // what is imported was deleted here, or moved away
	KindSearchFolder  cluster.Kind = 1034 // a search folder holds no messages or folders, and is not searched
	KindNoSearch      cluster.Kind = 1035 // the folder is no search folder
	KindNoCriteria    cluster.Kind = 1036 // the search folder was never given criteria
)

// ReadMessage is a message's octets as MIME protocols see them, read in pieces from the owner.
type ReadMessage struct {
	ctx    context.Context
	caller Caller
	as     Identity
	box    mapi.MailboxID
	folder mapi.FID
	uid    mapi.UID
	size   int64
}

// OpenMessage returns a reader over the size octets of one message (Row.Size); nothing is fetched before the first
// read. The bytes under one UID never change, so pieces read from two owners fit together.
func OpenMessage(ctx context.Context, c Caller, as Identity, box mapi.MailboxID, folder mapi.FID, row Row) *ReadMessage {
	return &ReadMessage{ctx: ctx, caller: c, as: as, box: box, folder: folder, uid: row.UID, size: int64(row.Size)}
}

// Size is the message's length in octets.
func (m *ReadMessage) Size() int64 { return m.size }

// ReadAt implements io.ReaderAt. One call to the owner brings at most MaxReadBytes.
func (m *ReadMessage) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) {
		if off+int64(n) >= m.size {
			return n, io.EOF
		}
		want := min(int64(len(p)-n), m.size-off-int64(n), MaxReadBytes)
		resp, err := Do(m.ctx, m.caller, m.as, m.box, OpReadBytes, &ReadBytesRequest{
			Folder: m.folder, UID: m.uid, Offset: uint64(off) + uint64(n), Length: uint32(want)})
		if err != nil {
			return n, err
		}
		if len(resp.Data) == 0 {
			return n, io.ErrUnexpectedEOF
		}
		n += copy(p[n:], resp.Data)
	}
	return n, nil
}

// Locator is implemented by Callers that can tell which mailboxes share content: mailboxes of equal locality store
// equal content once, and what was uploaded for one is there for all. Localities change when mailboxes move.
type Locator interface {
	Locality(ctx context.Context, box mapi.MailboxID) (uint64, error)
}
