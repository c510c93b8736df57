package storescript

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/invariant"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

// rng is a source of random numbers whose seed is in the test's log.
func (r *run) rng() *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	r.t.Logf("%s: seed %d", r.cmd.name, seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// allProps are values of every type for a level of a message.
type allProps struct{ message, recipient, attachment []mapi.Prop }

// Sizes of a level; those of all levels together are above 500.
const (
	messageProps = 130
	innerProps   = 40
)

func newAllProps(rng *rand.Rand) allProps {
	p := allProps{propsOf(rng, messageProps), propsOf(rng, innerProps), propsOf(rng, innerProps)}
	p.message = append(append(p.message, longProps(rng)...), namedProps(rng)...)
	p.attachment = append(append(p.attachment, longProps(rng)...), namedProps(rng)...)
	return p
}

// longProps are values that are kept apart from the others, as content.
func longProps(rng *rand.Rand) []mapi.Prop {
	b := make([]byte, mapi.MaxStoredValue+1+rng.IntN(1000))
	for i := range b {
		b[i] = byte('a' + rng.IntN(26))
	}
	return []mapi.Prop{{Tag: mapi.NewTag(firstLong, mapi.TypeString), Value: mapi.String(b)}, {Tag: mapi.NewTag(firstLong+1, mapi.TypeBinary), Value: mapi.Binary(b)},
		{Tag: mapi.NewTag(firstLong+2, mapi.TypeObject), Value: mapi.Opaque(b)}}
}

// theirNames are the names of named properties, which stand under their places in this list until a mailbox has given them ids.
var theirNames = []mapi.PropertyName{mapi.PidLidReminderSignalTime.PropertyName, {Set: mapi.PSPublicStrings, Kind: mapi.NameByString, Name: "Round trip"}}

func namedProps(rng *rand.Rand) []mapi.Prop {
	return []mapi.Prop{{Tag: mapi.PidLidReminderSignalTime.Tag(0x8000), Value: mapi.FileTime(rng.Uint64())},
		{Tag: mapi.NewTag(0x8001, mapi.TypeMultiString), Value: mapi.Strings{"a", "", "語"}}}
}

// underIDs are properties with the ids that the mailbox has given the names.
func underIDs(props []mapi.Prop, names []exmdb.NamedID) []mapi.Prop {
	out := slices.Clone(props)
	for i := range out {
		id := out[i].Tag.ID()
		if id < 0x8000 {
			continue
		}
		for _, n := range names {
			if n.Name == theirNames[id-0x8000] {
				out[i].Tag = mapi.NewTag(n.ID, out[i].Tag.Type())
			}
		}
	}
	return out
}

func (p *allProps) edit(inside *exmdb.MessageEdit) *exmdb.MessageEdit {
	return &exmdb.MessageEdit{Set: bagOf(p.message), ReplaceRecipients: true, Recipients: []mapi.PropBag{bagOf(p.recipient)},
		Attachments: []exmdb.AttachmentEdit{{Number: 0, Set: bagOf(p.attachment), Embedded: inside}}}
}

func bagOf(props []mapi.Prop) mapi.PropBag {
	var bag mapi.PropBag
	for _, p := range props {
		bag.Set(p.Tag, p.Value)
	}
	return bag
}

// firstFree is the first of the property ids that mean nothing to a mailbox.
const (
	firstFree = 0x6800
	firstLong = 0x7100
)

// apart are values of the types that a bag does not take apart.
func apart() []mapi.Prop {
	of := mapi.OrRestriction{&mapi.ExistRestriction{Tag: mapi.PidTagSubject}, &mapi.SizeRestriction{Op: mapi.RelOpGE, Tag: mapi.PidTagBody, Size: 9}}
	actions, err := oxcdata.RuleActionsValue([]mapi.RuleAction{{Type: mapi.ActionDelete}, {Type: mapi.ActionDefer, Data: mapi.DeferAction("x")}})
	if err != nil {
		invariant.Failf("two actions have no form: %v", err)
	}
	return []mapi.Prop{{Tag: mapi.Tag(mapi.TypeServerID), Value: oxcdata.ServerIDValue(mapi.ServerID{Ours: true, FID: 7, MID: 8})},
		{Tag: mapi.Tag(mapi.TypeRestriction), Value: oxcdata.RestrictionValue(of)}, {Tag: mapi.Tag(mapi.TypeRuleAction), Value: actions},
		{Tag: mapi.Tag(mapi.TypeObject), Value: mapi.Opaque("an object")}}
}

// propsOf are n properties: one of each type with values at its ends, then random ones.
func propsOf(rng *rand.Rand, n int) []mapi.Prop {
	octets := func(most int) []byte {
		b := make([]byte, rng.IntN(most)+1)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}
	text := func() string {
		runes := make([]rune, rng.IntN(60))
		for i := range runes {
			runes[i] = []rune("aÄ語😀 ")[rng.IntN(5)]
		}
		return string(runes)
	}
	ends := []mapi.Value{mapi.Null{}, mapi.Integer16(math.MinInt16), mapi.Integer32(math.MaxInt32), mapi.Integer64(math.MinInt64),
		mapi.Floating32(math.MaxFloat32), mapi.Floating64(math.SmallestNonzeroFloat64), mapi.Currency(rng.Int64()), mapi.AppTime(44_000.25),
		mapi.ErrorCode(0x8004_010F), mapi.Boolean(false), mapi.String(""), mapi.String8("\x80\xff"), mapi.Binary{}, mapi.FileTime(rng.Uint64()), mapi.NewGUID(),
		mapi.Integers16{1, -1}, mapi.Integers32{}, mapi.Integers64{math.MaxInt64}, mapi.Floatings32{1.5}, mapi.Floatings64{-0.5}, mapi.Currencies{3},
		mapi.AppTimes{4.5}, mapi.Strings{"", "b"}, mapi.Strings8{"\xe4"}, mapi.Binaries{{}, {1}}, mapi.Times{5, 6}, mapi.GUIDs{{}}}
	props, opaque := make([]mapi.Prop, 0, n), apart()
	for i := range n {
		var v mapi.Value
		kind := mapi.TypeUnspecified
		switch {
		case i < len(ends):
			v = ends[i]
		case i < len(ends)+len(opaque):
			v, kind = opaque[i-len(ends)].Value, opaque[i-len(ends)].Tag.Type()
		case rng.IntN(2) == 0:
			v = mapi.String(text())
		default:
			v = mapi.Binary(octets(100))
		}
		if kind == mapi.TypeUnspecified {
			kind = mapi.TypeOf(v)
		}
		props = append(props, mapi.Prop{Tag: mapi.NewTag(uint16(firstFree+i), kind), Value: v})
	}
	return props
}
