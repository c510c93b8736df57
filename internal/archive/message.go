package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

const (
	// maxValue is the longest value that travels in a request itself.
	maxValue = 32 << 10
	// maxObject bounds the values of a message that formats other than the archive have in memory.
	maxObject = 64 << 20
)

// eachBag calls fn for every bag of a message, with what the bag is of; the bags of recipients are of nothing that can be named.
func eachBag(c *exmdb.MessageContent, at exmdb.ObjectID, fn func(at exmdb.ObjectID, bag *mapi.PropBag) error) error {
	if err := fn(at, &c.Props); err != nil {
		return err
	}
	for i := range c.Recipients {
		if err := fn(exmdb.ObjectID{}, &c.Recipients[i]); err != nil {
			return err
		}
	}
	for i := range c.Attachments {
		a := &c.Attachments[i]
		inside := exmdb.ObjectID{Folder: at.Folder, Message: at.Message, Deleted: at.Deleted, Attachments: append(slices.Clone(at.Attachments), a.Number)}
		if err := fn(inside, &a.Props); err != nil {
			return err
		}
		if a.Embedded == nil {
			continue
		}
		inside.Embedded = true
		if err := eachBag(a.Embedded, inside, fn); err != nil {
			return err
		}
	}
	return nil
}

// edit is a message as the whole of a draft.
func edit(c *exmdb.MessageContent) exmdb.MessageEdit {
	e := exmdb.MessageEdit{Clear: true, Set: c.Props, ReplaceRecipients: true, Recipients: c.Recipients}
	for i := range c.Attachments {
		a := exmdb.AttachmentEdit{Number: c.Attachments[i].Number, Set: c.Attachments[i].Props}
		if inside := c.Attachments[i].Embedded; inside != nil {
			whole := edit(inside)
			a.Embedded = &whole
		}
		e.Attachments = append(e.Attachments, a)
	}
	return e
}

// uploading sends content ahead; the zero one has sent nothing.
type uploading struct {
	j  *job
	up exmdb.Upload
}

// put sends one piece.
func (u *uploading) put(b []byte) (mapi.ContentRef, error) {
	if u.up == nil {
		var err error
		if u.up, err = u.j.Caller.Upload(u.j.ctx, exmdb.System, u.j.Mailbox); err != nil {
			return mapi.ContentRef{}, err
		}
	}
	ref, err := u.up.Put(u.j.ctx, b)
	return mapi.ContentRef{Hash: ref.Hash, Size: ref.Size}, err
}

// done waits until all is there.
func (u *uploading) done() error {
	if u.up == nil {
		return nil
	}
	err := u.up.Close(u.j.ctx)
	u.up = nil
	return err
}

// uploadLong sends the long values of a message ahead, with references in their place.
func (j *job) uploadLong(c *exmdb.MessageContent) error {
	u := uploading{j: j}
	err := eachBag(c, exmdb.ObjectID{}, func(_ exmdb.ObjectID, bag *mapi.PropBag) error {
		for _, p := range bag.All() {
			b := bytesOf(p.Value)
			if len(b) <= maxValue {
				continue
			}
			var ref mapi.Reference
			for chunk := range slices.Chunk(b, exmdb.MaxChunk) {
				part, err := u.put(chunk)
				if err != nil {
					return err
				}
				ref = append(ref, part)
			}
			bag.Set(p.Tag, ref)
		}
		return nil
	})
	return errors.Join(err, u.done())
}

// bytesOf are the bytes of a value of which parts can be referred to, nil of another.
func bytesOf(v mapi.Value) []byte {
	switch v := v.(type) {
	case mapi.String:
		return []byte(v)
	case mapi.String8:
		return []byte(v)
	case mapi.Binary:
		return v
	}
	return nil
}

// valueOf is the value of a tag of these bytes; what is no string is bytes.
func valueOf(t mapi.Tag, b []byte) mapi.Value {
	switch t.Type() {
	case mapi.TypeString:
		return mapi.String(b)
	case mapi.TypeString8:
		return mapi.String8(b)
	}
	return mapi.Binary(b)
}

// valueReader reads a long value from the owner in pieces.
type valueReader struct {
	j      *job
	object exmdb.ObjectID
	tag    mapi.Tag
	base   mapi.Stamp
	at     uint64
	rest   []byte
	ended  bool
}

// Read implements io.Reader.
func (r *valueReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 && !r.ended {
		resp, err := do(r.j, exmdb.OpReadValue, &exmdb.ReadValueRequest{Object: r.object, Tag: r.tag, Offset: r.at, Length: exmdb.MaxReadBytes, Base: r.base})
		if err != nil {
			return 0, err
		}
		r.at += uint64(len(resp.Data))
		r.rest, r.ended = resp.Data, r.at >= resp.Size || len(resp.Data) == 0
	}
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// message reads a message as a whole; long values stay where they are.
func (j *job) message(id exmdb.ObjectID) (*exmdb.ReadMessageResponse, error) {
	return do(j, exmdb.OpReadMessage, &exmdb.ReadMessageRequest{Object: id, Nested: true, Names: true})
}

// inline puts the long values of a message into it.
func (j *job) inline(m *exmdb.ReadMessageResponse) error {
	total := uint64(0)
	at := exmdb.ObjectID{Folder: m.State.Folder, Message: m.State.MID}
	return eachBag(&m.Content, at, func(at exmdb.ObjectID, bag *mapi.PropBag) error {
		for _, p := range bag.All() {
			ref, is := p.Value.(mapi.Reference)
			if !is || at.Message == 0 {
				continue
			}
			if total += ref.Size(); total > maxObject {
				return cluster.Errorf(exmdb.KindTooBig, "the message has more than %d bytes, which only the archive carries", maxObject)
			}
			if err := j.inlineValue(at, bag, p.Tag, m.State.CN); err != nil {
				return err
			}
		}
		return nil
	})
}

// inlineValue puts a long value of a version of an object into its bag.
func (j *job) inlineValue(id exmdb.ObjectID, bag *mapi.PropBag, tag mapi.Tag, base mapi.Stamp) error {
	var b bytes.Buffer
	if _, err := b.ReadFrom(&valueReader{j: j, object: id, tag: tag, base: base}); err != nil {
		return err
	}
	bag.Set(tag, valueOf(tag, b.Bytes()))
	return nil
}

// problems tells which properties the store did not take; that it computes some itself is none.
func (j *job) problems(what string, list []exmdb.PropertyProblem) {
	for _, p := range list {
		if p.Code != mapi.ErrorComputed && j.Warn != nil {
			j.Warn(what, fmt.Errorf("property %v was not stored: %#x", p.Tag, uint32(p.Code)))
		}
	}
}
