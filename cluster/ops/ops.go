// Package ops carries an op to the owner of its space and serves the ops of the spaces owned here.
//
// It is the one way in which a node asks another to read or change a space: mailboxes, the directory and the
// placement map all use it, each with its own table of handlers. It knows routes, request ids and retries; it never
// knows what an op means. Invariants: a write keeps one request id over all its attempts, so that it happens once
// (CLUSTER 1.7); an answer is released only by the leader (CLUSTER 4).
package ops

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/internal/lsm"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// ID numbers an op on the wire, for ever. 1 to 999 are exmdb's, 1000 to 1499 the directory's, 1500 to 1999 the
// placement map's, 2000 to 2099 the mail queue's, 2100 to 2199 those of nodes that were started for tests.
type ID uint16

// Mode says how an op runs.
type Mode uint8

const (
	// Read runs View under the leader's lease.
	Read Mode = iota
	// Write runs Update in the space.
	Write
	// Create makes the space with Update as its first effect.
	Create
	// Serve runs Serve, which has to be harmless when repeated: uploads.
	Serve
	// Wait runs Serve too, which waits for as long as its caller likes: watches. Between nodes such ops go by a method
	// of their own, so that those that wait leave room for others.
	Wait
)

// Handler is a row of a table of ops. The function of its mode is set.
type Handler struct {
	ID   ID
	Name string
	Mode Mode
	// View answers a read; it may be run again.
	View func(r space.Reader, q *Request) ([]byte, error)
	// Update computes an effect; it is a space.UpdateFunc with the request beside it.
	Update func(w space.Writer, q *Request) ([]byte, error)
	// Serve handles an op of the modes Serve and Wait on the leader.
	Serve func(ctx context.Context, rep *space.Replica, q *Request) ([]byte, error)
	// Grows: the op brings in what stays. It is refused where the disk is nearly full (CLUSTER 5.5).
	Grows bool
}

// Request is an op on its way. It is coded by internal/wire; tags are for ever.
type Request struct {
	Op    ID              `wire:"1"`
	Space cluster.SpaceID `wire:"2"`
	Group cluster.GroupID `wire:"3"`
	// Epoch is the placement epoch the caller knows (CLUSTER 6.7). The space is created under it, and of another
	// nothing is answered.
	Epoch uint64 `wire:"4"`
	// ID is the request id of a write and Age, in nanoseconds, the time since it was drawn. Tag 6 was a time of day.
	ID  [16]byte      `wire:"5"`
	Age time.Duration `wire:"9"`
	// Owner says that the caller takes the node that it asks for the group's leader, and does not only try it.
	Owner bool `wire:"10"`
	// As is who asks, coded by the package whose op it is; Payload is the op's request.
	As      []byte `wire:"7"`
	Payload []byte `wire:"8"`
	// Identity is As once decoded, kept by handlers that run several times; it never crosses a wire.
	Identity any `wire:"-"`
}

// requestID is the id as it is known here: an age that was less than nothing would outlive the window.
func (q *Request) requestID() cluster.RequestID {
	return cluster.RequestID{ID: q.ID, Drawn: time.Now().Add(-max(q.Age, 0))}
}

// drawID makes an id of 48 bits of time and 80 random ones. The time means nothing: it lets the answers that a space
// looks for lie together, where the newest are cached.
func (q *Request) drawID(now time.Time) error {
	binary.BigEndian.PutUint64(q.ID[:], uint64(now.UnixMilli())<<16)
	if _, err := rand.Read(q.ID[6:]); err != nil {
		return fmt.Errorf("draw request id: %w", err)
	}
	return nil
}

// Placed refuses a request whose caller knows the space under another placement epoch than that of r. One that knows an
// older has to look again: for its placement the space is here no more than for one that never was. One that knows a
// newer is ahead of this group, and need only wait (CLUSTER 6.7, 7.1). Handlers of the modes Serve and Wait call it
// themselves.
func (q *Request) Placed(r space.Reader) error {
	switch epoch := r.Epoch(); {
	case q.Epoch < epoch:
		return cluster.Errorf(cluster.KindNoSpace, "space %s is here under epoch %d, asked for under %d", q.Space, epoch, q.Epoch)
	case q.Epoch > epoch:
		return cluster.Errorf(cluster.KindMoving, "space %s is not here yet under epoch %d", q.Space, q.Epoch)
	}
	return nil
}

// Replicas finds the replica of a group on this node; nil when there is none.
type Replicas interface {
	Replica(cluster.GroupID) *space.Replica
}

