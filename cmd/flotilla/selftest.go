package main

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/flotilla-mail/flotilla/frontends/admin/adminclient"
	"github.com/flotilla-mail/flotilla/internal/dev"
	"github.com/flotilla-mail/flotilla/internal/selftest"
	"github.com/flotilla-mail/flotilla/internal/selftest/history"
)

// errViolated says that a history shows a promise that was not kept.
var errViolated = errors.New("the cluster did not keep its promises")

func selftestCommand(g *global) *cobra.Command {
	var s selftestFlags
	c := &cobra.Command{
		Use: "selftest", Short: "Use a dev or staging cluster hard, and judge what its clients saw",
		Long: `Make mailboxes (their names begin with "selftest-"), let clients bring, flag, read and remove mail over SMTP, LMTP and
IMAP through every node, and judge what they saw: one order of all operations, each mail there once, UIDs and change numbers
that rise, no notification lost, replicas equal. The mailboxes are removed at the end; the history stays.

With --faults nodes are killed, frozen, cut off, and given full, slow and stuck disks meanwhile. Only dev clusters take that.
Another cluster than that of 'flotilla dev' is named by --server and --imap, --smtp.`,
		Example: `  flotilla selftest --duration 1m
  flotilla selftest --duration 10m --faults
  flotilla selftest --duration 10m --faults=kill,freeze,cut-out --max-gap 4s
  flotilla selftest --server n1:2808 --imap n1:993,n2:993,n3:993 --smtp n1:25,n2:25,n3:25 --domain example.test
  flotilla selftest verify selftest.history`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return s.run(c, g) },
	}
	f := c.Flags()
	f.DurationVar(&s.config.Duration, "duration", time.Minute, "how long clients work")
	f.IntVar(&s.config.Clients, "clients", 16, "how many clients work at the same time")
	f.IntVar(&s.config.Mailboxes, "mailboxes", 12, "how many mailboxes they use")
	f.Uint64Var(&s.config.Seed, "seed", 0, "what clients and faults do is drawn from this (default: another each time)")
	f.StringVar(&s.config.History, "history", "", "file for the history; it must not be there yet (default: selftest-<time>.history)")
	f.StringVar(&s.faults, "faults", "", "make faults meanwhile: all kinds, or those named, with commas between")
	f.Lookup("faults").NoOptDefVal = "all"
	f.DurationVar(&s.config.MaxGap, "max-gap", 0, "for how long a mailbox may be unavailable to a protocol, e.g. 4s (default: that is shown and not judged)")
	f.StringSliceVar(&s.imap, "imap", nil, "IMAPS ports of the nodes, host:port, with --server")
	f.StringSliceVar(&s.smtp, "smtp", nil, "SMTP ports of the nodes, in the same order")
	f.StringSliceVar(&s.lmtp, "lmtp", nil, "LMTP ports of the nodes, in the same order, if they may be used")
	f.StringVar(&s.domain, "domain", "", "domain of the mailboxes, with --server")
	f.StringVar(&s.ca, "ca", "", "file of the certificate that the nodes' certificates are trusted by (default: the machine's)")
	c.AddCommand(selftestVerify(g))
	return c
}

type selftestFlags struct {
	config           selftest.Config
	faults           string
	imap, smtp, lmtp []string
	domain, ca       string
}

func (s *selftestFlags) run(c *cobra.Command, g *global) error {
	var err error
	if s.config.Target, err = s.target(g); err != nil {
		return err
	}
	if s.config.Trouble = s.faults != ""; s.config.Trouble && s.faults != "all" {
		for _, name := range strings.Split(s.faults, ",") {
			s.config.Faults = append(s.config.Faults, selftest.Kind(name))
		}
	}
	if s.config.History == "" {
		s.config.History = "selftest-" + time.Now().UTC().Format("20060102-150405") + ".history"
	}
	line := progressLine(c.ErrOrStderr())
	s.config.Progress = func(p selftest.Progress) {
		text := fmt.Sprintf("%s %s: %s", p.Elapsed.Round(time.Second), p.Phase, count(p.Operations, "operation"))
		if p.Faults > 0 {
			text += ", " + count(p.Faults, "fault")
		}
		if p.Now != "" {
			text += " (" + p.Now + ")"
		}
		line(text)
	}
	report, err := selftest.Run(c.Context(), s.config)
	line("")
	if err != nil {
		return err
	}
	return showReport(c.OutOrStdout(), g.json, report)
}

