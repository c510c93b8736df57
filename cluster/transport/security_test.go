package transport

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
)

// refusals collects what a node's listener refused.
type refusals struct {
	mu   sync.Mutex
	text []string
}

func (r *refusals) events() Events {
	return Events{Rejected: func(_ net.Addr, _ cluster.NodeID, err error) {
		r.mu.Lock()
		r.text = append(r.text, err.Error())
		r.mu.Unlock()
	}}
}

func (r *refusals) has(part string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Contains(strings.Join(r.text, "\n"), part)
}

func TestStrangersAreRefusedByName(t *testing.T) {
	cases := []struct {
		name string
		// change makes n2's neighbour n1 wrong.
		change   func(t *testing.T, home, other *network, cfg *Config)
		dialler  string // what the dialling node is told
		listener string // what the listening node reports
	}{
		{"other cluster", func(t *testing.T, _, other *network, cfg *Config) {
			cfg.Cluster, cfg.Credentials = other.authority.Cluster, other.credentials("n1", time.Hour)
		}, "peer belongs to cluster", "peer refused"},
		{"other authority of the same cluster id", func(t *testing.T, home, other *network, cfg *Config) {
			forged := *other.authority
			forged.Cluster = home.authority.Cluster
			cfg.Credentials = (&network{t: t, authority: &forged}).credentials("n1", time.Hour)
		}, "unknown authority", "peer refused"},
		{"expired", func(t *testing.T, home, _ *network, cfg *Config) {
			cfg.Credentials = home.credentials("n1", -time.Minute)
		}, "this node's certificate expired", "expired"},
		{"no common version", func(_ *testing.T, _, _ *network, cfg *Config) {
			cfg.Versions = VersionRange{Min: 7, Max: 9}
		}, "n2 speaks 1 to 1, n1 speaks 7 to 9", "n2 speaks 1 to 1, n1 speaks 7 to 9"},
		{"address of another node", func(_ *testing.T, home, _ *network, cfg *Config) {
			cfg.Resolve = func(cluster.NodeID) (string, bool) { return home.resolve("n3") }
		}, "peer is node n3, not n2", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			home, other := newNetwork(t), newNetwork(t)
			var seen refusals
			listening := home.config("n2")
			listening.Events = seen.events()
			home.start(listening)
			home.start(home.config("n3"))
			cfg := home.config("n1")
			c.change(t, home, other, &cfg)
			n1 := home.start(cfg)
			_, err := ask(within(t), n1, echo("n2", Control, "hello"))
			if !errors.Is(err, cluster.ErrUnavailable) || !strings.Contains(err.Error(), c.dialler) {
				t.Errorf("dialler is told: %v, want %q", err, c.dialler)
			}
			want := strings.ReplaceAll(c.listener, "peer refused", "remote error")
			eventually(t, "the listener's report of "+want, func() bool { return want == "" || seen.has(want) })
		})
	}
}

