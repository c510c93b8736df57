package fault

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"sort"
	"strconv"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/flotilla-mail/flotilla/internal/dev"
)

// Found is what a mailbox holds as one node shows it: mail number → its copies.
type Found map[int][]Copy

// Copy is one message of a mailbox.
type Copy struct {
	UID uint32
	Sum [sha256.Size]byte
}

var subject = regexp.MustCompile(`(?m)^Subject: mail (\d+)\r$`)

// Read fetches a whole mailbox from one node.
func Read(c *dev.Cluster, node, user string) (Found, error) {
	client, err := imapclient.DialInsecure(fmt.Sprintf("%s:%d", dev.Host(node), c.Port(2143)), nil)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	if err := client.Login(user+"@"+dev.Domain, dev.Password).Wait(); err != nil {
		return nil, fmt.Errorf("sign in as %s at %s: %w", user, node, err)
	}
	box, err := client.Select("INBOX", &imap.SelectOptions{ReadOnly: true}).Wait()
	if err != nil {
		return nil, err
	}
	found := Found{}
	if box.NumMessages == 0 {
		return found, client.Logout().Wait()
	}
	section := &imap.FetchItemBodySection{Peek: true}
	all := imap.SeqSet{imap.SeqRange{Start: 1, Stop: 0}}
	fetch := client.Fetch(all, &imap.FetchOptions{UID: true, BodySection: []*imap.FetchItemBodySection{section}})
	for m := fetch.Next(); m != nil; m = fetch.Next() {
		buf, err := m.Collect()
		if err != nil {
			return nil, errors.Join(err, fetch.Close())
		}
		if err := found.add(uint32(buf.UID), buf.FindBodySection(section)); err != nil {
			return nil, errors.Join(err, fetch.Close())
		}
	}
	if err := fetch.Close(); err != nil {
		return nil, err
	}
	return found, client.Logout().Wait()
}

func (f Found) add(uid uint32, octets []byte) error {
	mail, err := Stripped(octets)
	if err != nil {
		return fmt.Errorf("UID %d: %w", uid, err)
	}
	m := subject.FindSubmatch(mail)
	if m == nil {
		return fmt.Errorf("UID %d is no mail of ours: %.100q", uid, mail)
	}
	n, err := strconv.Atoi(string(m[1]))
	if err != nil {
		return err
	}
	f[n] = append(f[n], Copy{UID: uid, Sum: sha256.Sum256(mail)})
	return nil
}

// Verdict counts what is wrong; all zero is right.
type Verdict struct {
	Mails, Lost, Doubled, Altered, Moved, Foreign int
	Details                                       []string
}

// OK reports whether nothing is wrong.
func (v *Verdict) OK() bool { return v.Lost+v.Doubled+v.Altered+v.Moved+v.Foreign == 0 }

func (v *Verdict) note(count *int, format string, args ...any) {
	*count++
	if len(v.Details) < 20 {
		v.Details = append(v.Details, fmt.Sprintf(format, args...))
	}
}

// Check reads every mailbox on every node and compares it with what was acknowledged.
func Check(c *dev.Cluster, acked []*Mail) (*Verdict, error) {
	byBox := make(map[string][]*Mail)
	for _, m := range acked {
		byBox[m.Mailbox] = append(byBox[m.Mailbox], m)
	}
	users := make([]string, 0, len(byBox))
	for u := range byBox {
		users = append(users, u)
	}
	sort.Strings(users)
	v := &Verdict{Mails: len(acked)}
	for _, user := range users {
		var first Found
		for _, node := range c.Names() {
			found, err := Read(c, node, user)
			if err != nil {
				return v, fmt.Errorf("read %s at %s: %w", user, node, err)
			}
			v.compare(node, user, byBox[user], found, first)
			if first == nil {
				first = found
			}
		}
	}
	return v, nil
}

func (v *Verdict) compare(node, user string, want []*Mail, found, first Found) {
	known := make(map[int]bool)
	for _, m := range want {
		known[m.Number] = true
		copies := found[m.Number]
		switch {
		case len(copies) == 0:
			v.note(&v.Lost, "mail %d to %s is not there at %s", m.Number, user, node)
			continue
		case len(copies) > 1:
			v.note(&v.Doubled, "mail %d to %s is there %d times at %s: %v", m.Number, user, len(copies), node, copies)
		}
		if sum := sha256.Sum256(m.Body); !bytes.Equal(sum[:], copies[0].Sum[:]) {
			v.note(&v.Altered, "mail %d to %s has other octets at %s", m.Number, user, node)
		}
		if first != nil && len(first[m.Number]) > 0 && first[m.Number][0].UID != copies[0].UID {
			v.note(&v.Moved, "mail %d to %s has UID %d at %s and %d elsewhere", m.Number, user, copies[0].UID, node, first[m.Number][0].UID)
		}
	}
	for n := range found {
		if !known[n] {
			v.note(&v.Foreign, "mail %d in %s at %s was never acknowledged", n, user, node)
		}
	}
}
