package mapi

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// RestrictionType is a restriction's kind (MS-OXCDATA 2.12). Its numbers are the specification's.
type RestrictionType uint8

// The kinds.
const (
	RestrictAnd               RestrictionType = 0x00
	RestrictOr                RestrictionType = 0x01
	RestrictNot               RestrictionType = 0x02
	RestrictContent           RestrictionType = 0x03
	RestrictProperty          RestrictionType = 0x04
	RestrictCompareProperties RestrictionType = 0x05
	RestrictBitMask           RestrictionType = 0x06
	RestrictSize              RestrictionType = 0x07
	RestrictExist             RestrictionType = 0x08
	RestrictSubObject         RestrictionType = 0x09
	RestrictComment           RestrictionType = 0x0A
	RestrictCount             RestrictionType = 0x0B
)

// RelOp is how a PropertyRestriction relates a property to a value (MS-OXCDATA 2.12.5.1).
type RelOp uint8

// The relations.
const (
	RelOpLT RelOp = 0x00
	RelOpLE RelOp = 0x01
	RelOpGT RelOp = 0x02
	RelOpGE RelOp = 0x03
	RelOpEQ RelOp = 0x04
	RelOpNE RelOp = 0x05
	// RelOpRE is a regular expression: MAPI numbers it, no server evaluates it, and CheckRestriction refuses it.
	RelOpRE RelOp = 0x06
	// RelOpMemberOfDL: the property is the entry id of a member of the distribution list that the value names.
	RelOpMemberOfDL RelOp = 0x64
)

// Valid reports whether op is one of the relations.
func (op RelOp) Valid() bool { return op <= RelOpRE || op == RelOpMemberOfDL }

// FuzzyLevel is how closely content is to match (MS-OXCDATA 2.12.4.1): FuzzyLevelLow in the lower 16 bits, one of the
// first group with any of the word bits; FuzzyLevelHigh in the upper, any of the second group.
type FuzzyLevel uint32

// The levels.
const (
	FuzzyFullString FuzzyLevel = 0x0000
	FuzzySubstring  FuzzyLevel = 0x0001
	FuzzyPrefix     FuzzyLevel = 0x0002
	// FuzzyPrefixOnAnyWord and FuzzyPhrase come from Outlook's search: the value begins a word, or is one or more whole
	// words, anywhere in the property.
	FuzzyPrefixOnAnyWord FuzzyLevel = 0x0010
	FuzzyPhrase          FuzzyLevel = 0x0020

	FuzzyIgnoreCase     FuzzyLevel = 0x0001_0000
	FuzzyIgnoreNonSpace FuzzyLevel = 0x0002_0000
	// FuzzyLoose ignores case and marks.
	FuzzyLoose FuzzyLevel = 0x0004_0000
)

// BitMaskOp says whether a BitMaskRestriction wants none or some of the bits (MS-OXCDATA 2.12.7.1).
type BitMaskOp uint8

// The two.
const (
	BitMaskEqualZero    BitMaskOp = 0x00
	BitMaskNotEqualZero BitMaskOp = 0x01
)

// Restriction is a filter over objects: a tree of the types below. A restriction that came from a client is bounded
// where it was decoded; one that the program made is held against CheckRestriction before it leaves the process.
type Restriction interface {
	// Match reports whether the object behind g passes. It asks g, and changes nothing.
	Match(g Getter) bool
	// Type is the kind of the node.
	Type() RestrictionType
	// operands are the nodes below.
	operands() []Restriction
	// rewritten is the node with other operands, of the same number, and with its properties mapped; a tag alone is one
	// without a value.
	rewritten(operands []Restriction, prop func(Prop) Prop) Restriction
}

// The nodes that join others.
type (
	// AndRestriction passes what all pass; without any, everything.
	AndRestriction []Restriction
	// OrRestriction passes what one passes; without any, nothing.
	OrRestriction []Restriction
	// NotRestriction passes what Of does not.
	NotRestriction struct{ Of Restriction }
)

// The nodes that look at properties.
type (
	// ContentRestriction passes a string or bytes that hold Value.
	ContentRestriction struct {
		Fuzzy FuzzyLevel
		Tag   Tag
		// Value carries a tag of its own, which clients set to Tag; only its type counts.
		Value Prop
	}
	// PropertyRestriction passes a property that stands to Value as Op says. An absent property is less than any value.
	// A list passes if one of its elements does.
	PropertyRestriction struct {
		Op    RelOp
		Tag   Tag
		Value Prop
	}
	// ComparePropertiesRestriction relates two properties of the object.
	ComparePropertiesRestriction struct {
		Op          RelOp
		Left, Right Tag
	}
	// BitMaskRestriction looks at bits of an Integer32. An absent property passes neither way.
	BitMaskRestriction struct {
		Op   BitMaskOp
		Tag  Tag
		Mask uint32
	}
	// SizeRestriction relates the size of a property's value, as SizeOf has it, to Size.
	SizeRestriction struct {
		Op   RelOp
		Tag  Tag
		Size uint32
	}
	// ExistRestriction passes objects that have the property.
	ExistRestriction struct{ Tag Tag }
)

