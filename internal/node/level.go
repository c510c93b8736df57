package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/group"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/internal/version"
	"github.com/flotilla-mail/flotilla/internal/wire"
	"github.com/flotilla-mail/flotilla/placement"
	"github.com/flotilla-mail/flotilla/placement/store"
)

const (
	// levelTime is how long `upgrade finalize` waits for the groups' logs to have the new level.
	levelTime = 30 * time.Second
	// levelEvery is how often the groups' levels are compared with the map's without a change of it.
	levelEvery = 5 * time.Second
)

// levels are those that this program speaks.
func levels() placement.Levels {
	first, last := version.TestLevels()
	return placement.Levels{Oldest: max(placement.FirstLevel, placement.Level(first)), Newest: max(placement.NewestLevel, placement.Level(last))}
}

// levelPath is where the data directory says which level its formats may have: level and release that wrote it.
func levelPath(cfg *Config) string { return cfg.path("level") }

// storedLevel is the level of the data directory; FirstLevel when it says none.
func storedLevel(cfg *Config) (level placement.Level, by string, err error) {
	b, err := os.ReadFile(levelPath(cfg))
	if errors.Is(err, fs.ErrNotExist) {
		return placement.FirstLevel, "", nil
	}
	if err == nil {
		number, release, _ := strings.Cut(strings.TrimSpace(string(b)), " ")
		by = release
		_, err = fmt.Sscan(number, &level)
	}
	if err != nil {
		return 0, "", fmt.Errorf("level of the data directory: %w", err)
	}
	return level, by, nil
}

// mayOpen refuses a data directory whose formats this program may not know (CLUSTER 7.2).
func mayOpen(cfg *Config) error {
	level, by, err := storedLevel(cfg)
	if err != nil || by == "" && !holdsReplicas(cfg.path("groups")) {
		return err // of a directory without data the others say what is to be written into it
	}
	return mayRead(cfg, levels(), level, by)
}

// holdsReplicas looks for anything in the folder of groups. What cannot be read is not taken for empty.
func holdsReplicas(dir string) bool {
	entries, err := os.ReadDir(dir)
	return len(entries) > 0 || err != nil && !errors.Is(err, fs.ErrNotExist)
}

// mayRead refuses data at a level, since a release wrote it, for a program of other levels.
func mayRead(cfg *Config, speaks placement.Levels, level placement.Level, by string) error {
	if speaks.Has(level) {
		return nil
	}
	current := cfg.path("program", linkCurrent)
	if speaks.Oldest > level {
		return cluster.Errorf(cluster.KindUnsafe, "the data in %s is at level %d, and this program, %s, speaks %s: start the release that ran here "+
			"(if an upgrade brought it, it is %s), or another that the other nodes run ('flotilla node list' names it), and go on by one release at a time, "+
			"with 'flotilla upgrade --all' and 'flotilla upgrade --finalize'", cfg.Dir, level, versionString(), speaks, current)
	}
	return cluster.Errorf(cluster.KindUnsafe, "the data in %s is at level %d since %s, and this program, %s, speaks %s: start %s or a newer one "+
		"(if that was staged here it is %s)", cfg.Dir, level, by, versionString(), speaks, by, current)
}

// levelRefused is why this program must not take part: another node has a map at a level that it does not speak.
func levelRefused(all map[cluster.NodeID]*hello, speaks placement.Levels) error {
	for _, id := range slices.Sorted(maps.Keys(all)) {
		if at := all[id].Level; at != 0 && !speaks.Has(at) {
			return cluster.Errorf(cluster.KindUnsafe, "the cluster is at level %d, as %s says, and this program, %s, speaks %s: %s", at, id, versionString(), speaks, speaks.Remedy(at))
		}
	}
	return nil
}

