package raftlog

import (
	"sync"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/hashicorp/raft"
)

// cache keeps the entries stored last, of all groups, up to a number of bytes. The oldest leaves first, whichever
// group it is of; so each group's part is an unbroken end of its log.
type cache struct {
	limit int64

	mu     sync.Mutex // guards all below
	size   int64
	groups map[cluster.GroupID]map[uint64]*cached
	oldest *cached
	newest *cached
}

type cached struct {
	group      cluster.GroupID
	log        raft.Log
	size       int64
	prev, next *cached // towards oldest, towards newest
}

// cachedOverhead is about what an entry takes in memory besides its bytes.
const cachedOverhead = 192

func (c *cache) add(g cluster.GroupID, logs []*raft.Log) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.groups == nil {
		c.groups = make(map[cluster.GroupID]map[uint64]*cached)
	}
	if c.groups[g] == nil {
		c.groups[g] = make(map[uint64]*cached)
	}
	for _, l := range logs {
		e := &cached{group: g, log: *l, size: cachedOverhead + int64(len(l.Data)+len(l.Extensions)), prev: c.newest}
		if c.newest != nil {
			c.newest.next = e
		} else {
			c.oldest = e
		}
		c.newest = e
		c.groups[g][l.Index] = e
		c.size += e.size
	}
	for c.size > c.limit && c.oldest != nil {
		c.removeLocked(c.oldest)
	}
}

func (c *cache) removeLocked(e *cached) {
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		c.oldest = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	} else {
		c.newest = e.prev
	}
	delete(c.groups[e.group], e.log.Index)
	c.size -= e.size
}

func (c *cache) get(g cluster.GroupID, index uint64, out *raft.Log) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.groups[g][index]
	if e == nil {
		return false
	}
	*out = e.log
	return true
}

// drop forgets the entries of [lo, hi].
func (c *cache) drop(g cluster.GroupID, lo, hi uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for index, e := range c.groups[g] {
		if lo <= index && index <= hi {
			c.removeLocked(e)
		}
	}
	if len(c.groups[g]) == 0 {
		delete(c.groups, g)
	}
}

func (c *cache) bytes() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.size
}
