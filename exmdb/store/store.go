// Package store holds the ops on a mailbox as functions over one transaction of its space: mailbox, folders,
// messages, flags, counters, changes.
//
// It knows schema and content; it never knows where the mailbox lives, who carries the op, or a protocol. Invariants:
// every number (UID, UIDVALIDITY, FID, MID, object, stamp) is handed out inside the transaction that uses it;
// every op checks its caller's rights here; the counts of folder and mailbox are the sums of its rows; nothing is
// kept outside the transaction, because an op may be run again (CLUSTER 1.1). MAILBOX says what the ops mean.
package store

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/fulltext"
	"github.com/flotilla-mail/flotilla/exmdb/orders"
	"github.com/flotilla-mail/flotilla/exmdb/query"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// Config is what the administrator may choose.
type Config struct {
	// DuplicateWindow is how long delivery keys are kept (MAILBOX 7); zero turns suppression off.
	DuplicateWindow time.Duration
	// MaxMessage is the largest message in octets.
	MaxMessage uint64
	// TableCache is how many bytes views of tables take that are kept from one request to the next; TableStep is how long
	// one request goes on making such a view. Zero is the default of each.
	TableCache int
	TableStep  time.Duration
	// StepTime is how long one step of a long op computes before it leaves the rest to the next; zero bounds steps by what they
	// read and write alone.
	StepTime time.Duration
	// SoftDeleted is how long deleted messages and folders can be recovered; zero deletes them for good.
	SoftDeleted time.Duration
	// QuotaWarn is the percentage of its quota from which a mailbox that has no limit of its own for it is warned of; zero
	// warns nobody.
	QuotaWarn int
	// SoftDeletedQuota is how many bytes of them a mailbox keeps beside what its quota counts. What does not fit is
	// deleted for good. Zero is no limit.
	SoftDeletedQuota uint64
	// Orders are where this node keeps orders of tables that are in use; nil: nowhere. No answer depends on it.
	Orders *orders.Dir
	// OrderRows is how many messages a folder has at least of which orders are kept; zero is the default.
	OrderRows int
	// OnlyAsked keeps those orders only that somebody has waited for, and none of the usual arrangements.
	OnlyAsked bool
	// Text narrows what searches look at; nil: they look at everything. No answer depends on it.
	Text *fulltext.Index
	// TextBatch is how many messages of a folder are indexed together at least; zero is the default.
	TextBatch int
	// TextWalk is how many changes that the index does not know one request walks over; zero is the default.
	TextWalk int
}

// Defaults are what a mailbox has when nobody chose.
func Defaults() Config {
	return Config{DuplicateWindow: 72 * time.Hour, MaxMessage: exmdb.MaxMessage, SoftDeleted: 14 * 24 * time.Hour, SoftDeletedQuota: 30 << 30, QuotaWarn: 90,
		StepTime: stepTime}
}

// Store is the op table under one configuration. It has no state that an answer could depend on.
type Store struct {
	config   Config
	compiled *compiledRules
	tables   *query.Cache
	changes  *textChanges
	ready    *readyOrders
}

// New makes a Store.
func New(c Config) *Store {
	if c.TableCache == 0 {
		c.TableCache = tableCache
	}
	if c.TableStep == 0 {
		c.TableStep = tableStep
	}
	if c.OrderRows == 0 {
		c.OrderRows = orderRows
	}
	if c.TextBatch == 0 {
		c.TextBatch = textBatch
	}
	if c.TextWalk == 0 {
		c.TextWalk = textWalk
	}
	return &Store{config: c, compiled: new(compiledRules), tables: query.NewCache(c.TableCache), changes: new(textChanges), ready: newReadyOrders()}
}

// Handler is a row of the op table: a write op has Run, a read op View. Request and response are coded by
// internal/wire. OpCreateMailbox is the first update of a new space.
type Handler struct {
	exmdb.OpInfo
	// access is what the op needs of its caller.
	access access
	Run    func(w space.Writer, as *exmdb.Identity, req []byte) ([]byte, error)
	View   func(r space.Reader, as *exmdb.Identity, req []byte) ([]byte, error)
}

