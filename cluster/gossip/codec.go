package gossip

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/hashicorp/memberlist"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

const (
	// form1 is the first byte of whatever this package sends. Fields are added behind it by tag; another first
	// byte would be another language, and is refused.
	form1 = 1

	maxState         = 2 << 20 // bytes of another node's state in push/pull
	maxGroups        = 16384   // groups whose leaders are kept
	maxNodes         = 1024    // nodes whose records are carried
	maxRecord        = 1024    // bytes of one; that is less than a packet has room for
	maxSites         = 64      // data centres
	maxHintsInPacket = 110     // leadership changes in one broadcast
	maxInPacket      = 8       // records in one broadcast
	maxMeta          = memberlist.MetaMaxSize
)

var errForm = errors.New("gossip: unknown form")

// hint is the newest known leadership of a group. Lost means that the leader of that term has said it is none any
// more, and nobody is known to have followed.
type hint struct {
	Group  cluster.GroupID
	Term   uint64
	Leader cluster.NodeID
	Lost   bool
}

// newer orders what is known of one group: a higher term wins, and within a term the end of a leadership follows its
// beginning. Raft lets one term have one leader; should two be claimed, every node settles on the same.
func (h hint) newer(than hint) bool {
	if h.Term != than.Term {
		return h.Term > than.Term
	}
	if h.Lost != than.Lost {
		return h.Lost
	}
	return h.Leader > than.Leader
}

// hintTable is a list of hints in columns, leaders named once.
type hintTable struct {
	Leaders []string `wire:"1"`
	Groups  []uint32 `wire:"2"`
	Terms   []uint64 `wire:"3"`
	// Who is twice the place in Leaders, plus one if the leadership was lost.
	Who []uint32 `wire:"4"`
}

// message is a broadcast or the state in push/pull. The latter has everything.
type message struct {
	Hints   hintTable `wire:"1"`
	Records []record  `wire:"2"`
}

func tableOf(hints []hint) hintTable {
	var t hintTable
	places := map[cluster.NodeID]uint32{}
	for _, h := range hints {
		place, ok := places[h.Leader]
		if !ok {
			place = uint32(len(t.Leaders)) // #nosec G115 -- at most maxGroups
			places[h.Leader] = place
			t.Leaders = append(t.Leaders, string(h.Leader))
		}
		who := place << 1
		if h.Lost {
			who |= 1
		}
		t.Groups = append(t.Groups, uint32(h.Group))
		t.Terms = append(t.Terms, h.Term)
		t.Who = append(t.Who, who)
	}
	return t
}

func (t hintTable) hints() ([]hint, error) {
	n := len(t.Groups)
	if n != len(t.Terms) || n != len(t.Who) || n > maxGroups {
		return nil, fmt.Errorf("gossip: hints: %d groups, %d terms, %d leaders", n, len(t.Terms), len(t.Who))
	}
	hints := make([]hint, n)
	for i := range hints {
		place := int(t.Who[i] >> 1)
		if place >= len(t.Leaders) || !cluster.NodeID(t.Leaders[place]).Valid() {
			return nil, fmt.Errorf("gossip: hints: group %d has no well-formed leader", t.Groups[i])
		}
		hints[i] = hint{
			Group: cluster.GroupID(t.Groups[i]), Term: t.Terms[i],
			Leader: cluster.NodeID(t.Leaders[place]), Lost: t.Who[i]&1 == 1,
		}
	}
	return hints, nil
}

func encodeMessage(hints []hint, records []record) []byte {
	return wire.Append([]byte{form1}, &message{Hints: tableOf(hints), Records: records})
}

func decodeMessage(b []byte) ([]hint, []record, error) {
	if len(b) > maxState {
		return nil, nil, fmt.Errorf("gossip: state of %d bytes", len(b))
	}
	var m message
	if err := decode(b, &m); err != nil {
		return nil, nil, err
	}
	if len(m.Records) > maxNodes {
		return nil, nil, fmt.Errorf("gossip: records of %d nodes", len(m.Records))
	}
	hints, err := m.Hints.hints()
	return hints, m.Records, err
}

func decode(b []byte, v any) error {
	if len(b) == 0 || b[0] != form1 {
		return errForm
	}
	return wire.Unmarshal(b[1:], v)
}

func encodeMeta(m Meta) ([]byte, error) {
	b := wire.Append([]byte{form1}, &m)
	if len(b) > maxMeta {
		return nil, fmt.Errorf("gossip: meta of %d bytes, at most %d: %w", len(b), maxMeta, cluster.ErrTooLarge)
	}
	return b, nil
}

func decodeMeta(b []byte) (Meta, error) {
	var m Meta
	if len(b) > maxMeta {
		return m, cluster.ErrTooLarge
	}
	err := decode(b, &m)
	return m, err
}

// packet takes from the front of hints and records what fits in limit bytes, and says how many of each that were.
func packet(hints []hint, records []record, limit int) (b []byte, h, r int) {
	for n := 1; n <= min(len(records), maxInPacket); n++ {
		more := encodeMessage(nil, records[:n])
		if len(more) > limit {
			break
		}
		b, r = more, n
	}
	for n := min(len(hints), maxHintsInPacket); n > 0; n /= 2 {
		if all := encodeMessage(hints[:n], records[:r]); len(all) <= limit {
			return all, n, r
		}
	}
	return b, 0, r
}

func sortedHints(m map[cluster.GroupID]hint) []hint {
	hints := make([]hint, 0, len(m))
	for _, h := range m {
		hints = append(hints, h)
	}
	slices.SortFunc(hints, func(a, b hint) int { return cmp.Compare(a.Group, b.Group) })
	return hints
}
