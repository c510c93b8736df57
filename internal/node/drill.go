package node

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/gossip"
	"github.com/flotilla-mail/flotilla/frontends/admin"
	"github.com/flotilla-mail/flotilla/internal/directory"
	"github.com/flotilla-mail/flotilla/internal/probe"
	"github.com/flotilla-mail/flotilla/placement"
)

// The drills, for ever: history names them.
const (
	drillKill      = "kill-leader" // its process ends at once and begins anew
	drillDrain     = "drain"       // as for an upgrade, and back into service
	drillPartition = "partition"   // no bytes between it and the others for a while
)

// drillTargets is what clients may have to wait (DESIGN 4).
var drillTargets = map[string]time.Duration{drillKill: 2 * time.Second, drillDrain: 300 * time.Millisecond, drillPartition: 4 * time.Second}

const (
	drillTime = 5 * time.Minute
	// drillMailboxes is how many mailboxes are made at most until one is in the group.
	drillMailboxes = 64
	// drillName begins the addresses of the mailboxes that drills use.
	drillName  = "flotilla-drill-"
	drillPause = 20 * time.Millisecond
	// drillOps is how many operations each client does before the fault and after it.
	drillOps = 5
)

type drillRequest struct {
	Kind  string          `wire:"1"`
	Group cluster.GroupID `wire:"2"` // zero: any
}

// DrillReport says what clients noticed of a drill. Tags are for ever.
type DrillReport struct {
	At time.Time `wire:"1" json:"at"`
	// Kind was done to Node, which led Group; By is the node whose clients were watched.
	Kind  string          `wire:"2" json:"kind"`
	Node  cluster.NodeID  `wire:"3" json:"node"`
	Group cluster.GroupID `wire:"4" json:"group"`
	By    cluster.NodeID  `wire:"5" json:"by"`
	// Gaps has the longest wait of a client of each protocol. Within: none was longer than Target.
	Gaps   []DrillGap    `wire:"6" json:"gaps"`
	Target time.Duration `wire:"7" json:"target_ns"`
	Within bool          `wire:"8" json:"within"`
	// Back is how long it took until the node served again.
	Back time.Duration `wire:"9" json:"back_ns"`
}

// DrillGap is what the clients of a protocol noticed.
type DrillGap struct {
	Protocol   string        `wire:"1" json:"protocol"`
	Longest    time.Duration `wire:"2" json:"longest_ns"`
	Operations uint32        `wire:"3" json:"operations"`
	// Failures are answers that a user would have seen.
	Failures []string `wire:"4" json:"failures,omitempty"`
}

// Drill implements admin.FleetBackend. It is led by a node that the drill is not done to.
func (b backend) Drill(ctx context.Context, kind string, group cluster.GroupID) (any, error) {
	if drillTargets[kind] == 0 {
		return nil, cluster.Errorf(cluster.KindBadRequest, "drill %q: want %s, %s or %s", kind, drillKill, drillDrain, drillPartition)
	}
	ctx, cancel := detached(ctx, drillTime)
	defer cancel()
	if group != cluster.SystemGroup && b.n.view.Map().Group(group) == nil {
		return nil, cluster.Errorf(cluster.KindBadRequest, "there is no group %d", group)
	}
	by := b.n.self
	if !b.n.leadsDrillsOf(group) {
		if by = b.n.anotherServing(); by == "" {
			return nil, cluster.Errorf(cluster.KindUnsafe, "no other node serves clients whose waits could be measured")
		}
	}
	r, err := askNode[DrillReport](ctx, b.n, by, methodDrill, &drillRequest{Kind: kind, Group: group})
	if err != nil {
		return nil, fmt.Errorf("drill %s: %w", kind, err)
	}
	return r, nil
}

// leadsDrillsOf reports whether this node has clients, and another leads the group.
func (n *Node) leadsDrillsOf(group cluster.GroupID) bool {
	if group == cluster.SystemGroup {
		group = n.groupOfAnother()
	}
	return n.cfg.HasRole(RoleFrontend) && group != cluster.SystemGroup && n.view.Leader(group).Node != n.self
}

