package admin

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/mailflow"
)

// queueBackend is a node that has one mail in its queue and notes what is done with it.
type queueBackend struct {
	Backend
	did []string
}

func (b *queueBackend) note(verb, id string) (any, error) {
	if id != "2-abc" {
		return nil, cluster.Errorf(mailflow.KindNoEntry, "the queue has no entry %s", id)
	}
	b.did = append(b.did, verb)
	return map[string]string{"id": id}, nil
}

func (b *queueBackend) Queue(context.Context) (any, error) { return b.note("list", "2-abc") }
func (b *queueBackend) QueueEntry(_ context.Context, id string) (any, error) {
	return b.note("show", id)
}
func (b *queueBackend) RetryQueueEntry(_ context.Context, id string) (any, error) {
	return b.note("retry", id)
}
func (b *queueBackend) RemoveQueueEntry(_ context.Context, id string) (any, error) {
	return b.note("remove", id)
}

func TestQueueRows(t *testing.T) {
	b := &queueBackend{}
	s := httptest.NewServer(New(b, slog.New(slog.DiscardHandler), "token", nil).routes())
	defer s.Close()
	ask := func(method, path, token string) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.Body.Close() != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, strings.TrimSpace(string(body))
	}
	rows := []struct{ method, path, does string }{{"GET", "/v1/queue", "list"}, {"GET", "/v1/queue/2-abc", "show"},
		{"POST", "/v1/queue/2-abc/retry", "retry"}, {"DELETE", "/v1/queue/2-abc", "remove"}}
	var want []string
	for _, row := range rows {
		if code, body := ask(row.method, row.path, "guessed"); code != http.StatusUnauthorized {
			t.Errorf("%s %s for anybody: %d %s", row.method, row.path, code, body)
		}
		if code, body := ask(row.method, row.path, "token"); code != http.StatusOK || body != `{"id":"2-abc"}` {
			t.Errorf("%s %s: %d %s", row.method, row.path, code, body)
		}
		want = append(want, row.does)
	}
	if fmt.Sprint(b.did) != fmt.Sprint(want) {
		t.Errorf("did %v, want %v", b.did, want)
	}
	for _, row := range rows[1:] {
		other := strings.Replace(row.path, "2-abc", "2-x", 1)
		if code, body := ask(row.method, other, "token"); code != http.StatusNotFound || !strings.Contains(body, "no entry 2-x") {
			t.Errorf("%s %s: %d %s", row.method, other, code, body)
		}
	}
}
