package node

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster/transport"
)

// machine is a machine that has been set up.
func machine(t *testing.T) (cfg Config, secret, config string) {
	t.Helper()
	secret, err := NewSecret()
	if err != nil {
		t.Fatal(err)
	}
	cfg = valid()
	cfg.Dir, cfg.External, cfg.Cluster = filepath.Join(t.TempDir(), "data"), "a.example.org", "mail.example.org"
	config = filepath.Join(t.TempDir(), "flotilla.toml")
	if err := Setup(cfg, secret, config); err != nil {
		t.Fatal(err)
	}
	return cfg, secret, config
}

func trusted(t *testing.T, cfg Config) *trust {
	t.Helper()
	x, err := readTrust(cfg.path("tls"))
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// genuine checks that a certificate is the cluster's, for a name, and valid at a time.
func genuine(t *testing.T, x *trust, p transport.KeyPair, name string, at time.Time) *x509.Certificate {
	t.Helper()
	leaf, err := leafOf(p)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(x.authority) {
		t.Fatal("no trust root")
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: at}); err != nil {
		t.Fatal(err)
	}
	return leaf
}

// half is a moment when less than half of a new certificate's time is left.
func half() time.Time { return time.Now().Add(certificateValidity/2 + 24*time.Hour) }

func TestCertificatesAreRenewedAtHalf(t *testing.T) {
	cfg, _, _ := machine(t)
	x := trusted(t, cfg)
	before := genuine(t, x, x.node, "a.example.org", time.Now())
	if renewed, err := x.renew(&cfg, time.Now().Add(certificateValidity/2-24*time.Hour)); err != nil || len(renewed) > 0 {
		t.Fatalf("before half: %v, %v", renewed, err)
	}
	renewed, err := x.renew(&cfg, half())
	if err != nil || !slices.Equal(renewed, []string{"node", "server"}) {
		t.Fatalf("%v, %v", renewed, err)
	}
	onDisk := trusted(t, cfg)
	for _, p := range []struct{ memory, disk transport.KeyPair }{{x.node, onDisk.node}, {x.server, onDisk.server}} {
		if !bytes.Equal(p.memory.CertPEM, p.disk.CertPEM) || !bytes.Equal(p.memory.KeyPEM, p.disk.KeyPEM) {
			t.Fatal("what is used is not what is on disk")
		}
	}
	after := genuine(t, onDisk, onDisk.node, "mail.example.org", time.Now())
	if after.SerialNumber.Cmp(before.SerialNumber) == 0 {
		t.Fatal("the same certificate again")
	}
	genuine(t, onDisk, onDisk.server, "localhost", time.Now())
}

func TestCertificatesFollowNamesAndCrashes(t *testing.T) {
	cfg, _, _ := machine(t)
	x := trusted(t, cfg)
	cfg.External = "b.example.org"
	if renewed, err := x.renew(&cfg, time.Now()); err != nil || len(renewed) != 2 {
		t.Fatalf("another name: %v, %v", renewed, err)
	}
	genuine(t, x, x.server, "b.example.org", time.Now())
	// A crash after the key was written and before the certificate was.
	other, err := x.signer.IssueServer(cfg.certificateNames(), certificateValidity)
	if err != nil {
		t.Fatal(err)
	}
	if err := writeFile(cfg.path("tls", "server.key"), other.KeyPEM, 0o600); err != nil {
		t.Fatal(err)
	}
	x = trusted(t, cfg)
	if renewed, err := x.renew(&cfg, time.Now()); err != nil || !slices.Equal(renewed, []string{"server"}) {
		t.Fatalf("a pair that does not fit: %v, %v", renewed, err)
	}
	genuine(t, x, x.server, "b.example.org", time.Now())
}