// groupOfAnother is a mailbox group that another node leads; zero when there is none.
func (n *Node) groupOfAnother() cluster.GroupID {
	m := n.view.Map()
	for i := range m.Groups {
		id := m.Groups[i].ID
		if by := n.view.Leader(id).Node; id != cluster.SystemGroup && by != "" && by != n.self {
			return id
		}
	}
	return cluster.SystemGroup
}

// anotherServing is a node beside this one that serves clients; empty when there is none.
func (n *Node) anotherServing() cluster.NodeID {
	for _, o := range n.gossip.Nodes() {
		s := n.view.Map().Node(o.ID)
		if o.ID != n.self && o.Alive && o.Meta.State == gossip.StateServing && s != nil && s.Roles&placement.RoleFrontend != 0 {
			return o.ID
		}
	}
	return ""
}

// drill does one on this node's account: its own clients, in a mailbox of the group, are what is measured.
func (n *Node) drill(ctx context.Context, q *drillRequest) (_ *DrillReport, err error) {
	if !n.drilling.TryLock() {
		return nil, cluster.Errorf(cluster.KindUnsafe, "%s is in a drill", n.self)
	}
	defer n.drilling.Unlock()
	r := &DrillReport{At: n.storage.clock.Now().UTC(), Kind: q.Kind, Group: q.Group, By: n.self, Target: drillTargets[q.Kind]}
	if r.Group == cluster.SystemGroup {
		r.Group = n.groupOfAnother()
	}
	if r.Node = n.view.Leader(r.Group).Node; r.Node == "" || r.Node == n.self || r.Group == cluster.SystemGroup {
		return nil, cluster.Errorf(cluster.KindUnavailable, "no other node is known to lead the group: ask again")
	}
	if c := n.check(ctx, r.Node); !c.Safe {
		return nil, cluster.Errorf(cluster.KindUnsafe, "%s cannot be spared now: %s", r.Node, strings.Join(c.Problems, "; "))
	}
	defer func() { err = errors.Join(err, n.clearDrills(context.WithoutCancel(ctx))) }()
	address, password, err := n.drillMailbox(ctx, r.Group)
	if err != nil {
		return nil, err
	}
	n.log.Warn("drill begins", "code", "FL-1084", "kind", r.Kind, "peer", r.Node, "group", r.Group)
	crew := n.drillCrew(address, password)
	crew.Start(ctx)
	defer crew.Stop()
	if err := n.measure(ctx, r, crew); err != nil {
		return nil, err
	}
	n.log.Info("drill ended", "kind", r.Kind, "peer", r.Node, "within", r.Within, "back", r.Back)
	return r, n.keepDrill(r)
}

// measure lets the clients warm up, does the drill, and takes down what they saw until the node serves again.
func (n *Node) measure(ctx context.Context, r *DrillReport, crew *probe.Crew) error {
	if err := crew.Await(ctx, drillOps); err != nil {
		return err
	}
	crew.Take()
	before, err := askNode[ProgramState](ctx, n, r.Node, methodProgram, &nothing{})
	if err != nil {
		return err
	}
	begun := time.Now()
	if err := n.inflict(ctx, r); err != nil {
		return err
	}
	if err := n.awaitServing(ctx, r, begun, before.Started); err != nil {
		return err
	}
	r.Back = time.Since(begun)
	if err := crew.Await(ctx, drillOps); err != nil {
		return err
	}
	seen := crew.Take()
	r.Within = true
	for _, p := range []probe.Protocol{probe.IMAP, probe.SMTP, probe.LMTP, probeAdmin} {
		s, has := seen[p]
		if !has {
			continue
		}
		r.Gaps = append(r.Gaps, DrillGap{Protocol: string(p), Longest: s.Longest, Operations: uint32(s.Operations), Failures: s.Failures}) // #nosec G115 -- not negative
		r.Within = r.Within && s.Longest <= r.Target && len(s.Failures) == 0
	}
	return nil
}

