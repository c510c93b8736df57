package node

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/directory"
	"github.com/flotilla-mail/flotilla/placement"
)

// Config is flotilla.toml. The comments are the manual: `flotilla config default` prints them.
type Config struct {
	Node     string `toml:"node" comment:"This machine's name in the cluster: lower case letters, digits and dashes."`
	Dir      string `toml:"dir" comment:"Where all data of this node is kept."`
	External string `toml:"external_name" comment:"The host name under which clients reach this node."`
	Cluster  string `toml:"cluster_name" comment:"The host name of the whole cluster, in greetings and in mail headers; empty takes external_name."`
	DC       string `toml:"dc" comment:"Labels for placement: data centre and zone of this machine."`
	Zone     string `toml:"zone"`
	Gateway  string `toml:"gateway" comment:"Whether this node carries what nodes tell each other between data centres: auto (two of each, by name), always, never."`

	Roles []string `toml:"roles" comment:"What this node does: store (holds mailboxes), frontend (serves clients)."`
	Nodes []string `toml:"nodes" comment:"The nodes that form the cluster, as name=host:port of their node-to-node listeners."`
	// Joined is written by Join.
	Joined   bool     `toml:"joined,omitempty" comment:"This node came to a cluster that was there: it never begins one."`
	Domains  []string `toml:"domains" comment:"Mail domains created when the cluster forms; later ones with 'flotilla domain add'."`
	Groups   int      `toml:"groups" comment:"What the placement policy begins with when the cluster forms; later 'flotilla placement policy set' changes it. Mailbox groups."`
	Replicas int      `toml:"replicas" comment:"Voting copies of every group: 3 or 5."`
	Grace    Duration `toml:"grace" comment:"How long a node may be silent before what it holds is made elsewhere."`
	LogStore string   `toml:"log_store" comment:"Log of mailbox groups: pebble, or bolt (slower, one file a group)."`
	// BlockCache is for all files of the node, in bytes.
	BlockCache int64  `toml:"block_cache" comment:"Memory for what was read from disk, in bytes. It fills up with use."`
	Reads      string `toml:"reads" comment:"lease reads on the owner without asking, strict confirms every read with a majority."`
	// AllFolders is imap.Config.AllFolders.
	AllFolders bool `toml:"imap_all_folders" comment:"Shows folders of calendars, contacts and the like in IMAP too, not those of mail alone."`

	Listen Listen `toml:"listen" comment:"Addresses; an empty one turns the service off."`
	Limits Limits `toml:"limits"`
	Scrub  Scrub  `toml:"scrub" comment:"The replicas of a group are compared, and what lies on disk read, now and then."`
	Copy   Copy   `toml:"copy" comment:"How fast the state of a group is copied to a node that is to hold it."`
	Disk   Disk   `toml:"disk" comment:"What is done when the disk under dir fills up."`
	TLS    TLS    `toml:"tls"`
	Log    Log    `toml:"log"`

	// Staging is set for nodes that `flotilla dev` and `flotilla selftest --staging` start: it admits fault commands.
	Staging bool `toml:"staging,omitempty" comment:"Admits 'flotilla dev fault'. Never in production."`
	// seedBytes is group.Config.SeedBytes, where a test seeds small states.
	seedBytes uint64
	// Plaintext admits sign-in without TLS; only on loopback addresses.
	Plaintext bool `toml:"plaintext,omitempty" comment:"Admits sign-in without TLS, on loopback addresses only."`
}

// The roles.
const (
	RoleStore    = "store"
	RoleFrontend = "frontend"
)

// HasRole reports whether the node does what a role says.
func (c *Config) HasRole(role string) bool { return slices.Contains(c.Roles, role) }

// policy is the placement policy that a new cluster begins with.
func (c *Config) policy() placement.Policy {
	p := placement.DefaultPolicy()
	p.Replicas, p.Groups, p.Grace = c.Replicas, c.Groups, time.Duration(c.Grace)
	return p
}

