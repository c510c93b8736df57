package node

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/transport"
)

func TestNameIsVacantOnlyWhereNobodyHearsAnother(t *testing.T) {
	states := func(errs ...error) (all []transport.PeerState) {
		for i, err := range errs {
			if err != nil {
				err = fmt.Errorf("refused by the peer: %w", err)
			}
			all = append(all, transport.PeerState{Node: cluster.NodeID(fmt.Sprintf("n%d", i+1)), Err: err})
		}
		return all
	}
	gone := errors.New("connection refused")
	for _, c := range []struct {
		peers []transport.PeerState
		want  []cluster.NodeID
	}{
		{nil, nil},
		{states(nil, nil), nil},
		{states(nil, gone), nil},
		{states(transport.ErrReplaced, transport.ErrReplaced), nil},
		{states(transport.ErrVacant, transport.ErrReplaced), nil},
		{states(transport.ErrReplaced, transport.ErrVacant), nil},
		{states(transport.ErrVacant, gone), []cluster.NodeID{"n1"}},
		{states(nil, transport.ErrVacant), []cluster.NodeID{"n2"}}, // n1 has started since and took this process for the node
		{states(transport.ErrVacant, transport.ErrVacant), []cluster.NodeID{"n1", "n2"}},
	} {
		if got := vacant(c.peers); !slices.Equal(got, c.want) {
			t.Errorf("%+v: %v, want %v", c.peers, got, c.want)
		}
	}
}

func TestOnlyAMemberBeginsAnew(t *testing.T) {
	for _, c := range []struct {
		h    hello
		want bool
	}{
		{hello{}, false},
		{hello{Server: "n2.1"}, false}, // a second machine without the data, which waits to be let in
		{hello{Server: "n2.1", Formed: true, Members: []cluster.ServerID{"n1.1", "n2.9"}}, false},
		{hello{Server: "n2.1", Formed: true, Members: []cluster.ServerID{"n1.1", "n2.1"}}, true},
	} {
		if c.h.member() != c.want {
			t.Errorf("%+v: %v", c.h, !c.want)
		}
	}
}
