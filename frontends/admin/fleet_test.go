package admin

import "context"

func (b *straw) Check(_ context.Context, w string) (any, error) {
	return "check", b.note("check without %q", w)
}

func (b *straw) Drain(_ context.Context, n string, force bool) (any, error) {
	return "drained", b.note("drain %q force=%v", n, force)
}

func (b *straw) Undrain(_ context.Context, n string) error { return b.note("undrain %q", n) }

func (b *straw) Finalize(context.Context) (any, error) { return "final", b.note("finalize") }

// fleetRows are the requests of the routes about nodes.
var fleetRows = []asking{
	{"GET /v1/check", "/v1/check?without=n2", "", `check without "n2"`, `"check"`},
	{"POST /v1/drain", "/v1/drain", "", `drain "" force=false`, `"drained"`},
	{"POST /v1/drain", "/v1/drain?force&node=n2", "", `drain "n2" force=true`, `"drained"`},
	{"POST /v1/upgrade/finalize", "/v1/upgrade/finalize", "", "finalize", `"final"`},
	{"POST /v1/undrain", "/v1/undrain?node=n2", "", `undrain "n2"`, `{"ok":true}`},
}
