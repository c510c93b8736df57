package node

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base32"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/cluster/transport"
)

// The cluster's trust grows out of one secret that the administrator gives to every machine: identity and authority
// of the cluster are derived from it, so that each machine issues its own certificate and `flotilla setup` is the
// same line everywhere, in any order, without a first node.

// secretBytes is the entropy of a setup secret.
const secretBytes = 20

// secretText is how a secret is written: unpadded base32, in groups of four.
var secretText = base32.StdEncoding.WithPadding(base32.NoPadding)

// NewSecret draws a setup secret.
func NewSecret() (string, error) {
	b := make([]byte, secretBytes)
	if _, err := rand.Read(b); err != nil {
		return "", fmt.Errorf("draw secret: %w", err)
	}
	s := strings.ToLower(secretText.EncodeToString(b))
	var groups []string
	for ; len(s) > 4; s = s[4:] {
		groups = append(groups, s[:4])
	}
	return strings.Join(append(groups, s), "-"), nil
}

// parseSecret refuses what NewSecret did not draw: a pass phrase of a person's choice could be guessed from the
// authority's public key.
func parseSecret(s string) ([]byte, error) {
	b, err := secretText.DecodeString(strings.ToUpper(strings.NewReplacer("-", "", " ", "", "\n", "").Replace(s)))
	if err != nil || len(b) != secretBytes {
		return nil, errors.New("this is not a setup secret: make one with 'flotilla setup secret' and give the same to every node")
	}
	return b, nil
}

// The authority's validity is fixed, so that all machines derive the same certificate.
var (
	authorityFrom  = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	authorityUntil = time.Date(2056, 1, 1, 0, 0, 0, 0, time.UTC)
)

// deriveAuthority makes the cluster's authority from its secret.
func deriveAuthority(secret string) (*transport.Authority, error) {
	seed, err := parseSecret(secret)
	if err != nil {
		return nil, err
	}
	id, err := hkdf.Key(sha256.New, seed, nil, "flotilla cluster id", 16)
	if err != nil {
		return nil, fmt.Errorf("derive cluster id: %w", err)
	}
	key, err := deriveKey(seed)
	if err != nil {
		return nil, err
	}
	name := hex.EncodeToString(id)
	tmpl := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(id),
		Subject:      pkix.Name{CommonName: "Flotilla cluster " + name[:8], Organization: []string{"Flotilla"}},
		NotBefore:    authorityFrom, NotAfter: authorityUntil,
		URIs:     []*url.URL{{Scheme: "flotilla", Host: name}},
		IsCA:     true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,

		BasicConstraintsValid: true, MaxPathLenZero: true,
	}
	// Without a source of randomness the signature is that of RFC 6979: the same on every machine.
	der, err := x509.CreateCertificate(nil, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make authority: %w", err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("make authority: %w", err)
	}
	return transport.LoadAuthority(transport.KeyPair{
		CertPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		KeyPEM:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}),
	})
}

// deriveKey draws candidates until one is a valid scalar of P-256; all but one in 2^32 are.
func deriveKey(seed []byte) (*ecdsa.PrivateKey, error) {
	for n := range 16 {
		raw, err := hkdf.Key(sha256.New, seed, nil, fmt.Sprintf("flotilla authority %d", n), 32)
		if err != nil {
			return nil, fmt.Errorf("derive authority key: %w", err)
		}
		if key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), raw); err == nil {
			return key, nil
		}
	}
	return nil, errors.New("derive authority key: no candidate is a key")
}

// trust is what a node keeps in <dir>/tls.
type trust struct {
	cluster   transport.ClusterID
	authority []byte // certificate, PEM
	node      transport.KeyPair
	server    transport.KeyPair
	gossip    gossipKeys
	// signer is the authority with its key; nil where only the certificate is kept.
	signer *transport.Authority
}

func readTrust(dir string) (*trust, error) {
	var t trust
	files := []struct {
		name string
		into *[]byte
	}{
		{"ca.pem", &t.authority},
		{"node.pem", &t.node.CertPEM}, {"node.key", &t.node.KeyPEM},
		{"server.pem", &t.server.CertPEM}, {"server.key", &t.server.KeyPEM}, {gossipKeyFile, &t.gossip.used},
	}
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(dir, f.name))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s is missing: run 'flotilla setup' on this machine with the cluster's secret, or 'flotilla join' with a token", filepath.Join(dir, f.name))
		}
		if err != nil {
			return nil, fmt.Errorf("read certificates: %w", err)
		}
		*f.into = b
	}
	id, err := os.ReadFile(filepath.Join(dir, "cluster"))
	if err != nil {
		return nil, fmt.Errorf("read cluster id: %w", err)
	}
	t.cluster = transport.ClusterID(strings.TrimSpace(string(id)))
	if t.gossip.accepted, err = readAccepted(dir); err != nil {
		return nil, err
	}
	t.signer, err = readSigner(dir, t.authority)
	return &t, err
}

// issueTrust writes a node's certificates, issued by the authority that the secret gives.
func issueTrust(cfg *Config, secret string, a *transport.Authority) error {
	seed, err := parseSecret(secret)
	if err != nil {
		return err
	}
	gossipKey, err := hkdf.Key(sha256.New, seed, nil, "flotilla gossip", gossipKeyBytes)
	if err != nil {
		return fmt.Errorf("derive gossip key: %w", err)
	}
	return writeTrust(cfg, a, gossipKey)
}

// writeTrust writes what a node keeps in <dir>/tls, with certificates of its own.
func writeTrust(cfg *Config, a *transport.Authority, gossipKey []byte) (err error) {
	dir := cfg.path("tls")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make %s: %w", dir, err)
	}
	for _, f := range []struct {
		name string
		data []byte
		mode fs.FileMode
	}{
		{"ca.pem", a.CertPEM(), 0o644},
		{gossipKeyFile, gossipKey, 0o600},
		{"cluster", []byte(a.Cluster + "\n"), 0o644},
	} {
		if err := writeFile(filepath.Join(dir, f.name), f.data, f.mode); err != nil {
			return err
		}
	}
	t := &trust{cluster: a.Cluster}
	if t.signer, err = keepSigner(dir, a); err != nil {
		return err
	}
	_, err = t.renew(cfg, time.Now())
	return err
}

// writeFile replaces a file at once and for good: its content and its name are on disk when it returns.
func writeFile(path string, data []byte, mode fs.FileMode) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Chmod(mode), tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, errors.Join(err, removeIfThere(tmp.Name())))
	}
	return nil
}

func removeIfThere(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// certificateNames are the names under which a node is reached.
func certificateNames(hosts ...string) transport.Names {
	var n transport.Names
	seen := make(map[string]bool)
	for _, h := range hosts {
		if h == "" || seen[h] {
			continue
		}
		seen[h] = true
		if ip := net.ParseIP(h); ip != nil {
			n.IPs = append(n.IPs, ip)
		} else {
			n.DNS = append(n.DNS, h)
		}
	}
	return n
}
