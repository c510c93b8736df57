package mapi

import (
	"bytes"
	"cmp"
	"iter"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Getter is an object as a restriction sees it. A PropBag is one.
type Getter interface {
	// Get is the value of t, nil when the object does not have it. What is kept as content is given as its bytes.
	Get(t Tag) Value
}

// SubObjects is a Getter with recipients and attachments.
type SubObjects interface {
	// SubObjects yields what is under PidTagMessageRecipients or PidTagMessageAttachments.
	SubObjects(t Tag) iter.Seq[Getter]
}

// Members is a Getter that knows the directory.
type Members interface {
	// MemberOfDL reports whether the object with one entry id belongs to the distribution list with the other.
	MemberOfDL(member, list []byte) bool
}

// lookup asks g for t. A client may ask for a string in either coding, and for a list as a column spread over rows.
func lookup(g Getter, t Tag) Value {
	t = t.WithType(t.Type() &^ MultiInstance)
	v := present(g, t)
	if v != nil {
		return v
	}
	switch t.Type().Element() {
	case TypeString:
		return present(g, t.WithType(t.Type()&MultiValue|TypeString8))
	case TypeString8:
		return present(g, t.WithType(t.Type()&MultiValue|TypeString))
	}
	return nil
}

// present takes an error in the place of a value for absence.
func present(g Getter, t Tag) Value {
	v := g.Get(t)
	if _, failed := v.(ErrorCode); failed && t.Type() != TypeErrorCode {
		return nil
	}
	return v
}

// Match implements Restriction.
func (r AndRestriction) Match(g Getter) bool {
	return !slices.ContainsFunc(r, func(o Restriction) bool { return !o.Match(g) })
}

// Match implements Restriction.
func (r OrRestriction) Match(g Getter) bool {
	return slices.ContainsFunc(r, func(o Restriction) bool { return o.Match(g) })
}

// Match implements Restriction.
func (r *NotRestriction) Match(g Getter) bool { return !r.Of.Match(g) }

// Match implements Restriction.
func (r *ExistRestriction) Match(g Getter) bool { return lookup(g, r.Tag) != nil }

// Match implements Restriction.
func (r *CommentRestriction) Match(g Getter) bool { return r.Of == nil || r.Of.Match(g) }

// Match implements Restriction.
func (r *CountRestriction) Match(g Getter) bool { return r.Of.Match(g) }

// Match implements Restriction.
func (r *SubObjectRestriction) Match(g Getter) bool {
	whole, ok := g.(SubObjects)
	if !ok {
		return false
	}
	for part := range whole.SubObjects(r.Tag) {
		if r.Of.Match(part) {
			return true
		}
	}
	return false
}

// Match implements Restriction.
func (r *BitMaskRestriction) Match(g Getter) bool {
	bits, ok := integer(lookup(g, r.Tag))
	return ok && (uint32(bits)&r.Mask != 0) == (r.Op == BitMaskNotEqualZero)
}

// Match implements Restriction.
func (r *SizeRestriction) Match(g Getter) bool {
	return holds(r.Op, cmp.Compare(SizeOf(lookup(g, r.Tag)), uint64(r.Size)))
}

// Match implements Restriction.
func (r *ComparePropertiesRestriction) Match(g Getter) bool {
	return relates(r.Op, lookup(g, r.Left), lookup(g, r.Right))
}

// Match implements Restriction.
func (r *PropertyRestriction) Match(g Getter) bool {
	v := lookup(g, r.Tag)
	if r.Op == RelOpMemberOfDL {
		return isMember(g, v, r.Value.Value)
	}
	return relates(r.Op, v, r.Value.Value)
}

func isMember(g Getter, member, list Value) bool {
	directory, ok := g.(Members)
	m, isBytes := octets(member)
	l, areBytes := octets(list)
	return ok && isBytes && areBytes && directory.MemberOfDL(m, l)
}

// relates reports whether v op c. What is absent is less than anything that is there and equal to what is absent too,
// as in tables of Exchange 2019. A list against one value relates if one element does.
func relates(op RelOp, v, c Value) bool {
	if v == nil || c == nil {
		return holds(op, CompareForSort(v, c))
	}
	if list := Elements(v); list != nil && Elements(c) == nil {
		return slices.ContainsFunc(list, func(e Value) bool { return relates(op, e, c) })
	}
	order, ok := Compare(v, c)
	return ok && holds(op, order)
}

// holds reports whether two values of the given order stand in the relation.
func holds(op RelOp, order int) bool {
	switch op {
	case RelOpLT:
		return order < 0
	case RelOpLE:
		return order <= 0
	case RelOpGT:
		return order > 0
	case RelOpGE:
		return order >= 0
	case RelOpEQ:
		return order == 0
	case RelOpNE:
		return order != 0
	}
	return false
}

// Match implements Restriction.
func (r *ContentRestriction) Match(g Getter) bool { return r.ready().Match(g) }

// ready is r with its value folded as its level says.
func (r *ContentRestriction) ready() *readyContent {
	out := &readyContent{ContentRestriction: r}
	if s, ok := text(r.Value.Value); ok {
		out.text, out.isText = r.Fuzzy.fold(s), true
	}
	out.octets, out.isOctets = octets(r.Value.Value)
	return out
}

// readyContent is a ContentRestriction during one walk over many objects.
type readyContent struct {
	*ContentRestriction
	text             string
	octets           []byte
	isText, isOctets bool
}

func (r *readyContent) Match(g Getter) bool { return r.matches(lookup(g, r.Tag)) }

func (r *readyContent) matches(v Value) bool {
	if s, ok := text(v); ok {
		return r.isText && r.Fuzzy.matches(r.Fuzzy.fold(s), r.text)
	}
	if b, ok := octets(v); ok {
		return r.isOctets && r.Fuzzy.matchesOctets(b, r.octets)
	}
	return v != nil && slices.ContainsFunc(Elements(v), r.matches)
}

// fold is s without what f ignores.
func (f FuzzyLevel) fold(s string) string {
	if f&(FuzzyIgnoreNonSpace|FuzzyLoose) != 0 {
		s = stripMarks(s)
	}
	if f&(FuzzyIgnoreCase|FuzzyLoose) != 0 {
		s = Fold(s)
	}
	return s
}

func (f FuzzyLevel) matches(s, wanted string) bool {
	if f&(FuzzyPrefixOnAnyWord|FuzzyPhrase) != 0 {
		return matchesWords(s, wanted, f&FuzzyPhrase != 0)
	}
	switch f & 0xF {
	case FuzzySubstring:
		return strings.Contains(s, wanted)
	case FuzzyPrefix:
		return strings.HasPrefix(s, wanted)
	}
	return s == wanted
}

func (f FuzzyLevel) matchesOctets(b, wanted []byte) bool {
	switch f & 0xF {
	case FuzzySubstring:
		return bytes.Contains(b, wanted)
	case FuzzyPrefix:
		return bytes.HasPrefix(b, wanted)
	}
	return bytes.Equal(b, wanted)
}

// matchesWords reports whether wanted stands in s where a word begins and, if it has to, where one ends.
func matchesWords(s, wanted string, whole bool) bool {
	for at := 0; ; {
		i := strings.Index(s[at:], wanted)
		if i < 0 {
			return false
		}
		start, end := at+i, at+i+len(wanted)
		before, _ := utf8.DecodeLastRuneInString(s[:start])
		after, _ := utf8.DecodeRuneInString(s[end:])
		if (start == 0 || !inWord(before)) && (!whole || end == len(s) || !inWord(after)) {
			return true
		}
		if start == len(s) {
			return false
		}
		_, size := utf8.DecodeRuneInString(s[start:])
		at = start + size
	}
}

func inWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) }

// ForOneWalk is r for one walk over objects in one order: counts run down as objects pass, and the values that content
// is searched for are folded once. Counts of recipients and attachments do not run down: the walk is over what has them.
// The result is not used by two walks, nor put on any wire. r stays as it is.
func ForOneWalk(r Restriction) Restriction { return forWalk(r, true) }

func forWalk(r Restriction, counts bool) Restriction {
	operands := r.operands()
	ready := make([]Restriction, len(operands))
	for i, o := range operands {
		ready[i] = forWalk(o, counts && r.Type() != RestrictSubObject)
	}
	switch r := r.(type) {
	case *ContentRestriction:
		return r.ready()
	case *CountRestriction:
		if counts {
			return &countdown{&CountRestriction{r.Count, ready[0]}}
		}
	}
	return r.rewritten(ready, func(p Prop) Prop { return p })
}

// countdown is a CountRestriction during one walk.
type countdown struct{ *CountRestriction }

func (c *countdown) Match(g Getter) bool {
	if c.Count == 0 || !c.Of.Match(g) {
		return false
	}
	c.Count--
	return true
}