// keepLevel carries the cluster's level to the data directory first and then into the log of each group that is led here.
func (n *Node) keepLevel(ctx context.Context) error {
	t := time.NewTicker(levelEvery)
	defer t.Stop()
	for {
		changed := n.view.Changed()
		if err := n.takeLevel(ctx); err != nil && ctx.Err() == nil {
			n.log.Warn("the cluster's level is not in every log yet", "code", "FL-1082", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-t.C:
		}
	}
}

func (n *Node) takeLevel(ctx context.Context) error {
	level := n.view.Map().Level
	if level != 0 && !levels().Has(level) {
		n.fatal("FL-1083", "this program does not speak the cluster's level: the process ends before it meets a format that it does not know",
			fmt.Errorf("the cluster is at level %d, %s speaks %s", level, versionString(), levels()))
		return nil
	}
	if level <= placement.FirstLevel {
		return nil
	}
	have, _, err := storedLevel(&n.cfg)
	if err != nil {
		return err
	}
	if have < level {
		if err := writeFile(levelPath(&n.cfg), fmt.Appendf(nil, "%d %s\n", level, versionString()), 0o644); err != nil {
			return err
		}
		n.log.Info("the data directory is at a new level", "level", level)
	}
	var errs []error
	for _, g := range n.storage.host.Groups() {
		if g.State() != group.Leader {
			continue
		}
		if err := raiseGroup(ctx, g, level); err != nil {
			errs = append(errs, fmt.Errorf("group %d: %w", g.ID(), err))
		}
	}
	return errors.Join(errs...)
}

// raiseGroup writes a level into the log of a group that is led here. Formats of the level may be used behind that entry.
func raiseGroup(ctx context.Context, g *group.Group, level placement.Level) error {
	r, err := g.Replica().Machine().Group()
	if err != nil || placement.Level(r.Level) >= level {
		return err
	}
	return g.Replica().SetGroup(ctx, space.GroupRecord{Level: uint64(level)})
}

// groupLevel is how far a replica's log has raised its group; FirstLevel of one that was never raised.
func groupLevel(g *group.Group) placement.Level {
	r, err := g.Replica().Machine().Group()
	if err != nil {
		return 0
	}
	return max(placement.Level(r.Level), placement.FirstLevel)
}

// Finalized is the answer of `flotilla upgrade finalize`.
type Finalized struct {
	Before placement.Level   `json:"before"`
	Level  placement.Level   `json:"level"`
	Groups []cluster.GroupID `json:"groups"` // that have it in their log
}

// finalize raises the cluster to the newest level that a registered node speaks, which all then have to, waits until it
// is in the log of every group, and gives up the way back to earlier programs.
func (n *Node) finalize(ctx context.Context) (*Finalized, error) {
	ctx, cancel := detached(ctx, levelTime)
	defer cancel()
	// What is newest is for the space to say: this node's copy of it may be a moment old.
	raw, err := n.ops.Call(ctx, &ops.Request{Op: store.OpSetLevel, Space: store.Space, Payload: wire.Marshal(&store.SetLevelRequest{})}, ops.Write)
	if err != nil {
		return nil, fmt.Errorf("finalize: %w", err)
	}
	var set store.SetLevelAnswer
	if err := wire.Unmarshal(raw, &set); err != nil {
		return nil, fmt.Errorf("finalize: %w", err)
	}
	f := &Finalized{Before: set.Before, Level: set.Level}
	for {
		var missing []cluster.GroupID
		f.Groups, missing = n.raised(ctx, f.Level)
		if len(missing) == 0 {
			return f, n.settleAll(ctx)
		}
		if pause(ctx, handOverPause); ctx.Err() != nil {
			return nil, cluster.Errorf(cluster.KindDeadline, "the cluster is at level %d, and groups %v do not have it in their logs yet: they will when they have a leader", f.Level, missing)
		}
	}
}

// Finalize implements admin.FleetBackend.
func (b backend) Finalize(ctx context.Context) (any, error) { return b.n.finalize(ctx) }

// raised splits the groups into those whose leader has a level in its log and those whose leader has not, or that have none.
func (n *Node) raised(ctx context.Context, level placement.Level) (have, missing []cluster.GroupID) {
	at := make(map[cluster.GroupID]placement.Level)
	for _, h := range n.allHealth(ctx, n.allStatus(ctx)) {
		for _, g := range h.Groups {
			at[g.Group] = max(at[g.Group], g.Level)
		}
	}
	m := n.view.Map()
	for i := range m.Groups {
		if id := m.Groups[i].ID; at[id] >= level {
			have = append(have, id)
		} else {
			missing = append(missing, id)
		}
	}
	return have, missing
}
