package admin

import (
	"context"

	"github.com/flotilla-mail/flotilla/cluster"
)

func (b *straw) MoveMailbox(_ context.Context, a, to string) (*Move, error) {
	return &Move{Mailbox: "m", State: "copying", To: 3}, b.note("move %s to %s", a, to)
}

func (b *straw) MailboxMove(_ context.Context, a string) (*Move, error) {
	return &Move{Mailbox: "m", State: MoveNone, Group: 2}, b.note("move of %s", a)
}

func (b *straw) AbortMove(_ context.Context, a string) (*Move, error) {
	return &Move{Mailbox: "m", State: "aborted", Trouble: "why"}, b.note("abort move of %s", a)
}

func (b *straw) Moves(context.Context) ([]Move, error) { return []Move{}, b.note("moves") }

func (b *straw) MergeGroup(_ context.Context, g, into cluster.GroupID) error {
	return b.note("merge %d into %d", g, into)
}

func (b *straw) GrowGroups(_ context.Context, q GrowRequest) (*Grown, error) {
	return &Grown{Reopened: 4}, b.note("grow for %q %q", q.Domain, q.Mailbox)
}

// moveRows are the requests of the routes about moves.
var moveRows = []asking{
	{"POST /v1/mailboxes/{address}/move", "/v1/mailboxes/a%2Fb@b/move", `{"to":"n2"}`, "move a/b@b to n2", `"state":"copying"`},
	{"GET /v1/mailboxes/{address}/move", "/v1/mailboxes/a@b/move", "", "move of a@b", `"state":"none"`},
	{"DELETE /v1/mailboxes/{address}/move", "/v1/mailboxes/a@b/move", "", "abort move of a@b", `"trouble":"why"`},
	{"PUT /v1/groups/{group}/into/{other}", "/v1/groups/4/into/2", "", "merge 4 into 2", `{"ok":true}`},
	{"DELETE /v1/groups/{group}/into", "/v1/groups/4/into", "", "merge 4 into 0", `{"ok":true}`},
	{"POST /v1/groups", "/v1/groups", `{"domain":"b"}`, `grow for "b" ""`, `{"reopened":4}`},
	{"GET /v1/moves", "/v1/moves", "", "moves", `[]`},
}
