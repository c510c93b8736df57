package store

import (
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/content"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmail"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// A message that was not received as mail has a MIME form that is made of its properties once and kept, in the op that
// changes them (MAILBOX 3). No content is read for it, so how long the message is does not matter. A received mail of
// which only what its header says has changed keeps its body; the whole form is made anew when the body changes.

// bodyProps are the properties that a body is made of.
var bodyProps = idsOf(mapi.PidTagBody, mapi.PidTagHtml, mapi.PidTagRtfCompressed, mapi.PidTagNativeBody, mapi.PidTagInternetCodepage)

// reform gives an edited message its new form, and with it a new UID: octets under a UID never change. Its MID stays.
func (d *draft) reform() error {
	before, after := &d.before.row, &d.after.row
	if after.Bits&schema.RowAssociated != 0 {
		return nil
	}
	had := before.Bits&schema.RowUnrendered == 0
	if had {
		if err := d.dropForm(); err != nil {
			return err
		}
	}
	if err := d.render(); err != nil {
		return err
	}
	if !had && after.Bits&schema.RowUnrendered != 0 {
		return nil
	}
	return d.renumber(had)
}

// dropForm takes the form from a message. What was received stays, no longer served.
func (d *draft) dropForm() error {
	row := &d.after.row
	received := row.Bits&schema.RowRendered == 0
	d.header = !d.body && (received || row.Bits&schema.RowReheaded != 0)
	if received {
		row.Original = row.BodyNumber()
	} else if err := d.releaseBody(row.BodyNumber(), row.Bits); err != nil {
		return err
	}
	row.Body, row.Size, row.Prefix = 0, 0, 0
	row.Bits = row.Bits&^(schema.RowRendered|schema.RowReheaded) | schema.RowUnrendered
	return nil
}

// render makes the form of a message that has none. One that would be beyond the bounds of a message stays without.
func (d *draft) render() error {
	row := &d.after.row
	if row.Bits&schema.RowAssociated != 0 {
		return nil
	}
	form, made, err := d.form()
	if err != nil || !made {
		return err
	}
	digest := mime.MarshalDigest(form.Root)
	if _, err := content.Check(&exmdb.NewMessage{Recipe: form.Recipe, Digest: digest}, maxForm); err != nil {
		return nil
	}
	body := row.Object
	if !d.fresh {
		body = d.object()
		row.Body = body
	}
	if hashes := content.Hashes(&form.Recipe); len(hashes) > 0 {
		row.Bits |= schema.RowContent
		if err := content.Hold(d.w, hashes, d.staged.inline); err != nil {
			return err
		}
	}
	d.set(schema.RecipeKey(body), &form.Recipe)
	d.w.Set(schema.DigestKey(body), digest)
	row.Size, row.Prefix = form.Recipe.Size(), uint32(len(form.Recipe.Prefix))
	row.Bits = row.Bits&^schema.RowUnrendered | schema.RowRendered
	if d.header {
		row.Bits |= schema.RowReheaded
	}
	return nil
}

// maxForm bounds a form in octets: IMAP counts them in 32 bits.
const maxForm = 1<<32 - 1

// form makes the form, of what was received where only its header is another.
func (d *draft) form() (oxcmail.Form, bool, error) {
	recipients, err := d.recipients(&d.after.row)
	if err != nil {
		return oxcmail.Form{}, false, err
	}
	if d.header {
		return d.reheaded(recipients)
	}
	attachments, err := d.attachments(&d.after.row)
	if err != nil {
		return oxcmail.Form{}, false, err
	}
	props, err := d.withHeader()
	if err != nil {
		return oxcmail.Form{}, false, err
	}
	m := &exmdb.MessageContent{Props: *props, Recipients: recipients, Attachments: describeAttachments(withoutRivals(attachments), true)}
	return oxcmail.Render(m), true, nil
}

// withHeader is the bag with the header that the message was received with, which its form begins with.
func (d *draft) withHeader() (*mapi.PropBag, error) {
	if d.contents.Get(mapi.PidTagTransportMessageHeaders) != nil {
		return d.contents, nil
	}
	_, header, err := d.receivedHeader(&d.after.row)
	if err != nil || header == "" {
		return d.contents, err
	}
	props := clone(d.contents)
	props.Set(mapi.PidTagTransportMessageHeaders, mapi.String(header))
	return props, nil
}

// maxReheader bounds a header that is taken apart to be made anew.
const maxReheader = 256 << 10

func (d *draft) reheaded(recipients []mapi.PropBag) (oxcmail.Form, bool, error) {
	received := d.after.row.Original
	recipe, err := d.recipe(received)
	if err != nil {
		return oxcmail.Form{}, false, err
	}
	root, err := d.structure(received)
	if err != nil || root == nil || root.HeaderSize() > maxReheader {
		return oxcmail.Form{}, false, err
	}
	header, err := content.Read(d.r, recipe, uint64(len(recipe.Prefix)), uint32(root.HeaderSize()))
	if err != nil {
		return oxcmail.Form{}, false, err
	}
	form, made := oxcmail.Reheaded(oxcmail.Form{Recipe: *recipe, Root: root}, header, d.contents, recipients)
	return form, made, nil
}

// renumber gives a message a new UID; if it had a form the old UID has vanished.
func (d *draft) renumber(had bool) error {
	if had {
		gone := schema.Tombstone{UIDs: schema.Runs{}.Add(uint64(d.before.uid))}
		if _, err := d.tombstone(d.fid, d.counts, gone); err != nil {
			return err
		}
	}
	uid, err := nextUID(d.counts, &d.after.row)
	if err != nil {
		return err
	}
	d.w.Delete(d.before.key(d.fid))
	d.after.uid = uid
	d.tx.set(schema.MIDKey(d.after.row.MID), &schema.Place{Folder: d.fid.Counter(), UID: uid})
	if read := d.after.row.ReadCN; read != 0 { // the step that stays when the others move on
		d.tx.set(schema.ChangeKey(d.fid, read), &schema.Change{Kinds: schema.ChangeRead | schema.ChangeStatus, UID: uid})
	}
	return nil
}
