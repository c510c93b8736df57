package node

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/raftlog"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/frontends/imap"
	"github.com/flotilla-mail/flotilla/frontends/smtp"
	"github.com/flotilla-mail/flotilla/frontends/web"
	"github.com/flotilla-mail/flotilla/internal/auth"
	"github.com/flotilla-mail/flotilla/internal/mailflow"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// metrics counts what the parts of a node report. Labels are names of tables and kinds: no user or address is one, so
// that their number is bounded and nothing private leaves the node.
type metrics struct {
	connections   *prometheus.GaugeVec
	accepted      *prometheus.CounterVec
	commands      *prometheus.CounterVec
	commandTime   *prometheus.HistogramVec
	signIns       *prometheus.CounterVec
	deliveries    *prometheus.CounterVec
	queued        *prometheus.CounterVec
	outgoing      *prometheus.CounterVec
	octets        *prometheus.CounterVec
	opTime        *prometheus.HistogramVec
	opErrors      *prometheus.CounterVec
	syncTime      *prometheus.HistogramVec
	leaderChanges *prometheus.CounterVec
	scrubs        *prometheus.CounterVec
	misled        *prometheus.CounterVec
}

func newMetrics() *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "flotilla", Name: name, Help: help}, labels)
	}
	histogram := func(name, help string, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "flotilla", Name: name, Help: help,
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 15)}, labels) // half a millisecond to eight seconds
	}
	m := &metrics{
		connections: prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "flotilla", Name: "connections",
			Help: "Client connections open now."}, []string{"service"}),
		accepted:      counter("connections_total", "Client connections taken.", "service"),
		commands:      counter("commands_total", "Commands and requests of clients, by their result as the protocol writes it.", "service", "command", "result"),
		commandTime:   histogram("command_duration_seconds", "How long commands and requests of clients took.", "service"),
		signIns:       counter("sign_ins_total", "Attempts to sign in.", "protocol", "result"),
		deliveries:    counter("deliveries_total", "Deliveries to single mailboxes: stored, duplicate, or why not.", "result"),
		queued:        counter("queue_recipients_total", "Recipients whose mail went into the queue, and what became of them.", "event"),
		outgoing:      counter("mailbox_outgoing_total", "What mailboxes sent by themselves: for rules, and while users are away.", "kind"),
		octets:        counter("mail_bytes_total", "Octets of mail taken in.", "service"),
		opTime:        histogram("op_duration_seconds", "How long ops on spaces took that this node served as their owner.", "op"),
		opErrors:      counter("op_errors_total", "Ops that this node refused as the owner.", "op", "kind"),
		syncTime:      histogram("log_sync_duration_seconds", "How long entries took to be on disk.", "log"),
		leaderChanges: counter("group_leader_changes_total", "New leaders of a group, as this node learnt of them.", "group"),
		scrubs:        counter("scrubs_total", "Scrubs of groups led here, by what came of them.", "result"),
		misled: counter("wrong_owner_answers_total",
			"Ops that came here as to their owner though another node was it, and whether this node had known that for more than a second.", "late"),
	}
	for _, result := range scrubResults {
		m.scrubs.WithLabelValues(result) // from zero on, so that the first of a kind is an increase
	}
	for _, late := range []string{"no", "yes"} {
		m.misled.WithLabelValues(late)
	}
	return m
}

func (m *metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.connections, m.accepted, m.commands, m.commandTime, m.signIns, m.deliveries, m.queued, m.outgoing,
		m.octets, m.opTime, m.opErrors, m.syncTime, m.leaderChanges, m.scrubs, m.misled}
}

// metricsHandler shows the node's figures to Prometheus.
func (n *Node) metricsHandler() http.Handler {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), nodeMetrics{n})
	reg.MustRegister(n.metrics.collectors()...)
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{})
}

// kindNames are the results that a label shows; a kind that is not here is shown by its number.
var kindNames = map[cluster.Kind]string{
	cluster.KindInternal: "internal", cluster.KindNotLeader: "not_leader", cluster.KindUnknownOutcome: "unknown_outcome",
	cluster.KindOverloaded: "overloaded", cluster.KindUnavailable: "unavailable", cluster.KindNoSpace: "no_space",
	cluster.KindTooLarge: "too_large", cluster.KindStaleRequest: "stale_request", cluster.KindDeadline: "deadline",
	cluster.KindNoMethod: "no_method", cluster.KindBadRequest: "bad_request", cluster.KindDiskFull: "disk_full",
	cluster.KindDamaged: "damaged", cluster.KindMoving: "moving", cluster.KindExists: "exists",
	cluster.KindContentMissing: "content_missing", cluster.KindUnsafe: "unsafe", cluster.KindGone: "gone",
	exmdb.KindNoMailbox: "no_mailbox", exmdb.KindNoFolder: "no_folder", exmdb.KindNoMessage: "no_message",
	exmdb.KindFolderExists: "folder_exists", exmdb.KindBadName: "bad_name", exmdb.KindFixedFolder: "fixed_folder",
	exmdb.KindAccessDenied: "access_denied", exmdb.KindOverQuota: "over_quota", exmdb.KindTooBig: "too_big",
	exmdb.KindBadContent: "bad_content", exmdb.KindStaleToken: "stale_token", exmdb.KindNoSuchUser: "no_such_user",
	exmdb.KindConflict: "conflict", exmdb.KindHasChildren: "has_children", exmdb.KindCycle: "cycle",
	exmdb.KindKeywordLimit: "keyword_limit", exmdb.KindMailboxExists: "mailbox_exists", exmdb.KindBadPassword: "bad_password",
	exmdb.KindThrottled: "throttled", exmdb.KindDisabled: "disabled", exmdb.KindExists: "exists", exmdb.KindInUse: "in_use",
	exmdb.KindBadAddress: "bad_address",
	mailflow.KindRelay:   "relay", mailflow.KindSender: "sender", mailflow.KindTooMany: "too_many", mailflow.KindLoop: "loop",
}

