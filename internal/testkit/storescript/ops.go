package storescript

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Recorded is a site that remembers which ops the commands of scripts have performed on it.
type Recorded struct {
	Site
	mu        sync.Mutex
	performed map[string]bool // guarded by mu
}

// Record remembers the ops on a site.
func Record(site Site) *Recorded { return &Recorded{Site: site, performed: make(map[string]bool)} }

// Caller implements Site.
func (r *Recorded) Caller(node string) exmdb.Caller { return recorder{r.Site.Caller(node), r} }

// Performed are the names of the ops.
func (r *Recorded) Performed() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.performed))
}

func (r *Recorded) note(op exmdb.OpInfo) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.performed[op.Name] = true
}

type recorder struct {
	exmdb.Caller
	*Recorded
}

// Call implements exmdb.Caller: what is refused counts too, since the op has run.
func (r recorder) Call(ctx context.Context, as exmdb.Identity, box mapi.MailboxID, op exmdb.OpInfo, req, resp any) error {
	r.note(op)
	return r.Caller.Call(ctx, as, box, op, req, resp)
}

// Upload implements exmdb.Caller.
func (r recorder) Upload(ctx context.Context, as exmdb.Identity, box mapi.MailboxID) (exmdb.Upload, error) {
	r.note(exmdb.OpUploadChunk.OpInfo)
	return r.Caller.Upload(ctx, as, box)
}
