package transport

import (
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// Why two machines do not come together although they reach each other. What to do about it is the caller's to say.
var (
	// ErrOtherAuthority: the other one is not of the cluster that was meant, or its certificates come from another secret.
	ErrOtherAuthority = errors.New("it belongs to another cluster")
	// ErrCertificateTime: by this machine's clock the other one's certificate is not valid now.
	ErrCertificateTime = errors.New("its certificate is not valid now by this machine's clock")
	// ErrCertificateRefused: the other one did not take this node's certificate.
	ErrCertificateRefused = errors.New("it refused this node's certificate")
	// ErrVersions: the two have no version of the protocol in common.
	ErrVersions = errors.New("their releases are too far apart")
	// ErrReplaced: another process came under this node's name, and this one is heard no more until it starts anew.
	ErrReplaced = errors.New("it hears another process under this node's name")
	// ErrVacant: the same, but that other process has been silent for so long that it must be gone. This one is not heard for all
	// that: it has to start anew, which compares what it holds with what the others have heard in its name.
	ErrVacant = errors.New("the other process under this node's name is silent, and this one has to start anew to be heard again")
	// ErrBarred: the node was taken out of the cluster.
	ErrBarred = errors.New("it lets this node in no more")
	// ErrNoJoins: the node's release knows no tokens.
	ErrNoJoins = errors.New("it runs a release that lets no machine in by a token")
)

// verifyLeaf verifies a certificate and tells apart what is wrong with it.
func verifyLeaf(leaf *x509.Certificate, opts x509.VerifyOptions) error {
	_, err := leaf.Verify(opts)
	if invalid := (x509.CertificateInvalidError{}); errors.As(err, &invalid) && invalid.Reason == x509.Expired {
		return fmt.Errorf("%w (it is good from %s to %s): %w", ErrCertificateTime,
			leaf.NotBefore.UTC().Format(time.RFC3339), leaf.NotAfter.UTC().Format(time.RFC3339), err)
	}
	if unknown := (x509.UnknownAuthorityError{}); errors.As(err, &unknown) {
		return fmt.Errorf("%w: %w", ErrOtherAuthority, err)
	}
	return err
}

// refusal is a welcome that is none, as an error.
func (w welcome) refusal() error {
	switch w.status {
	case welcomeVersion:
		return fmt.Errorf("%w: %s", ErrVersions, w.text)
	case welcomeCluster:
		return fmt.Errorf("%w: %s", ErrOtherAuthority, w.text)
	case welcomeGone:
		return fmt.Errorf("%w: %s", ErrReplaced, w.text)
	case welcomeVacant:
		return fmt.Errorf("%w: %s", ErrVacant, w.text)
	case welcomeBarred:
		return fmt.Errorf("%w: %s", ErrBarred, w.text)
	}
	return errors.New(w.text)
}
