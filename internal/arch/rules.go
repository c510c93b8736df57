package arch

// layer is one storey: its packages import only their own storey and lower ones.
type layer struct {
	name     string
	packages paths
}

// layers from the ground up (DESIGN 2). Where two patterns match, the longer one counts.
var layers = []layer{
	{"foundations", paths{"internal/invariant", "internal/version", "internal/clock", "internal/wire", "internal/planted", "internal/selftest/history"}},
	{"nouns", paths{"internal/mapi/...", "cluster"}},
	{"grammars and lsm", paths{"internal/formats/...", "internal/lsm/..."}},
	{"contracts", paths{"exmdb", "placement", "internal/directory", "internal/auth", "internal/mailflow"}},
	{"convert", paths{"internal/convert/..."}},
	{"engines", paths{"exmdb/*", "cluster/*", "placement/*", "internal/directory/*", "internal/auth/*"}},
	{"services", paths{"exmdb/server/...", "exmdb/client/...", "placement/view/..."}},
	{"mail flow", paths{"internal/mailflow/*"}},
	{"plumbing of listeners", paths{"internal/listen/...", "internal/obs/...", "internal/telemetry/..."}},
	{"Outlook engines", paths{"frontends/emsmdb/...", "frontends/nspi/..."}},
	{"front-ends", paths{"frontends/*"}},
	{"node", paths{"internal/node/...", "internal/dev/...", "internal/probe", "internal/rollout", "internal/selftest/...", "internal/archive/..."}},
	{"cmd", paths{"cmd/..."}},
}

// exempt packages are tools and tests around the house, not rooms of it.
var exempt = paths{"internal/arch", "internal/lint/...", "internal/fuzz", "internal/tools/...", "internal/testkit/...", "internal/deps", "test/..."}

// rule says what some packages never import.
type rule struct {
	name string
	// who is bound, except whom.
	who, except paths
	// what is never imported, but what of it may be.
	what, but paths
	// insideAllowed: imports inside the same folder of two elements do not count.
	insideAllowed bool
	reason        string
}

var (
	everyone  = paths{"/..."}
	engines   = paths{"cluster/...", "exmdb/...", "placement/...", "internal/mapi/...", "internal/formats/...", "internal/convert/...", "internal/lsm/...", "internal/wire", "internal/directory/...", "internal/auth/..."}
	frontends = paths{"frontends/..."}
)

