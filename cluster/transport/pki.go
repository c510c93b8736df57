package transport

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
)

// ClusterID is a cluster's random identity, 32 hexadecimal digits. Every certificate carries it.
type ClusterID string

// NewClusterID draws one.
func NewClusterID() (ClusterID, error) {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("draw cluster id: %w", err)
	}
	return ClusterID(hex.EncodeToString(b[:])), nil
}

// uriScheme is the scheme of the URI names by which certificates say whom they are for:
// flotilla://<cluster id> for the authority, flotilla://<cluster id>/node/<node> for a node.
const uriScheme = "flotilla"

// clockSkew is how far a certificate's validity begins before it is issued.
const clockSkew = time.Hour

// Authority is a cluster's certificate authority: certificate and key.
type Authority struct {
	Cluster ClusterID
	cert    *x509.Certificate
	key     *ecdsa.PrivateKey
}

// KeyPair is an issued certificate with its key, in PEM.
type KeyPair struct {
	CertPEM []byte
	KeyPEM  []byte
}

// NewAuthority makes the authority of a cluster, valid for the given time.
func NewAuthority(id ClusterID, validity time.Duration) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make authority key: %w", err)
	}
	name := string(id)
	tmpl, err := template("Flotilla cluster "+name[:min(8, len(name))], validity)
	if err != nil {
		return nil, err
	}
	tmpl.URIs = []*url.URL{{Scheme: uriScheme, Host: name}}
	tmpl.IsCA, tmpl.BasicConstraintsValid, tmpl.MaxPathLenZero = true, true, true
	tmpl.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make authority certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("make authority certificate: %w", err)
	}
	return &Authority{Cluster: id, cert: cert, key: key}, nil
}

// LoadAuthority reads what CertPEM and KeyPEM wrote.
func LoadAuthority(pair KeyPair) (*Authority, error) {
	certs, err := parseCerts(pair.CertPEM)
	if err != nil {
		return nil, fmt.Errorf("authority: %w", err)
	}
	id, node, err := identity(certs[0])
	if err != nil || node != "" || !certs[0].IsCA {
		return nil, errors.New("authority: the certificate is not a cluster's authority")
	}
	block, _ := pem.Decode(pair.KeyPEM)
	if block == nil {
		return nil, errors.New("authority: no key in PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("authority: key: %w", err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || !key.PublicKey.Equal(certs[0].PublicKey) {
		return nil, errors.New("authority: the key is not the certificate's")
	}
	return &Authority{Cluster: id, cert: certs[0], key: key}, nil
}

// PEM is the authority's certificate and key.
func (a *Authority) PEM() (KeyPair, error) { return encodePair(a.cert.Raw, a.key) }

// CertPEM is the authority's certificate alone, the root that nodes and clients trust.
func (a *Authority) CertPEM() []byte { return encodeCert(a.cert.Raw) }

// Hash is the SHA-256 of the authority's certificate, which a join token carries (CLUSTER 6.2).
func (a *Authority) Hash() [sha256.Size]byte { return sha256.Sum256(a.cert.Raw) }

// Names are what a certificate may be reached as, beside its node name.
type Names struct {
	DNS []string
	IPs []net.IP
}

// IssueNode makes a node's certificate for the transport.
func (a *Authority) IssueNode(node cluster.NodeID, names Names, validity time.Duration) (KeyPair, error) {
	if !node.Valid() {
		return KeyPair{}, fmt.Errorf("issue certificate: node name %q is not valid", node)
	}
	tmpl, err := template(string(node), validity)
	if err != nil {
		return KeyPair{}, err
	}
	tmpl.URIs = []*url.URL{{Scheme: uriScheme, Host: string(a.Cluster), Path: "/node/" + string(node)}}
	tmpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	return a.issue(tmpl, names)
}

// IssueServer makes a certificate for listeners that serve mail clients. It names no node: no peer accepts it.
func (a *Authority) IssueServer(names Names, validity time.Duration) (KeyPair, error) {
	if len(names.DNS)+len(names.IPs) == 0 {
		return KeyPair{}, errors.New("issue certificate: a server certificate needs a name")
	}
	common := ""
	if len(names.DNS) > 0 && len(names.DNS[0]) <= 64 {
		common = names.DNS[0]
	}
	tmpl, err := template(common, validity)
	if err != nil {
		return KeyPair{}, err
	}
	tmpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	return a.issue(tmpl, names)
}

func (a *Authority) issue(tmpl *x509.Certificate, names Names) (KeyPair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return KeyPair{}, fmt.Errorf("issue certificate: %w", err)
	}
	tmpl.DNSNames, tmpl.IPAddresses = names.DNS, names.IPs
	tmpl.KeyUsage = x509.KeyUsageDigitalSignature
	tmpl.BasicConstraintsValid = true
	if tmpl.NotAfter.After(a.cert.NotAfter) {
		tmpl.NotAfter = a.cert.NotAfter
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, key.Public(), a.key)
	if err != nil {
		return KeyPair{}, fmt.Errorf("issue certificate: %w", err)
	}
	return encodePair(der, key)
}

func template(common string, validity time.Duration) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("draw serial number: %w", err)
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: common, Organization: []string{"Flotilla"}},
		NotBefore:    now.Add(-clockSkew),
		NotAfter:     now.Add(validity),
	}, nil
}

func encodePair(der []byte, key *ecdsa.PrivateKey) (KeyPair, error) {
	k, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return KeyPair{}, fmt.Errorf("encode key: %w", err)
	}
	return KeyPair{CertPEM: encodeCert(der), KeyPEM: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: k})}, nil
}

func encodeCert(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func parseCerts(text []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate: %w", err)
		}
		certs = append(certs, c)
	}
	if len(certs) == 0 {
		return nil, errors.New("no certificate in PEM")
	}
	return certs, nil
}

// identity is the cluster, and for a node's certificate the node, that a certificate is for.
func identity(c *x509.Certificate) (ClusterID, cluster.NodeID, error) {
	for _, u := range c.URIs {
		if u.Scheme != uriScheme {
			continue
		}
		node, isNode := strings.CutPrefix(u.Path, "/node/")
		if isNode && !cluster.NodeID(node).Valid() || !isNode && u.Path != "" {
			return "", "", fmt.Errorf("certificate names %q, which is no node", u)
		}
		return ClusterID(u.Host), cluster.NodeID(node), nil
	}
	return "", "", errors.New("certificate names no cluster")
}
