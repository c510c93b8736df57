package node

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/transport"
)

// advice is what an administrator can do about a connection between nodes that was refused; empty where there is nothing
// to do but to wait.
func advice(err error) string {
	for _, x := range []struct {
		why error
		do  string
	}{
		{transport.ErrOtherAuthority, "the two were set up with different secrets: on the one that is wrong remove tls in its data folder and run " +
			"'flotilla setup' with this cluster's secret, or 'flotilla join' with a token of it"},
		{transport.ErrCertificateTime, "compare the two clocks ('timedatectl'); a certificate that has ended is made anew by 'flotilla setup' with the " +
			"cluster's secret on its machine"},
		{transport.ErrCertificateRefused, "compare the two clocks ('timedatectl') and see the other node's log for FL-1007 and FL-1052; certificates are made anew by " +
			"'flotilla setup' with the cluster's secret"},
		{transport.ErrReplaced, "a second machine uses this node's name: " + doOfTwo + "; the one that stays begins anew by itself soon after, " +
			"or at once by 'systemctl restart flotilla'"},
		{transport.ErrVersions, "upgrade by one release at a time: install one in between on the older node"},
		{transport.ErrBarred, "stop the node that was removed ('systemctl disable --now flotilla' on its machine) and erase its data; 'flotilla join' brings the " +
			"machine back under another name"},
	} {
		if errors.Is(err, x.why) {
			return x.do
		}
	}
	return ""
}

// unknownRefusal is what to do about a refused connection of which no more is known than that: mostly something else than a node.
const unknownRefusal = "if this is the address of a node of the cluster, see what its log says of this one (FL-1052); if not, let a firewall keep " +
	"all but the nodes from this port"

// advised is an error in words, with what to do about it.
func advised(err error) string {
	if do := advice(err); do != "" {
		return err.Error() + ": " + do
	}
	return err.Error()
}

// repeats keeps a log from saying the same again and again. The zero value is ready.
type repeats struct {
	mu   sync.Mutex
	last map[string]time.Time // guarded by mu
}

const (
	// repeatAfter is when the same is said again.
	repeatAfter = time.Minute
	// maxRepeats bounds what is remembered; beyond it everything counts as new.
	maxRepeats = 1000
)

// isNew reports whether something was not said lately, and notes that it is now.
func (r *repeats) isNew(text string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at, said := r.last[text]; said && now.Sub(at).Abs() < repeatAfter {
		return false
	}
	if r.last == nil || len(r.last) >= maxRepeats {
		r.last = make(map[string]time.Time)
	}
	r.last[text] = now
	return true
}

// hindrance says why a node that has not answered cannot, if somebody has to do something about it.
func (n *Node) hindrance(answered map[cluster.NodeID]*hello) string {
	for _, p := range n.everyone() {
		if state, ok := n.storage.net.PeerState(p.ID); ok && answered[p.ID] == nil && advice(state.Err) != "" {
			return fmt.Sprintf("%s: %s", p.ID, advised(state.Err))
		}
	}
	return ""
}