// TestListenerJudges dials the port by hand with what a node would not send.
func TestListenerJudges(t *testing.T) {
	n := newNetwork(t)
	var seen refusals
	cfg := n.config("n2")
	cfg.Events = seen.events()
	n2 := n.start(cfg)
	roots := x509.NewCertPool()
	roots.AddCert(n.authority.cert)
	server, err := n.authority.IssueServer(Names{DNS: []string{"mail.example.test"}}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	mail, err := tls.X509KeyPair(server.CertPEM, server.KeyPEM)
	if err != nil {
		t.Fatal(err)
	}
	node := n.credentials("n1", time.Hour).current.Load().cert
	good := hello{versions: VersionRange{1, 1}, class: Control, incarnation: 5, cluster: n.authority.Cluster, from: "n1", to: "n2"}
	bend := func(fn func(*hello)) []byte { h := good; fn(&h); return h.encode() }
	cases := []struct {
		name  string
		certs []tls.Certificate
		alpn  []string
		send  []byte
		want  string
	}{
		{"no certificate", nil, []string{alpnRaft}, nil, "didn't provide a certificate"},
		{"mail certificate", []tls.Certificate{mail}, []string{alpnRaft}, nil, "names no cluster"},
		{"no protocol", []tls.Certificate{node}, nil, nil, "named no protocol"},
		{"hello of another node", []tls.Certificate{node}, []string{alpnRaft}, bend(func(h *hello) { h.from = "n3" }), "certificate of n1"},
		{"hello to another node", []tls.Certificate{node}, []string{alpnRaft}, bend(func(h *hello) { h.to = "n3" }), "hello was for n3"},
		{"hello of another cluster", []tls.Certificate{node}, []string{alpnRaft}, bend(func(h *hello) { h.cluster = "x" }), "hello was for x"},
		{"class over the other protocol", []tls.Certificate{node}, []string{alpnCall}, good.encode(), "takes no control connection"},
		{"hello without end", []tls.Certificate{node}, []string{alpnRaft}, []byte{0xff, 0xff, 0xff, 0xff}, "greeting of"},
		{"garbage hello", []tls.Certificate{node}, []string{alpnRaft}, []byte{4, 0, 0, 0, 'J', 'U', 'N', 'K'}, "does not begin"},
	}
	for _, c := range cases {
		conn, err := tls.Dial("tcp", n2.Addr().String(), &tls.Config{
			RootCAs: roots, Certificates: c.certs, NextProtos: c.alpn, ServerName: "127.0.0.1",
		})
		if err == nil {
			_, _ = conn.Write(c.send) // it may be refused already
			defer conn.Close()
		}
		eventually(t, c.name, func() bool { return seen.has(c.want) })
	}
	plain, err := net.Dial("tcp", n2.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if _, err := plain.Write([]byte("EHLO example.test\r\n")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "plaintext refused", func() bool { return seen.has("first record does not look like a TLS handshake") })
}

func TestCertificatesRotateWithoutRestart(t *testing.T) {
	n := newNetwork(t)
	cfg := n.config("n1")
	cfg.Credentials = n.credentials("n1", -time.Minute)
	n1 := n.start(cfg)
	n.start(n.config("n2"))
	if _, err := ask(within(t), n1, echo("n2", Control, "")); err == nil {
		t.Fatal("expired certificate was taken")
	}
	fresh, err := n.authority.IssueNode("n1", Names{}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	wrong, err := n.authority.IssueNode("n9", Names{}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if err := cfg.Credentials.Reload(n.authority.CertPEM(), wrong); err == nil {
		t.Error("certificate of another node was loaded")
	}
	if err := cfg.Credentials.Reload(n.authority.CertPEM(), fresh); err != nil {
		t.Fatal(err)
	}
	eventually(t, "answer with the new certificate", func() bool {
		_, err := ask(within(t), n1, echo("n2", Control, ""))
		return err == nil
	})
}

func TestAuthorityIsKept(t *testing.T) {
	a := newAuthority(t)
	pair, err := a.PEM()
	if err != nil {
		t.Fatal(err)
	}
	again, err := LoadAuthority(pair)
	if err != nil || again.Hash() != a.Hash() || again.Cluster != a.Cluster {
		t.Fatalf("authority changed: %v", err)
	}
	node, err := again.IssueNode("n1", Names{}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewCredentials(a.CertPEM(), node); err != nil {
		t.Error(err)
	}
	for name, bad := range map[string]KeyPair{
		"nothing": {}, "a node's": node, "another's key": {CertPEM: pair.CertPEM, KeyPEM: node.KeyPEM},
	} {
		if _, err := LoadAuthority(bad); err == nil {
			t.Errorf("authority from %s", name)
		}
	}
	if _, err := a.IssueNode("No Node", Names{}, time.Hour); err == nil {
		t.Error("certificate for a bad name")
	}
	if _, err := a.IssueServer(Names{}, time.Hour); err == nil {
		t.Error("server certificate without a name")
	}
}

// TestBadFramesEndTheConnection sends, after a good hello, what no node sends; the next request gets a new one.
func TestBadFramesEndTheConnection(t *testing.T) {
	n := newNetwork(t)
	n1, n2 := n.pair()
	node := n1.cfg.Credentials
	long := frameHead{size: n2.cfg.MaxControlFrame + 1, kind: kindEcho, id: 1}.append(nil)
	for name, frame := range map[string][]byte{
		"oversize": long,
		"short":    binary.LittleEndian.AppendUint32(nil, 3),
		"garbage":  []byte(strings.Repeat("garbage!", 10)),
		"answer":   frameHead{kind: kindEcho, flags: flagAnswer, id: 1}.append(nil),
	} {
		conn, err := tls.Dial("tcp", n2.Addr().String(), node.client("n2", alpnRaft))
		if err != nil {
			t.Fatal(err)
		}
		h := hello{versions: VersionRange{1, 1}, class: Control, incarnation: n1.Incarnation(), cluster: n1.cfg.Cluster, from: "n1", to: "n2"}
		if _, err := conn.Write(h.encode()); err != nil {
			t.Fatal(err)
		}
		if _, err := readGreeting(conn); err != nil {
			t.Fatal(name, err)
		}
		if _, err := conn.Write(append(frame, make([]byte, 64)...)); err != nil {
			t.Fatal(name, err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		var timeout net.Error
		if _, err := conn.Read(make([]byte, 1)); err == nil || errors.As(err, &timeout) && timeout.Timeout() {
			t.Errorf("%s: connection goes on: %v", name, err)
		}
		conn.Close()
		eventually(t, "service after "+name, func() bool {
			_, err := ask(within(t), n1, echo("n2", Control, ""))
			return err == nil
		})
	}
}
