package node

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/rpc"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/frontends/admin"
	"github.com/flotilla-mail/flotilla/internal/directory"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/placement"
	"github.com/flotilla-mail/flotilla/placement/controller"
	"github.com/flotilla-mail/flotilla/placement/planner"
	"github.com/flotilla-mail/flotilla/placement/store"
)

// methodPlacement asks the node that leads the system group for what its controller sees; its number is for ever.
var methodPlacement = rpc.Method{ID: 30, Name: "placement"}

// placementVerb is what is asked. Numbers cross the wire.
type placementVerb uint8

const (
	placementPlan    placementVerb = 1
	placementExplain placementVerb = 2
	placementWake    placementVerb = 3
)

type placementRequest struct {
	Verb  placementVerb   `wire:"1"`
	Group cluster.GroupID `wire:"2"`
}

// placementAnswer is JSON for the administrator: nodes pass it on as it is.
type placementAnswer struct {
	JSON []byte `wire:"1"`
}

var _ admin.PlacementBackend = backend{}

// planShown is the answer of `flotilla placement plan`.
type planShown struct {
	Policy string      `json:"policy"`
	Notes  []string    `json:"notes"`
	Steps  []stepShown `json:"steps"`
}

type stepShown struct {
	Step string `json:"step"`
	Why  string `json:"why"`
	// Failed is how often in a row it has been tried in vain.
	Failed int `json:"failed,omitempty"`
}

// answerPlacement answers from the controller's last look; only the node that leads the system group has one.
func (n *Node) answerPlacement(_ context.Context, q *placementRequest) (*placementAnswer, error) {
	c := n.planning.Load()
	if c == nil {
		return nil, &cluster.Error{Kind: cluster.KindNotLeader, Group: cluster.SystemGroup}
	}
	if q.Verb == placementWake {
		c.Wake()
		return &placementAnswer{}, nil
	}
	look := c.Last()
	if look == nil {
		return nil, cluster.Errorf(cluster.KindUnavailable, "the planner has not looked at the cluster yet")
	}
	var answer any
	switch q.Verb {
	case placementPlan:
		answer = n.showPlan(look)
	case placementExplain:
		e := planner.Explain(look.Map, look.Seen, look.Policy, q.Group)
		if e == nil {
			return nil, cluster.Errorf(cluster.KindBadRequest, "there is no group %d", q.Group)
		}
		e.Next = append(e.Next, n.shiftsShown(q.Group)...)
		answer = e
	default:
		return nil, cluster.Errorf(cluster.KindNoMethod, "placement verb %d", q.Verb)
	}
	b, err := json.Marshal(answer)
	return &placementAnswer{JSON: b}, err
}

func (n *Node) showPlan(l *controller.Look) *planShown {
	return &planShown{Policy: l.Policy.String(), Notes: planner.Notes(l.Map, l.Seen, l.Policy), Steps: n.stepsShown(l)}
}

// askPlanner asks the node that leads the system group.
func (b backend) askPlanner(ctx context.Context, q *placementRequest) (json.RawMessage, error) {
	leader := b.n.view.Leader(cluster.SystemGroup).Node
	if leader == "" {
		return nil, cluster.Errorf(cluster.KindUnavailable, "the system group has no leader that is known")
	}
	a, err := askNode[placementAnswer](ctx, b.n, leader, methodPlacement, q)
	if err != nil {
		return nil, err
	}
	return a.JSON, nil
}

// Plan implements admin.PlacementBackend.
func (b backend) Plan(ctx context.Context) (any, error) {
	return b.askPlanner(ctx, &placementRequest{Verb: placementPlan})
}

// Rebalance implements admin.PlacementBackend.
func (b backend) Rebalance(ctx context.Context) error {
	_, err := b.askPlanner(ctx, &placementRequest{Verb: placementWake})
	return err
}

// ExplainGroup implements admin.PlacementBackend.
func (b backend) ExplainGroup(ctx context.Context, group cluster.GroupID) (any, error) {
	return b.askPlanner(ctx, &placementRequest{Verb: placementExplain, Group: group})
}

// mailboxShown is the answer of `flotilla placement explain` for a mailbox.
type mailboxShown struct {
	Address string          `json:"address"`
	Group   cluster.GroupID `json:"group"`
	// Why says which rule speaks of the mailbox, and whether it lives where that wants it.
	Why   string          `json:"why"`
	Where json.RawMessage `json:"where"`
}

