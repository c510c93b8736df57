package exmdb

import (
	"context"
	"fmt"
	"testing"

	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcfxics"
)

// onePage is an owner that answers every download with one page.
type onePage SyncContentsResponse

// Call implements Caller.
func (p *onePage) Call(_ context.Context, _ Identity, _ mapi.MailboxID, _ OpInfo, _, resp any) error {
	*resp.(*SyncContentsResponse) = SyncContentsResponse(*p)
	return nil
}

// Upload implements Caller.
func (p *onePage) Upload(context.Context, Identity, mapi.MailboxID) (Upload, error) {
	panic("a download uploads nothing")
}

// having is the state of a client that has n mails, each of which is a range of its own.
func having(n int) (st oxcfxics.State) {
	for i := range n {
		st.Given.Add(mailOf(i))
	}
	return st
}

func mailOf(i int) mapi.GID {
	return mapi.GID{Replica: mapi.GUID{1}, Counter: mapi.GlobalCounter(3*i + 0x100)}
}

// pages are what a client with n mails may be told of, one page each.
func pages(n int) map[string]*onePage {
	change := func(i int) *onePage { return &onePage{Changes: []SyncedMessage{{Source: mailOf(i)}}} }
	one := mapi.IDSETOfIDs([]mapi.GID{mailOf(n / 2)})
	return map[string]*onePage{"change": change(n / 2), "read": {MarkedRead: one}, "delivery": change(n), "deletion": {Gone: one}}
}

// TestADownloadLeavesTheSetOfWhatAClientHas: it is the same set where nothing came or went, and the set that a client gave is never
// changed.
func TestADownloadLeavesTheSetOfWhatAClientHas(t *testing.T) {
	const n = 1000
	for what, page := range pages(n) {
		st := having(n)
		s := ContentsSync{Caller: page, Scope: SyncScope{Flags: SyncNormal | SyncReadState}, State: st}
		if _, err := s.Next(t.Context()); err != nil || !s.Done {
			t.Fatalf("%s: %v", what, err)
		}
		had, has := st.Given.Of(mapi.GUID{1}).Ranges(), s.State.Given.Of(mapi.GUID{1}).Ranges()
		want := map[string]int{"delivery": n + 1, "deletion": n - 1}[what]
		if same := want == 0; same && &had[0] != &has[0] || !same && len(has) != want || !st.Given.Equal(having(n).Given) {
			t.Errorf("%s: %d ranges of %d", what, len(has), len(had))
		}
	}
}

// BenchmarkContentsSync is the front-end's half of a download of one thing, for clients that have so many mails.
func BenchmarkContentsSync(b *testing.B) {
	for _, n := range []int{1000, 10_000, 100_000, 400_000} {
		st := having(n)
		for what, page := range pages(n) {
			b.Run(fmt.Sprint(what, "/", n), func(b *testing.B) {
				b.ReportAllocs()
				for range b.N {
					s := ContentsSync{Caller: page, Scope: SyncScope{Flags: SyncNormal | SyncReadState}, State: st}
					if _, err := s.Next(b.Context()); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
