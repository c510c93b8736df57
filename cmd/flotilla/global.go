package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/flotilla-mail/flotilla/frontends/admin/adminclient"
	"github.com/flotilla-mail/flotilla/internal/dev"
)

// global holds the flags every command has.
type global struct {
	dir, server, token string
	json               bool
}

// defaultDev is where a dev cluster is looked for.
const defaultDev = "data/dev"

// devDir is the folder of the dev cluster.
func (g *global) devDir() (string, error) {
	dir := g.dir
	if dir == "" {
		dir = defaultDev
	}
	return filepath.Abs(dir)
}

// client finds the node to ask: the server named, the node in a folder, or the first node of a dev cluster that runs.
func (g *global) client() (*adminclient.Client, error) {
	if g.server != "" {
		token := g.token
		if token == "" {
			token = os.Getenv("FLOTILLA_TOKEN")
		}
		return adminclient.Port(g.server, token), nil
	}
	dir := g.dir
	if dir == "" {
		if dir = defaultDev; !exists(dir) {
			dir = "/var/lib/flotilla"
		}
	}
	socket := filepath.Join(dir, "admin.sock")
	if _, err := os.Stat(socket); err == nil || errors.Is(err, fs.ErrPermission) {
		return adminclient.Socket(socket), nil
	}
	c, err := dev.Open(dir, "")
	if err != nil {
		return nil, fmt.Errorf("%w: no node runs in %s: name another with --dir or --server", adminclient.ErrUnreachable, dir)
	}
	for _, n := range c.Names() {
		if c.Running(n) != 0 {
			return c.Admin(n), nil
		}
	}
	return nil, fmt.Errorf("%w: no node of the dev cluster in %s runs", adminclient.ErrUnreachable, dir)
}

// count is a number of things: noun as it is said of one, and has an s else.
func count[N int | int64 | uint64](n N, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// plain is a text as it is shown in a line: it may be what a stranger has written into a mail, and what of it is not to be seen is shown
// as in a Go string, so that it forges no line and steers no terminal.
func plain(s string) string {
	if !strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsGraphic(c) }) {
		return s
	}
	quoted := strconv.QuoteToGraphic(s)
	return quoted[1 : len(quoted)-1]
}

// row prints a line of a table; the texts that it is given are shown plain.
func row(w io.Writer, format string, args ...any) {
	for i, a := range args {
		if s, is := a.(string); is {
			args[i] = plain(s)
		}
	}
	fmt.Fprintf(w, format, args...)
}

// call sends one request and shows the answer, as JSON or by show.
func call[T any](c *cobra.Command, g *global, method, path string, body any, show func(*tabwriter.Writer, *T)) error {
	_, err := answerOf(c, g, method, path, body, show)
	return err
}

// answerOf is call for commands whose exit code depends on the answer.
func answerOf[T any](c *cobra.Command, g *global, method, path string, body any, show func(*tabwriter.Writer, *T)) (*T, error) {
	client, err := g.client()
	if err != nil {
		return nil, err
	}
	var raw json.RawMessage
	if err := client.Do(c.Context(), method, path, body, &raw); err != nil {
		return nil, err
	}
	v := new(T)
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber() // ids have more digits than a float64
	if err := d.Decode(v); err != nil {
		return nil, fmt.Errorf("decode answer: %w", err)
	}
	if g.json {
		_, err := fmt.Fprintf(c.OutOrStdout(), "%s\n", raw)
		return v, err
	}
	w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
	show(w, v)
	return v, w.Flush()
}
