package space

import (
	"context"
	"errors"
	"sync"

	"github.com/flotilla-mail/flotilla/cluster"
)

// Upload sends content ahead of the update that will refer to it, a window of chunks at a time (CLUSTER 3.1).
// Chunks that the group has are not sent again. What nobody refers to is collected an hour later.
//
// Put and Wait belong to one goroutine. Wait, or Close, ends what Put began and must be called.
type Upload struct {
	r      *Replica
	space  cluster.SpaceID
	window chan struct{}
	work   sync.WaitGroup

	mu  sync.Mutex
	err error // guarded by mu; the first
}

// Upload begins an upload. It is refused where updates would be.
func (r *Replica) Upload(ctx context.Context) (*Upload, error) {
	return r.UploadFor(ctx, cluster.SpaceID{})
}

// UploadFor begins an upload for an update of one space, with which it moves if the space does before the update comes.
func (r *Replica) UploadFor(ctx context.Context, space cluster.SpaceID) (*Upload, error) {
	if _, err := r.repl.Lead(ctx); err != nil {
		return nil, err
	}
	return &Upload{r: r, space: space, window: make(chan struct{}, r.config.Window)}, nil
}

// Put begins to send a chunk and returns its name; it waits while the window is full. The chunk is the
// upload's until Wait. The error is the first of the upload; after one, Put sends nothing. An update may refer to the chunk
// after Wait.
func (u *Upload) Put(ctx context.Context, chunk []byte) (Hash, error) {
	if len(chunk) > MaxChunk {
		return Hash{}, cluster.Errorf(cluster.KindTooLarge, "chunk of %d bytes", len(chunk))
	}
	h := HashOf(chunk)
	if err := u.failed(); err != nil {
		return h, err
	}
	select {
	case u.window <- struct{}{}:
	case <-ctx.Done():
		return h, errors.Join(cluster.ErrDeadline, ctx.Err())
	}
	if err := u.r.acquire(ctx, len(chunk)); err != nil {
		<-u.window
		return h, err
	}
	u.work.Go(func() {
		defer func() { <-u.window }()
		defer u.r.charge(-len(chunk))
		u.keep(u.putChunk(ctx, h, chunk))
	})
	return h, nil
}

// Wait returns when every chunk is held by the group, or with the first error.
func (u *Upload) Wait() error {
	u.work.Wait()
	return u.failed()
}

// Close waits like Wait; the upload is not used after it.
func (u *Upload) Close() error { return u.Wait() }

func (u *Upload) failed() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.err
}

func (u *Upload) keep(err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.err == nil {
		u.err = err
	}
}

// acquire waits until uploads may have n more bytes on their way: half of what the group may, so that uploads
// never make it refuse updates.
func (r *Replica) acquire(ctx context.Context, n int) error {
	for {
		r.mu.Lock()
		if r.closed {
			r.mu.Unlock()
			return errClosed
		}
		if r.bytes == 0 || r.bytes+n <= r.config.MaxBytes/2 {
			r.bytes += n
			r.mu.Unlock()
			return nil
		}
		if r.freed == nil {
			r.freed = make(chan struct{})
		}
		freed := r.freed
		r.mu.Unlock()
		select {
		case <-freed:
		case <-r.stop:
			return errClosed
		case <-ctx.Done():
			return errors.Join(cluster.ErrDeadline, ctx.Err())
		}
	}
}

func (u *Upload) putChunk(ctx context.Context, h Hash, chunk []byte) error {
	held, err := u.r.HasContent(h)
	if err != nil {
		return err
	}
	if held {
		err := u.r.proposeContent(ctx, u.space, inline{hash: h})
		if cluster.KindOf(err) != cluster.KindContentMissing {
			return err
		}
	}
	stored, err := u.r.machine.coders.seal(nil, chunk, compressContent)
	if err != nil {
		return err
	}
	return u.r.proposeContent(ctx, u.space, inline{h, stored})
}

// proposeContent replicates content for a space, or only keeps what is there of it.
func (r *Replica) proposeContent(ctx context.Context, space cluster.SpaceID, c inline) error {
	outcome, err := r.proposeGroup(ctx, func(head partHeader) []byte {
		head.kind, head.space = partContent, space
		return appendContentPart(make([]byte, 0, partHeaderMax+hashLen+8+len(c.stored)), head, c)
	})
	switch {
	case err != nil:
		return err
	case outcome == VoidContent:
		return cluster.Errorf(cluster.KindContentMissing, "content %x is not held by the group", c.hash[:8])
	case outcome == VoidSpace:
		return cluster.Errorf(cluster.KindMoving, "space %s is moving", space)
	}
	return nil
}

// HasContent reports whether this replica holds content. It may be collected at any time unless a space refers to it.
func (r *Replica) HasContent(h Hash) (bool, error) {
	db, release, err := r.machine.engine()
	if err != nil {
		return false, err
	}
	defer release()
	b, err := db.Get(hashKey(prefixContent, h))
	return b != nil, err
}

// proposeGroup replicates a part that is no space's effect; build is called once for each term tried.
func (r *Replica) proposeGroup(ctx context.Context, build func(partHeader) []byte) (Outcome, error) {
	ctx, release := r.bind(ctx)
	defer release()
	for {
		term, err := r.repl.Lead(ctx)
		if err != nil {
			return 0, err
		}
		outcome, err := r.repl.Propose(ctx, term, build(partHeader{wall: r.config.Now().UnixNano()}))
		if err != nil || outcome != VoidTerm {
			return outcome, err
		}
		if ctx.Err() != nil {
			return 0, errors.Join(cluster.ErrDeadline, ctx.Err())
		}
	}
}

// SetGroup raises the group's level and recovery epoch; neither ever falls (CLUSTER 7.2, 7.3).
func (r *Replica) SetGroup(ctx context.Context, g GroupRecord) error {
	_, err := r.proposeGroup(ctx, func(head partHeader) []byte {
		head.kind = partLevel
		return appendLevel(appendPartHeader(nil, head), g)
	})
	return err
}

// Scrub makes every replica of the group hash its pairs as of one entry (CLUSTER 5.6); what they find goes to
// their MachineEvents.
func (r *Replica) Scrub(ctx context.Context) error {
	_, err := r.proposeGroup(ctx, func(head partHeader) []byte {
		head.kind = partHash
		return appendPartHeader(nil, head)
	})
	return err
}