// target is the dev cluster, or what the flags name.
func (s *selftestFlags) target(g *global) (*selftest.Target, error) {
	if g.server == "" {
		dir, err := g.devDir()
		if err != nil {
			return nil, err
		}
		program, err := os.Executable()
		if err != nil {
			return nil, err
		}
		c, err := dev.Open(dir, program)
		if err != nil {
			return nil, err
		}
		return selftest.DevTarget(c)
	}
	if len(s.imap) == 0 || len(s.imap) != len(s.smtp) || len(s.lmtp) != 0 && len(s.lmtp) != len(s.imap) || s.domain == "" {
		return nil, usageError{errors.New("with --server name --domain, and as many ports with --imap as with --smtp")}
	}
	client, err := g.client()
	if err != nil {
		return nil, err
	}
	t := &selftest.Target{Domain: s.domain, Admin: []*adminclient.Client{client}}
	for i, at := range s.imap {
		n := selftest.Node{Name: at, IMAPS: at, SMTP: s.smtp[i]}
		if len(s.lmtp) > 0 {
			n.LMTP = s.lmtp[i]
		}
		t.Nodes = append(t.Nodes, n)
	}
	if s.ca != "" {
		pem, err := os.ReadFile(s.ca)
		if err != nil {
			return nil, err
		}
		if t.Roots = x509.NewCertPool(); !t.Roots.AppendCertsFromPEM(pem) {
			return nil, usageError{fmt.Errorf("%s holds no certificate", s.ca)}
		}
	}
	return t, nil
}

func showReport(out io.Writer, asJSON bool, r *selftest.Report) error {
	if asJSON {
		if err := json.NewEncoder(out).Encode(r); err != nil {
			return err
		}
		return reportError(r)
	}
	total := 0
	for _, n := range r.Faults {
		total += n
	}
	fmt.Fprintf(out, "%s in %.0f s, seed %d; the slowest acknowledged operation took %.0f ms\n", count(total, "fault"), r.Seconds, r.Seed, r.Slowest)
	for _, protocol := range slices.Sorted(maps.Keys(r.Gaps)) {
		fmt.Fprintf(out, "%s: a mailbox was unavailable for %.0f ms at the longest\n", protocol, r.Gaps[protocol])
	}
	showVerdict(out, r.Verdict)
	path, err := filepath.Abs(r.History)
	if err != nil {
		path = r.History
	}
	fmt.Fprintf(out, "The history is in %s\n", path)
	return reportError(r)
}

// reportError adds to the verdict what a run is held to beside it.
func reportError(r *selftest.Report) error {
	if err := verdictError(r.Verdict); err != nil || r.OK() {
		return err
	}
	return fmt.Errorf("%w: unavailable for more than %.0f ms: %s", errViolated, r.MaxGap, strings.Join(r.Beyond, ", "))
}

func showVerdict(out io.Writer, v *history.Verdict) {
	fmt.Fprintf(out, "%d operations on %d mailboxes, %d mails acknowledged, %d operations of unknown outcome\n", v.Operations, v.Mailboxes, v.Mails, v.Unknown)
	for i := range v.Violations {
		fmt.Fprintf(out, "VIOLATION  %s\n", v.Violations[i].String())
	}
	for _, name := range v.Undecided {
		fmt.Fprintf(out, "UNDECIDED  mailbox %s: an order of its operations was not looked for to the end\n", name)
	}
	if v.OK() {
		fmt.Fprintln(out, "Nothing is wrong.")
	}
}

func verdictError(v *history.Verdict) error {
	if v.OK() {
		return nil
	}
	return fmt.Errorf("%w: %d violations, %d mailboxes undecided", errViolated, len(v.Violations), len(v.Undecided))
}

func selftestVerify(g *global) *cobra.Command {
	var limit time.Duration
	c := &cobra.Command{
		Use: "verify FILE", Short: "Judge a history again",
		Example: "  flotilla selftest verify selftest.history",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, a []string) error {
			f, err := os.Open(a[0])
			if err != nil {
				return err
			}
			records, err := history.ReadAll(f)
			if err := errors.Join(err, f.Close()); err != nil {
				return err
			}
			v := history.Check(records, limit)
			if g.json {
				if err := json.NewEncoder(c.OutOrStdout()).Encode(v); err != nil {
					return err
				}
			} else {
				showVerdict(c.OutOrStdout(), v)
			}
			return verdictError(v)
		},
	}
	c.Flags().DurationVar(&limit, "limit", 2*time.Minute, "how long to look for an order in each mailbox's history")
	return c
}
