package node

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/transport"
)

// joinKeyFile holds the machine's key while it joins: with it the machine can ask again when an answer was lost.
const joinKeyFile = "join.key"

// joinTimeout bounds what one node may take to answer.
const joinTimeout = 30 * time.Second

// Join makes this machine a node of the cluster that a token is for: it asks one of the token's addresses and writes what
// Setup writes. cfg has this machine's own settings; address is where the others reach it, host or host:port, empty for
// the address from which it reaches them. Run again, with the same token and name, it goes on where it was.
func Join(ctx context.Context, cfg Config, token, address, configPath string) (done string, err error) {
	t, err := parseJoinToken(token)
	if err != nil {
		return "", err
	}
	if !cluster.NodeID(cfg.Node).Valid() {
		return "", fmt.Errorf("name %q: want 1 to 63 lower case letters, digits or dashes", cfg.Node)
	}
	dir := cfg.path("tls")
	joined, err := joinedAlready(&cfg, t, configPath)
	if err != nil || joined {
		return fmt.Sprintf("%s has joined already: configuration %s, data %s.", cfg.Node, configPath, cfg.Dir), err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make data folder: %w", err)
	}
	if err := linkInstalled(cfg.path("program")); err != nil {
		return "", err
	}
	key, err := joinKey(dir)
	if err != nil {
		return "", err
	}
	j := joiner{cfg: &cfg, token: t, key: key, address: address}
	a, err := j.ask(ctx)
	if err != nil {
		return "", err
	}
	if err := j.write(a, configPath); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s has joined cluster %s: configuration %s, data %s.", cfg.Node, j.cluster, configPath, cfg.Dir),
		removeIfThere(filepath.Join(dir, joinKeyFile))
}

