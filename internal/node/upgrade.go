package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/rpc"
	"github.com/flotilla-mail/flotilla/internal/wire"
	"github.com/flotilla-mail/flotilla/placement"
)

const (
	// stageTime is how long it may take to bring a program to all nodes.
	stageTime = 10 * time.Minute
	// stagePiece is how much of it is sent at a time.
	stagePiece = 256 << 10
	// restartPause lets the answer go out before the node stops.
	restartPause = 200 * time.Millisecond
)

// ProgramState is what a node says of its program. Tags are for ever.
type ProgramState struct {
	Node cluster.NodeID `wire:"1" json:"node"`
	// Release runs, Running is the name of its file. Staged and Previous are those that the node can go over to.
	Release  string `wire:"2" json:"release"`
	Running  string `wire:"3" json:"running"`
	Staged   string `wire:"4" json:"staged,omitempty"`
	Previous string `wire:"5" json:"previous,omitempty"`
	// Oldest and Newest are the levels that the running program speaks.
	Oldest placement.Level `wire:"6" json:"oldest_level"`
	Newest placement.Level `wire:"7" json:"newest_level"`
	// Started is when the process began (UnixNano), Errors how many lines it has logged as errors since, LastError the last of them.
	Started   int64    `wire:"8" json:"started_ns"`
	Errors    uint64   `wire:"9" json:"errors"`
	LastError string   `wire:"10" json:"last_error,omitempty"`
	Ready     bool     `wire:"11" json:"ready"`
	Progress  string   `wire:"12" json:"progress"`
	Trouble   []string `wire:"13" json:"trouble,omitempty"`
	// Behind are the groups whose replica on the node does not run or has not caught up; who asks the nodes fills it in.
	Behind []cluster.GroupID `wire:"-" json:"behind,omitempty"`
	// Err says why the node did not answer; it never crosses a wire.
	Err string `wire:"-" json:"error,omitempty"`
}

// UpgradeState is the answer of `flotilla upgrade status`.
type UpgradeState struct {
	// Self is the node that was asked.
	Self  cluster.NodeID  `json:"self"`
	Level placement.Level `json:"level"`
	Nodes []ProgramState  `json:"nodes"`
}

// stageHead begins the stream that brings a program to a node; its octets follow, in pieces.
type stageHead struct {
	Sum string `wire:"1"`
}

type switchRequest struct {
	// To is the link whose program is to run.
	To    string `wire:"1"`
	Force bool   `wire:"2"`
}

var (
	methodStage   = rpc.Method{ID: 23, Name: "stage"}
	methodProgram = rpc.Method{ID: 24, Name: "program"}
	methodSwitch  = rpc.Method{ID: 25, Name: "switch program"}
	methodSettle  = rpc.Method{ID: 26, Name: "forget earlier program"}
)

func (n *Node) registerUpgrade() {
	n.storage.calls.HandleStream(methodStage, n.takeProgram)
	handle(n, methodProgram, func(context.Context, *nothing) (*ProgramState, error) { return n.ownProgramState() })
	handle(n, methodSwitch, func(ctx context.Context, q *switchRequest) (*nothing, error) { return &nothing{}, n.switchTo(ctx, q) })
	handle(n, methodSettle, func(context.Context, *nothing) (*nothing, error) { return &nothing{}, n.settleProgram() })
}

func (n *Node) programs() programs { return programs{n.cfg.path("program")} }

// program is what the node knows of the program that it runs.
type program struct {
	started time.Time
	name    func() (string, error) // reads the file once
	errors  atomic.Uint64
	last    atomic.Pointer[string]
	restart atomic.Bool
}

func (n *Node) ownProgramState() (*ProgramState, error) {
	p := n.programs()
	running, err := n.program.name()
	if err != nil {
		return nil, err
	}
	s := &ProgramState{Node: n.self, Release: versionString(), Running: running, Oldest: levels().Oldest, Newest: levels().Newest,
		Started: n.program.started.UnixNano(), Errors: n.program.errors.Load(), Ready: n.serves() == nil, Progress: *n.progress.Load(),
		Trouble: troubles(n.ownReplicas())}
	if last := n.program.last.Load(); last != nil {
		s.LastError = *last
	}
	if s.Staged, err = p.linked(linkStaged); err != nil {
		return nil, err
	}
	s.Previous, err = p.linked(linkPrevious)
	return s, err
}

