package storescript

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
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
	return allProps{propsOf(rng, messageProps), propsOf(rng, innerProps), propsOf(rng, innerProps)}
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
const firstFree = 0x6800

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
	props := make([]mapi.Prop, 0, n)
	for i := range n {
		var v mapi.Value
		switch {
		case i < len(ends):
			v = ends[i]
		case rng.IntN(2) == 0:
			v = mapi.String(text())
		default:
			v = mapi.Binary(octets(100))
		}
		props = append(props, mapi.Prop{Tag: mapi.NewTag(uint16(firstFree+i), mapi.TypeOf(v)), Value: v})
	}
	return props
}
