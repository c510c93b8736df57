package node

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/rpc"
	"github.com/flotilla-mail/flotilla/cluster/transport"
	"github.com/flotilla-mail/flotilla/internal/probe"
)

// ExitAnew is what a node calls exit with when its process is to begin anew at once, with nothing closed and nothing told to
// anybody.
const ExitAnew = 76

const (
	// partitionTime is how long a partition lasts.
	partitionTime = 5 * time.Second
	// faultPause lets the answer go out before the fault.
	faultPause = 100 * time.Millisecond
	// maxDrills is how many drills a node remembers.
	maxDrills = 500
)

var (
	methodDrill    = rpc.Method{ID: 27, Name: "drill"}
	methodSuffer   = rpc.Method{ID: 28, Name: "suffer a drill"}
	methodDrillLog = rpc.Method{ID: 29, Name: "drills"}
)

// drillLog is what a node remembers of the drills that it led.
type drillLog struct {
	Drills []DrillReport `wire:"1"`
}

func (n *Node) registerDrills() {
	handle(n, methodDrill, func(ctx context.Context, q *drillRequest) (*DrillReport, error) {
		ctx, cancel := detached(ctx, drillTime) // who asked may be the one that is struck
		defer cancel()
		return n.drill(ctx, q)
	})
	handle(n, methodSuffer, func(_ context.Context, q *drillRequest) (*nothing, error) { return &nothing{}, n.suffer(q.Kind) })
	handle(n, methodDrillLog, func(context.Context, *nothing) (*drillLog, error) {
		all, err := n.drills()
		return &drillLog{all}, err
	})
}

// inflict does the drill to its node.
func (n *Node) inflict(ctx context.Context, r *DrillReport) error {
	if r.Kind != drillDrain {
		_, err := askNode[nothing](ctx, n, r.Node, methodSuffer, &drillRequest{Kind: r.Kind})
		return err
	}
	if _, err := askNode[DrainReport](ctx, n, r.Node, methodDrain, &drainRequest{}); err != nil {
		return err
	}
	pause(ctx, drillSettle)
	_, err := askNode[nothing](ctx, n, r.Node, methodUndrain, &nothing{})
	return err
}

// suffer does to this node what a drill asks for, once the answer is out.
func (n *Node) suffer(kind string) error {
	var fault func()
	switch kind {
	case drillKill:
		fault = func() { n.exit(ExitAnew) }
	case drillPartition:
		fault = func() {
			n.storage.faults.Cut("", transport.Both)
			pause(n.ctx, partitionTime)
			n.storage.faults.Clear("")
		}
	default:
		return cluster.Errorf(cluster.KindBadRequest, "drill %q is nothing that a node suffers", kind)
	}
	n.log.Warn("drill: this node is struck", "code", "FL-1085", "kind", kind)
	n.wg.Go(func() {
		if pause(n.ctx, faultPause); n.ctx.Err() == nil {
			fault()
		}
	})
	return nil
}

// dialOwn connects to a listener of this node as a client does.
func dialOwn(listen string, secure bool) func(context.Context) (net.Conn, error) {
	host, port, err := net.SplitHostPort(listen)
	if host == "" {
		host = "127.0.0.1"
	}
	return func(ctx context.Context) (net.Conn, error) {
		if err != nil {
			return nil, err
		}
		conn, err := probe.Plain(ctx, net.JoinHostPort(host, port))
		if err != nil || !secure {
			return conn, err
		}
		// #nosec G402 -- it is this very process, whatever name its certificate is for
		return tls.Client(conn, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}), nil
	}
}

func (n *Node) drillsPath() string { return n.cfg.path("drills.jsonl") }

// drills reads the drills that this node led, the oldest first.
func (n *Node) drills() ([]DrillReport, error) {
	b, err := os.ReadFile(n.drillsPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read drills: %w", err)
	}
	var all []DrillReport
	for line := range bytes.Lines(b) {
		var r DrillReport
		if err := json.Unmarshal(line, &r); err != nil {
			return nil, fmt.Errorf("read drills: %w", err)
		}
		all = append(all, r)
	}
	return all, nil
}

// keepDrill remembers a drill.
func (n *Node) keepDrill(r *DrillReport) error {
	all, err := n.drills()
	if err != nil {
		return err
	}
	all = append(all, *r)
	var b bytes.Buffer
	for i := max(0, len(all)-maxDrills); i < len(all); i++ {
		line, err := json.Marshal(&all[i])
		if err != nil {
			return fmt.Errorf("keep drill: %w", err)
		}
		b.Write(append(line, '\n'))
	}
	return writeFile(n.drillsPath(), b.Bytes(), 0o600)
}

// Drills implements admin.FleetBackend: what every node that answers remembers, the oldest first.
func (b backend) Drills(ctx context.Context) (any, error) {
	all := []DrillReport{}
	for _, p := range b.n.everyone() {
		brief, cancel := context.WithTimeout(ctx, observeTimeout)
		l, err := askNode[drillLog](brief, b.n, p.ID, methodDrillLog, &nothing{})
		cancel()
		if err != nil {
			b.n.log.Debug("drills of a node not known", "peer", p.ID, "err", err)
			continue
		}
		all = append(all, l.Drills...)
	}
	slices.SortFunc(all, func(x, y DrillReport) int { return x.At.Compare(y.At) })
	return all, nil
}
