package imap

import (
	"context"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// rowsPage is how many rows are asked for at once; the owner ends a page at about 1 MiB.
const rowsPage = 1000

// rowsQuery chooses rows of a folder.
type rowsQuery struct {
	folder mapi.FID         // zero for the selected one
	uids   []exmdb.UIDRange // nil for all
	since  mapi.Stamp
	fields exmdb.RowFields
}

// rows gives the rows of a query page by page. The next page is on its way while one is used.
func (s *session) rows(ctx context.Context, q rowsQuery, use func([]exmdb.Row) error) error {
	if q.uids != nil && len(q.uids) == 0 {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	next := s.fetchRows(ctx, q)
	defer func() {
		cancel()
		if next != nil {
			<-next // the fetcher has ended
		}
	}()
	for next != nil {
		page := <-next
		next = nil
		if page.err != nil {
			return page.err
		}
		if page.resp.More {
			q.uids = from(q.uids, page.resp.Next)
			if len(q.uids) > 0 {
				next = s.fetchRows(ctx, q)
			}
		}
		if err := use(page.resp.Rows); err != nil {
			return err
		}
	}
	return nil
}

type rowsResult struct {
	resp *exmdb.RowsResponse
	err  error
}

func (s *session) fetchRows(ctx context.Context, q rowsQuery) <-chan rowsResult {
	if q.folder == 0 {
		q.folder = s.selected.fid
	}
	result := make(chan rowsResult, 1)
	req := &exmdb.RowsRequest{Folder: q.folder, UIDs: q.uids, Since: q.since, Fields: q.fields, Limit: rowsPage}
	go func() {
		resp, err := do(ctx, s, exmdb.OpRows, req)
		result <- rowsResult{resp, err}
	}()
	return result
}

// from is what is left of ranges, nil standing for all, from uid on.
func from(ranges []exmdb.UIDRange, uid mapi.UID) []exmdb.UIDRange {
	if ranges == nil {
		ranges = []exmdb.UIDRange{{First: 1, Last: maxUID}}
	}
	return clip(ranges, uid, maxUID)
}
