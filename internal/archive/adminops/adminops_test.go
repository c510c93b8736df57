package adminops

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/frontends/admin"
	"github.com/flotilla-mail/flotilla/frontends/admin/adminclient"
)

// node answers ops as it is told, and remembers them.
type node struct {
	*httptest.Server
	asked []admin.MailboxOp
}

func newNode(t *testing.T, status int, answer any) *node {
	n := &node{}
	n.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var op admin.MailboxOp
		if err := json.NewDecoder(r.Body).Decode(&op); err != nil || r.URL.Path != "/v1/mailboxes/a@b/op" {
			t.Errorf("%s: %v", r.URL.Path, err)
		}
		n.asked = append(n.asked, op)
		w.WriteHeader(status)
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(n.Close)
	return n
}

// TestAnotherNode: an op that a node cannot do now, or whose node is dead, is asked of the next under the id that it had; then
// that node is stayed with.
func TestAnotherNode(t *testing.T) {
	dead := newNode(t, http.StatusOK, nil)
	dead.Close()
	busy := newNode(t, http.StatusServiceUnavailable, map[string]any{"error": "no leader", "kind": cluster.KindUnavailable})
	good := newNode(t, http.StatusOK, admin.MailboxOpAnswer{Payload: []byte("done")})
	nodes := []*node{dead, busy, good}
	o := &Ops{Address: "a@b", Connect: func() (*adminclient.Client, error) {
		n := nodes[0]
		nodes = nodes[1:]
		return adminclient.Port(n.URL, ""), nil
	}}
	for range 2 {
		got, err := o.Call(t.Context(), &ops.Request{Op: 7, Payload: []byte("do")}, ops.Write)
		if err != nil || string(got) != "done" {
			t.Fatalf("%q, %v", got, err)
		}
	}
	first, again := busy.asked[0], good.asked
	if len(again) != 2 || string(again[0].ID) != string(first.ID) || string(again[1].ID) == string(first.ID) || len(first.ID) != 16 || first.Op != 7 {
		t.Errorf("%+v, then %+v", first, again)
	}
}

// TestRefusal: a refusal is told as it is, at once.
func TestRefusal(t *testing.T) {
	full := newNode(t, http.StatusInsufficientStorage, map[string]any{"error": "full", "kind": 1008})
	o := &Ops{Address: "a@b", Connect: func() (*adminclient.Client, error) { return adminclient.Port(full.URL, ""), nil }}
	_, err := o.Call(t.Context(), &ops.Request{}, ops.Write)
	if cluster.KindOf(err) != 1008 || err.Error() != "full" || len(full.asked) != 1 {
		t.Errorf("%v after %d", err, len(full.asked))
	}
}
