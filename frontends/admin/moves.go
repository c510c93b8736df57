package admin

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
)

// MovesBackend moves mailboxes between groups.
type MovesBackend interface {
	// MoveMailbox begins to move an object's mailbox to a group, or to one that a node leads, and says how it stands.
	MoveMailbox(ctx context.Context, address, to string) (*Move, error)
	// MailboxMove is how the move of an object's mailbox stands; without one it says where the mailbox lives.
	MailboxMove(ctx context.Context, address string) (*Move, error)
	// AbortMove gives a move up, unless it is decided.
	AbortMove(ctx context.Context, address string) (*Move, error)
	// Moves lists the moves that are under way.
	Moves(ctx context.Context) ([]Move, error)
	// MergeGroup has a group's mailboxes moved into another, one after the other; into zero it keeps those it still has.
	MergeGroup(ctx context.Context, group, into cluster.GroupID) error
	// GrowGroups asks for one group more, for what a rule speaks of, or for what none does.
	GrowGroups(ctx context.Context, q GrowRequest) (*Grown, error)
}

// GrowRequest names the domain or the mailbox that the rule is for; neither is for what no rule speaks of.
type GrowRequest struct {
	Domain  string `json:"domain,omitempty"`
	Mailbox string `json:"mailbox,omitempty"`
}

// Grown says where the group comes from.
type Grown struct {
	// Reopened is a group that was merged and empty, and takes mailboxes again; zero says that one is made.
	Reopened uint32 `json:"reopened"`
}

// MoveNone is the state of a mailbox that does not move; the others are copying, moved and aborted.
const MoveNone = "none"

// Move is how a mailbox's move stands.
type Move struct {
	Mailbox string `json:"mailbox"`
	// Group is where the mailbox lives now.
	Group uint32    `json:"group"`
	State string    `json:"state"`
	From  uint32    `json:"from,omitempty"`
	To    uint32    `json:"to,omitempty"`
	Since time.Time `json:"since,omitzero"`
	Cause string    `json:"cause,omitempty"`
	// Attempt counts the times that the mailbox was, or is to be, frozen.
	Attempt uint64 `json:"attempt,omitempty"`
	// Copied is how many bytes beside content have been copied; Behind how many changes the copy lacks, once all was copied.
	Copied  uint64 `json:"copied"`
	Whole   bool   `json:"all_copied"`
	Behind  uint64 `json:"behind"`
	Trouble string `json:"trouble,omitempty"`
}

// MoveRequest says where to: a group's number, or a node's name.
type MoveRequest struct {
	To string `json:"to"`
}

// moveRoutes are the rows of the API about moves.
var moveRoutes = []route{
	{"POST /v1/mailboxes/{address}/move", false, withBody(func(s *Server, r *http.Request, q *MoveRequest) (any, error) {
		return s.backend.MoveMailbox(r.Context(), r.PathValue("address"), q.To)
	})},
	{"GET /v1/mailboxes/{address}/move", false, func(s *Server, r *http.Request) (any, error) {
		return s.backend.MailboxMove(r.Context(), r.PathValue("address"))
	}},
	{"DELETE /v1/mailboxes/{address}/move", false, func(s *Server, r *http.Request) (any, error) {
		return s.backend.AbortMove(r.Context(), r.PathValue("address"))
	}},
	{"PUT /v1/groups/{group}/into/{other}", false, withGroup(func(s *Server, r *http.Request, g cluster.GroupID) (any, error) {
		into, err := strconv.ParseUint(r.PathValue("other"), 10, 32)
		if err != nil {
			return nil, cluster.Errorf(cluster.KindBadRequest, "group %q: want a number", r.PathValue("other"))
		}
		return okay, s.backend.MergeGroup(r.Context(), g, cluster.GroupID(into))
	})},
	{"DELETE /v1/groups/{group}/into", false, withGroup(func(s *Server, r *http.Request, g cluster.GroupID) (any, error) {
		return okay, s.backend.MergeGroup(r.Context(), g, 0)
	})},
	{"POST /v1/groups", false, withBody(func(s *Server, r *http.Request, q *GrowRequest) (any, error) {
		return s.backend.GrowGroups(r.Context(), *q)
	})},
	{"GET /v1/moves", false, func(s *Server, r *http.Request) (any, error) { return s.backend.Moves(r.Context()) }},
}
