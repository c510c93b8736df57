// Package sites runs real processes in two data centres and asks each what it hears of the other.
package sites

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/internal/dev"
	"github.com/flotilla-mail/flotilla/internal/selftest"
	"github.com/flotilla-mail/flotilla/internal/testkit"
	"github.com/flotilla-mail/flotilla/test/devtest"
)

// patience is for what has to come, on a slow machine too.
const patience = 2 * time.Minute

// status is what is read here of `flotilla status`.
type status struct {
	Nodes []struct {
		Node   string
		Gossip *struct {
			Alive, Gateway     bool
			State, Address, DC string
			DiskTotal          uint64 `json:"disk_total"`
		}
	}
	Sites []struct {
		DC       string
		Heard    bool
		Gateways []string
	} `json:"data_centres"`
}

// heard is a line a node, and one for the other data centre, as the asked node tells them.
func heard(ctx context.Context, c *dev.Cluster, at string) (string, error) {
	var s status
	if err := c.Admin(at).Do(ctx, "GET", "/v1/status", nil, &s); err != nil {
		return "", err
	}
	var lines []string
	for _, n := range s.Nodes {
		g := n.Gossip
		if g == nil {
			return "", fmt.Errorf("nothing heard of %s", n.Node)
		}
		if want := dev.Host(n.Node) + ":" + strconv.Itoa(c.Port(7400)); g.Address != want || g.Alive && g.DiskTotal == 0 {
			return "", fmt.Errorf("%s at %s has %d bytes", n.Node, g.Address, g.DiskTotal)
		}
		line := n.Node + " in " + g.DC + " " + g.State
		if g.Gateway {
			line += " gateway"
		}
		lines = append(lines, line)
	}
	for _, x := range s.Sites {
		lines = append(lines, fmt.Sprintf("%s %v by %s", x.DC, x.Heard, strings.Join(x.Gateways, " ")))
	}
	return strings.Join(lines, ", "), nil
}

func expect(ctx context.Context, t *testing.T, c *dev.Cluster, at, want string) {
	t.Helper()
	testkit.Eventually(t, patience, func(context.Context) error {
		got, err := heard(ctx, c, at)
		if err == nil && got != want {
			err = fmt.Errorf("%s says %q, not %q", at, got, want)
		}
		return err
	})
}

// TestTwoDataCentres: each node knows state, address and load of all; a node that dies is known to be silent in the
// other data centre as well, by the gateway that is left.
func TestTwoDataCentres(t *testing.T) {
	c := devtest.StartOptions(t, dev.Options{Nodes: 3, Groups: 1, DCs: "a,b,b"})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	nodes := "n1 in a ready gateway, n2 in b ready gateway, n3 in b ready gateway, "
	expect(ctx, t, c, "n1", nodes+"b true by n2 n3")
	for _, at := range []string{"n2", "n3"} {
		expect(ctx, t, c, at, nodes+"a true by n1")
	}
	shown, err := selftest.Figures(ctx, c, "n1")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"flotilla_gossip_gateway", `flotilla_data_centre_heard{dc="b"}`} {
		if shown[name] != 1 {
			t.Errorf("%s is %v among the metrics, want 1", name, shown[name])
		}
	}
	if err := c.Kill("n2"); err != nil {
		t.Fatal(err)
	}
	expect(ctx, t, c, "n1", "n1 in a ready gateway, n2 in b silent, n3 in b ready gateway, b true by n3")
}