// awaitServing waits until the node of a drill says that it is ready: another process than the one before, where that was ended.
func (n *Node) awaitServing(ctx context.Context, r *DrillReport, begun time.Time, started int64) error {
	for {
		brief, cancel := context.WithTimeout(ctx, observeTimeout)
		s, err := askNode[ProgramState](brief, n, r.Node, methodProgram, &nothing{})
		cancel()
		if err == nil && s.Ready && time.Since(begun) > drillSettle && (r.Kind != drillKill || s.Started != started) {
			return nil
		}
		if pause(ctx, handOverPause); ctx.Err() != nil {
			return cluster.Errorf(cluster.KindDeadline, "%s does not serve again", r.Node)
		}
	}
}

// drillSettle is how long a drill is watched at least: what ends a process takes a moment.
const drillSettle = 2 * time.Second

// probeAdmin is the protocol of the client that asks as an administrator.
const probeAdmin probe.Protocol = "admin"

// drillCrew are a client of each protocol that this node serves.
func (n *Node) drillCrew(address, password string) *probe.Crew {
	crew := &probe.Crew{}
	for _, x := range []struct {
		protocol probe.Protocol
		listen   string
		tls      bool
	}{{probe.IMAP, n.cfg.Listen.IMAPS, true}, {probe.SMTP, n.cfg.Listen.SMTP, false}, {probe.LMTP, n.cfg.Listen.LMTP, false}} {
		if x.listen == "" {
			continue
		}
		crew.Clients = append(crew.Clients, &probe.Client{Protocol: x.protocol, Address: address, Password: password,
			Name: fmt.Sprintf("%s-%s", string(x.protocol), address), Pause: drillPause, Dial: dialOwn(x.listen, x.tls)})
	}
	asks := &probe.Client{Protocol: probeAdmin, Address: address, Name: "admin", Pause: drillPause, Do: func(ctx context.Context) error {
		_, err := backend{n}.Mailbox(ctx, address)
		return err
	}}
	crew.Clients = append(crew.Clients, asks)
	return crew
}

// drillMailbox makes mailboxes until one is in the group.
func (n *Node) drillMailbox(ctx context.Context, group cluster.GroupID) (address, password string, err error) {
	domains, err := n.people.Domains(ctx)
	if err != nil {
		return "", "", err
	}
	if len(domains) == 0 {
		return "", "", cluster.Errorf(cluster.KindUnavailable, "a drill needs a mailbox, and there is no domain yet")
	}
	for range drillMailboxes {
		raw := make([]byte, 24)
		if _, err := rand.Read(raw); err != nil {
			return "", "", fmt.Errorf("draw a password: %w", err)
		}
		password = hex.EncodeToString(raw[8:])
		address = drillName + hex.EncodeToString(raw[:8]) + "@" + domains[0].Name
		o, err := backend{n}.AddObject(ctx, admin.NewObject{Kind: directory.KindUser.String(), Address: address, Name: "Drill", Password: password})
		if err != nil {
			return "", "", fmt.Errorf("make a mailbox for the drill: %w", err)
		}
		route, err := n.view.Route(ctx, cluster.SpaceID(o.Mailbox))
		if err != nil {
			return "", "", err
		}
		if route.Place.Group == group {
			return address, password, nil
		}
	}
	return "", "", cluster.Errorf(cluster.KindUnavailable, "none of %d new mailboxes came into group %d", drillMailboxes, group)
}

// clearDrills removes the mailboxes of drills, those of one that was cut short too.
func (n *Node) clearDrills(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, purgeTime)
	defer cancel()
	all, err := n.people.Objects(ctx, directory.KindUser)
	if err != nil {
		return fmt.Errorf("mailboxes of drills are left: %w", err)
	}
	var errs []error
	for _, o := range slices.DeleteFunc(all, func(o *directory.Object) bool { return !strings.HasPrefix(o.Address, drillName) }) {
		if err := (backend{n}).RemoveObject(ctx, o.Address, true); err != nil {
			errs = append(errs, fmt.Errorf("%s is left: %w", o.Address, err))
		}
	}
	return errors.Join(errs...)
}
