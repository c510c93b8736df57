package node

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func key32(b byte) []byte { return bytes.Repeat([]byte{b}, gossipKeyBytes) }

// TestGossipKeysBehindEachStep: a key that is in use is never lost before the last step, whatever was begun before.
func TestGossipKeysBehindEachStep(t *testing.T) {
	k := &gossipKeys{used: key32(1), accepted: [][]byte{key32(2)}} // 2 is of a change that was not finished
	dir := t.TempDir()
	for i, step := range []struct {
		step     keyStep
		used     byte
		accepted []byte
	}{{keyAccepted, 1, []byte{2, 3}}, {keyAccepted, 1, []byte{2, 3}}, {keyUsed, 3, []byte{2, 1}}, {keyUsed, 3, []byte{2, 1}}, {keyAlone, 3, nil}} {
		k = k.stepped(step.step, key32(3))
		if err := k.write(dir); err != nil {
			t.Fatal(err)
		}
		accepted, err := readAccepted(dir)
		if err != nil || len(accepted) != len(step.accepted) {
			t.Fatalf("step %d: %x, %v", i, accepted, err)
		}
		for j, a := range accepted {
			if a[0] != step.accepted[j] {
				t.Errorf("step %d: accepted %x, want %v", i, accepted, step.accepted)
			}
		}
		if used, err := os.ReadFile(filepath.Join(dir, gossipKeyFile)); err != nil || !bytes.Equal(used, key32(step.used)) {
			t.Errorf("step %d: %x in use, %v", i, used, err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, gossipAcceptedFile), key32(1)[:7], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readAccepted(dir); err == nil {
		t.Error("a part of a key was read")
	}
}

func TestMostUsedGossipKey(t *testing.T) {
	for _, c := range []struct {
		uses  map[string]int
		nodes int
		key   string
	}{{map[string]int{"a": 2, "b": 1}, 3, "a"}, {map[string]int{"a": 1, "b": 1}, 3, ""}, {map[string]int{"a": 2}, 4, ""}, {map[string]int{"a": 1}, 1, "a"}, {nil, 3, ""}} {
		if key, decided := mostUsed(c.uses, c.nodes); key != c.key || decided != (c.key != "") {
			t.Errorf("%v of %d: %q", c.uses, c.nodes, key)
		}
	}
}