// resultOf is the label of an error; ok is that of none.
func resultOf(err error, ok string) string {
	if err == nil {
		return ok
	}
	kind := cluster.KindOf(err)
	if name := kindNames[kind]; name != "" {
		return name
	}
	return "kind_" + strconv.Itoa(int(kind))
}

func (m *metrics) connected(service string) {
	m.connections.WithLabelValues(service).Inc()
	m.accepted.WithLabelValues(service).Inc()
}

func (m *metrics) disconnected(service string) { m.connections.WithLabelValues(service).Dec() }

// served is ops.Events.Served.
func (m *metrics) served(op string, took time.Duration, err error) {
	m.opTime.WithLabelValues(op).Observe(took.Seconds())
	if err != nil {
		m.opErrors.WithLabelValues(op, resultOf(err, "")).Inc()
	}
}

// synced is raftlog.Events.SyncDone.
func (m *metrics) synced(s raftlog.SyncInfo) {
	log := "mailboxes"
	if s.Group == cluster.SystemGroup {
		log = "system"
	}
	m.syncTime.WithLabelValues(log).Observe(s.Took.Seconds())
}

func (m *metrics) leaderChanged(g cluster.GroupID) {
	m.leaderChanges.WithLabelValues(g.String()).Inc()
}

func (m *metrics) imapEvents() imap.Events {
	return imap.Events{
		Connected:    func() { m.connected("imap") },
		Disconnected: func() { m.disconnected("imap") },
		Command: func(name, status string, took time.Duration) {
			m.commands.WithLabelValues("imap", name, status).Inc()
			m.commandTime.WithLabelValues("imap").Observe(took.Seconds())
		},
	}
}

func (m *metrics) smtpEvents() smtp.Events {
	return smtp.Events{
		Connected:    func(s smtp.Service) { m.connected(s.String()) },
		Disconnected: func(s smtp.Service) { m.disconnected(s.String()) },
		Answered: func(s smtp.Service, command string, code int) {
			m.commands.WithLabelValues(s.String(), command, strconv.Itoa(code)).Inc()
		},
		Taken: func(s smtp.Service, _, _ int, octets int64, took time.Duration) {
			m.octets.WithLabelValues(s.String()).Add(float64(octets))
			m.commandTime.WithLabelValues(s.String()).Observe(took.Seconds())
		},
	}
}

func (m *metrics) webEvents() web.Events {
	return web.Events{
		Connected:    func() { m.connected("web") },
		Disconnected: func() { m.disconnected("web") },
		Answered: func(route string, code int, took time.Duration) {
			m.commands.WithLabelValues("web", route, strconv.Itoa(code)).Inc()
			m.commandTime.WithLabelValues("web").Observe(took.Seconds())
		},
	}
}

// countedSignIns counts attempts, whatever the protocol.
type countedSignIns struct {
	auth.Authenticator
	m *metrics
}

// Authenticate implements auth.Authenticator.
func (c countedSignIns) Authenticate(ctx context.Context, a auth.Attempt) (*auth.Principal, error) {
	p, err := c.Authenticator.Authenticate(ctx, a)
	c.m.signIns.WithLabelValues(string(a.Protocol), resultOf(err, "accepted")).Inc()
	return p, err
}

// countedMail counts deliveries: only their answers tell a mail that was stored from one that was there already.
type countedMail struct {
	*standings
	m *metrics
}

// Call implements exmdb.Caller.
func (c countedMail) Call(ctx context.Context, as exmdb.Identity, box mapi.MailboxID, op exmdb.OpInfo, req, resp any) error {
	err := c.standings.Call(ctx, as, box, op, req, resp)
	if op.ID == exmdb.OpDeliver.ID {
		c.m.delivered(resp, err)
	}
	return err
}

