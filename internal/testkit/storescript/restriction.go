package storescript

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

// node is a list in parentheses, or a word.
type node struct {
	word string
	list []node
}

// parseNode reads a word, a text in quotes or a list.
func parseNode(s string) (n node, rest string, err error) {
	s = strings.TrimLeft(s, " ")
	if !strings.HasPrefix(s, "(") {
		if q, err := strconv.QuotedPrefix(s); err == nil {
			n.word, err = strconv.Unquote(q)
			return n, s[len(q):], err
		}
		end := strings.IndexAny(s, " )")
		if end <= 0 {
			return n, "", fmt.Errorf("a word is missing before %q", s)
		}
		return node{word: s[:end]}, s[end:], nil
	}
	n.list, s = []node{}, s[1:]
	for {
		if s = strings.TrimLeft(s, " "); strings.HasPrefix(s, ")") {
			return n, s[1:], nil
		}
		var below node
		if below, s, err = parseNode(s); err != nil {
			return n, "", err
		}
		n.list = append(n.list, below)
	}
}

// parseRestriction reads a restriction:
//
//	(and R…) (or R…) (not R) (contains|is|begins|word TAG TEXT) (= TAG VALUE) … (same TAG TAG) (bits TAG MASK) (nobits TAG MASK)
//	(size< TAG N) (exist TAG) (recipient R) (attachment R) (comment R) (first N R)
func parseRestriction(s string) (mapi.Restriction, error) {
	if s == "" {
		return nil, nil
	}
	n, rest, err := parseNode(s)
	if err == nil && strings.TrimSpace(rest) != "" {
		err = fmt.Errorf("%q behind the end", rest)
	}
	if err != nil {
		return nil, mistakeError{err}
	}
	r, err := n.restriction()
	if err != nil {
		return nil, mistakeError{err}
	}
	return r, nil
}

// restrictionBytes is the form in which ops take a restriction.
func restrictionBytes(r mapi.Restriction) []byte { return oxcdata.AppendRestriction(nil, r) }

var relops = map[string]mapi.RelOp{"<": mapi.RelOpLT, "<=": mapi.RelOpLE, ">": mapi.RelOpGT, ">=": mapi.RelOpGE, "=": mapi.RelOpEQ, "!=": mapi.RelOpNE}

var fuzzy = map[string]mapi.FuzzyLevel{"is": mapi.FuzzyFullString, "contains": mapi.FuzzySubstring | mapi.FuzzyIgnoreCase,
	"begins": mapi.FuzzyPrefix | mapi.FuzzyIgnoreCase, "word": mapi.FuzzyPrefixOnAnyWord | mapi.FuzzyLoose, "exactly": mapi.FuzzySubstring}

func (n node) restriction() (mapi.Restriction, error) {
	if len(n.list) == 0 {
		return nil, fmt.Errorf("%q is no restriction", n.word)
	}
	op, operands := n.list[0].word, n.list[1:]
	switch op {
	case "and", "or", "not", "recipient", "attachment", "comment":
		return joinedRestriction(op, operands)
	case "first":
		if len(operands) != 2 {
			return nil, fmt.Errorf("first N R")
		}
		count, err := strconv.ParseUint(operands[0].word, 10, 32)
		if err != nil {
			return nil, err
		}
		of, err := operands[1].restriction()
		return &mapi.CountRestriction{Count: uint32(count), Of: of}, err
	}
	return leafRestriction(op, operands)
}

func joinedRestriction(op string, operands []node) (mapi.Restriction, error) {
	list := make([]mapi.Restriction, len(operands))
	for i := range operands {
		var err error
		if list[i], err = operands[i].restriction(); err != nil {
			return nil, err
		}
	}
	switch {
	case op == "and":
		return mapi.AndRestriction(list), nil
	case op == "or":
		return mapi.OrRestriction(list), nil
	case len(list) != 1:
		return nil, fmt.Errorf("%s of %d", op, len(list))
	case op == "not":
		return &mapi.NotRestriction{Of: list[0]}, nil
	case op == "recipient":
		return &mapi.SubObjectRestriction{Tag: mapi.PidTagMessageRecipients, Of: list[0]}, nil
	case op == "attachment":
		return &mapi.SubObjectRestriction{Tag: mapi.PidTagMessageAttachments, Of: list[0]}, nil
	}
	return &mapi.CommentRestriction{Of: list[0]}, nil
}

func leafRestriction(op string, operands []node) (mapi.Restriction, error) {
	if len(operands) == 0 || len(operands) > 2 {
		return nil, fmt.Errorf("%s of %d", op, len(operands))
	}
	t, err := parseTag(operands[0].word)
	if err != nil || op == "exist" {
		return &mapi.ExistRestriction{Tag: t}, err
	}
	text := operands[len(operands)-1].word
	switch op {
	case "same":
		other, err := parseTag(text)
		return &mapi.ComparePropertiesRestriction{Op: mapi.RelOpEQ, Left: t, Right: other}, err
	case "bits", "nobits":
		mask, err := strconv.ParseUint(text, 0, 32)
		return &mapi.BitMaskRestriction{Op: map[string]mapi.BitMaskOp{"bits": mapi.BitMaskNotEqualZero, "nobits": mapi.BitMaskEqualZero}[op], Tag: t, Mask: uint32(mask)}, err
	}
	if rel, ok := strings.CutPrefix(op, "size"); ok {
		n, err := strconv.ParseUint(text, 0, 32)
		return &mapi.SizeRestriction{Op: relops[rel], Tag: t, Size: uint32(n)}, err
	}
	p, err := parseProp(t, text)
	if level, ok := fuzzy[op]; ok {
		return &mapi.ContentRestriction{Fuzzy: level, Tag: t, Value: p}, err
	}
	rel, ok := relops[op]
	if !ok {
		return nil, fmt.Errorf("no condition %q", op)
	}
	return &mapi.PropertyRestriction{Op: rel, Tag: t, Value: p}, err
}
