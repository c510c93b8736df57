package node

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"github.com/flotilla-mail/flotilla/cluster"
)

// mayUse refuses data that a node has open, and to root what is another user's: what root adds to it that user could not open.
func mayUse(cfg *Config) error {
	if err := ownData(cfg, os.Geteuid()); err != nil {
		return err
	}
	c, err := net.Dial("unix", cfg.path("admin.sock"))
	if err != nil {
		return nil // nobody is behind it
	}
	return errors.Join(cluster.Errorf(cluster.KindUnsafe, "the node runs: stop it first (its data is in %s)", cfg.Dir), c.Close())
}

// ownData looks at the certificates, which every node has: setup or join made them, and whoever set the machine up gave them to
// the user that the service runs as.
func ownData(cfg *Config, uid int) error {
	info, err := os.Stat(cfg.path("tls"))
	if err != nil || uid != 0 {
		return nil // whoever reads them says what is missing
	}
	stat, is := info.Sys().(*syscall.Stat_t)
	if !is || stat.Uid == 0 {
		return nil
	}
	name := fmt.Sprintf("#%d", stat.Uid)
	if u, err := user.LookupId(strconv.Itoa(int(stat.Uid))); err == nil {
		name = u.Username
	}
	return cluster.Errorf(cluster.KindUnsafe, "the data in %s belongs to %s, who could not open what root adds to it: put 'runuser -u %s --' before the command", cfg.Dir, name, name)
}