// The nodes that look further.
type (
	// SubObjectRestriction passes an object if one of its recipients (PidTagMessageRecipients) or attachments
	// (PidTagMessageAttachments) passes Of.
	SubObjectRestriction struct {
		Tag Tag
		Of  Restriction
	}
	// CommentRestriction carries properties for the client along and is what Of is; without Of, everything passes.
	CommentRestriction struct {
		Values []Prop
		Of     Restriction
	}
	// CountRestriction passes the first Count objects that pass Of. Match alone knows no first: see ForOneWalk.
	CountRestriction struct {
		Count uint32
		Of    Restriction
	}
)

// Limits of a restriction, whoever made it. Outlook's search for a few words in all fields has some hundred nodes.
const (
	MaxRestrictionDepth = 64
	MaxRestrictionNodes = 10_000
)

var (
	// ErrBadRestriction says that a restriction is malformed.
	ErrBadRestriction = errors.New("malformed restriction")
	// ErrTooComplex says that a restriction, or a sort order, is well formed and beyond what is evaluated: ecTooComplex.
	ErrTooComplex = errors.New("too complex")
)

// CheckRestriction holds r against the limits and against what can be evaluated.
func CheckRestriction(r Restriction) error {
	left := MaxRestrictionNodes
	return checkNode(r, MaxRestrictionDepth, &left)
}

func checkNode(r Restriction, depth int, left *int) error {
	if r == nil {
		return fmt.Errorf("a node is missing: %w", ErrBadRestriction)
	}
	if *left--; *left < 0 || depth == 0 {
		return fmt.Errorf("restriction of more than %d nodes or %d levels: %w", MaxRestrictionNodes, MaxRestrictionDepth, ErrTooComplex)
	}
	if err := checkFields(r); err != nil {
		return err
	}
	for _, o := range r.operands() {
		if err := checkNode(o, depth-1, left); err != nil {
			return err
		}
	}
	return nil
}

func checkFields(r Restriction) error {
	switch r := r.(type) {
	case *ContentRestriction:
		return checkValue(r.Tag, r.Value)
	case *PropertyRestriction:
		return errors.Join(checkRelOp(r.Op), checkValue(r.Tag, r.Value))
	case *ComparePropertiesRestriction:
		if r.Op == RelOpMemberOfDL {
			return fmt.Errorf("membership of a property: %w", ErrTooComplex)
		}
		return checkRelOp(r.Op)
	case *SizeRestriction:
		if r.Op == RelOpMemberOfDL {
			return fmt.Errorf("membership of a size: %w", ErrTooComplex)
		}
		return checkRelOp(r.Op)
	case *BitMaskRestriction:
		if r.Op > BitMaskNotEqualZero {
			return fmt.Errorf("bit mask operator %d: %w", r.Op, ErrBadRestriction)
		}
	case *SubObjectRestriction:
		if r.Tag != PidTagMessageRecipients && r.Tag != PidTagMessageAttachments {
			return fmt.Errorf("sub-objects under %v: %w", r.Tag, ErrTooComplex)
		}
	case *CommentRestriction:
		if len(r.Values) > math.MaxUint8 {
			return fmt.Errorf("comment of %d values: %w", len(r.Values), ErrTooComplex)
		}
	}
	return nil
}

func checkRelOp(op RelOp) error {
	switch {
	case !op.Valid():
		return fmt.Errorf("relation %#x: %w", uint8(op), ErrBadRestriction)
	case op == RelOpRE:
		return fmt.Errorf("regular expression: %w", ErrTooComplex)
	}
	return nil
}

// checkValue refuses a property and a value that could never compare (MAPI_E_TOO_COMPLEX of Exchange).
func checkValue(t Tag, p Prop) error {
	if p.Value == nil || !p.Value.fits(p.Tag.Type()) {
		return fmt.Errorf("%T under tag %v: %w", p.Value, p.Tag, ErrBadRestriction)
	}
	property, value := t.Type(), p.Tag.Type()
	if property == value || property.Element() == value || isText(property.Element()) && isText(value.Element()) {
		return nil
	}
	return fmt.Errorf("property %v against a value of type %#04x: %w", t, uint16(value), ErrTooComplex)
}

func isText(t Type) bool { return t == TypeString || t == TypeString8 }

// Within reports whether is holds for r, or for any restriction that it is made of.
func Within(r Restriction, is func(Restriction) bool) bool {
	return is(r) || slices.ContainsFunc(r.operands(), func(o Restriction) bool { return Within(o, is) })
}

// MapTags is r with every tag of a property replaced by what tag gives for it: named properties have other ids in
// another mailbox. r stays as it is.
func MapTags(r Restriction, tag func(Tag) Tag) Restriction {
	return MapProps(r, func(p Prop) Prop { return Prop{Tag: tag(p.Tag), Value: p.Value} })
}

