package node

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"github.com/flotilla-mail/flotilla/cluster"
)

// Setup prepares a machine: data folder, certificates and configuration file. Run again with the same settings it
// changes nothing; with others it refuses and says which file differs.
func Setup(cfg Config, secret, configPath string) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	var want bytes.Buffer
	if err := cfg.Write(&want); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return fmt.Errorf("make data folder: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(configPath), 0o755); err != nil {
		return fmt.Errorf("make configuration folder: %w", err)
	}
	have, err := os.ReadFile(configPath)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := writeFile(configPath, want.Bytes(), 0o640); err != nil {
			return err
		}
	case err != nil:
		return fmt.Errorf("read configuration: %w", err)
	case !bytes.Equal(have, want.Bytes()):
		if err := sameCluster(configPath, cfg); err != nil {
			return err
		}
	}
	if _, err := readTrust(cfg.path("tls")); err == nil {
		return checkTrust(cfg.path("tls"), secret)
	}
	host, _, err := net.SplitHostPort(cfg.Listen.Node)
	if err != nil {
		return fmt.Errorf("listen.node: %w", err)
	}
	return issueTrust(cfg.path("tls"), secret, cluster.NodeID(cfg.Node), certificateNames(cfg.ExternalName(), cfg.ClusterName(), host, "localhost"))
}

// sameCluster admits a file that the administrator has edited, as long as it names the same node and cluster.
func sameCluster(path string, cfg Config) error {
	old, err := ReadConfig(path)
	if err != nil {
		return err
	}
	if old.Node != cfg.Node || fmt.Sprint(old.Nodes) != fmt.Sprint(cfg.Nodes) || old.Dir != cfg.Dir {
		return fmt.Errorf("%s is there and sets up node %s of %v in %s: remove it first if that is no longer wanted", path, old.Node, old.Nodes, old.Dir)
	}
	return nil
}

func checkTrust(dir, secret string) error {
	a, err := deriveAuthority(secret)
	if err != nil {
		return err
	}
	have, err := readTrust(dir)
	if err != nil {
		return err
	}
	if have.cluster != a.Cluster {
		return fmt.Errorf("%s belongs to another cluster: its secret was a different one", dir)
	}
	return nil
}
