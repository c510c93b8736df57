package gossip

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/flotilla-mail/flotilla/cluster"
)

// checkKeys refuses keys that are none.
func checkKeys(key []byte, accepted [][]byte) error {
	for _, k := range append([][]byte{key}, accepted...) {
		if len(k) != keySize {
			return fmt.Errorf("gossip: key of %d bytes, want %d: %w", len(k), keySize, cluster.ErrBadRequest)
		}
	}
	return nil
}

// SetKeys changes the key that is sent with, and those that are accepted beside it, in every pool. One call at a time. So that
// no node is left out meanwhile, a new key is accepted by all before one sends with it, and the former by all until none does.
func (g *Gossip) SetKeys(key []byte, accepted [][]byte) error {
	if err := checkKeys(key, accepted); err != nil {
		return err
	}
	for _, k := range append([][]byte{key}, accepted...) {
		if err := g.ring.AddKey(k); err != nil {
			return fmt.Errorf("gossip: add key: %w", err)
		}
	}
	if err := g.ring.UseKey(key); err != nil {
		return fmt.Errorf("gossip: use key: %w", err)
	}
	// From the end: memberlist removes a key in place, of a slice that whoever decrypts is reading, unless it is the last.
	for _, k := range slices.Backward(slices.Clone(g.ring.GetKeys())) {
		wanted := bytes.Equal(k, key) || slices.ContainsFunc(accepted, func(a []byte) bool { return bytes.Equal(a, k) })
		if wanted {
			continue
		}
		if err := g.ring.RemoveKey(k); err != nil {
			return fmt.Errorf("gossip: remove key: %w", err)
		}
	}
	return nil
}