// MapProps is r with every property in it replaced by what prop gives for it; where only a tag stands its value is nil.
// r stays as it is.
func MapProps(r Restriction, prop func(Prop) Prop) Restriction {
	operands := r.operands()
	mapped := make([]Restriction, len(operands))
	for i, o := range operands {
		mapped[i] = MapProps(o, prop)
	}
	return r.rewritten(mapped, prop)
}

// mapTag maps a tag that stands alone.
func mapTag(t Tag, prop func(Prop) Prop) Tag { return prop(Prop{Tag: t}).Tag }

// Type implements Restriction.
func (AndRestriction) Type() RestrictionType { return RestrictAnd }

// Type implements Restriction.
func (OrRestriction) Type() RestrictionType { return RestrictOr }

// Type implements Restriction.
func (*NotRestriction) Type() RestrictionType { return RestrictNot }

// Type implements Restriction.
func (*ContentRestriction) Type() RestrictionType { return RestrictContent }

// Type implements Restriction.
func (*PropertyRestriction) Type() RestrictionType { return RestrictProperty }

// Type implements Restriction.
func (*ComparePropertiesRestriction) Type() RestrictionType { return RestrictCompareProperties }

// Type implements Restriction.
func (*BitMaskRestriction) Type() RestrictionType { return RestrictBitMask }

// Type implements Restriction.
func (*SizeRestriction) Type() RestrictionType { return RestrictSize }

// Type implements Restriction.
func (*ExistRestriction) Type() RestrictionType { return RestrictExist }

// Type implements Restriction.
func (*SubObjectRestriction) Type() RestrictionType { return RestrictSubObject }

// Type implements Restriction.
func (*CommentRestriction) Type() RestrictionType { return RestrictComment }

// Type implements Restriction.
func (*CountRestriction) Type() RestrictionType { return RestrictCount }

func (r AndRestriction) operands() []Restriction                { return r }
func (r OrRestriction) operands() []Restriction                 { return r }
func (r *NotRestriction) operands() []Restriction               { return []Restriction{r.Of} }
func (r *ContentRestriction) operands() []Restriction           { return nil }
func (r *PropertyRestriction) operands() []Restriction          { return nil }
func (r *ComparePropertiesRestriction) operands() []Restriction { return nil }
func (r *BitMaskRestriction) operands() []Restriction           { return nil }
func (r *SizeRestriction) operands() []Restriction              { return nil }
func (r *ExistRestriction) operands() []Restriction             { return nil }
func (r *SubObjectRestriction) operands() []Restriction         { return []Restriction{r.Of} }
func (r *CountRestriction) operands() []Restriction             { return []Restriction{r.Of} }
func (r *CommentRestriction) operands() []Restriction {
	if r.Of == nil {
		return nil
	}
	return []Restriction{r.Of}
}

func (r AndRestriction) rewritten(of []Restriction, _ func(Prop) Prop) Restriction {
	return AndRestriction(of)
}

func (r OrRestriction) rewritten(of []Restriction, _ func(Prop) Prop) Restriction {
	return OrRestriction(of)
}

func (r *NotRestriction) rewritten(of []Restriction, _ func(Prop) Prop) Restriction {
	return &NotRestriction{of[0]}
}

func (r *ContentRestriction) rewritten(_ []Restriction, prop func(Prop) Prop) Restriction {
	return &ContentRestriction{r.Fuzzy, mapTag(r.Tag, prop), prop(r.Value)}
}

func (r *PropertyRestriction) rewritten(_ []Restriction, prop func(Prop) Prop) Restriction {
	return &PropertyRestriction{r.Op, mapTag(r.Tag, prop), prop(r.Value)}
}

func (r *ComparePropertiesRestriction) rewritten(_ []Restriction, prop func(Prop) Prop) Restriction {
	return &ComparePropertiesRestriction{r.Op, mapTag(r.Left, prop), mapTag(r.Right, prop)}
}

func (r *BitMaskRestriction) rewritten(_ []Restriction, prop func(Prop) Prop) Restriction {
	return &BitMaskRestriction{r.Op, mapTag(r.Tag, prop), r.Mask}
}

func (r *SizeRestriction) rewritten(_ []Restriction, prop func(Prop) Prop) Restriction {
	return &SizeRestriction{r.Op, mapTag(r.Tag, prop), r.Size}
}

func (r *ExistRestriction) rewritten(_ []Restriction, prop func(Prop) Prop) Restriction {
	return &ExistRestriction{mapTag(r.Tag, prop)}
}

func (r *SubObjectRestriction) rewritten(of []Restriction, _ func(Prop) Prop) Restriction {
	return &SubObjectRestriction{r.Tag, of[0]}
}

func (r *CountRestriction) rewritten(of []Restriction, _ func(Prop) Prop) Restriction {
	return &CountRestriction{r.Count, of[0]}
}

// rewritten leaves the comment's own properties as they are: they are the client's, under numbers that only look like
// tags.
func (r *CommentRestriction) rewritten(of []Restriction, _ func(Prop) Prop) Restriction {
	out := &CommentRestriction{Values: r.Values}
	if len(of) > 0 {
		out.Of = of[0]
	}
	return out
}