// Listen holds the addresses of the services.
type Listen struct {
	Node        string `toml:"node" comment:"Node to node, mutual TLS."`
	Gossip      string `toml:"gossip" comment:"Who is there and who leads, TCP and UDP. Between data centres too."`
	SMTP        string `toml:"smtp" comment:"Mail from the world (MX)."`
	Submission  string `toml:"submission" comment:"Mail from users, STARTTLS."`
	Submissions string `toml:"submissions" comment:"Mail from users, TLS."`
	LMTP        string `toml:"lmtp" comment:"Mail from an MTA of yours. Whoever reaches it may deliver."`
	IMAP        string `toml:"imap"`
	IMAPS       string `toml:"imaps"`
	HTTP        string `toml:"http"`
	HTTPS       string `toml:"https"`
	Admin       string `toml:"admin" comment:"Admin API, metrics and health. The API wants the token in <dir>/admin.token."`
}

// Limits bounds what clients may ask for.
type Limits struct {
	Message              int64    `toml:"message" comment:"Largest mail, in bytes."`
	Recipients           int      `toml:"recipients" comment:"Recipients of one mail."`
	Connections          int      `toml:"connections" comment:"Client connections of a node, of one user, and (SMTP) from one address."`
	ConnectionsPerUser   int      `toml:"connections_per_user"`
	ConnectionsPerRemote int      `toml:"connections_per_remote"`
	IMAPLine             int      `toml:"imap_line" comment:"Longest line of an IMAP command, in bytes."`
	Idle                 Duration `toml:"idle" comment:"A silent client is disconnected after this."`
	DuplicateWindow      Duration `toml:"duplicate_window" comment:"How long a delivered mail is known again; 0s turns it off."`
	DefaultQuota         uint64   `toml:"default_quota" comment:"Storage limit of users that are added without one, in bytes; 0 is none."`
	SoftDeleted          Duration `toml:"soft_deleted" comment:"How long deleted messages and folders can be recovered; 0s deletes them for good."`
	QuotaWarning         int      `toml:"quota_warning" comment:"Percentage of a mailbox's quota from which its owner is warned once a day; 0 is never."`
	ThrottleFailures     int      `toml:"throttle_failures" comment:"So many failed sign-ins of a user, or from an address, within throttle_window bar both until it has passed."`
	ThrottleWindow       Duration `toml:"throttle_window"`
}

// Scrub says how often replicas are compared, and how fast.
type Scrub struct {
	Every Duration `toml:"every" comment:"How often each group is scrubbed; 0s never does."`
	Rate  int      `toml:"rate" comment:"MB a second that a replica reads for it at most; 0 does not hold it back."`
}

// Copy holds back seeds and snapshots for the sake of what is committed meanwhile.
type Copy struct {
	Rate  int `toml:"rate" comment:"MB a second of all copies of this node together, in and out, at most; 0 does not hold them back."`
	Share int `toml:"share" comment:"Percentage of the disk's time that copies have while mail is being stored; without that they have all."`
}

// Disk holds the marks of CLUSTER 5.5, in hundredths of the disk.
type Disk struct {
	Low     int    `toml:"low" comment:"Below this percentage of free space the node hands over what it leads, and refuses mail for what it cannot hand over."`
	Full    int    `toml:"full" comment:"Below this percentage its copies take nothing more from the other nodes."`
	Ballast uint64 `toml:"ballast" comment:"Bytes set aside in dir/BALLAST and given up when the disk is full, so that cleaning up has room; at most 1% of the disk."`
}

// TLS names the certificate shown to clients; without one the cluster's own authority issues it.
type TLS struct {
	Certificate string `toml:"certificate" comment:"PEM files of the certificate shown to clients; empty: issued by the cluster's own authority."`
	Key         string `toml:"key"`
}

// Log says how much is written to standard error.
type Log struct {
	Level  string `toml:"level" comment:"debug, info, warn or error."`
	Format string `toml:"format" comment:"text or json."`
}

