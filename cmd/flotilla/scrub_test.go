package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestScrubIsAskedForAgain: who leads a group from now on has not heard that its scrub was asked for.
func TestScrubIsAskedForAgain(t *testing.T) {
	asked := 0
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			asked++
		}
		if asked < 2 { // whoever was asked first leads no more
			fmt.Fprint(w, `{"group":1,"began":"0001-01-01T00:00:00Z","state":""}`)
			return
		}
		fmt.Fprint(w, `{"group":1,"index":7,"began":"2026-01-02T03:04:05Z","state":"agree"}`)
	}))
	defer node.Close()
	c := newRoot()
	var out bytes.Buffer
	c.SetOut(&out)
	c.SetErr(&out)
	c.SetArgs([]string{"groups", "scrub", "1", "--wait", "--server", node.URL, "--token", "x"})
	if err := c.ExecuteContext(t.Context()); err != nil || asked != 2 || !strings.Contains(out.String(), "agree") {
		t.Errorf("asked %d times: %v\n%s", asked, err, out.String())
	}
}
