package admin

import (
	"context"
	"errors"
	"io"

	"github.com/flotilla-mail/flotilla/cluster"
)

func (b *straw) Check(_ context.Context, w string) (any, error) {
	return "check", b.note("check without %q", w)
}

func (b *straw) Drain(_ context.Context, n string, force bool) (any, error) {
	return "drained", b.note("drain %q force=%v", n, force)
}

func (b *straw) Undrain(_ context.Context, n string) error { return b.note("undrain %q", n) }

func (b *straw) Finalize(context.Context) (any, error) { return "final", b.note("finalize") }

func (b *straw) UpgradeState(context.Context) (any, error) { return "state", b.note("upgrade state") }
func (b *straw) Stage(_ context.Context, sum string, r io.Reader) (any, error) {
	octets, err := io.ReadAll(r)
	return "staged", errors.Join(err, b.note("stage %s of %q", sum, octets))
}
func (b *straw) SwitchProgram(_ context.Context, n, to string, force bool) error {
	return b.note("switch %q to %s force=%v", n, to, force)
}

func (b *straw) Drills(context.Context) (any, error) { return "drills", b.note("drills") }
func (b *straw) Drill(_ context.Context, kind string, g cluster.GroupID) (any, error) {
	return "drill", b.note("drill %s of group %d", kind, g)
}

func (b *straw) RotateGossipKey(context.Context) (any, error) { return "key", b.note("gossip key") }

// fleetRows are the requests of the routes about nodes.
var fleetRows = []asking{
	{"GET /v1/check", "/v1/check?without=n2", "", `check without "n2"`, `"check"`},
	{"POST /v1/drain", "/v1/drain", "", `drain "" force=false`, `"drained"`},
	{"POST /v1/drain", "/v1/drain?force&node=n2", "", `drain "n2" force=true`, `"drained"`},
	{"GET /v1/upgrade", "/v1/upgrade", "", "upgrade state", `"state"`},
	{"POST /v1/upgrade/stage", "/v1/upgrade/stage?sum=ab", "ELF", `stage ab of "ELF"`, `"staged"`},
	{"POST /v1/upgrade/switch", "/v1/upgrade/switch?node=n2&to=staged&force", "", `switch "n2" to staged force=true`, `{"ok":true}`},
	{"GET /v1/drills", "/v1/drills", "", "drills", `"drills"`},
	{"POST /v1/drills/{kind}/{group}", "/v1/drills/kill-leader/3", "", "drill kill-leader of group 3", `"drill"`},
	{"POST /v1/gossip/key", "/v1/gossip/key", "", "gossip key", `"key"`},
	{"POST /v1/upgrade/finalize", "/v1/upgrade/finalize", "", "finalize", `"final"`},
	{"POST /v1/undrain", "/v1/undrain?node=n2", "", `undrain "n2"`, `{"ok":true}`},
}