// never is the list of DESIGN 2 and the doors of STYLE 14, one row a rule.
var never = []rule{
	// The root of cluster holds nouns: the kinds of refusal that exmdb's and auth's contracts answer with.
	{name: "front-end and cluster", who: frontends, what: paths{"cluster/*", "placement/..."},
		reason: "a front-end holds exmdb's contract; where a mailbox lives and how machines agree is not its matter"},
	{name: "front-end and store", who: frontends, what: paths{"exmdb/*"},
		reason: "a front-end sees the root of exmdb only; node injects the client"},
	{name: "front-end and database", who: frontends, what: paths{"internal/lsm/...", "database/...", "go.etcd.io/bbolt/..."},
		reason: "a front-end is stateless towards the store"},
	{name: "front-end and front-end", who: frontends, except: paths{"frontends/mapihttp/...", "frontends/rpchttp/..."},
		what: frontends, insideAllowed: true,
		reason: "protocols meet in the store; only mapihttp and rpchttp carry emsmdb and nspi"},
	{name: "carriers", who: paths{"frontends/mapihttp/...", "frontends/rpchttp/..."}, what: frontends,
		but: paths{"frontends/emsmdb/...", "frontends/nspi/..."}, insideAllowed: true,
		reason: "mapihttp and rpchttp carry emsmdb and nspi and nothing else"},
	{name: "cluster knows no mail", who: paths{"cluster/..."},
		what:   paths{"internal/...", "exmdb/...", "placement/...", "frontends/...", "github.com/emersion/..."},
		but:    paths{"internal/lsm/...", "internal/wire", "internal/clock", "internal/invariant", "internal/planted", "internal/version"},
		reason: "the cluster makes machines agree about bytes"},
	{name: "placement knows no mail", who: paths{"placement/..."},
		what:   paths{"exmdb/...", "internal/mapi/...", "internal/formats/...", "internal/convert/...", "internal/mailflow/...", "frontends/..."},
		reason: "placement says where a mailbox lives and opens none"},
	{name: "grammar and meaning", who: paths{"internal/formats/..."}, what: paths{"internal/mapi/...", "exmdb/...", "cluster/..."},
		reason: "formats turns bytes into syntax; meaning is convert's"},
	{name: "mapi is pure", who: paths{"internal/mapi/..."}, except: paths{"internal/mapi/internal/..."},
		what:   paths{"os/...", "net/...", "syscall", "internal/lsm/...", "database/..."},
		reason: "nouns and their wire forms do no I/O; only the generator of the property table reads and writes"},
	{name: "convert is pure", who: paths{"internal/convert/..."},
		what:   paths{"os/...", "net", "net/http/...", "syscall", "internal/lsm/...", "cluster/...", "database/..."},
		reason: "convert does no I/O: it is run again, in tests and beside transactions"},
	{name: "reports are pure", who: paths{"internal/mailflow/dsn/..."},
		what:   paths{"os/...", "net", "net/http/...", "syscall", "internal/lsm/...", "cluster/*", "exmdb/*", "internal/mailflow/*"},
		reason: "a report is rendered inside an update, which may run again; who is told is the queue's matter"},
	{name: "pure engines", who: paths{"exmdb/rules/...", "exmdb/query/...", "placement/planner/..."},
		what:   paths{"os/...", "net", "net/http/...", "syscall", "internal/lsm/...", "cluster/*"},
		reason: "rules, tables and planner compute; others act"},
	{name: "full text knows no mailbox", who: paths{"exmdb/fulltext/..."},
		what:   paths{"exmdb/...", "cluster/*", "internal/formats/...", "internal/convert/...", "os/...", "net/..."},
		reason: "the index answers for text and UIDs; exmdb/store says what a message's text is"},
	{name: "engines log nothing", who: engines, except: paths{"cluster/group/...", "cluster/gossip/..."},
		what:   paths{"log/...", "github.com/prometheus/...", "github.com/hashicorp/go-metrics/..."},
		reason: "an engine calls its Events; logger and metrics are the caller's (STYLE 9)"},
	{name: "raft's door", who: everyone, except: paths{"cluster/group/...", "cluster/raftlog/..."},
		what:   paths{"github.com/hashicorp/raft/...", "github.com/hashicorp/raft-boltdb/..."},
		reason: "hashicorp/raft is seen by cluster/group and cluster/raftlog only"},
	{name: "bbolt's door", who: everyone, except: paths{"cluster/raftlog/..."}, what: paths{"go.etcd.io/bbolt/..."},
		reason: "bbolt serves raft's stores and nothing else"},
	{name: "memberlist's door", who: everyone, except: paths{"cluster/gossip/..."}, what: paths{"github.com/hashicorp/memberlist/..."},
		reason: "memberlist is seen by cluster/gossip only"},
	{name: "Pebble's door", who: everyone, except: paths{"internal/lsm/..."}, what: paths{"github.com/cockroachdb/pebble/..."},
		reason: "Pebble is seen by internal/lsm only"},
	{name: "yamux's door", who: everyone, except: paths{"cluster/rpc/...", "cluster/transport/..."}, what: paths{"github.com/hashicorp/yamux/..."},
		reason: "connections between nodes are cluster/transport's and cluster/rpc's"},
	{name: "cobra's door", who: everyone, except: paths{"cmd/..."}, what: paths{"github.com/spf13/cobra/..."},
		reason: "the command line is cmd's"},
	{name: "go-imap's door", who: everyone, except: paths{"frontends/imap/...", "internal/selftest"}, what: paths{"github.com/emersion/go-imap/..."},
		reason: "IMAP's data types are the IMAP front-end's; a self-test is a client of it"},
	{name: "porcupine's door", who: everyone, except: paths{"internal/selftest/history"}, what: paths{"github.com/anishathalye/porcupine/..."},
		reason: "whether operations have an order is the history's verdict"},
	{name: "rrule-go's door", who: everyone, except: paths{"internal/convert/recurrence/..."}, what: paths{"github.com/teambition/rrule-go/..."},
		reason: "rules are expanded behind recurrence.Expander"},
	{name: "tests only", who: everyone, what: paths{"internal/testkit/...", "internal/arch", "internal/lint/...", "internal/fuzz", "test/...", "testing/..."},
		except: paths{"cluster/raftlog/...", "cluster/space/...", "exmdb/...", "internal/directory/...", "internal/auth/..."},
		reason: "the program carries no test code; only conformance suites stand beside their contracts"},
}
