package store

import (
	"errors"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/placement"
)

func (b *board) policy() (p placement.Policy) {
	b.t.Helper()
	b.view(func(r space.Reader) (err error) {
		p, err = LoadPolicy(r)
		return err
	})
	return p
}

// sites is a map of one node in each of the sites, and a group for all.
func sites(b *board, names ...string) {
	b.do(func(w space.Writer) error {
		m, err := Load(w)
		if err == nil && m.Group(1) == nil {
			err = CreateGroup(w, placement.Group{ID: 1}, []cluster.ServerID{"n1.1"})
		}
		for i, s := range names {
			id := cluster.NodeID("n" + string(rune('1'+i)))
			err = errors.Join(err, PutNode(w, placement.NodeState{ID: id, Roles: placement.RoleStore, DC: s}))
		}
		return err
	})
}

// TestPolicyInWords has a row for every setting, good and bad.
func TestPolicyInWords(t *testing.T) {
	b, end := newBoard(t)
	defer end()
	sites(b, "fra", "muc")
	b.do(func(w space.Writer) error {
		return InitPolicy(w, placement.Policy{Replicas: 3, Groups: 1, Survive: placement.SurviveZone, Grace: placement.DefaultGrace})
	})
	for _, tt := range []struct{ pairs, domain, want, refused string }{
		{"replicas=5 survive=site", "", "replicas=5 groups=1 survive=site max-group=0 max-ops=0 grace=30m0s", ""},
		{"replicas=4", "", "", "replicas=4: want 3 or 5"},
		{"groups=2 home=fra", "", "replicas=5 groups=2 survive=site home=fra max-group=0 max-ops=0 grace=30m0s", ""},
		{"groups=0", "", "", "want 1 to 256"},
		{"sites=muc,fra max-group=200G max-ops=0 grace=1h", "", "replicas=5 groups=2 survive=site home=fra sites=fra,muc max-group=200G max-ops=0 grace=1h0m0s", ""},
		{"sites=muc", "", "", "home=fra: it is not one of the sites that copies may be in, muc"},
		{"home=ber", "", "", "home=ber: no node that stores is there; the sites are fra, muc"},
		{"sites=fra,ber", "", "", "sites=ber: no node that stores is there"},
		{"sites=fra,,muc", "", "", "want names with commas between them"},
		{"home= sites=", "", "replicas=5 groups=2 survive=site max-group=200G max-ops=0 grace=1h0m0s", ""},
		{"survive=continent", "", "", "want node, zone or site"},
		{"max-group=200", "", "", "want a size as 200G"},
		{"max-group=9999999999T", "", "", "want a size as 200G"},
		{"grace=1s", "", "", "at least 5s"},
		{"weight.n2=200", "", "replicas=5 groups=2 survive=site max-group=200G max-ops=0 grace=1h0m0s", ""},
		{"max-ops=many", "", "", "want a number of operations a second"},
		{"max-ops=900", "", "replicas=5 groups=2 survive=site max-group=200G max-ops=900 grace=1h0m0s", ""},
		{"weight.n9=200", "", "", "weight.n9=200: there is no such node"},
		{"weight.n2=lots", "", "", "want 1 to 10000"},
		{"colour=red", "", "", "no such setting: there are replicas, groups, survive"},
		{"home=fra groups=3", "example.org", "", ""},
		{"survive=site", "example.org", "", "no such setting: there are groups, home, sites"},
		{"home=", "example.org", "", "a rule says a home, sites, or both"},
	} {
		err := b.try(func(w space.Writer) error {
			return SetPolicy(w, &SetPolicyRequest{Pairs: strings.Fields(tt.pairs), Domain: tt.domain})
		})
		p := b.policy()
		switch {
		case tt.refused != "" && (err == nil || !strings.Contains(err.Error(), tt.refused)):
			t.Errorf("%s: %v, want %q", tt.pairs, err, tt.refused)
		case tt.refused == "" && (err != nil || tt.want != "" && p.String() != tt.want):
			t.Errorf("%s: %v, %s; want %s", tt.pairs, err, p.String(), tt.want)
		}
	}
	if w := b.load().Node("n2").Weight; w != 200 {
		t.Errorf("weight %d", w)
	}
	p := b.policy()
	if got := p.Classes()[placement.Class{Home: "fra"}]; got != 3 || len(p.Rules) != 1 {
		t.Errorf("classes %v, rules %v", p.Classes(), p.Rules)
	}
	b.do(func(w space.Writer) error {
		return SetPolicy(w, &SetPolicyRequest{Domain: "example.org", Remove: true})
	})
	if p := b.policy(); len(p.Rules) != 0 {
		t.Errorf("rules %v", p.Rules)
	}
	if err := b.try(func(w space.Writer) error { return InitPolicy(w, placement.DefaultPolicy()) }); err != nil || b.policy().Replicas != 5 {
		t.Errorf("a second cluster begins: %v, %v", err, b.policy())
	}
}

