package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/flotilla-mail/flotilla/frontends/admin/adminclient"
)

// queueEntry is a mail in the queue as the API shows it.
type queueEntry struct {
	ID, From, Error       string
	Received, Next        time.Time
	Size, Waiting, Failed uint64
	Recipients            []struct {
		Address, State, Error string
		Attempts              uint64
		Next                  time.Time
	}
}

func queueCommand(g *global) *cobra.Command {
	c := &cobra.Command{Use: "queue", Short: "Mail that waits to be delivered",
		Long: `Mail that was taken over and could not be delivered yet to some of its recipients. It is tried again by itself, more and
more seldom, for five days. What a mailbox refuses, or what is not delivered until then, is shown as failed and stays
until it is retried or deleted.`}
	one := func(verb, short, method string, rest ...string) *cobra.Command {
		return &cobra.Command{Use: verb + " ID", Short: short, Example: "  flotilla queue " + verb + " 2-dk3j5x9z1q2w", Args: args(cobra.ExactArgs(1)),
			RunE: func(c *cobra.Command, a []string) error {
				return call(c, g, method, adminclient.Path(append([]string{"v1", "queue", a[0]}, rest...)...), nil, showQueueEntry)
			}}
	}
	c.AddCommand(queueList(g),
		one("show", "Show a mail with its recipients", "GET"),
		one("retry", "Try a mail now, for recipients that failed too", "POST", "retry"),
		one("delete", "Take a mail out of the queue, undelivered", "DELETE"))
	return c
}

func queueList(g *global) *cobra.Command {
	type listing struct {
		Entries []queueEntry
		Silent  []uint64
	}
	return &cobra.Command{Use: "list", Short: "List what waits", Example: "  flotilla queue list --json", Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			return call(c, g, "GET", "/v1/queue", nil, func(w *tabwriter.Writer, l *listing) {
				if len(l.Entries) > 0 {
					row(w, "ID\tRECEIVED\tSIZE\tFROM\tWAITING\tFAILED\tNEXT\tERROR\t\n")
				}
				for _, e := range l.Entries {
					row(w, "%s\t%s\t%d\t<%s>\t%d\t%d\t%s\t%s\t\n", e.ID, moment(e.Received), e.Size, e.From, e.Waiting, e.Failed, moment(e.Next), firstLine(e.Error))
				}
				for _, group := range l.Silent {
					row(w, "group %d does not answer: what waits there is not known now\n", group)
				}
			})
		}}
}

func showQueueEntry(w *tabwriter.Writer, e *queueEntry) {
	row(w, "id\t%s\t\nfrom\t<%s>\t\nreceived\t%s\t\nsize\t%d\t\n", e.ID, e.From, moment(e.Received), e.Size)
	for _, r := range e.Recipients {
		state := r.State
		if !r.Next.IsZero() {
			state = fmt.Sprintf("%s, next try %s after %d failures", r.State, moment(r.Next), r.Attempts)
		}
		if r.Error != "" {
			state += ": " + firstLine(r.Error)
		}
		row(w, "%s\t%s\t\n", r.Address, state)
	}
}

// moment is a time to the second, a dash for none.
func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02T15:04:05Z")
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
