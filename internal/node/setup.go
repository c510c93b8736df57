package node

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/cluster/transport"
)

// Setup prepares a machine: data folder, certificates and configuration file. Run again with the same settings it
// changes nothing, but for certificates that are due; with others it refuses and says which file differs.
func Setup(cfg Config, secret, configPath string) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	authority, err := deriveAuthority(secret)
	if err != nil {
		return err
	}
	if err := checkCluster(cfg.path("tls"), authority.Cluster); err != nil {
		return err
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return fmt.Errorf("make data folder: %w", err)
	}
	if err := linkInstalled(cfg.path("program")); err != nil {
		return err
	}
	if cfg, err = setupConfig(cfg, configPath); err != nil {
		return err
	}
	t, err := readTrust(cfg.path("tls"))
	if err != nil { // not there, or not all of it
		return issueTrust(&cfg, secret, authority)
	}
	if t.signer != nil {
		_, err := t.renew(&cfg, time.Now())
		return err
	}
	if t.signer, err = keepSigner(cfg.path("tls"), authority); err != nil {
		return err
	}
	_, err = t.renew(&cfg, time.Now())
	return err
}

// setupConfig writes the configuration, or takes the one that is there.
func setupConfig(cfg Config, path string) (Config, error) {
	var want bytes.Buffer
	if err := cfg.Write(&want); err != nil {
		return cfg, fmt.Errorf("write configuration: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return cfg, fmt.Errorf("make configuration folder: %w", err)
	}
	have, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return cfg, writeFile(path, want.Bytes(), 0o640)
	case err != nil:
		return cfg, fmt.Errorf("read configuration: %w", err)
	case bytes.Equal(have, want.Bytes()):
		return cfg, nil
	}
	return sameCluster(path, cfg)
}

// sameCluster admits a file that the administrator has edited, as long as it names the same node and cluster.
func sameCluster(path string, cfg Config) (Config, error) {
	old, err := ReadConfig(path)
	if err != nil {
		return old, err
	}
	if old.Node != cfg.Node || !slices.Equal(old.Nodes, cfg.Nodes) || old.Dir != cfg.Dir {
		return old, fmt.Errorf("%s is there and sets up node %s of %v in %s: remove it first if that is no longer wanted", path, old.Node, old.Nodes, old.Dir)
	}
	return old, nil
}

// checkCluster refuses a folder of another cluster.
func checkCluster(dir string, id transport.ClusterID) error {
	have, err := os.ReadFile(filepath.Join(dir, "cluster"))
	if err == nil && strings.TrimSpace(string(have)) != string(id) {
		return fmt.Errorf("%s belongs to another cluster: its secret was a different one", dir)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read cluster id: %w", err)
	}
	return nil
}
