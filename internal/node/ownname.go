package node

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/transport"
)

// nameEvery is how often a node looks whether the others hear another process under its name.
const nameEvery = time.Second

// keepName has the process begin anew once a second machine of its name, which the others have heard in its place, is gone.
// Nobody takes the process back as it is: only what starts compares what it holds with what the others have heard in its name
// (CLUSTER 6.3), and the second machine may have been a copy of this one that acknowledged more.
func (n *Node) keepName(ctx context.Context) error {
	look := time.NewTicker(nameEvery)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
		}
		by := vacant(n.storage.net.PeerStates())
		if len(by) == 0 || !n.hello().member() {
			continue
		}
		n.log.Warn("the second machine of this node's name is silent: this process begins anew, for the others to hear it again",
			"code", "FL-1094", "peers", by)
		n.exit(ExitAnew)
		return nil
	}
}

// vacant are the nodes that have not heard the second machine of this node's name for long enough; none while another still
// hears it.
func vacant(peers []transport.PeerState) (by []cluster.NodeID) {
	for i := range peers {
		switch p := &peers[i]; {
		case errors.Is(p.Err, transport.ErrReplaced):
			return nil
		case errors.Is(p.Err, transport.ErrVacant):
			by = append(by, p.Node)
		}
	}
	return by
}

// member reports whether the node's copy of the system group counts itself among the members: so it was let in once. A second
// machine of its name without its data was not.
func (h *hello) member() bool { return slices.Contains(h.Members, h.Server) }