// ExplainMailbox implements admin.PlacementBackend.
func (b backend) ExplainMailbox(ctx context.Context, address string) (any, error) {
	box, err := b.mailboxOf(ctx, address)
	if err != nil {
		return nil, err
	}
	route, err := b.n.view.Route(ctx, cluster.SpaceID(box))
	if err != nil {
		return nil, err
	}
	p, m, err := b.policy(ctx)
	if err != nil {
		return nil, err
	}
	shown := mailboxShown{Address: address, Group: route.Place.Group}
	if g := m.Group(shown.Group); g != nil {
		shown.Why = whereMailbox(p.Rule(cluster.SpaceID(box), domainOf(address)), g)
	}
	if v := m.Move(cluster.SpaceID(box)); v != nil {
		shown.Why += fmt.Sprintf("; it is on its way to group %d (%s), because %s", v.To, v.State, v.Cause)
	}
	shown.Where, err = b.askPlanner(ctx, &placementRequest{Verb: placementExplain, Group: shown.Group})
	return &shown, err
}

// place gives a new mailbox its place, where a rule for its domain may want it; whoever makes it finds that place.
func (b backend) place(ctx context.Context, box mapi.MailboxID, domain string) error {
	if err := b.n.mapOp(ctx, store.OpPlaceSpace, &store.PlaceSpaceRequest{Space: cluster.SpaceID(box), Domain: domain}); err != nil {
		return fmt.Errorf("place mailbox: %w", err)
	}
	return nil
}

func domainOf(address string) string {
	a, err := directory.Normalise(address)
	if err != nil {
		return ""
	}
	return directory.DomainOf(a)
}

// whereMailbox says why a mailbox is in a group.
func whereMailbox(r *placement.Rule, g *placement.Group) string {
	var class placement.Class
	if r != nil {
		class = r.Class()
	}
	if g.Class() == class {
		return ruleWords(r) + ", and it went to the group with the fewest mailboxes, or was moved there"
	}
	return fmt.Sprintf("%s, but it is in a group for %s: it is to move, one mailbox after the other", ruleWords(r), classWords(g.Class()))
}

func classWords(c placement.Class) string {
	var words []string
	if c.Home != "" {
		words = append(words, "home "+c.Home)
	}
	if c.Sites != "" {
		words = append(words, "sites "+c.Sites)
	}
	if len(words) == 0 {
		return "no home or sites of its own"
	}
	return strings.Join(words, " and ")
}

// policyShown is the answer of `flotilla placement policy show`.
type policyShown struct {
	placement.Policy
	Survive string `json:"survive"`
	Grace   string `json:"grace"`
	// Text is the policy as it is set.
	Text    string            `json:"text"`
	Weights map[string]uint32 `json:"weights,omitempty"`
}

// policy reads policy and map as they are now.
func (b backend) policy(ctx context.Context) (p placement.Policy, m *placement.Map, err error) {
	err = systemReplica(b).View(ctx, store.Space, space.ReadIndex, func(r space.Reader) (err error) {
		if m, err = store.Load(r); err == nil {
			p, err = store.LoadPolicy(r)
		}
		return err
	})
	return p, m, err
}

// Policy implements admin.PlacementBackend.
func (b backend) Policy(ctx context.Context) (any, error) {
	p, m, err := b.policy(ctx)
	if err != nil {
		return nil, err
	}
	shown := &policyShown{Policy: p, Survive: p.Survive.String(), Grace: p.Grace.String(), Text: p.String(), Weights: map[string]uint32{}}
	for i := range m.Nodes {
		if n := &m.Nodes[i]; n.Weight != 0 && n.Status != placement.Removed {
			shown.Weights[string(n.ID)] = n.Weight
		}
	}
	for i := range shown.Rules {
		if r := &shown.Rules[i]; r.Domain == "" {
			r.Of = r.Mailbox.String()
		}
	}
	return shown, nil
}

// SetPolicy implements admin.PlacementBackend.
func (b backend) SetPolicy(ctx context.Context, c admin.PolicyChange) (any, error) {
	q := &store.SetPolicyRequest{Pairs: c.Pairs, Remove: c.Remove}
	switch {
	case c.Domain != "" && c.Mailbox != "":
		return nil, cluster.Errorf(cluster.KindBadRequest, "a rule is for a domain or for a mailbox")
	case c.Domain != "":
		ours, err := b.n.people.Local(ctx, c.Domain)
		if err != nil {
			return nil, err
		}
		if !ours && !c.Remove {
			return nil, cluster.Errorf(cluster.KindBadRequest, "%s is not a domain of this cluster", c.Domain)
		}
		q.Domain = strings.ToLower(c.Domain)
	case c.Mailbox != "":
		box, err := b.mailboxOf(ctx, c.Mailbox)
		if err != nil {
			return nil, err
		}
		q.Mailbox = cluster.SpaceID(box)
	case c.Remove:
		return nil, cluster.Errorf(cluster.KindBadRequest, "which rule is to be removed? Name its domain or mailbox")
	}
	if err := b.n.mapOp(ctx, store.OpSetPolicy, q); err != nil {
		return nil, err
	}
	return b.Policy(ctx)
}
