package node

import (
	"context"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/flotilla-mail/flotilla/cluster/gossip"
	"github.com/flotilla-mail/flotilla/cluster/group"
	"github.com/flotilla-mail/flotilla/cluster/raftlog"
)

// loadMeter counts what the node writes, for whoever asks how much that is in a second. One goroutine asks.
type loadMeter struct {
	entries, bytes atomic.Uint64

	at   time.Time // of the last question
	last [2]uint64
	cpu  time.Duration
}

// wrote is raftlog.Events.SyncDone.
func (m *loadMeter) wrote(s raftlog.SyncInfo) {
	m.entries.Add(uint64(s.Entries)) // #nosec G115 -- not negative
	m.bytes.Add(uint64(s.Bytes))     // #nosec G115 -- not negative
}

// rates fills in what was written and computed in a second since the last question; nothing at the first.
func (m *loadMeter) rates(l *gossip.Load, now time.Time, cpu time.Duration) {
	entries, bytes := m.entries.Load(), m.bytes.Load()
	if seconds := now.Sub(m.at).Seconds(); !m.at.IsZero() && seconds > 0 {
		l.Entries, l.Bytes = float64(entries-m.last[0])/seconds, float64(bytes-m.last[1])/seconds
		l.CPU = min(1, max(0, (cpu-m.cpu).Seconds()/seconds/float64(runtime.NumCPU())))
	}
	m.at, m.last, m.cpu = now, [2]uint64{entries, bytes}, cpu
}

// cpuUsed is what the process has had of all cores.
func cpuUsed() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// diskSpace is what is free for the process on the disk of a folder, and its size; zeros when that cannot be found out.
func diskSpace(dir string) (free, total uint64) {
	var s syscall.Statfs_t
	if syscall.Statfs(dir, &s) != nil {
		return 0, 0
	}
	block := uint64(s.Bsize) // #nosec G115 -- not negative
	return s.Bavail * block, s.Blocks * block
}

// ownLoad is what the others are told of how busy this node is.
func (n *Node) ownLoad(ctx context.Context) gossip.Load {
	now := time.Now()
	l := gossip.Load{SlowDisk: n.disk.slow(now)}
	n.load.rates(&l, now, cpuUsed())
	l.DiskFree, l.DiskTotal = n.room.space()
	ctx, cancel := context.WithTimeout(ctx, gossipEvery)
	defer cancel()
	mailboxes, err := n.mailboxCounts(ctx)
	if err != nil {
		n.log.Debug("mailboxes not counted", "err", err)
	}
	for _, g := range n.storage.host.Groups() {
		l.Groups++
		if g.State() == group.Leader {
			l.Leaders++
			l.Mailboxes += uint32(mailboxes[g.ID()]) // #nosec G115 -- not negative
		}
	}
	return l
}