// UpgradeState implements admin.FleetBackend.
func (b backend) UpgradeState(ctx context.Context) (any, error) {
	n := b.n
	ctx, cancel := context.WithTimeout(ctx, confirmWait)
	defer cancel()
	all := n.allStatus(ctx)
	u := UpgradeState{Self: n.self, Level: n.view.Map().Level, Nodes: make([]ProgramState, len(all))}
	var asking errgroup.Group
	for i := range all {
		asking.Go(func() error {
			s, err := askNode[ProgramState](ctx, n, all[i].Node, methodProgram, &nothing{})
			if err != nil {
				s = &ProgramState{Node: all[i].Node, Err: err.Error()}
			}
			s.Behind = behind(n.view.Map(), &all[i], leadersOf(all))
			u.Nodes[i] = *s
			return nil
		})
	}
	_ = asking.Wait() // each node has its own error
	return u, nil
}

// behind are the groups that a node has a replica of which does not take part yet.
func behind(m *placement.Map, s *Status, lead map[cluster.GroupID]*GroupStatus) []cluster.GroupID {
	well := make(map[cluster.GroupID]bool)
	for i := range s.Groups {
		g := &s.Groups[i]
		well[g.Group] = g.CaughtUp && g.runs() && lead[g.Group] != nil && !lags(g, lead[g.Group])
	}
	var late []cluster.GroupID
	for i := range m.Groups {
		if id := m.Groups[i].ID; m.Groups[i].Replica(s.Node) != nil && !well[id] {
			late = append(late, id)
		}
	}
	return late
}

// Stage implements admin.FleetBackend: the program comes to this node first, and from here to the others.
func (b backend) Stage(ctx context.Context, sum string, r io.Reader) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, stageTime)
	defer cancel()
	n := b.n
	name, err := n.programs().add(r, sum)
	if err != nil {
		return nil, err
	}
	d, err := n.staged(ctx, name)
	if err != nil {
		return nil, err
	}
	var sending errgroup.Group
	sending.SetLimit(2)
	nodes := 1
	for _, o := range n.view.Map().Nodes {
		if o.ID == n.self || o.Status == placement.Removed {
			continue
		}
		nodes++
		sending.Go(func() error {
			if err := n.sendProgram(ctx, o.ID, name); err != nil {
				return fmt.Errorf("stage on %s: %w", o.ID, err)
			}
			return nil
		})
	}
	if err := sending.Wait(); err != nil {
		return nil, err
	}
	return map[string]any{"program": name, "release": d.Release, "levels": d.Levels, "nodes": nodes}, nil
}

// staged makes a program that was taken in the one that the node goes over to next, if it runs here and fits.
func (n *Node) staged(ctx context.Context, name string) (*Described, error) {
	p := n.programs()
	d, err := p.fit(ctx, name, n.view.Map().Level)
	if err != nil {
		return nil, errors.Join(err, p.tidy())
	}
	if _, err := p.keepOwn(); err != nil {
		return nil, err
	}
	n.log.Info("program staged", "release", d.Release, "program", name)
	return d, p.link(linkStaged, name)
}

// sendProgram brings a program of this node to another.
func (n *Node) sendProgram(ctx context.Context, to cluster.NodeID, name string) (err error) {
	f, err := os.Open(n.programs().path(name))
	if err != nil {
		return fmt.Errorf("read program: %w", err)
	}
	s, err := n.storage.client.OpenStream(ctx, to, methodStage)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	defer func() { err = errors.Join(err, s.Close(), f.Close()) }()
	err = s.Send(wire.Marshal(&stageHead{Sum: strings.TrimPrefix(name, programName)}))
	piece := make([]byte, stagePiece)
	for err == nil {
		var size int
		size, err = io.ReadFull(f, piece)
		if size > 0 {
			err = errors.Join(s.Send(piece[:size]), skipEnd(err))
		}
		if size < len(piece) {
			break
		}
	}
	if err == nil {
		err = s.CloseSend()
	}
	if _, end := s.Recv(); !errors.Is(end, io.EOF) {
		return end // why it was not taken, if it was not, rather than that it could not be sent
	}
	return skipEnd(err)
}

