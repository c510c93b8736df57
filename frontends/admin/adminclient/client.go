// Package adminclient speaks the admin API for the command line.
//
// It knows how to reach a node (its socket, or its port with a token) and how the API's refusals read; it never
// prints.
package adminclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
)

// ErrUnreachable says that no node answered.
var ErrUnreachable = errors.New("no node answers")

// Refused is the API's refusal of a request.
type Refused struct {
	Status int
	// Kind is zero when the answer named none.
	Kind cluster.Kind
	Text string
}

func (r *Refused) Error() string { return r.Text }

// Client calls one node.
type Client struct {
	base, token string
	http        *http.Client
}

// idle is for how long a connection to a socket is kept for the next request: who asks once, and makes a client for it,
// leaves none behind.
const idle = time.Second

// Socket is a client of the node whose socket is at path.
func Socket(path string) *Client {
	return &Client{base: "http://node", http: &http.Client{Transport: &http.Transport{
		IdleConnTimeout: idle,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}}}}
}

// defaultPort is where a node listens for administrators unless its configuration says otherwise.
const defaultPort = "2808"

// Port is a client of the admin port at address, "host", "host:port" or a URL.
func Port(address, token string) *Client {
	if !strings.Contains(address, "://") {
		if _, _, err := net.SplitHostPort(address); err != nil {
			address = net.JoinHostPort(strings.Trim(address, "[]"), defaultPort)
		}
		address = "http://" + address
	}
	return &Client{base: strings.TrimSuffix(address, "/"), token: token, http: &http.Client{}}
}

// Do sends a request with a JSON body, when body is not nil, and decodes the answer into out, when that is not nil.
func (c *Client) Do(ctx context.Context, method, path string, body, out any) error {
	var b io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
		b = bytes.NewReader(raw)
	}
	return c.send(ctx, method, path, b, out)
}

// Upload sends what r has as the body of a POST, and decodes the answer into out.
func (c *Client) Upload(ctx context.Context, path string, r io.Reader, out any) error {
	return c.send(ctx, http.MethodPost, path, r, out)
}

func (c *Client) send(ctx context.Context, method, path string, b io.Reader, out any) error {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, b)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return unreachable(err)
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return unreachable(err)
	}
	if resp.StatusCode != http.StatusOK {
		return refusal(resp.StatusCode, raw)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return fmt.Errorf("decode answer: %w", err)
	}
	return nil
}

// unreachable says why, without the request's URL, which nobody has typed.
func unreachable(err error) error {
	var request *url.Error
	if errors.As(err, &request) {
		err = request.Err
	}
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: %w: only root and the user of the service may ask here", ErrUnreachable, err)
	}
	return fmt.Errorf("%w: %w", ErrUnreachable, err)
}

func refusal(status int, raw []byte) error {
	var v struct {
		Error string       `json:"error"`
		Kind  cluster.Kind `json:"kind"`
	}
	if err := json.Unmarshal(raw, &v); err != nil || v.Error == "" {
		v.Error = fmt.Sprintf("the node answered %d", status)
	}
	return &Refused{Status: status, Kind: v.Kind, Text: v.Error}
}

// Path joins the elements of a path, each escaped.
func Path(elem ...string) string {
	var b strings.Builder
	for _, e := range elem {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(e))
	}
	return b.String()
}
