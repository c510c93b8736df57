package lsm

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

func (db *DB) listener() *pebble.EventListener {
	ev := db.opts.Events
	l := &pebble.EventListener{
		BackgroundError: db.fail,
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			if ev.Corrupt != nil {
				ev.Corrupt(fmt.Errorf("%w: %s: %v", ErrCorrupt, info.Path, info.Details))
			}
		},
		FlushBegin: func(pebble.FlushInfo) { db.shared.flushBegan(db) },
		FlushEnd: func(info pebble.FlushInfo) {
			db.sizeKnown.Store(false)
			db.pace.afterFlush()
			db.shared.flushEnded(db)
			if info.Err == nil && ev.Flush != nil {
				ev.Flush(info.InputBytes, info.TotalDuration)
			}
		},
		DiskSlow:        func(info pebble.DiskSlowInfo) { db.unusual(info.String()) },
		CompactionBegin: func(pebble.CompactionInfo) { db.pace.began() },
		CompactionEnd: func(pebble.CompactionInfo) {
			db.sizeKnown.Store(false)
			db.pace.ended()
		},
		TableIngested:   func(pebble.TableIngestInfo) { db.sizeKnown.Store(false) },
		TableDeleted:    func(pebble.TableDeleteInfo) { db.sizeKnown.Store(false) },
		BlobFileDeleted: func(pebble.BlobFileDeleteInfo) { db.sizeKnown.Store(false) },
		ManifestCreated: func(pebble.ManifestCreateInfo) { db.sizeKnown.Store(false) },
		ManifestDeleted: func(pebble.ManifestDeleteInfo) { db.sizeKnown.Store(false) },
		WALCreated:      func(pebble.WALCreateInfo) { db.sizeKnown.Store(false) },
		WALDeleted:      func(pebble.WALDeleteInfo) { db.sizeKnown.Store(false) },
	}
	l.WriteStallBegin = func(info pebble.WriteStallBeginInfo) {
		if ev.WriteStall != nil {
			ev.WriteStall(info.Reason)
		}
	}
	l.WriteStallEnd = func() {
		if ev.WriteStallEnd != nil {
			ev.WriteStallEnd()
		}
	}
	return l
}

func (db *DB) unusual(text string) {
	if db.opts.Events.Unusual != nil {
		db.opts.Events.Unusual(text)
	}
}

// logger gives the engine's complaints to Events. Its Fatalf returns, which the engine allows for where its callers
// look at Failure, as Commit, Flush and Checkpoint do.
type logger struct{ db *DB }

func (l logger) Infof(string, ...any) {}

func (l logger) Errorf(format string, args ...any) { l.db.unusual(fmt.Sprintf(format, args...)) }

func (l logger) Fatalf(format string, args ...any) { l.db.fail(fmt.Errorf(format, args...)) }