// Duration is a time.Duration written as text, for example "30m".
type Duration time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	*d = Duration(v)
	return err
}

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// Defaults are the settings of a production node, on the standard ports.
func Defaults() Config {
	return Config{
		Dir: "/var/lib/flotilla", Roles: []string{RoleStore, RoleFrontend}, Groups: 16, Replicas: 3, Grace: Duration(placement.DefaultGrace),
		LogStore: "pebble", BlockCache: 256 << 20, Reads: "lease", Gateway: "auto",
		Listen: Listen{
			Node: ":7400", Gossip: ":7946", SMTP: ":25", Submission: ":587", Submissions: ":465", LMTP: "127.0.0.1:24",
			IMAP: ":143", IMAPS: ":993", HTTP: ":80", HTTPS: ":443", Admin: "127.0.0.1:2808",
		},
		Limits: Limits{
			Message: 150 << 20, Recipients: 1000, Connections: 10000, ConnectionsPerUser: 100, ConnectionsPerRemote: 200,
			IMAPLine: 64 << 10, Idle: Duration(30 * time.Minute), DuplicateWindow: Duration(72 * time.Hour),
			SoftDeleted: Duration(14 * 24 * time.Hour), QuotaWarning: 90,
			ThrottleFailures: 10, ThrottleWindow: Duration(10 * time.Minute),
		},
		Disk:  Disk{Low: 10, Full: 3, Ballast: 256 << 20},
		Copy:  Copy{Share: 50},
		Scrub: Scrub{Every: Duration(7 * 24 * time.Hour), Rate: 20},
		Log:   Log{Level: "info", Format: "text"},
	}
}

// ReadConfig reads a file over the defaults. Unknown settings are errors, with their line.
func ReadConfig(path string) (Config, error) {
	c := Defaults()
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, fmt.Errorf("read configuration: %w: 'flotilla setup' and 'flotilla join' write one", err)
	}
	if err != nil {
		return c, fmt.Errorf("read configuration: %w", err)
	}
	dec := toml.NewDecoder(bytes.NewReader(b)).DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		var strict *toml.StrictMissingError
		if errors.As(err, &strict) {
			return c, fmt.Errorf("%s: unknown setting:\n%s", path, strict.String())
		}
		var bad *toml.DecodeError
		if errors.As(err, &bad) {
			return c, fmt.Errorf("%s: %w\n%s", path, err, bad.String())
		}
		return c, fmt.Errorf("%s: %w", path, err)
	}
	return c, c.Validate()
}

// Write writes the configuration with its comments.
func (c Config) Write(w io.Writer) error {
	return toml.NewEncoder(w).SetIndentTables(false).Encode(c)
}

// Validate refuses settings that cannot work, naming the setting and what it may be.
func (c *Config) Validate() error {
	switch {
	case !cluster.NodeID(c.Node).Valid():
		return fmt.Errorf("node = %q: want 1 to 63 lower case letters, digits or dashes", c.Node)
	case c.Dir == "":
		return errors.New("dir is empty: name the folder for this node's data")
	case c.Replicas != 1 && c.Replicas != 3 && c.Replicas != 5:
		return fmt.Errorf("replicas = %d: want 3 or 5 (1 only for trying out)", c.Replicas)
	case time.Duration(c.Grace) < placement.MinGrace:
		return fmt.Errorf("grace = %v: want at least %v", time.Duration(c.Grace), placement.MinGrace)
	case c.Groups < 1 || c.Groups > 256:
		return fmt.Errorf("groups = %d: want 1 to 256", c.Groups)
	case c.LogStore != "pebble" && c.LogStore != "bolt":
		return fmt.Errorf("log_store = %q: want pebble or bolt", c.LogStore)
	case c.BlockCache < 1<<20:
		return fmt.Errorf("block_cache = %d: want 1048576 bytes at least", c.BlockCache)
	case c.Reads != "lease" && c.Reads != "strict":
		return fmt.Errorf("reads = %q: want lease or strict", c.Reads)
	case c.gatewayRole() == noGatewayRole:
		return fmt.Errorf("gateway = %q: want auto, always or never", c.Gateway)
	case c.Scrub.Every != 0 && c.Scrub.Every < Duration(time.Hour):
		return fmt.Errorf("scrub.every = %q: want 1h at least, or 0s", time.Duration(c.Scrub.Every))
	case c.Scrub.Rate < 0 || c.Scrub.Rate > 1<<20:
		return fmt.Errorf("scrub.rate = %d: want 0 to 1048576", c.Scrub.Rate)
	case c.Copy.Rate < 0 || c.Copy.Rate > 1<<20:
		return fmt.Errorf("copy.rate = %d: want 0 to 1048576", c.Copy.Rate)
	case c.Copy.Share < 5 || c.Copy.Share > 100:
		return fmt.Errorf("copy.share = %d: want 5 to 100", c.Copy.Share)
	case c.Disk.Full < 1 || c.Disk.Low <= c.Disk.Full || c.Disk.Low > 50:
		return fmt.Errorf("disk.low = %d, disk.full = %d: want low above full, and both from 1 to 50", c.Disk.Low, c.Disk.Full)
	case (c.TLS.Certificate == "") != (c.TLS.Key == ""):
		return errors.New("tls: certificate and key go together")
	}
	if len(c.Roles) == 0 {
		return errors.New("roles is empty: want store, frontend or both")
	}
	for _, r := range c.Roles {
		if r != RoleStore && r != RoleFrontend {
			return fmt.Errorf("roles: %q: want store or frontend", r)
		}
	}
	if _, err := c.Peers(); err != nil {
		return err
	}
	return errors.Join(c.validateNames(), c.Listen.validate(), c.Limits.validate(), c.Log.validate(), c.validatePlaintext())
}

