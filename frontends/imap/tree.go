package imap

import (
	"context"
	"fmt"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// separator divides the levels of a name; a "/" inside a MAPI name is shown as U+2215 (MAILBOX 6).
const (
	separator = "/"
	slashSign = "∕"
)

// inbox is the fixed folder that IMAP calls INBOX (MAILBOX 1).
const (
	inbox     mapi.FID = 1<<48 | 0x0d
	inboxName          = "INBOX"
)

// node is a folder below the IPM subtree, by its IMAP name.
type node struct {
	exmdb.Folder
	path     string
	shown    bool // a client may select it
	children bool // something below is shown
}

// exists reports whether LIST shows the node, be it only as the way to its children.
func (n *node) exists() bool { return n.shown || n.children }

// tree is the folders of a mailbox as IMAP names them, parents before children.
type tree struct {
	nodes []*node
	ipm   mapi.FID
}

// folders reads the mailbox's folders.
func (s *session) folders(ctx context.Context) (*tree, error) {
	resp, err := exmdb.ListFolders(ctx, s.server.services.Mailboxes, s.principal.Identity, s.principal.Mailbox)
	if err != nil {
		return nil, fmt.Errorf("list folders: %w", err)
	}
	return newTree(resp, s.server.config.AllFolders), nil
}

func newTree(resp *exmdb.ListFoldersResponse, all bool) *tree {
	t := &tree{ipm: resp.IPM, nodes: make([]*node, 0, len(resp.Folders))}
	byFID := make(map[mapi.FID]*node, len(resp.Folders))
	for i := range resp.Folders {
		f := &resp.Folders[i]
		parent := byFID[f.Parent]
		if parent == nil && f.Parent != t.ipm {
			continue // outside of the IPM subtree
		}
		n := &node{Folder: *f, path: escapeName(f.Name), shown: f.IMAP || all && !f.Search}
		switch {
		case f.FID == inbox:
			n.path = inboxName
		case parent != nil:
			n.path = parent.path + separator + n.path
		}
		byFID[f.FID] = n
		t.nodes = append(t.nodes, n)
	}
	for _, n := range t.nodes {
		for p := byFID[n.Parent]; n.shown && p != nil && !p.children; p = byFID[p.Parent] {
			p.children = true
		}
	}
	return t
}

// find is the node of a name, or nil. Names differing in case alone cannot exist side by side, so after an exact
// match one without case is taken.
func (t *tree) find(path string) *node {
	var loose *node
	for _, n := range t.nodes {
		if n.path == path {
			return n
		}
		if loose == nil && len(n.path) == len(path) && strings.EqualFold(n.path, path) {
			loose = n
		}
	}
	return loose
}

// shownNode is the node of a name that a client may select, or [NONEXISTENT].
func (t *tree) shownNode(path string) (*node, error) {
	if n := t.find(path); n != nil && n.shown {
		return n, nil
	}
	return nil, no(imap.ResponseCodeNonExistent, "No such mailbox")
}

// target is shownNode for commands that put messages there: a missing one may be created (RFC 9051 7.1).
func (t *tree) target(path string) (*node, error) {
	if n := t.find(path); n != nil && n.shown {
		return n, nil
	}
	return nil, no(imap.ResponseCodeTryCreate, "No such mailbox")
}

// place finds where a new name belongs: the deepest folder that exists on the way, and the names still to be made
// below it.
func (t *tree) place(path string) (parent mapi.FID, missing []string) {
	levels := strings.Split(path, separator)
	parent = t.ipm
	for i := range levels {
		n := t.find(strings.Join(levels[:i+1], separator))
		if n == nil {
			return parent, levels[i:]
		}
		parent = n.FID
	}
	return parent, nil
}

func escapeName(name string) string { return strings.ReplaceAll(name, separator, slashSign) }

// mapiName is a level of an IMAP name as MAPI has it.
func mapiName(level string) string { return strings.ReplaceAll(level, slashSign, separator) }

// canonical removes the trailing separator that a client may put to a name it wants children below (RFC 9051
// 6.3.4), and puts INBOX in upper case where it is the first level.
func canonical(path string) (string, error) {
	path = strings.TrimSuffix(path, separator)
	first, rest, below := strings.Cut(path, separator)
	if strings.EqualFold(first, inboxName) {
		path = inboxName
		if below {
			path += separator + rest
		}
	}
	for level := range strings.SplitSeq(path, separator) {
		if level == "" {
			return "", no(imap.ResponseCodeCannot, "Mailbox name has an empty level")
		}
		if strings.IndexFunc(level, func(c rune) bool { return c < 0x20 || c == 0x7f }) >= 0 {
			return "", no(imap.ResponseCodeCannot, "Mailbox name has control characters")
		}
	}
	return path, nil
}

// match tells whether name matches an IMAP pattern: "*" stands for anything, "%" for anything without separator.
// The states reached are kept as a set, so the time is bounded by the product of the two lengths.
func match(pattern, name string) bool {
	reached := make([]bool, len(pattern)+1)
	next := make([]bool, len(pattern)+1)
	reached[0] = true
	closure(pattern, reached)
	for i := range len(name) {
		clear(next)
		for p, on := range reached[:len(pattern)] {
			if !on {
				continue
			}
			switch c := pattern[p]; {
			case c == '*', c == '%' && name[i] != '/':
				next[p] = true
			case c == name[i]:
				next[p+1] = true
			}
		}
		closure(pattern, next)
		reached, next = next, reached
	}
	return reached[len(pattern)]
}

// closure lets wildcards stand for nothing.
func closure(pattern string, reached []bool) {
	for p := range len(pattern) {
		if reached[p] && (pattern[p] == '*' || pattern[p] == '%') {
			reached[p+1] = true
		}
	}
}