func (m *metrics) delivered(resp any, err error) {
	ok := "stored"
	if d, is := resp.(*exmdb.DeliverResponse); is && d.Duplicate {
		ok = "duplicate"
	}
	m.deliveries.WithLabelValues(resultOf(err, ok)).Inc()
}

// nodeMetrics reads what the node knows when it is asked.
type nodeMetrics struct{ n *Node }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("flotilla_"+name, help, labels, nil)
}

var (
	descReady   = desc("ready", "1 when the node serves clients.")
	descExpiry  = desc("certificate_expiry_seconds", "Seconds until a certificate ends: that shown to nodes, and to clients.", "certificate")
	descSyncs   = desc("disk_syncs_total", "Syncs of logs and votes.")
	descLeads   = desc("group_leads", "1 for a group that this node leads.", "group")
	descApplied = desc("group_applied_index", "Last log index applied.", "group")
	descEntries = desc("group_entries_total", "Raft entries proposed here.", "group")
	descParts   = desc("group_operations_total", "Effects proposed here.", "group")
	descQueue   = desc("group_queue_bytes", "Bytes of effects that wait for their entry, or for the entry to be applied.", "group")
	descFenced  = desc("group_fenced", "1 for a replica that has stopped, or does not start, because of its data or its disk.", "group")
	descLog     = desc("group_log_bytes", "Bytes of the group's log.", "group")
	descSeeded  = desc("group_seed_bytes", "Bytes here of a replica that is being seeded.", "group")
	descSeed    = desc("group_seed_total_bytes", "Bytes that a replica which is being seeded will have.", "group")
	descScrub   = desc("group_scrub_age_seconds", "Seconds since this node's replica was last hashed for a scrub, or was new.", "group")
	descGateway = desc("gossip_gateway", "1 when the node carries between data centres what nodes tell each other.")
	descFree    = desc("disk_free_bytes", "Bytes free on the disk of the node's data.")
	descSize    = desc("disk_size_bytes", "Bytes of that disk.")
	descRoom    = desc("disk_room", "0 when the disk has room, 1 when mail for what the node owns is refused, 2 when its replicas take nothing more.")
	descHeard   = desc("data_centre_heard", "1 for another data centre that this node hears of by the gateways.", "dc")
)

// Describe implements prometheus.Collector.
func (m nodeMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descReady, descExpiry, descSyncs, descLeads, descApplied, descEntries, descParts, descQueue, descLog,
		descFenced, descScrub, descSeeded, descSeed, descGateway, descHeard,
		descFree, descSize, descRoom} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m nodeMetrics) Collect(ch chan<- prometheus.Metric) {
	show := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	show(descReady, prometheus.GaugeValue, boolFloat(m.n.serves() == nil))
	show(descSyncs, prometheus.CounterValue, float64(m.n.storage.disk.Syncs.Load()))
	disk, _ := m.n.room.status(m.n.cfg.Dir)
	show(descFree, prometheus.GaugeValue, float64(disk.Free))
	show(descSize, prometheus.GaugeValue, float64(disk.Total))
	show(descRoom, prometheus.GaugeValue, float64(disk.Room))
	now := m.n.storage.clock.Now()
	for name, end := range m.n.certificateEnds() {
		show(descExpiry, prometheus.GaugeValue, end.Sub(now).Seconds(), name)
	}
	for _, o := range m.n.gossip.Nodes() {
		if o.ID == m.n.self {
			show(descGateway, prometheus.GaugeValue, boolFloat(o.Gateway))
		}
	}
	for _, s := range m.n.gossip.Sites() {
		show(descHeard, prometheus.GaugeValue, boolFloat(s.Heard), strings.ToValidUTF8(s.DC, "?"))
	}
	for _, g := range m.n.ownReplicas() {
		show(descFenced, prometheus.GaugeValue, boolFloat(g.Fenced != ""), g.Group.String())
		if g.SeedTotal > 0 {
			show(descSeeded, prometheus.GaugeValue, float64(g.Seeded), g.Group.String())
			show(descSeed, prometheus.GaugeValue, float64(g.SeedTotal), g.Group.String())
		}
	}
	for _, g := range m.n.storage.host.Groups() {
		id, s := g.ID().String(), g.Stats()
		show(descLeads, prometheus.GaugeValue, boolFloat(s.Leader == g.Self()), id)
		show(descApplied, prometheus.GaugeValue, float64(s.Applied), id)
		show(descLog, prometheus.GaugeValue, float64(s.LogBytes), id)
		show(descQueue, prometheus.GaugeValue, float64(s.QueueBytes), id)
		show(descEntries, prometheus.CounterValue, float64(s.Entries), id)
		show(descParts, prometheus.CounterValue, float64(s.Parts), id)
		if last, _, ok, err := g.Replica().Machine().LastScrub(); ok && err == nil {
			show(descScrub, prometheus.GaugeValue, now.Sub(last).Seconds(), id)
		}
	}
}

func boolFloat(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