func (c *Config) validateNames() error {
	for _, d := range c.Domains {
		if _, err := directory.NormaliseDomain(d); err != nil {
			return fmt.Errorf("domains: %w", err)
		}
	}
	for setting, host := range map[string]string{"external_name": c.External, "cluster_name": c.Cluster} {
		if strings.ContainsAny(host, " \t/@") {
			return fmt.Errorf("%s = %q: want a host name", setting, host)
		}
	}
	return nil
}

// validate refuses what nothing can listen on.
func (l *Listen) validate() error {
	for _, x := range []struct {
		name, addr string
		wanted     bool
	}{
		{"node", l.Node, true}, {"gossip", l.Gossip, true}, {"smtp", l.SMTP, false}, {"submission", l.Submission, false},
		{"submissions", l.Submissions, false}, {"lmtp", l.LMTP, false}, {"imap", l.IMAP, false}, {"imaps", l.IMAPS, false},
		{"http", l.HTTP, false}, {"https", l.HTTPS, false}, {"admin", l.Admin, false},
	} {
		if x.addr == "" && !x.wanted {
			continue
		}
		_, port, err := net.SplitHostPort(x.addr)
		if err == nil {
			_, err = net.LookupPort("tcp", port)
		}
		if err != nil {
			return fmt.Errorf("listen.%s = %q: want :port or address:port", x.name, x.addr)
		}
	}
	return nil
}

func (l *Log) validate() error {
	if _, err := l.Lowest(); err != nil {
		return err
	}
	if l.Format != "text" && l.Format != "json" {
		return fmt.Errorf("log.format = %q: want text or json", l.Format)
	}
	return nil
}

// Lowest is the level from which on lines are written.
func (l *Log) Lowest() (level slog.Level, err error) {
	if err := level.UnmarshalText([]byte(strings.ToUpper(l.Level))); err != nil {
		return level, fmt.Errorf("log.level = %q: want debug, info, warn or error", l.Level)
	}
	return level, nil
}

