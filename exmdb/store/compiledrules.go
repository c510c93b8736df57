package store

import (
	"bytes"
	"encoding/binary"
	"sync"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb/rules"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// compiledRules remembers what stored rules say, so that a delivery does not take twenty of them apart again. What is
// remembered counts only under the mark that it was made under, which each delivery reads and nothing else ever bears: the
// version of all standard rules, drawn at random, or the very bytes of an extended one. So it is not state that an op could
// leave behind. Rules in it are not changed.
type compiledRules struct {
	mu      sync.Mutex
	entries map[compiledKey]compiled // guarded by mu
	size    int                      // guarded by mu; rules of all entries
}

type compiledKey struct {
	space cluster.SpaceID
	key   string
}

type compiled struct {
	mark []byte
	// names is how many property names the mailbox knew: a rule may wait for one.
	names uint16
	list  []rules.Rule
}

// weight is at least one, so that folders without rules count.
func (e compiled) weight() int { return len(e.list) + 1 }

// maxCompiled bounds the rules that are remembered; they are forgotten in no order.
const maxCompiled = 100_000

// get is what was made under a mark, if that is remembered.
func (c *compiledRules) get(k compiledKey, mark []byte, names uint16) ([]rules.Rule, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, found := c.entries[k]
	if !found || e.names != names || !bytes.Equal(e.mark, mark) {
		return nil, false
	}
	return e.list, true
}

func (c *compiledRules) put(k compiledKey, e compiled) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries == nil {
		c.entries = make(map[compiledKey]compiled)
	}
	if old, found := c.entries[k]; found {
		c.size -= old.weight()
	}
	c.size += e.weight()
	c.entries[k] = e
	for other, old := range c.entries {
		if c.size <= maxCompiled {
			break
		}
		if other != k {
			c.size -= old.weight()
			delete(c.entries, other)
		}
	}
}

// compile is the rules that are stored under a key, in order, as make takes them apart.
func (v *view) compile(key, mark []byte, make func() ([]rules.Rule, error)) ([]rules.Rule, error) {
	k := compiledKey{v.r.Space(), string(key)}
	if list, found := v.compiled.get(k, mark, v.counters.NamedProp); found {
		return list, nil
	}
	list, err := make()
	if err != nil {
		return nil, err
	}
	list = rules.Ready(list)
	v.compiled.put(k, compiled{mark, v.counters.NamedProp, list})
	return list, nil
}

// readyRules are the standard rules of a folder, in order.
func (in *incoming) readyRules(fid mapi.FID) ([]rules.Rule, error) {
	version := binary.BigEndian.AppendUint64(nil, in.auto.Version)
	return in.compile(schema.RulesKey(fid), version, func() ([]rules.Rule, error) {
		all, err := in.standardRules(fid)
		if err != nil {
			return nil, err
		}
		list := make([]rules.Rule, 0, len(all.Rules))
		for i := range all.Rules {
			// It was read when it was set; a later release may be stricter, and then passes it over.
			r, err := rules.Parse(&all.Rules[i])
			if err != nil {
				continue
			}
			if by := all.Author(r.ID); by != nil {
				r.Author = by.Identity()
			}
			list = append(list, r)
		}
		return list, nil
	})
}
