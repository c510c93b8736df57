package node

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/cluster/transport"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/frontends/admin"
	"github.com/flotilla-mail/flotilla/internal/convert/timezone"
	"github.com/flotilla-mail/flotilla/internal/directory"
	"github.com/flotilla-mail/flotilla/internal/directory/builtin"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
	"github.com/flotilla-mail/flotilla/placement"
)

// startAdmin opens the socket of the command line and the admin port: first of all listeners, since they say why the
// others are not there yet.
func (n *Node) startAdmin() error {
	token, err := adminToken(n.cfg.path("admin.token"))
	if err != nil {
		return err
	}
	s := admin.New(backend{n}, n.log, token, n.metricsHandler())
	s.Member = n.member
	path := n.cfg.path("admin.sock")
	if err := removeIfThere(path); err != nil {
		return fmt.Errorf("admin socket: %w", err)
	}
	socket, err := net.Listen("unix", path)
	if err != nil {
		return fmt.Errorf("admin socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return errors.Join(fmt.Errorf("admin socket: %w", err), socket.Close())
	}
	n.services.add("admin socket", n, socket, s.Serve, nil, s.Close)
	if n.cfg.Listen.Admin == "" {
		return nil
	}
	port, err := net.Listen("tcp", n.cfg.Listen.Admin)
	if err != nil {
		return fmt.Errorf("listen for administrators: %w", err)
	}
	n.services.add("admin", n, port, s.Serve, nil, nil)
	return nil
}

// adminToken reads the token of the admin port, or makes one.
func adminToken(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err == nil {
		return strings.TrimSpace(string(b)), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("admin token: %w", err)
	}
	raw := make([]byte, 24)
	if _, err := rand.Read(raw); err != nil {
		return "", fmt.Errorf("admin token: %w", err)
	}
	token := hex.EncodeToString(raw)
	return token, writeFile(path, []byte(token+"\n"), 0o600)
}

// backend is what the admin API asks of the node.
type backend struct{ n *Node }

var _ admin.Backend = backend{}

// clusterStatus is the answer of `flotilla status`.
type clusterStatus struct {
	Cluster transport.ClusterID `json:"cluster"`
	// Ready: every node serves clients, and no replica is fenced.
	Ready bool     `json:"ready"`
	Nodes []Status `json:"nodes"`
	// Sites are the data centres beside that of the node that was asked.
	Sites []siteLine `json:"data_centres,omitempty"`
}

// Status implements admin.Backend.
func (b backend) Status(ctx context.Context) (any, error) {
	s := clusterStatus{Cluster: b.n.trust.cluster, Ready: true, Nodes: b.n.allStatus(ctx)}
	addHeard(&s, b.n.gossip.Nodes(), b.n.gossip.Sites())
	for i := range s.Nodes {
		s.Nodes[i].Groups = nil
		s.Ready = s.Ready && s.Nodes[i].Ready && len(s.Nodes[i].Trouble) == 0
	}
	return s, nil
}

// groupLine is a group in the answer of `flotilla groups`.
type groupLine struct {
	Group     cluster.GroupID `json:"group"`
	Term      uint64          `json:"term"`
	Leader    cluster.NodeID  `json:"leader"`
	Applied   uint64          `json:"applied"`
	Entries   uint64          `json:"entries"`
	Ops       uint64          `json:"operations"`
	Mailboxes int             `json:"mailboxes"`
	Replicas  []replicaLine   `json:"replicas"`
	// Placed is what the placement map has of the group: more than run while a lost replica is made again.
	Placed []placedLine `json:"placed"`
	// Into is the group that this one's mailboxes are moved into.
	Into cluster.GroupID `json:"into,omitempty"`
}

type placedLine struct {
	Server cluster.ServerID `json:"server"`
	Votes  bool             `json:"votes"`
	State  string           `json:"state"`
}

func placed(g *placement.Group) []placedLine {
	states := map[placement.ReplicaState]string{placement.Assigned: "assigned", placement.Created: "created", placement.Lost: "lost"}
	var lines []placedLine
	for _, r := range g.Replicas {
		lines = append(lines, placedLine{Server: r.Server, Votes: r.Suffrage == placement.Voter, State: states[r.State]})
	}
	return lines
}

type replicaLine struct {
	Node     cluster.NodeID   `json:"node"`
	Server   cluster.ServerID `json:"server"`
	State    string           `json:"state"`
	Applied  uint64           `json:"applied"`
	CaughtUp bool             `json:"caught_up"`
	Fenced   string           `json:"fenced,omitempty"`
	// Seeded of SeedTotal bytes are here, of a replica that is being seeded.
	Seeded    uint64 `json:"seeded,omitempty"`
	SeedTotal uint64 `json:"seed_total,omitempty"`
	// Hash is that of the replica's content at HashIndex, when it was asked for.
	Hash      string `json:"hash,omitempty"`
	HashIndex uint64 `json:"hash_index,omitempty"`
}

// Groups implements admin.Backend.
func (b backend) Groups(ctx context.Context, hash bool) (any, error) {
	counts, err := b.n.mailboxCounts(ctx)
	if err != nil {
		return nil, err
	}
	var sums map[cluster.NodeID]map[cluster.GroupID]groupHash
	if hash {
		if sums, err = b.n.allHashes(ctx); err != nil {
			return nil, err
		}
	}
	lines := []*groupLine{}
	byID := make(map[cluster.GroupID]*groupLine)
	m := b.n.view.Map()
	for i := range m.Groups {
		l := &groupLine{Group: m.Groups[i].ID, Mailboxes: counts[m.Groups[i].ID], Placed: placed(&m.Groups[i]), Into: m.Groups[i].Into}
		lines, byID[l.Group] = append(lines, l), l
	}
	for _, s := range b.n.allStatus(ctx) {
		for _, g := range s.Groups {
			l := byID[g.Group]
			if l == nil {
				continue
			}
			h := sums[s.Node][g.Group]
			l.Replicas = append(l.Replicas, replicaLine{Node: s.Node, Server: g.Server, State: g.State, Applied: g.Applied,
				CaughtUp: g.CaughtUp, Fenced: g.Fenced, Seeded: g.Seeded, SeedTotal: g.SeedTotal, Hash: hex.EncodeToString(h.Sum), HashIndex: h.Index})
			if g.Leader == g.Server && g.Term >= l.Term {
				l.Term, l.Leader, l.Applied, l.Entries, l.Ops = g.Term, s.Node, g.Applied, g.Entries, g.Parts
			}
		}
	}
	return lines, nil
}

// Ready implements admin.Backend.
func (b backend) Ready() error { return b.n.serves() }

// Stop implements admin.Backend: the process ends as after SIGTERM.
func (b backend) Stop() { b.n.askStop() }

// Fault implements admin.Backend.
func (b backend) Fault(_ context.Context, f admin.Fault) error {
	if !b.n.cfg.Staging {
		return cluster.Errorf(exmdb.KindAccessDenied, "this node was not started by 'flotilla dev': it takes no faults")
	}
	s, peer := &b.n.storage, cluster.NodeID(f.Peer)
	switch f.Kind {
	case "cut":
		s.faults.Cut(peer, transport.Both)
	case "cut-in":
		s.faults.Cut(peer, transport.Incoming)
	case "cut-out":
		s.faults.Cut(peer, transport.Outgoing)
	case "latency":
		s.faults.Latency(peer, f.Value)
	case "clock":
		s.clock.set(f.Value)
	case "disk-slow":
		s.disk.SyncDelay.Store(int64(f.Value))
	case "disk-full":
		s.disk.NoSpace.Store(true)
	case "die-at", "freeze-at":
		if err := b.n.deadly.set(f.Step, f.Kind == "freeze-at"); err != nil {
			return err
		}
	case "disk-free":
		b.n.room.pretend(int64(f.Percent))
	case "clear":
		b.n.room.pretend(-1)
		s.faults.Clear(peer)
		s.clock.set(0)
		s.disk.SyncDelay.Store(0)
		s.disk.NoSpace.Store(false)
		b.n.deadly.clear()
	default:
		return cluster.Errorf(cluster.KindBadRequest, "fault %q: want cut, cut-in, cut-out, latency, clock, disk-full, disk-free, disk-slow, die-at, freeze-at or clear", f.Kind)
	}
	b.n.log.Warn("fault set", "code", "FL-1012", "kind", f.Kind, "value", f.Value, "peer", f.Peer)
	return nil
}

// change performs an op on the directory and waits until every node that answers knows of it (CLUSTER 4.4).
func (b backend) change(ctx context.Context, op ops.ID, req any) (*directory.Object, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	raw, err := b.n.ops.Call(ctx, &ops.Request{Op: op, Space: builtin.Space, Payload: wire.Marshal(req)}, ops.Write)
	if err != nil {
		return nil, err
	}
	var answer builtin.Answer
	if err := wire.Unmarshal(raw, &answer); err != nil {
		return nil, fmt.Errorf("decode directory answer: %w", err)
	}
	return &answer.Object, b.n.awaitDirectory(ctx, answer.Sequence+1)
}

func (n *Node) awaitDirectory(ctx context.Context, seq uint64) error {
	return awaitCopies(ctx, seq, n.allStatus)
}

// awaitCopies waits until every node that answers has seen a change of the directory. The error of a wait that ends
// before says that the change is made all the same, and who has not seen it.
func awaitCopies(ctx context.Context, seq uint64, look func(context.Context) []Status) error {
	behind := []string{"any"}
	for {
		all := look(ctx)
		if ctx.Err() != nil { // what they said is cut short
			return cluster.Errorf(cluster.KindDeadline, "the change is made, but not known to be seen by %s yet", strings.Join(behind, ", "))
		}
		behind = nil
		for _, s := range all {
			if s.Err == "" && s.answers() && s.Directory < seq {
				behind = append(behind, string(s.Node))
			}
		}
		if len(behind) == 0 {
			return nil
		}
		pause(ctx, 20*time.Millisecond)
	}
}

// AddDomain implements admin.Backend.
func (b backend) AddDomain(ctx context.Context, name string) error {
	_, err := b.change(ctx, builtin.OpAddDomain, &builtin.DomainRequest{Name: name})
	return err
}

// RemoveDomain implements admin.Backend.
func (b backend) RemoveDomain(ctx context.Context, name string) error {
	_, err := b.change(ctx, builtin.OpRemoveDomain, &builtin.DomainRequest{Name: name})
	return err
}

// Domains implements admin.Backend.
func (b backend) Domains(ctx context.Context) ([]*directory.Domain, error) {
	return b.n.people.Domains(ctx)
}

// AddObject implements admin.Backend. The mailbox is made first: the directory's record is what makes it someone's,
// so a crash in between leaves an empty mailbox that nothing leads to, never an address without one.
func (b backend) AddObject(ctx context.Context, o admin.NewObject) (*directory.Object, error) {
	kind, ok := directory.KindByName(o.Kind)
	if !ok {
		return nil, cluster.Errorf(cluster.KindBadRequest, "kind %q: want one of %s", o.Kind, directory.KindNames())
	}
	address, err := directory.Normalise(o.Address)
	if err != nil {
		return nil, err
	}
	if err := b.free(ctx, append([]string{address}, o.Aliases...)); err != nil {
		return nil, err
	}
	senders, ok := directory.SenderPolicyByName(o.Senders)
	if o.Senders != "" && (!ok || kind != directory.KindList) {
		return nil, cluster.Errorf(cluster.KindBadRequest, "senders %q of a %s: want anyone, internal, members or named, of a list", o.Senders, kind)
	}
	booking, err := bookingOf(o.Booking)
	if err != nil {
		return nil, err
	}
	zone, err := zoneOf(o.Zone)
	if err != nil {
		return nil, err
	}
	req := &builtin.AddRequest{Object: directory.Object{Kind: kind, Address: address, Name: o.Name, Quota: o.Quota,
		Aliases: o.Aliases, Members: o.Members, Senders: senders, Booking: booking, Zone: zone}}
	if o.Check {
		return &req.Object, nil
	}
	if o.Password != "" {
		if req.Credential, err = b.n.passwords.Verifiers(ctx, o.Password); err != nil {
			return nil, err
		}
	}
	if mk, has := mailboxKinds[kind]; has {
		if o.Quota == 0 {
			o.Quota = b.n.cfg.Limits.DefaultQuota
			req.Object.Quota = o.Quota
		}
		req.Object.Mailbox, req.Object.GUID = mapi.NewMailboxID(), mapi.NewGUID()
		if err := b.place(ctx, req.Object.Mailbox, directory.DomainOf(address)); err != nil {
			return nil, err
		}
		_, err := b.n.mail.CreateMailbox(ctx, req.Object.Mailbox, &exmdb.CreateMailboxRequest{Kind: mk, Owner: req.Object.GUID,
			Language: o.Language, Quota: o.Quota})
		if err != nil {
			return nil, fmt.Errorf("create mailbox: %w", err)
		}
	}
	made, err := b.change(ctx, builtin.OpAdd, req)
	if refusedForGood(err) && !req.Object.Mailbox.IsZero() {
		// Another has taken the address since it was looked for: nothing will ever lead to this mailbox.
		err = errors.Join(err, b.abandon(ctx, req.Object.Mailbox))
	}
	return made, err
}

// refusedForGood reports whether the directory has certainly not made a change.
func refusedForGood(err error) bool {
	switch cluster.KindOf(err) {
	case exmdb.KindExists, exmdb.KindBadAddress, exmdb.KindInUse, cluster.KindTooLarge, cluster.KindBadRequest:
		return err != nil
	}
	return false
}

// purgeTime bounds the wait for a mailbox to be emptied; it goes on by itself.
const purgeTime = time.Minute

// abandon deletes a mailbox to which nothing leads: now, or when its group can be reached.
func (b backend) abandon(ctx context.Context, box mapi.MailboxID) error {
	if _, err := b.change(ctx, builtin.OpAbandon, &builtin.AbandonRequest{Mailbox: box}); err != nil {
		return fmt.Errorf("abandon mailbox %v: %w", box, err)
	}
	b.purgeNow(ctx, box)
	return nil
}

// purgeNow deletes a mailbox of which the directory has noted that it is to be deleted.
func (b backend) purgeNow(ctx context.Context, box mapi.MailboxID) {
	if err := b.purge(ctx, box); err != nil {
		b.n.log.Info("mailbox is deleted when its group can be reached", "mailbox", box, "err", err)
	}
}

// purge deletes a mailbox for good. When it returns nil, there is nothing of it for anybody; what is left of its content is let
// go by itself.
func (b backend) purge(ctx context.Context, box mapi.MailboxID) error {
	limited, cancel := context.WithTimeout(ctx, purgeTime)
	defer cancel()
	begun := false
	return exmdb.InSteps(limited, func() (bool, error) {
		r, err := exmdb.Do(limited, b.n.mail, exmdb.System, box, exmdb.OpDeleteMailbox, &exmdb.Empty{})
		switch {
		case err != nil && cluster.KindOf(err) == exmdb.KindNoMailbox:
			return false, nil
		case err != nil && begun:
			b.n.log.Info("mailbox is deleted, its content is let go by itself", "mailbox", box, "err", err)
			return false, nil
		case err != nil:
			return false, fmt.Errorf("delete mailbox %v: %w", box, err)
		}
		begun = true
		return !r.Done, nil
	})
}

// free refuses addresses that an object cannot have, as the directory itself will, but before there is a mailbox that
// nothing would lead to.
func (b backend) free(ctx context.Context, addresses []string) error {
	if len(addresses) > 1+builtin.MaxAliases {
		return cluster.Errorf(cluster.KindTooLarge, "at most %d aliases", builtin.MaxAliases)
	}
	seen := make(map[string]bool)
	for _, text := range addresses {
		a, err := directory.Normalise(text)
		if err != nil {
			return err
		}
		domain := directory.DomainOf(a)
		ours, err := b.n.people.Local(ctx, domain)
		switch {
		case err != nil:
			return err
		case !ours:
			return cluster.Errorf(exmdb.KindBadAddress, "%s is not a domain of this cluster: 'flotilla domain add %s' makes it one", domain, domain)
		case seen[a]:
			return cluster.Errorf(exmdb.KindExists, "%s is named twice", a)
		}
		seen[a] = true
		if _, err := b.n.people.Lookup(ctx, a); err == nil {
			return cluster.Errorf(exmdb.KindExists, "%s is taken", a)
		} else if cluster.KindOf(err) != exmdb.KindNoSuchUser {
			return err
		}
	}
	return nil
}

var mailboxKinds = map[directory.Kind]exmdb.MailboxKind{directory.KindUser: exmdb.MailboxUser,
	directory.KindShared: exmdb.MailboxShared, directory.KindResource: exmdb.MailboxResource, directory.KindRoom: exmdb.MailboxResource,
	directory.KindEquipment: exmdb.MailboxResource, directory.KindArchive: exmdb.MailboxArchive, directory.KindPublic: exmdb.MailboxPublic}

// bookingOf reads what is to be done with requests for meetings.
func bookingOf(name string) (directory.BookingPolicy, error) {
	p, ok := directory.BookingPolicyByName(cmp.Or(name, directory.BookingAuto.String()))
	if !ok {
		return p, cluster.Errorf(cluster.KindBadRequest, "booking %q: want auto, tentative or off", name)
	}
	return p, nil
}

// zoneOf reads a time zone: by either of its names, which is kept as the tz database has it. Empty is none.
func zoneOf(name string) (string, error) {
	loc, ok := timezone.Load(name)
	switch {
	case name == "":
		return "", nil
	case !ok:
		return "", cluster.Errorf(cluster.KindBadRequest, "%q is no time zone: want one as Europe/Berlin or W. Europe Standard Time", name)
	}
	return loc.String(), nil
}

// ChangeObject implements admin.Backend.
func (b backend) ChangeObject(ctx context.Context, address string, c admin.Change) (*directory.Object, error) {
	req := &builtin.ChangeRequest{Address: address, Name: c.Name, Disabled: c.Disabled, Quota: c.Quota,
		AddAliases: c.AddAliases, RemoveAliases: c.RemoveAliases, AddMembers: c.AddMembers, RemoveMembers: c.RemoveMembers}
	if c.Barred != nil {
		req.Barred = &builtin.Protocols{Names: *c.Barred}
	}
	var err error
	if c.Booking != nil {
		p, err := bookingOf(*c.Booking)
		if err != nil {
			return nil, err
		}
		req.Booking = &p
	}
	if c.Zone != nil {
		zone, err := zoneOf(*c.Zone)
		if err != nil {
			return nil, err
		}
		req.Zone = &zone
	}
	if c.Password != nil {
		if req.Credential, err = b.n.passwords.Verifiers(ctx, *c.Password); err != nil {
			return nil, err
		}
	}
	o, err := b.change(ctx, builtin.OpChange, req)
	if err != nil || c.Quota == nil || o.Mailbox.IsZero() {
		return o, err
	}
	_, err = exmdb.Do(ctx, b.n.mail, exmdb.System, o.Mailbox, exmdb.OpSetQuota, &exmdb.SetQuotaRequest{Quota: *c.Quota})
	return o, err
}

// RemoveObject implements admin.Backend. The directory comes first: a mailbox that is being deleted is nobody's any more.
func (b backend) RemoveObject(ctx context.Context, address string, purge bool) error {
	o, err := b.change(ctx, builtin.OpRemove, &builtin.AddressRequest{Address: address, Purge: purge})
	if err == nil && purge && !o.Mailbox.IsZero() {
		b.purgeNow(ctx, o.Mailbox)
	}
	return err
}

// Object implements admin.Backend.
func (b backend) Object(ctx context.Context, address string) (*directory.Object, error) {
	return b.n.people.Lookup(ctx, address)
}

// Objects implements admin.Backend.
func (b backend) Objects(ctx context.Context, kind directory.Kind) ([]*directory.Object, error) {
	all, err := b.n.people.Objects(ctx, kind)
	if all == nil {
		all = []*directory.Object{}
	}
	return all, err
}

// Mailbox implements admin.Backend.
func (b backend) Mailbox(ctx context.Context, address string) (any, error) {
	box, err := b.mailboxOf(ctx, address)
	if err != nil {
		return nil, err
	}
	info, err := exmdb.Do(ctx, b.n.mail, exmdb.System, box, exmdb.OpMailboxInfo, &exmdb.Empty{})
	if err != nil {
		return nil, err
	}
	route, err := b.n.view.Route(ctx, cluster.SpaceID(box))
	return map[string]any{"mailbox": box, "group": route.Place.Group, "owner": route.Leader, "info": info}, err
}

// mailboxOf is the mailbox that an address leads to.
func (b backend) mailboxOf(ctx context.Context, address string) (mapi.MailboxID, error) {
	o, err := b.n.people.Lookup(ctx, address)
	if err != nil {
		return mapi.MailboxID{}, err
	}
	if o.Mailbox.IsZero() {
		return o.Mailbox, cluster.Errorf(exmdb.KindNoMailbox, "%s has no mailbox", address)
	}
	return o.Mailbox, nil
}
