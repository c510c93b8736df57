package selftest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/frontends/admin"
	"github.com/flotilla-mail/flotilla/internal/dev"
	"github.com/flotilla-mail/flotilla/internal/lsm"
)

// patience is how long a fault may take to take effect.
const patience = time.Minute

// victim is the node that a fault is done to, and what shows what became of it.
type victim struct {
	*dev.Cluster
	node   string
	logged int64 // length of its log before the fault
}

func newVictim(c *dev.Cluster, node string) (*victim, error) {
	v := &victim{Cluster: c, node: node}
	info, err := os.Stat(v.log())
	if err != nil {
		return nil, err
	}
	v.logged = info.Size()
	return v, nil
}

func (v *victim) dir() string { return filepath.Join(v.Dir, v.node) }

func (v *victim) log() string { return filepath.Join(v.dir(), "log") }

// ready waits until the node serves clients.
func (v *victim) ready(ctx context.Context) error { return v.ReadyNode(ctx, v.node, func(string) {}) }

// clear ends the faults of a node, whether ctx has ended or not; it starts the process if there is none.
func (v *victim) clear(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	err := v.Fault(ctx, v.node, admin.Fault{Kind: "clear"})
	if err != nil && v.Running(v.node) == 0 {
		return v.Start(v.node)
	}
	return err
}

// await tries until check finds what it looks for.
func await(ctx context.Context, check func() error) error {
	for {
		err := check()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		rest(ctx, 20*time.Millisecond)
	}
}

// gone waits until the node's process is.
func (v *victim) gone(ctx context.Context) error {
	return await(ctx, func() error {
		if pid := v.Running(v.node); pid != 0 {
			return fmt.Errorf("process %d runs", pid)
		}
		return nil
	})
}

// restart kills the node, does something to what it left behind, and starts it again.
func (v *victim) restart(ctx context.Context, between func() error) error {
	if err := v.Kill(v.node); err != nil {
		return err
	}
	rest(ctx, time.Second)
	if err := v.gone(ctx); err != nil {
		return err
	}
	if between != nil {
		if err := between(); err != nil {
			return err
		}
	}
	return v.Start(v.node)
}

// says waits until the node's log has a text that came with the fault.
func says(text string) func(context.Context, *victim) error {
	return func(ctx context.Context, v *victim) error {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		return await(ctx, func() error {
			b, err := os.ReadFile(v.log())
			if err == nil && !bytes.Contains(b[min(v.logged, int64(len(b))):], []byte(text)) {
				err = fmt.Errorf("its log has no %q", text)
			}
			return err
		})
	}
}

// syncsSlowly waits for syncs of the log that took as long as they do on a slow disk. One may have been under way before.
func syncsSlowly(ctx context.Context, v *victim) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	const metric = "flotilla_log_sync_duration_seconds"
	const sum, count = metric + `_sum{log="mailboxes"}`, metric + `_count{log="mailboxes"}`
	var before map[string]float64
	return await(ctx, func() error {
		now, err := Figures(ctx, v.Cluster, v.node)
		if err != nil {
			return err
		}
		if before == nil {
			before = now
		}
		n, took := now[count]-before[count], now[sum]-before[sum]
		if n > 0 && took >= n*slowSync.Seconds() {
			return nil
		}
		if n > 0 {
			before = now
		}
		return fmt.Errorf("%v syncs took %v s", n, took)
	})
}

// Figures are the metrics that a node of a dev cluster shows, by name and labels.
func Figures(ctx context.Context, c *dev.Cluster, node string) (all map[string]float64, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s:%d/metrics", dev.Host(node), c.Port(2808)), nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	all = map[string]float64{}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		line := lines.Text()
		i := strings.LastIndexByte(line, ' ')
		if i < 0 || line[0] == '#' {
			continue
		}
		v, err := strconv.ParseFloat(line[i+1:], 64)
		if err != nil {
			return nil, fmt.Errorf("metrics of %s: %q: %w", node, line, err)
		}
		all[line[:i]] = v
	}
	return all, lines.Err()
}

// tornTail kills the node, leaves at the end of its log what a write leaves that was cut off, and holds that the log is read as far
// as it was whole and that the file is then done with.
func tornTail(ctx context.Context, v *victim) error {
	var torn []string
	err := v.restart(ctx, func() (err error) {
		torn, err = tear(v.dir())
		return err
	})
	if err == nil {
		err = v.ready(ctx)
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return await(ctx, func() error { return replaced(torn) })
}

// replaced looks whether files are gone.
func replaced(files []string) error {
	for _, name := range files {
		if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("the torn %s is still there: %w", name, err)
		}
	}
	return nil
}

// tear writes octets that are no batch where each log's next batch would have been, and names the files. A log that looks as
// before to whoever reads it, with nothing behind its end, was not torn.
func tear(dir string) (torn []string, err error) {
	logs, err := filepath.Glob(filepath.Join(dir, "raft", "*", "pebble"))
	if err != nil {
		return nil, err
	}
	for _, l := range logs {
		name, end, err := lsm.LogEnd(lsm.OSFS(), l)
		if err != nil {
			return nil, err
		}
		if name == "" {
			continue
		}
		path := filepath.Join(l, name)
		if err := scribble(path, end); err != nil {
			return nil, err
		}
		if _, now, err := lsm.LogEnd(lsm.OSFS(), l); err != nil || now != end {
			return nil, fmt.Errorf("%s ends at %d, and torn there at %d: %w", path, end, now, err)
		}
		torn = append(torn, path)
	}
	if len(torn) == 0 {
		return nil, fmt.Errorf("no log in %s", dir)
	}
	return torn, nil
}

// scribble writes octets into a file.
func scribble(name string, at int64) error {
	noise := make([]byte, 300)
	if _, err := rand.Read(noise); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(noise, at)
	return errors.Join(err, f.Close())
}
