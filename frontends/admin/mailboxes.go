package admin

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/flotilla-mail/flotilla/cluster"
)

// MailboxQuery says what of a part of a mailbox is to be shown; its fields are those of inspect.Query.
type MailboxQuery struct {
	Folder, Item        string
	Attachments         []uint32
	Embedded            bool
	Limit               int
	After               string
	Since               uint64
	Associated, Deleted bool
	Bodies              bool
}

// mailboxQuery is a row of what a request may say of a mailbox, by the name in the URL's query.
type mailboxQuery struct {
	name string
	read func(q *MailboxQuery, text string) error
}

var mailboxQueries = []mailboxQuery{
	{"folder", func(q *MailboxQuery, s string) error { q.Folder = s; return nil }},
	{"item", func(q *MailboxQuery, s string) error { q.Item = s; return nil }},
	{"attachment", func(q *MailboxQuery, s string) error {
		for _, part := range strings.Split(s, "/") {
			n, err := strconv.ParseUint(part, 10, 32)
			if err != nil {
				return err
			}
			q.Attachments = append(q.Attachments, uint32(n))
		}
		return nil
	}},
	{"limit", func(q *MailboxQuery, s string) (err error) { q.Limit, err = strconv.Atoi(s); return err }},
	{"after", func(q *MailboxQuery, s string) error { q.After = s; return nil }},
	{"since", func(q *MailboxQuery, s string) (err error) { q.Since, err = strconv.ParseUint(s, 10, 64); return err }},
	{"embedded", func(q *MailboxQuery, s string) (err error) { q.Embedded, err = strconv.ParseBool(s); return err }},
	{"associated", func(q *MailboxQuery, s string) (err error) { q.Associated, err = strconv.ParseBool(s); return err }},
	{"deleted", func(q *MailboxQuery, s string) (err error) { q.Deleted, err = strconv.ParseBool(s); return err }},
	{"bodies", func(q *MailboxQuery, s string) (err error) { q.Bodies, err = strconv.ParseBool(s); return err }},
}

// showMailbox answers for a part of a mailbox.
func showMailbox(s *Server, r *http.Request) (any, error) {
	var q MailboxQuery
	given := r.URL.Query()
	for _, row := range mailboxQueries {
		if !given.Has(row.name) {
			continue
		}
		text := given.Get(row.name)
		if err := row.read(&q, text); err != nil {
			return nil, cluster.Errorf(cluster.KindBadRequest, "%s=%q is not understood", row.name, text)
		}
		given.Del(row.name)
	}
	for name := range given {
		return nil, cluster.Errorf(cluster.KindBadRequest, "a mailbox is not asked for by %q", name)
	}
	return s.backend.ShowMailbox(r.Context(), r.PathValue("address"), r.PathValue("part"), q)
}
