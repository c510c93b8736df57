package store

import (
	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/fulltext"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// maxTextDepth bounds the nesting of a query.
const maxTextDepth = 16

// textFields are the fields of the contract as the index has them.
var textFields = []struct {
	of exmdb.TextFields
	in fulltext.Field
}{
	{exmdb.TextSubject, fulltext.Subject}, {exmdb.TextFrom, fulltext.From}, {exmdb.TextTo, fulltext.To},
	{exmdb.TextBody, fulltext.Body}, {exmdb.TextHeader, fulltext.Header}, {exmdb.TextPart, fulltext.Part},
}

// textQuery is a query of the contract for the index, nil if it cannot be narrowed.
func textQuery(q *exmdb.TextQuery, depth int) (*fulltext.Query, error) {
	if depth == 0 {
		return nil, cluster.Errorf(exmdb.KindTooComplex, "a query of more than %d levels", maxTextDepth)
	}
	switch {
	case len(q.All) > 0:
		list, err := textQueries(q.All, depth)
		return fulltext.All(list...), err
	case len(q.Any) > 0:
		list, err := textQueries(q.Any, depth)
		return fulltext.Any(list...), err
	}
	var in fulltext.Fields
	for _, f := range textFields {
		if q.Fields&f.of != 0 {
			in |= fulltext.In(f.in)
		}
	}
	return fulltext.Contains(in, q.Text), nil
}

func textQueries(of []exmdb.TextQuery, depth int) ([]*fulltext.Query, error) {
	list := make([]*fulltext.Query, len(of))
	for i := range of {
		var err error
		if list[i], err = textQuery(&of[i], depth-1); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// narrow is OpNarrow.
func narrow(v *view, req *exmdb.NarrowRequest) (*exmdb.NarrowResponse, error) {
	c, err := v.folderCounts(req.Folder)
	if err != nil {
		return nil, err
	}
	q, err := textQuery(&req.Query, maxTextDepth)
	if err != nil {
		return nil, err
	}
	resp := new(exmdb.NarrowResponse)
	if v.confined[req.Folder] {
		return resp, nil // whose messages have a text is not his to know
	}
	set, again, err := v.mayPass(req.Folder, c, q)
	if err != nil || set == nil {
		resp.Again = again
		return resp, err
	}
	resp.UIDs = rangesOf(set, 1)
	if resp.Known = len(resp.UIDs) <= maxUIDRanges; !resp.Known {
		resp.UIDs = nil
	}
	return resp, nil
}

// rangesOf is the UIDs of a set from one on.
func rangesOf(set *fulltext.Set, from mapi.UID) []exmdb.UIDRange {
	ranges := []exmdb.UIDRange{}
	set.Each(func(uid mapi.UID) bool {
		if uid >= from {
			ranges = addUID(ranges, uid)
		}
		return true
	})
	return ranges
}

// mayPass is the messages of a folder that may pass a query in this state: what the index finds, and whatever has come or
// changed since it was brought up to date. It is nil where that is not known; again says that whoever asks once more is
// nearer to it. A failure of the index is none of the mailbox: then all messages are looked at.
func (v *view) mayPass(fid mapi.FID, c *schema.FolderCounts, q *fulltext.Query) (some *fulltext.Set, again bool, err error) {
	if q == nil || v.config.Text == nil {
		return nil, false, nil
	}
	found, err := v.config.Text.Find(v.indexedAs(), fid, q)
	if err != nil || found == nil || found.Synced > c.ContentSeq {
		return nil, false, nil
	}
	f, whole, nearer, err := v.changedSince(fid, found.Synced)
	if err != nil || !whole {
		return nil, nearer, err
	}
	for _, r := range f.runs {
		found.UIDs.AddAll(r.first, r.last)
	}
	return found.UIDs, false, nil
}

// restrictionText is a restriction for the index, nil if it cannot be narrowed.
func restrictionText(r mapi.Restriction) *fulltext.Query { return narrowed(r, indexedProps) }

func narrowed(r mapi.Restriction, props map[uint16]fulltext.Field) *fulltext.Query {
	switch r := r.(type) {
	case mapi.AndRestriction:
		return fulltext.All(eachNarrowed(r, props)...)
	case mapi.OrRestriction:
		return fulltext.Any(eachNarrowed(r, props)...)
	case *mapi.CommentRestriction:
		if r.Of != nil {
			return narrowed(r.Of, props)
		}
	case *mapi.SubObjectRestriction:
		for kind, tags := range indexedParts {
			if kind.ID() == r.Tag.ID() {
				return narrowed(r.Of, tags)
			}
		}
	case *mapi.ContentRestriction:
		return narrowedValue(r.Tag, r.Value.Value, props)
	case *mapi.PropertyRestriction:
		if r.Op == mapi.RelOpEQ {
			return narrowedValue(r.Tag, r.Value.Value, props)
		}
	}
	return nil
}

func eachNarrowed(of []mapi.Restriction, props map[uint16]fulltext.Field) []*fulltext.Query {
	list := make([]*fulltext.Query, len(of))
	for i, r := range of {
		list[i] = narrowed(r, props)
	}
	return list
}

// narrowedValue finds what has a value in a property: all comparisons of strings ask for that at least.
func narrowedValue(t mapi.Tag, v mapi.Value, props map[uint16]fulltext.Field) *fulltext.Query {
	field, indexed := props[t.ID()]
	if !indexed || t.Type() != mapi.TypeString && t.Type() != mapi.TypeString8 {
		return nil
	}
	switch v := v.(type) {
	case mapi.String:
		return fulltext.Contains(fulltext.In(field), string(v))
	case mapi.String8:
		return fulltext.Contains(fulltext.In(field), string(v))
	}
	return nil
}