// Server serves the ops of the spaces whose groups this node leads.
type Server struct {
	replicas Replicas
	handlers map[ID]*Handler
	events   Events
}

// Events are told of what is served; nil funcs are left out.
type Events struct {
	// Served is told of every op that ran here, with its error.
	Served func(op string, took time.Duration, err error)
	// Misled is told of an op that was refused because another node leads the group, though its caller took this one for
	// the leader.
	Misled func(group cluster.GroupID, leader cluster.NodeID)
}

// NewServer makes a server over the tables given. A number used twice is a broken table and panics.
func NewServer(replicas Replicas, events Events, tables ...[]Handler) *Server {
	s := &Server{replicas: replicas, handlers: make(map[ID]*Handler), events: events}
	for _, table := range tables {
		for i := range table {
			h := &table[i]
			if s.handlers[h.ID] != nil {
				panic(fmt.Sprintf("ops: number %d is %s and %s", h.ID, s.handlers[h.ID].Name, h.Name))
			}
			s.handlers[h.ID] = h
		}
	}
	return s
}

// Handle serves one coded request of an op that does not wait; it is what the rpc method runs.
func (s *Server) Handle(ctx context.Context, frame []byte) ([]byte, error) {
	return s.handle(ctx, frame, func(m Mode) bool { return m != Wait })
}

// HandleWait serves one coded request of an op that waits.
func (s *Server) HandleWait(ctx context.Context, frame []byte) ([]byte, error) {
	return s.handle(ctx, frame, func(m Mode) bool { return m == Wait })
}

func (s *Server) handle(ctx context.Context, frame []byte, takes func(Mode) bool) ([]byte, error) {
	q := new(Request)
	if err := wire.Unmarshal(frame, q); err != nil {
		return nil, cluster.Errorf(cluster.KindBadRequest, "decode op: %v", err)
	}
	if h := s.handlers[q.Op]; h != nil && !takes(h.Mode) {
		return nil, cluster.Errorf(cluster.KindBadRequest, "op %s is called by the other method", h.Name)
	}
	return s.Serve(ctx, q)
}

// Serve runs one request on the local replica.
func (s *Server) Serve(ctx context.Context, q *Request) ([]byte, error) {
	h := s.handlers[q.Op]
	if h == nil {
		return nil, cluster.Errorf(cluster.KindNoMethod, "op %d is not known to this version", q.Op)
	}
	rep := s.replicas.Replica(q.Group)
	if rep == nil {
		return nil, &cluster.Error{Kind: cluster.KindNotLeader, Group: q.Group}
	}
	start := time.Now()
	resp, err := s.run(ctx, h, rep, q)
	if errors.Is(err, lsm.ErrCorrupt) {
		err = damaged(h.Mode, err)
	}
	if s.events.Served != nil {
		s.events.Served(h.Name, time.Since(start), err)
	}
	s.misled(q, err)
	return resp, err
}

// damaged is the error of an op that met damage of this replica. The replica is fenced for it and the others are whole, so the op is
// tried again; whether an update met it before or after it was proposed is not known here.
func damaged(mode Mode, err error) error {
	if mode == Write || mode == Create {
		return fmt.Errorf("%w: %w", cluster.ErrUnknownOutcome, err)
	}
	return fmt.Errorf("%w: %w", cluster.ErrUnavailable, err)
}

func (s *Server) misled(q *Request, err error) {
	var e *cluster.Error
	if q.Owner && s.events.Misled != nil && errors.As(err, &e) && e.Kind == cluster.KindNotLeader && e.Leader != "" {
		s.events.Misled(q.Group, e.Leader)
	}
}

func (s *Server) run(ctx context.Context, h *Handler, rep *space.Replica, q *Request) (resp []byte, err error) {
	switch h.Mode {
	case Read:
		err = rep.View(ctx, q.Space, space.ReadLease, func(r space.Reader) (err error) {
			if err = q.Placed(r); err == nil {
				resp, err = h.View(r, q)
			}
			return err
		})
		return resp, err
	case Serve, Wait:
		return h.Serve(ctx, rep, q)
	}
	update := func(w space.Writer) ([]byte, error) {
		if err := q.Placed(w); err != nil {
			return nil, err
		}
		return h.Update(w, q)
	}
	return rep.Do(ctx, space.Update{Space: q.Space, ID: q.requestID(), Creates: h.Mode == Create, Epoch: q.Epoch,
		Size: len(q.As) + len(q.Payload), Func: update})
}
