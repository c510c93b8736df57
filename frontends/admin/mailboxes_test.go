package admin

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
)

// boxBackend is a node that says what of a mailbox it was asked for.
type boxBackend struct{ Backend }

func (boxBackend) ShowMailbox(_ context.Context, address, part string, q MailboxQuery) (any, error) {
	return fmt.Sprintf("%s of %s %+v", part, address, q), nil
}

func TestMailboxQueries(t *testing.T) {
	s := New(boxBackend{}, slog.New(slog.DiscardHandler), "token", nil).routes()
	for query, want := range map[string]string{
		"": `200 "items of a/b@example.test {Folder: Item: Attachments:[] Embedded:false Limit:0 After: Since:0 Associated:false Deleted:false Bodies:false}"`,
		"?folder=Inbox/A&item=1-a&attachment=0/2&embedded=true&limit=7&after=x&since=9&associated=1&deleted=true&bodies=t": `200 "items of a/b@example.test ` +
			`{Folder:Inbox/A Item:1-a Attachments:[0 2] Embedded:true Limit:7 After:x Since:9 Associated:true Deleted:true Bodies:true}"`,
		"?limit=x": "400", "?since=-1": "400", "?attachment=0/": "400", "?deleted=perhaps": "400", "?colour=red": "400",
	} {
		r := httptest.NewRequest("GET", "/v1/mailboxes/a%2Fb@example.test/items"+query, nil)
		r.Header.Set("Authorization", "Bearer token")
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if got := fmt.Sprintf("%d %s", w.Code, w.Body); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s", query, got)
		}
	}
}