// Handlers is the table of every op that reads or writes; OpWatch and OpUploadChunk do neither.
func (s *Store) Handlers() []Handler {
	return slices.Concat(s.objectHandlers(), s.lifecycleHandlers(), s.automationHandlers(), s.tableHandlers(), s.syncHandlers(), s.notifyHandlers(), []Handler{
		s.creation(),
		s.deletion(),
		read(s, exmdb.OpMailboxInfo, rightRead, mailboxInfo),
		write(s, exmdb.OpSetQuota, rightAdminister, setQuota),
		read(s, exmdb.OpListFolders, rightRead, listFolders),
		read(s, exmdb.OpFolder, may(in("Folder", toSee)), folderInfo),
		write(s, exmdb.OpCreateFolder, may(in("Parent", toMakeFolders)), createFolder),
		write(s, exmdb.OpMoveFolder, may(in("Folder", toOwn), inBy("Parent", newPlace)), moveFolder),
		write(s, exmdb.OpDeleteFolder, may(inTree("Folder", toOwn)), deleteFolder),
		write(s, exmdb.OpSubscribe, may(in("Folder", toSee)), subscribe),
		write(s, exmdb.OpDeliver, rightDeliver, deliver),
		write(s, exmdb.OpAppend, may(in("Folder", toCreate)), appendMessage),
		read(s, exmdb.OpRows, may(in("Folder", toRead)), rows),
		read(s, exmdb.OpUIDs, may(in("Folder", toRead)), uids),
		read(s, exmdb.OpReadBytes, may(in("Folder", toRead)), readBytes),
		write(s, exmdb.OpSetFlags, may(in("Folder", toRead), inBy("Folder", toSetFlags), inBy("Folder", toMarkDeleted)), setFlags),
		write(s, exmdb.OpCopy, may(in("Folder", toRead), in("Target", toCreate)), copyMessages),
		write(s, exmdb.OpMove, may(in("Folder", toRead), in("Folder", toDelete), in("Target", toCreate)), moveMessages),
		write(s, exmdb.OpExpunge, may(in("Folder", toDelete)), expunge),
		read(s, exmdb.OpChanges, may(in("Folder", toRead)), changes),
	})
}

// Handlers is the op table under the defaults.
func Handlers() []Handler { return New(Defaults()).Handlers() }

func decode(b []byte, req any) error {
	if err := wire.UnmarshalShared(b, req); err != nil {
		return cluster.Errorf(cluster.KindBadRequest, "decode %T: %v", req, err)
	}
	return nil
}

// opError says which op a failure belongs to; refusals are complete as they are.
func opError(op exmdb.OpInfo, err error) error {
	if cluster.KindOf(err) != cluster.KindInternal {
		return err
	}
	return fmt.Errorf("%s: %w", op.Name, err)
}

func read[Q, R any](s *Store, op exmdb.Op[Q, R], d demand, fn func(*view, *Q) (*R, error)) Handler {
	need := d.access().bind(reflect.TypeFor[Q]())
	run := func(r space.Reader, as *exmdb.Identity, b []byte) (*R, error) {
		req := new(Q)
		if err := decode(b, req); err != nil {
			return nil, err
		}
		v, err := s.openFor(r, as, need, req)
		if err != nil {
			return nil, err
		}
		return fn(v, req)
	}
	return Handler{OpInfo: op.OpInfo, access: need, View: func(r space.Reader, as *exmdb.Identity, b []byte) ([]byte, error) {
		resp, err := run(r, as, b)
		if err != nil {
			return nil, opError(op.OpInfo, err)
		}
		return wire.Marshal(resp), nil
	}}
}

func write[Q, R any](s *Store, op exmdb.Op[Q, R], d demand, fn func(*tx, *Q) (*R, error)) Handler {
	need := d.access().bind(reflect.TypeFor[Q]())
	texts := textsOf(reflect.TypeFor[Q]())
	run := func(w space.Writer, as *exmdb.Identity, b []byte) (*R, error) {
		req := new(Q)
		if err := decode(b, req); err != nil {
			return nil, err
		}
		if err := checkText(texts, req); err != nil {
			return nil, err
		}
		t, err := s.beginFor(w, as, need, req)
		if err != nil {
			return nil, err
		}
		resp, err := fn(t, req)
		if err != nil {
			return nil, err
		}
		return resp, t.end()
	}
	return Handler{OpInfo: op.OpInfo, access: need, Run: func(w space.Writer, as *exmdb.Identity, b []byte) ([]byte, error) {
		resp, err := run(w, as, b)
		if err != nil {
			return nil, opError(op.OpInfo, err)
		}
		return wire.Marshal(resp), nil
	}}
}
