package builtin

import (
	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/internal/directory"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// The ops on the directory, for ever.
const (
	OpAddDomain    ops.ID = 1000
	OpRemoveDomain ops.ID = 1001
	OpAdd          ops.ID = 1002
	OpRemove       ops.ID = 1003
	OpChange       ops.ID = 1004
	OpIndex        ops.ID = 1005
	OpGrant        ops.ID = 1006
	OpSenders      ops.ID = 1007
	OpAbandon      ops.ID = 1008
)

// TargetMailbox, with a mailbox's id behind it, performs what the directory wants done with that one: IntentDelete deletes it.
// The id is the payload too. So a mailbox that cannot be reached keeps no other waiting.
const (
	TargetMailbox        = "mailbox "
	IntentDelete  uint16 = 1
)

// DomainRequest names a domain.
type DomainRequest struct {
	Name string `wire:"1"`
}

// AddRequest creates Object; its SID, LegacyDN and Created are given by the directory, and its GUID unless the caller
// has drawn one, because a mailbox had to be made first. Credential holds the verifiers of its password, coded by
// internal/auth, if it has one.
type AddRequest struct {
	Object     directory.Object `wire:"1"`
	Credential []byte           `wire:"2"`
}

// AddressRequest names an object by one of its addresses. Of one that is removed Purge deletes the mailbox too, whoever is away
// at the time.
type AddressRequest struct {
	Address string `wire:"1"`
	Purge   bool   `wire:"2"`
}

// AbandonRequest deletes a mailbox to which no object leads.
type AbandonRequest struct {
	Mailbox mapi.MailboxID `wire:"1"`
}

// ChangeRequest changes what is set.
type ChangeRequest struct {
	Address       string     `wire:"1"`
	Name          *string    `wire:"2"`
	Disabled      *bool      `wire:"3"`
	Quota         *uint64    `wire:"4"`
	Barred        *Protocols `wire:"5"`
	AddAliases    []string   `wire:"6"`
	RemoveAliases []string   `wire:"7"`
	AddMembers    []string   `wire:"8"`
	RemoveMembers []string   `wire:"9"`
	Credential    []byte     `wire:"10"`

	Booking *directory.BookingPolicy `wire:"11"`
	Zone    *string                  `wire:"12"`
}

// GrantRequest gives something of an object to others, or takes it back.
type GrantRequest struct {
	Address string          `wire:"1"`
	Grant   directory.Grant `wire:"2"`
	Add     []string        `wire:"3"`
	Remove  []string        `wire:"4"`
}

// SendersRequest says who may send to a list.
type SendersRequest struct {
	Address string                 `wire:"1"`
	Policy  directory.SenderPolicy `wire:"2"`
}

// Protocols are names of protocols; none is something else than not said.
type Protocols struct {
	Names []string `wire:"1"`
}

// Answer is what every change of the directory answers with: the object as it is now, and the sequence of the space
// before the change, which a node has passed when it knows of the change.
type Answer struct {
	Object   directory.Object `wire:"1"`
	Sequence uint64           `wire:"2"`
}

// Handlers is the table of ops on the directory's space. Only nodes can send them; who may ask a node to is the
// admin front-end's matter.
func Handlers() []ops.Handler {
	return []ops.Handler{
		row(OpAddDomain, "AddDomain", func(w space.Writer, q *DomainRequest) (*directory.Object, error) {
			return nil, addDomain(w, q)
		}),
		row(OpRemoveDomain, "RemoveDomain", func(w space.Writer, q *DomainRequest) (*directory.Object, error) {
			return nil, removeDomain(w, q)
		}),
		row(OpAdd, "AddObject", add),
		row(OpRemove, "RemoveObject", remove),
		row(OpChange, "ChangeObject", change),
		row(OpGrant, "Grant", grant),
		row(OpSenders, "SetSenders", setSenders),
		row(OpAbandon, "AbandonMailbox", abandon),
		{ID: OpIndex, Name: "DirectoryIndex", Mode: ops.Read, View: func(r space.Reader, _ *ops.Request) ([]byte, error) {
			return wire.Marshal(&Answer{Sequence: r.Sequence()}), nil
		}},
	}
}

func row[Q any](id ops.ID, name string, fn func(space.Writer, *Q) (*directory.Object, error)) ops.Handler {
	return ops.Handler{ID: id, Name: name, Mode: ops.Write, Update: func(w space.Writer, q *ops.Request) ([]byte, error) {
		req := new(Q)
		if err := wire.Unmarshal(q.Payload, req); err != nil {
			return nil, cluster.Errorf(cluster.KindBadRequest, "decode %s: %v", name, err)
		}
		o, err := fn(w, req)
		if err != nil {
			return nil, err
		}
		answer := Answer{Sequence: w.Sequence()}
		if o != nil {
			// Members, aliases and grants can be many; an answer has to stay below space.MaxAnswer to be remembered.
			answer.Object = *o
			answer.Object.Members, answer.Object.Aliases = nil, nil
			answer.Object.FullAccess, answer.Object.SendAs, answer.Object.Allowed = nil, nil, nil
		}
		return wire.Marshal(&answer), nil
	}}
}
