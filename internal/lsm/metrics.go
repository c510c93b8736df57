package lsm

// Metrics are a database's figures at one moment.
type Metrics struct {
	DiskBytes        uint64
	MemTableBytes    uint64
	LogBytes         uint64
	BlobBytes        uint64
	L0Files          int64
	ReadAmp          int
	CompactionDebt   uint64
	CompactionsNow   int64
	Flushes          int64
	CacheBytes       int64
	CacheHits        int64
	CacheMisses      int64
	UnflushedInBytes int64
}

// Metrics reads the figures. Those of the cache are of all databases that share it.
func (db *DB) Metrics() Metrics {
	m := db.p.Metrics()
	return Metrics{
		DiskBytes: m.DiskSpaceUsage(), MemTableBytes: m.MemTable.Size, LogBytes: m.WAL.PhysicalSize,
		BlobBytes: m.BlobFiles.LiveSize,
		L0Files:   m.Levels[0].TablesCount, ReadAmp: m.ReadAmp(),
		CompactionDebt: m.Compact.EstimatedDebt, CompactionsNow: m.Compact.NumInProgress,
		Flushes: m.Flush.Count, CacheBytes: m.BlockCache.Size, CacheHits: m.BlockCache.Hits, CacheMisses: m.BlockCache.Misses,
		UnflushedInBytes: db.dirty.Load() + db.flushing.Load(),
	}
}
