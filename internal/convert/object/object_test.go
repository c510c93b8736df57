package object

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

func sample() *Message {
	m := &Message{}
	m.SetText(mapi.PidTagMessageClass, "IPM.Appointment")
	m.SetLid(mapi.PidLidReminderSet, mapi.Boolean(true))
	m.SetLidText(mapi.PidLidLocation, "Room\x00 1\xff")
	inside := &Message{}
	inside.SetLidText(mapi.PidLidLocation, "Room 2")
	m.Attachments = []Attachment{{Embedded: inside}}
	m.Attachments[0].Bag.Set(mapi.PidTagAttachMethod, mapi.Integer32(mapi.AttachEmbedded))
	return m
}

func TestContent(t *testing.T) {
	m := sample()
	if got := m.LidText(mapi.PidLidLocation); got != "Room 1\uFFFD" {
		t.Errorf("cleaned to %q", got)
	}
	var names oxcmsg.Names
	c := m.Content(&names)
	if len(names.List()) != 2 || c.Attachments[0].Embedded == nil || !c.Attachments[0].IsMessage {
		t.Fatalf("%d names, %+v", len(names.List()), c)
	}
	back, err := Loader{Name: names.Name}.Message(&c)
	if err != nil || !reflect.DeepEqual(back, m) {
		t.Errorf("got %+v, %v", back, err)
	}
	if len(m.Bag.All()) != 1 {
		t.Errorf("the message itself was changed: %+v", m.Bag.All())
	}
}

func TestLoader(t *testing.T) {
	var names oxcmsg.Names
	content := sample().Content(&names)
	small, large := mapi.Reference{{Size: 5}}, mapi.Reference{{Size: 5000}}
	content.Props.Set(mapi.PidTagBody, small)
	content.Props.Set(mapi.PidTagHtml, large)
	open := func(mapi.Reference) io.Reader { return strings.NewReader("hello") }
	m, err := Loader{Name: names.Name, Open: open, Max: 100}.Message(&content)
	if err != nil || m.Text(mapi.PidTagBody) != "hello" || m.Bag.Get(mapi.PidTagHtml) != nil {
		t.Errorf("got %+v, %v", m, err)
	}
	m, err = Loader{Name: names.Name, Open: open, Max: 10_000}.Message(&content)
	if b, _ := m.Bag.Get(mapi.PidTagHtml).(mapi.Binary); err != nil || !bytes.Equal(b, []byte("hello")) {
		t.Errorf("got %+v, %v", m, err)
	}
	broken := errors.New("broken")
	open = func(mapi.Reference) io.Reader { return iotest.ErrReader(broken) }
	if _, err = (Loader{Name: names.Name, Open: open, Max: 100}).Message(&content); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	unknown := func(uint16) (mapi.PropertyName, bool) { return mapi.PropertyName{}, false }
	m, err = Loader{Name: unknown, Open: func(mapi.Reference) io.Reader { return strings.NewReader("") }, Max: 100}.Message(&content)
	if err != nil || len(m.Named) != 0 {
		t.Errorf("got %+v, %v", m, err)
	}
}
