package exmdb

import (
	"context"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcfxics"
)

// ContentsSync is a download of what is different in one folder. It is at one state of the mailbox: what changes while it
// goes on is either in it or left for the next one. Memory is that of the state, and of one page.
type ContentsSync struct {
	Caller Caller
	As     Identity
	Box    mapi.MailboxID
	Folder mapi.FID
	Scope  SyncScope
	// Limit bounds the changes of a page; zero is the store's own bound.
	Limit uint32
	// State is what the client knows; when Done it is what the client knows after all pages.
	State oxcfxics.State
	Done  bool

	cursor SyncCursor
	// told are the objects that a page has brought, present those that are as the client knows them, outside those that
	// are not in the restriction.
	told, present, outside mapi.IDSET
	// gone is what the client has and the folder has not; forgotten is what the client was told to forget.
	gone, forgotten mapi.IDSET
	compared        bool
}

// SyncedContents is a page of a download.
type SyncedContents struct {
	Changes []SyncedMessage
	Names   []NamedID
	// Deleted are in the folder no more, NoLongerInScope outside the restriction; the client has them.
	Deleted         mapi.IDSET
	NoLongerInScope mapi.IDSET
	// Read and Unread are messages of which the read state alone has changed.
	Read     mapi.IDSET
	Unread   mapi.IDSET
	Progress *SyncToCome
}

// Next reads a page; there is at least one.
func (s *ContentsSync) Next(ctx context.Context) (*SyncedContents, error) {
	if s.Done {
		return nil, cluster.Errorf(cluster.KindBadRequest, "the download is over")
	}
	resp, err := Do(ctx, s.Caller, s.As, s.Box, OpSyncContents, s.request())
	if err != nil {
		return nil, err
	}
	page := &SyncedContents{Changes: resp.Changes, Names: resp.Names, Progress: resp.Progress}
	told := make([]mapi.GID, len(page.Changes))
	for i := range page.Changes {
		c := &page.Changes[i]
		told[i] = c.Source
		c.New = !s.State.Given.Contains(c.Source)
	}
	s.told = s.told.Union(mapi.IDSETOfIDs(told))
	s.present = s.present.Union(resp.Present)
	s.outside = s.outside.Union(resp.OutOfScope)
	page.Deleted = s.held(resp.Gone)
	page.NoLongerInScope = s.held(resp.OutOfScope)
	if resp.Compared && !s.compared {
		// All that there is was looked at: what was not met is gone.
		s.compared = true
		page.Deleted = page.Deleted.Union(s.held(s.State.Given).Minus(s.present).Minus(s.outside))
	}
	s.gone = s.gone.Union(page.Deleted)
	page.Read, page.Unread = s.kept(resp.MarkedRead), s.kept(resp.MarkedUnread)
	s.cursor = resp.Next
	s.filter(page)
	if !resp.More {
		s.finish(resp)
	}
	return page, nil
}

func (s *ContentsSync) request() *SyncContentsRequest {
	req := &SyncContentsRequest{Folder: s.Folder, Scope: s.Scope, Limit: s.Limit, Cursor: s.cursor, Seen: s.State.Seen, SeenFAI: s.State.SeenFAI,
		Read: s.State.Read, Holds: !s.State.Given.IsEmpty()}
	if s.cursor.Phase.Compares() {
		req.Given = s.State.Given
	}
	return req
}

// held is what of a set the client has, and has not been brought anew.
func (s *ContentsSync) held(ids mapi.IDSET) mapi.IDSET {
	return ids.Intersect(s.State.Given).Minus(s.told)
}

// kept is what the client has and will have.
func (s *ContentsSync) kept(ids mapi.IDSET) mapi.IDSET {
	return s.held(ids).Minus(s.gone).Minus(s.outside)
}

// filter leaves out of a page what the scope does not want to be told, and notes what was told.
func (s *ContentsSync) filter(page *SyncedContents) {
	if s.Scope.Flags&(SyncNoDeletions|SyncStateOnly) != 0 {
		page.Deleted = mapi.IDSET{}
	}
	if s.Scope.Flags&(SyncNoDeletions|SyncKeepOutOfScope|SyncStateOnly) != 0 {
		page.NoLongerInScope = mapi.IDSET{}
	}
	s.forgotten = s.forgotten.Union(page.Deleted).Union(page.NoLongerInScope)
}

// finish makes the client's state of what was told.
func (s *ContentsSync) finish(resp *SyncContentsResponse) {
	s.Done = true
	if !s.forgotten.IsEmpty() { // the set may be a large one
		s.State.Given = s.State.Given.Minus(s.forgotten)
	}
	if came := s.told.Minus(s.State.Given); !came.IsEmpty() {
		s.State.Given = s.State.Given.Union(came)
	}
	if s.Scope.Flags&SyncStateOnly != 0 {
		s.State.Given = s.present
	}
	s.told, s.present, s.outside, s.gone, s.forgotten = mapi.IDSET{}, mapi.IDSET{}, mapi.IDSET{}, mapi.IDSET{}, mapi.IDSET{}
	flags := s.Scope.Flags
	if flags&SyncNormal != 0 {
		s.State.Seen = resp.Seen
	}
	if flags&SyncAssociated != 0 {
		s.State.SeenFAI = resp.SeenFAI
	}
	if flags&SyncReadState != 0 {
		s.State.Read = resp.Read
	}
}

// HierarchySync is a download of what is different in the folders below one.
type HierarchySync struct {
	Caller Caller
	As     Identity
	Box    mapi.MailboxID
	Folder mapi.FID
	Flags  SyncFlags
	Tags   []mapi.Tag
	Limit  uint32
	// State is what the client knows: with every page it knows what is in it.
	State oxcfxics.State
	Done  bool
}

// Next reads a page; there is at least one.
func (s *HierarchySync) Next(ctx context.Context) (*SyncHierarchyResponse, error) {
	if s.Done {
		return nil, cluster.Errorf(cluster.KindBadRequest, "the download is over")
	}
	resp, err := Do(ctx, s.Caller, s.As, s.Box, OpSyncHierarchy,
		&SyncHierarchyRequest{Folder: s.Folder, State: s.State, Flags: s.Flags, Tags: s.Tags, Limit: s.Limit})
	if err != nil {
		return nil, err
	}
	if resp.Lost {
		s.State.Seen = mapi.IDSET{}
	}
	given, seen := make([]mapi.GID, len(resp.Folders)), make([]mapi.GID, len(resp.Folders))
	for i := range resp.Folders {
		given[i], seen[i] = resp.Folders[i].Source, resp.Folders[i].Change
	}
	s.State.Given, s.State.Seen = s.State.Given.Union(mapi.IDSETOfIDs(given)), s.State.Seen.Union(mapi.IDSETOfIDs(seen))
	if s.Done = !resp.More; s.Done {
		s.State.Given, s.State.Seen = s.State.Given.Minus(resp.Deleted).Union(resp.Present), resp.Seen
	}
	return resp, nil
}
