package rollout

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
)

// Stage brings a program to every node, by the one that is asked. answer is what that says of it.
func Stage(ctx context.Context, api API, path string, answer any) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read program: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return fmt.Errorf("read program: %w", err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read program: %w", err)
	}
	return api.Upload(ctx, "/v1/upgrade/stage?sum="+hex.EncodeToString(hash.Sum(nil)), io.NopCloser(f), answer)
}