func skipEnd(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// takeProgram is the other end.
func (n *Node) takeProgram(ctx context.Context, from rpc.Peer, s *rpc.Stream) error {
	b, err := s.Recv()
	if err != nil {
		return err
	}
	var head stageHead
	if err := wire.Unmarshal(b, &head); err != nil || head.Sum == "" {
		return cluster.Errorf(cluster.KindBadRequest, "stage without a checksum: %v", err)
	}
	name, err := n.programs().add(&pieces{stream: s}, head.Sum)
	if err != nil {
		return err
	}
	n.log.Info("program arrived", "peer", from.Node, "program", name)
	_, err = n.staged(ctx, name)
	return err
}

// pieces reads a stream's messages as octets.
type pieces struct {
	stream *rpc.Stream
	rest   []byte
}

// Read implements io.Reader.
func (p *pieces) Read(b []byte) (int, error) {
	for len(p.rest) == 0 {
		var err error
		if p.rest, err = p.stream.Recv(); err != nil {
			return 0, err
		}
	}
	size := copy(b, p.rest)
	p.rest = p.rest[size:]
	return size, nil
}

// switchTo goes over to another program: if the node can be spared it drains, the links are swapped, and the process
// begins anew. What fails before that leaves the node as it was.
func (n *Node) switchTo(ctx context.Context, q *switchRequest) error {
	p := n.programs()
	if q.To != linkStaged && q.To != linkPrevious {
		return cluster.Errorf(cluster.KindBadRequest, "switch to %q: want %s or %s", q.To, linkStaged, linkPrevious)
	}
	name, err := p.linked(q.To)
	if err != nil {
		return err
	}
	if name == "" {
		return cluster.Errorf(cluster.KindBadRequest, "%s has no %s program: none was staged, or the upgrade was finalized or reverted", n.self, q.To)
	}
	if err := p.whole(name); err != nil {
		return err
	}
	if _, err := p.fit(ctx, name, n.view.Map().Level); err != nil {
		return err
	}
	own, err := p.keepOwn()
	if err != nil {
		return err
	}
	if !q.Force {
		if r := n.check(ctx, n.self); !r.Safe {
			return cluster.Errorf(cluster.KindUnsafe, "%s cannot be spared now: %s", n.self, strings.Join(r.Problems, "; "))
		}
	}
	if _, err := n.drainHere(ctx, true); err != nil {
		return err
	}
	if err := n.swap(q.To, name, own); err != nil {
		return errors.Join(err, n.Undrain(ctx))
	}
	n.log.Info("going over to another program", "from", own, "to", name)
	n.program.restart.Store(true)
	n.wg.Go(func() {
		pause(n.ctx, restartPause)
		n.askStop()
	})
	return nil
}

// swap sets the links.
func (n *Node) swap(link, to, own string) error {
	p := n.programs()
	if link == linkPrevious {
		return p.back(to)
	}
	err := p.link(linkPrevious, own)
	if err == nil {
		err = p.link(linkCurrent, to)
	}
	return errors.Join(err, p.tidy())
}

// SwitchProgram implements admin.FleetBackend.
func (b backend) SwitchProgram(ctx context.Context, name, to string, force bool) error {
	node, err := b.n.named(name)
	if err != nil {
		return err
	}
	ctx, cancel := detached(ctx, DrainTime+describeTime+confirmWait)
	defer cancel()
	if _, err := askNode[nothing](ctx, b.n, node, methodSwitch, &switchRequest{To: to, Force: force}); err != nil {
		return fmt.Errorf("upgrade %s: %w", node, err)
	}
	return nil
}

// settleProgram gives up the way back.
func (n *Node) settleProgram() error {
	p := n.programs()
	return errors.Join(p.unlink(linkPrevious), p.tidy())
}

// settleAll does so on every node; one that is silent keeps a program that it would refuse to go back to only if the level
// has risen, so it is named.
func (n *Node) settleAll(ctx context.Context) error {
	var errs []error
	for _, o := range n.view.Map().Nodes {
		if o.Status == placement.Removed {
			continue
		}
		if _, err := askNode[nothing](ctx, n, o.ID, methodSettle, &nothing{}); err != nil {
			errs = append(errs, fmt.Errorf("%s keeps its earlier program: %w", o.ID, err))
		}
	}
	return errors.Join(errs...)
}

// Restart is the program that the process is to begin anew with when it has stopped; empty when it is to end.
func (n *Node) Restart() string {
	if !n.program.restart.Load() {
		return ""
	}
	return CurrentProgram(n.cfg.Dir)
}

// countErrors counts what is logged as an error.
type countErrors struct {
	slog.Handler
	p *program
}

// Handle implements slog.Handler.
func (c countErrors) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelError {
		c.p.errors.Add(1)
		text := r.Message
		c.p.last.Store(&text)
	}
	return c.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (c countErrors) WithAttrs(a []slog.Attr) slog.Handler {
	return countErrors{c.Handler.WithAttrs(a), c.p}
}

// WithGroup implements slog.Handler.
func (c countErrors) WithGroup(name string) slog.Handler {
	return countErrors{c.Handler.WithGroup(name), c.p}
}
