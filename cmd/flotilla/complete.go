package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/flotilla-mail/flotilla/internal/invariant"
)

// completionWait bounds what a shell waits for names when the user asks it to complete one.
const completionWait = 2 * time.Second

// raftGroup is what a line of use calls GROUP, which elsewhere is a distribution list.
const raftGroup = "RAFT-GROUP"

// namingFlags are the flags that name a node or a Raft group, whichever command has them.
var namingFlags = map[string]string{"without": "NODE", "replace": "NODE", "peer": "NODE", "into": raftGroup}

// completeNames lets the shell complete the names that a command takes: what its line of use calls a node or a Raft group,
// and the flags that name one. The cluster is asked for them; without an answer nothing is offered.
func completeNames(c *cobra.Command, g *global) {
	if c.ValidArgsFunction == nil && !takesFile(c) {
		words := strings.Fields(c.Use)[1:]
		c.ValidArgsFunction = func(c *cobra.Command, a []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return g.names(c, argument(words, len(a)), a), cobra.ShellCompDirectiveNoFileComp
		}
	}
	for flag, word := range namingFlags {
		if c.Flags().Lookup(flag) == nil {
			continue
		}
		if err := c.RegisterFlagCompletionFunc(flag, func(c *cobra.Command, a []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return g.names(c, word, a), cobra.ShellCompDirectiveNoFileComp
		}); err != nil {
			invariant.Failf("completion of --%s: %v", flag, err)
		}
	}
}

// argument is what a line of use calls the argument at place i: empty when it has none there.
func argument(words []string, i int) string {
	if n := len(words); i >= n && n > 0 && strings.Contains(words[n-1], "…") {
		i = n - 1
	}
	if i >= len(words) {
		return ""
	}
	return strings.Trim(words[i], "[]…")
}

// names are the nodes or Raft groups of the cluster, but for those that the line has already.
func (g *global) names(c *cobra.Command, word string, have []string) []cobra.Completion {
	path := ""
	switch {
	case word == "NODE" || word == "SUCCESSOR":
		path = "/v1/nodes"
	case word == raftGroup || word == "GROUP" && c.Parent().Name() == "groups":
		path = "/v1/groups"
	default:
		return nil
	}
	client, err := g.client()
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(c.Context(), completionWait)
	defer cancel()
	var all []struct {
		Node, Status, Leader string
		Group                uint64
	}
	if client.Do(ctx, "GET", path, nil, &all) != nil {
		return nil // a shell has no place for an error
	}
	var names []cobra.Completion
	for _, x := range all {
		name, about := x.Node, x.Status
		if name == "" {
			name, about = fmt.Sprint(x.Group), "led by "+dash(x.Leader)
		}
		if !slices.Contains(have, name) {
			names = append(names, cobra.CompletionWithDesc(name, about))
		}
	}
	return names
}