// joinedAlready reports whether the machine is the node that it is to become, and refuses one that is another.
func joinedAlready(cfg *Config, t *joinToken, configPath string) (bool, error) {
	old, err := ReadConfig(configPath)
	switch {
	case err == nil && (old.Node != cfg.Node || old.Dir != cfg.Dir):
		return false, fmt.Errorf("%s is there and sets up node %s in %s: remove it first if that is no longer wanted", configPath, old.Node, old.Dir)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return false, err
	}
	roots, err := os.ReadFile(cfg.path("tls", "ca.pem"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read certificates: %w", err)
	}
	hash, err := transport.AuthorityHash(roots)
	if err != nil || hash != t.authority {
		return false, errors.Join(fmt.Errorf("%s belongs to another cluster than the token: name another folder with --data, or remove this one if its mail is no longer wanted", cfg.Dir), err)
	}
	_, kerr := os.Stat(cfg.path("tls", joinKeyFile))
	_, terr := readTrust(cfg.path("tls"))
	_, cerr := os.Stat(configPath)
	return errors.Is(kerr, fs.ErrNotExist) && terr == nil && cerr == nil, nil
}

// joinKey reads the machine's key, or makes one.
func joinKey(dir string) (ed25519.PrivateKey, error) {
	path := filepath.Join(dir, joinKeyFile)
	seed, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		seed = make([]byte, ed25519.SeedSize)
		if _, err := rand.Read(seed); err != nil {
			return nil, fmt.Errorf("draw key: %w", err)
		}
		err = writeFile(path, seed, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("key of this machine: %w", err)
	}
	if len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("%s is not whole: remove it and join with a new token", path)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// joiner is a machine on its way into a cluster.
type joiner struct {
	cfg     *Config
	token   *joinToken
	key     ed25519.PrivateKey
	address string // as the administrator gave it; host:port of this node once it has asked

	cluster   transport.ClusterID
	authority []byte
}

// ask asks one address after the other until one of them lets the machine in or refuses it for all.
func (j *joiner) ask(ctx context.Context) (*joinAnswer, error) {
	var errs []error
	for _, addr := range j.token.addresses {
		a, err := j.askAt(ctx, addr)
		if err == nil && a.Refused == "" {
			return a, nil
		}
		if err == nil {
			err = errors.New(a.Refused)
			if !a.Elsewhere {
				return nil, err
			}
		}
		errs = append(errs, fmt.Errorf("%s: %w", addr, err))
	}
	return nil, errors.Join(errs...)
}

func (j *joiner) askAt(ctx context.Context, addr string) (*joinAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	conn, err := transport.DialJoin(ctx, addr, j.token.authority, time.Now())
	switch {
	case errors.Is(err, transport.ErrCertificateTime):
		return nil, fmt.Errorf("%w (%s): set it, 'timedatectl set-ntp true' keeps it right, and run 'flotilla join' again",
			err, time.Now().UTC().Format(time.RFC3339))
	case errors.Is(err, transport.ErrOtherAuthority):
		return nil, fmt.Errorf("%w than the token: draw one with 'flotilla node token' on a node of the cluster that this machine is to join", err)
	case errors.Is(err, transport.ErrNoJoins):
		return nil, fmt.Errorf("%w: install the same release on it, or use 'flotilla setup' with the cluster's secret", err)
	case err != nil:
		return nil, fmt.Errorf("no node answers (%w): see that it runs and that TCP %s is open between the machines", err, nodePort)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	q, err := j.request(conn)
	if err != nil {
		return nil, err
	}
	a := new(joinAnswer)
	err = writeJoin(conn, q)
	if err == nil {
		err = readJoin(conn, maxJoinAnswer, a)
	}
	if err != nil {
		return nil, fmt.Errorf("%s gave no answer (%w): run 'flotilla join' again with the same token, which this machine may", conn.Node, err)
	}
	j.cluster, j.authority = conn.Cluster, conn.Authority
	return a, nil
}

// request says who this machine is, bound to the connection.
func (j *joiner) request(conn *transport.JoinConn) (*joinRequest, error) {
	if err := j.place(conn.LocalAddr()); err != nil {
		return nil, err
	}
	state := conn.ConnectionState()
	bound, err := state.ExportKeyingMaterial(joinLabel, nil, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("bind the request to its connection: %w", err)
	}
	return &joinRequest{Secret: j.token.secret[:], Key: j.key.Public().(ed25519.PublicKey), Proof: ed25519.Sign(j.key, bound),
		Clock: time.Now(), Version: versionString(), Node: cluster.NodeID(j.cfg.Node), Address: j.address,
		External: j.cfg.External, DC: j.cfg.DC, Zone: j.cfg.Zone,
		MinLevel: uint32(levels().Oldest), MaxLevel: uint32(levels().Newest)}, nil
}

// place settles the address at which the others reach this node, and that it listens there.
func (j *joiner) place(local net.Addr) error {
	if j.address == "" {
		host, _, err := net.SplitHostPort(local.String())
		if err != nil {
			return fmt.Errorf("this machine's address: %w", err)
		}
		_, port, err := net.SplitHostPort(j.cfg.Listen.Node)
		if err != nil {
			return fmt.Errorf("listen.node: %w", err)
		}
		j.address = net.JoinHostPort(host, port)
		return nil
	}
	full, err := NodeAddress(j.cfg.Node + "=" + j.address)
	if err != nil {
		return fmt.Errorf("--address: %w", err)
	}
	_, j.address, _ = strings.Cut(full, "=")
	return nil
}

// write writes configuration and certificates. The machine's key goes last: while it is there, the machine may ask again.
func (j *joiner) write(a *joinAnswer, configPath string) error {
	cfg := j.cfg
	cfg.Nodes, cfg.Joined = append(a.Nodes, cfg.Node+"="+j.address), true
	cfg.Groups, cfg.Replicas, cfg.Reads = a.Groups, a.Replicas, a.Reads
	if cfg.Cluster == "" {
		cfg.Cluster = a.Cluster
	}
	if strings.HasPrefix(cfg.Listen.Node, ":") {
		cfg.Listen.Node = j.address[strings.LastIndexByte(j.address, ':'):]
	}
	signer, err := transport.LoadAuthority(transport.KeyPair{CertPEM: j.authority, KeyPEM: a.Signer})
	if err != nil {
		return err
	}
	if len(a.Gossip) != gossipKeyBytes || signer.Cluster != j.cluster {
		return errors.New("the node's answer does not fit together: join with a new token")
	}
	if err := cfg.Validate(); err != nil {
		return err
	}
	if _, err := os.Stat(configPath); errors.Is(err, fs.ErrNotExist) {
		if _, err := setupConfig(*cfg, configPath); err != nil {
			return err
		}
	}
	return writeTrust(cfg, signer, a.Gossip)
}