func TestAuthorityKeyIsKeptPrivate(t *testing.T) {
	cfg, _, _ := machine(t)
	for name, want := range map[string]fs.FileMode{signerFile: 0o600, "node.key": 0o600, "server.key": 0o600, "gossip.key": 0o600, "ca.pem": 0o644} {
		info, err := os.Stat(cfg.path("tls", name))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	block, _ := pem.Decode(trusted(t, cfg).authority)
	if block == nil || bytes.Contains(trusted(t, cfg).authority, []byte("PRIVATE")) {
		t.Fatal("the trust root is not a certificate alone")
	}
}

// A machine set up before the authority's key was kept goes on, says what to do, and setup mends it.
func TestSetupAgainGivesTheKeyBack(t *testing.T) {
	cfg, secret, config := machine(t)
	if err := os.Remove(cfg.path("tls", signerFile)); err != nil {
		t.Fatal(err)
	}
	x := trusted(t, cfg)
	if renewed, err := x.renew(&cfg, half()); err != nil || len(renewed) > 0 {
		t.Fatalf("renewed without a key: %v, %v", renewed, err)
	}
	was := x.node.CertPEM
	if err := Setup(cfg, secret, config); err != nil {
		t.Fatal(err)
	}
	x = trusted(t, cfg)
	if x.signer == nil || !bytes.Equal(x.node.CertPEM, was) {
		t.Fatal("the key is not back, or a certificate that is not due was replaced")
	}
	if renewed, err := x.renew(&cfg, half()); err != nil || len(renewed) != 2 {
		t.Fatalf("%v, %v", renewed, err)
	}
}

func TestSetupRefusesBeforeItWrites(t *testing.T) {
	cfg, _, config := machine(t)
	other, err := NewSecret()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(config); err != nil {
		t.Fatal(err)
	}
	if err := Setup(cfg, other, config); err == nil || !strings.Contains(err.Error(), "another cluster") {
		t.Fatalf("%v", err)
	}
	cfg.Dir = filepath.Join(t.TempDir(), "new")
	if err := Setup(cfg, "password", config); err == nil {
		t.Fatal("a secret of a person's choice")
	}
	for _, path := range []string{config, cfg.Dir} {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s was written", path)
		}
	}
}

// logged is a node of files alone whose log is read.
func logged(t *testing.T, cfg Config) (*Node, *bytes.Buffer) {
	t.Helper()
	var b bytes.Buffer
	n := &Node{cfg: cfg, log: slog.New(slog.NewTextHandler(&b, nil))}
	if err := n.useCertificates(trusted(t, cfg), time.Now()); err != nil {
		t.Fatal(err)
	}
	return n, &b
}

func TestRunningNodeShowsTheNewCertificate(t *testing.T) {
	cfg, _, _ := machine(t)
	n, log := logged(t, cfg)
	old, ends := n.shown.Load(), n.certificateEnds()
	if err := n.useCertificates(trusted(t, cfg), half()); err != nil {
		t.Fatal(err)
	}
	shown, err := n.clientTLS().GetCertificate(nil)
	if err != nil || shown == old || shown.Leaf.SerialNumber.Cmp(old.Leaf.SerialNumber) == 0 {
		t.Fatal("clients see the old certificate")
	}
	if !n.credentials.NotAfter().Equal(n.certificateEnds()["node"]) || ends["node"].After(n.certificateEnds()["node"]) {
		t.Fatal("peers see the old certificate")
	}
	if got := strings.Count(log.String(), "certificate issued anew"); got != 2 {
		t.Fatalf("%d lines:\n%s", got, log)
	}
}

func TestAdministratorsCertificateIsReadAgain(t *testing.T) {
	cfg, _, _ := machine(t)
	x := trusted(t, cfg)
	put := func(validity time.Duration) {
		p, err := x.signer.IssueServer(transport.Names{DNS: []string{"mail.example.org"}}, validity)
		if err != nil {
			t.Fatal(err)
		}
		for path, data := range map[string][]byte{cfg.TLS.Certificate: p.CertPEM, cfg.TLS.Key: p.KeyPEM} {
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	cfg.TLS = TLS{Certificate: filepath.Join(t.TempDir(), "full.pem"), Key: filepath.Join(t.TempDir(), "key.pem")}
	put(10 * 24 * time.Hour)
	n, log := logged(t, cfg)
	if !n.warnOfEnds(time.Now()) || !strings.Contains(log.String(), "FL-1020") || !strings.Contains(log.String(), "certificate=client") {
		t.Fatalf("ten days left and no word:\n%s", log)
	}
	put(90 * 24 * time.Hour)
	if err := n.useCertificates(trusted(t, cfg), time.Now()); err != nil {
		t.Fatal(err)
	}
	if n.warnOfEnds(time.Now()) {
		t.Fatal("warned of a certificate with ninety days left")
	}
	was := n.shown.Load()
	if err := os.WriteFile(cfg.TLS.Key, []byte("half written"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := n.useCertificates(trusted(t, cfg), time.Now()); err == nil || n.shown.Load() != was {
		t.Fatal("a broken pair replaced one that works")
	}
}

func TestWarningWhereNothingRenews(t *testing.T) {
	cfg, _, _ := machine(t)
	if err := os.Remove(cfg.path("tls", signerFile)); err != nil {
		t.Fatal(err)
	}
	n, log := logged(t, cfg)
	if n.warnOfEnds(time.Now()) {
		t.Fatal("warned too early")
	}
	if !n.warnOfEnds(half()) || strings.Count(log.String(), "FL-1020") != 2 || !strings.Contains(log.String(), "flotilla setup") {
		t.Fatalf("log:\n%s", log)
	}
}
