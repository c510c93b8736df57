package selftest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/flotilla-mail/flotilla/frontends/admin"
	"github.com/flotilla-mail/flotilla/frontends/admin/adminclient"
)

// Mark begins the name of every mailbox that a self-test makes, so that what one left behind can be told and removed.
const Mark = "selftest-"

// mailbox is one that the run made.
type mailbox struct {
	name     string // in the history
	address  string
	password string
}

func random(n int) (string, error) {
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		return "", fmt.Errorf("draw a name: %w", err)
	}
	return hex.EncodeToString(b), nil
}

// make adds n users. What has been made is returned with an error too, for it is to be removed.
func (t *Target) make(ctx context.Context, n int) ([]*mailbox, error) {
	run, err := random(3)
	if err != nil {
		return nil, err
	}
	var all []*mailbox
	for i := range n {
		secret, err := random(16)
		if err != nil {
			return nil, err
		}
		name := fmt.Sprintf("%s%s-%d", Mark, run, i+1)
		all = append(all, &mailbox{name: name, address: name + "@" + t.Domain, password: secret})
	}
	var g errgroup.Group
	g.SetLimit(8)
	for _, b := range all {
		g.Go(func() error {
			err := t.do(ctx, "POST", "/v1/objects", admin.NewObject{Kind: "user", Address: b.address, Name: "self-test", Password: b.password}, nil)
			if err != nil {
				return fmt.Errorf("add %s: %w", b.address, err)
			}
			return nil
		})
	}
	return all, g.Wait()
}

// remove takes the users and their mailboxes away again, whether ctx has ended or not.
func (t *Target) remove(ctx context.Context, boxes []*mailbox) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
	defer cancel()
	var g errgroup.Group
	g.SetLimit(8)
	for _, b := range boxes {
		g.Go(func() error {
			err := t.do(ctx, "DELETE", "/v1/objects"+adminclient.Path(b.address)+"?purge", nil, nil)
			var refused *adminclient.Refused
			if err == nil || errors.As(err, &refused) && refused.Status == http.StatusNotFound {
				return nil
			}
			return fmt.Errorf("remove %s: %w", b.address, err)
		})
	}
	return g.Wait()
}