// TestRulesSayWhereSpacesGo: a rule's mailboxes go to groups of its class alone, and the mailbox's own comes first.
func TestRulesSayWhereSpacesGo(t *testing.T) {
	b, end := newBoard(t)
	defer end()
	sites(b, "fra", "muc")
	box := cluster.SpaceID{7}
	b.do(func(w space.Writer) error {
		return errors.Join(SetPolicy(w, &SetPolicyRequest{Domain: "example.org", Pairs: []string{"sites=fra"}}),
			SetPolicy(w, &SetPolicyRequest{Mailbox: box, Pairs: []string{"home=muc"}}))
	})
	place := func(q *PlaceSpaceRequest) (p placement.Place, err error) {
		err = b.try(func(w space.Writer) (err error) {
			p, err = PlaceSpace(w, q)
			return err
		})
		return p, err
	}
	if _, err := place(&PlaceSpaceRequest{Space: cluster.SpaceID{1}, Domain: "example.org"}); cluster.KindOf(err) != cluster.KindUnavailable {
		t.Fatalf("placed where the rule does not allow it: %v", err)
	}
	b.do(func(w space.Writer) error {
		return errors.Join(CreateGroup(w, placement.Group{ID: 2, Sites: []string{"fra"}}, []cluster.ServerID{"n1.2"}),
			CreateGroup(w, placement.Group{ID: 3, Home: "muc"}, []cluster.ServerID{"n2.3"}))
	})
	for want, q := range map[cluster.GroupID]*PlaceSpaceRequest{
		1: {Space: cluster.SpaceID{2}, Domain: "example.net"}, 2: {Space: cluster.SpaceID{1}, Domain: "example.org"},
		3: {Space: box, Domain: "example.org"},
	} {
		if p, err := place(q); err != nil || p.Group != want {
			t.Errorf("%+v: %+v, %v; want group %d", q, p, err, want)
		}
	}
}

// TestNodeStatus has a row for each change of what the administrator wants of a node.
func TestNodeStatus(t *testing.T) {
	b, end := newBoard(t)
	defer end()
	sites(b, "fra", "muc", "muc")
	for _, tt := range []struct {
		q       NodeStatusRequest
		refused string
	}{
		{NodeStatusRequest{Node: "n1", Status: placement.Draining}, ""},
		{NodeStatusRequest{Node: "n9", Status: placement.Draining}, "n9 is no node"},
		{NodeStatusRequest{Node: "n2", Status: placement.Removing, Successor: "n1"}, "n1 cannot take over"},
		{NodeStatusRequest{Node: "n2", Status: placement.Removing, Successor: "n7"}, "n7 is no node of the cluster"},
		{NodeStatusRequest{Node: "n2", Status: placement.Removing, Successor: "n2"}, "n2 cannot take over"},
		{NodeStatusRequest{Node: "n2", Status: placement.Removing, Successor: "n3"}, ""},
		{NodeStatusRequest{Node: "n2", Status: placement.Active}, ""},
		{NodeStatusRequest{Node: "n2", Status: placement.Removed}, ""},
		{NodeStatusRequest{Node: "n2", Status: placement.Active}, "under another name"},
	} {
		err := b.try(func(w space.Writer) error { return SetNodeStatus(w, &tt.q) })
		n := b.load().Node(tt.q.Node)
		switch {
		case tt.refused != "" && (err == nil || !strings.Contains(err.Error(), tt.refused)):
			t.Errorf("%+v: %v, want %q", tt.q, err, tt.refused)
		case tt.refused == "" && (err != nil || n.Status != tt.q.Status || n.Successor != tt.q.Successor):
			t.Errorf("%+v: %v, %+v", tt.q, err, n)
		}
	}
}