// validate refuses what a front-end would not work with, or would take for its own default.
func (l *Limits) validate() error {
	for _, x := range []struct {
		name            string
		value, min, max int64
	}{
		{"message", l.Message, 64 << 10, 1 << 30},         // RFC 5321 4.5.3.1.7 wants 64 KiB at least
		{"recipients", int64(l.Recipients), 100, 1 << 20}, // RFC 5321 4.5.3.1.8
		{"connections", int64(l.Connections), 1, 1 << 20},
		{"connections_per_user", int64(l.ConnectionsPerUser), 1, 1 << 20},
		{"connections_per_remote", int64(l.ConnectionsPerRemote), 1, 1 << 20},
		{"imap_line", int64(l.IMAPLine), 8 << 10, 1 << 24}, // RFC 7162 4
		{"throttle_failures", int64(l.ThrottleFailures), 1, 1 << 20},
	} {
		if x.value < x.min || x.value > x.max {
			return fmt.Errorf("limits.%s = %d: want %d to %d", x.name, x.value, x.min, x.max)
		}
	}
	if l.Idle < Duration(time.Minute) {
		return fmt.Errorf("limits.idle = %q: want 1m at least", time.Duration(l.Idle))
	}
	if l.DuplicateWindow < 0 || l.ThrottleWindow < Duration(time.Second) {
		return errors.New("limits: duplicate_window is negative, or throttle_window is below 1s")
	}
	if l.SoftDeleted < 0 || l.QuotaWarning < 0 || l.QuotaWarning > 100 {
		return errors.New("limits: soft_deleted is negative, or quota_warning is no percentage")
	}
	return nil
}

func (c *Config) validatePlaintext() error {
	if !c.Plaintext {
		return nil
	}
	for _, addr := range []string{c.Listen.IMAP, c.Listen.Submission, c.Listen.HTTP} {
		host, _, err := net.SplitHostPort(addr)
		if ip := net.ParseIP(host); addr != "" && (err != nil || ip == nil || !ip.IsLoopback()) {
			return fmt.Errorf("plaintext = true with listener %q: allowed on loopback addresses only", addr)
		}
	}
	return nil
}

// Peer is a node named in the configuration.
type Peer struct {
	ID      cluster.NodeID
	Address string
}

// nodePort is where nodes listen for each other unless something else is said.
const nodePort = "7400"

// NodeAddress reads a node as an administrator writes it, name=host:port or less: a host alone is named by its first
// label, and its port is 7400. It returns the full form.
func NodeAddress(text string) (string, error) {
	name, addr, named := strings.Cut(text, "=")
	if !named {
		addr = text
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		host, port = strings.TrimSuffix(strings.TrimPrefix(addr, "["), "]"), nodePort
	}
	if !named {
		name, _, _ = strings.Cut(strings.ToLower(host), ".")
	}
	ip := net.ParseIP(host)
	switch {
	case !named && ip != nil:
		return "", fmt.Errorf("node %q: an address has no name to go by, say name=%s", text, text)
	case host == "" || ip == nil && strings.ContainsAny(host, ": /=") || !cluster.NodeID(name).Valid():
		return "", fmt.Errorf("node %q: want host, host:port or name=host:port", text)
	}
	if p, err := strconv.ParseUint(port, 10, 16); err != nil || p == 0 {
		return "", fmt.Errorf("node %q: port %q is none", text, port)
	}
	return name + "=" + net.JoinHostPort(host, port), nil
}

// Peers reads Nodes.
func (c *Config) Peers() ([]Peer, error) {
	var peers []Peer
	self := false
	for _, n := range c.Nodes {
		id, addr, ok := strings.Cut(n, "=")
		if _, _, err := net.SplitHostPort(addr); !ok || err != nil || !cluster.NodeID(id).Valid() {
			return nil, fmt.Errorf("nodes: %q: want name=host:port", n)
		}
		if slices.ContainsFunc(peers, func(p Peer) bool { return p.ID == cluster.NodeID(id) }) {
			return nil, fmt.Errorf("nodes: %s is named twice", id)
		}
		self = self || id == c.Node
		peers = append(peers, Peer{cluster.NodeID(id), addr})
	}
	if len(peers) > 0 && !self {
		return nil, fmt.Errorf("nodes: this node, %q, is not among them", c.Node)
	}
	return peers, nil
}

// ExternalName is the host name shown to clients.
func (c *Config) ExternalName() string {
	if c.External != "" {
		return c.External
	}
	if host, err := os.Hostname(); err == nil {
		return host
	}
	return c.Node
}

// ClusterName is the name shown in greetings and trace headers.
func (c *Config) ClusterName() string {
	if c.Cluster != "" {
		return c.Cluster
	}
	return c.ExternalName()
}

func (c *Config) path(elem ...string) string {
	return filepath.Join(append([]string{c.Dir}, elem...)...)
}
