package store

import (
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// attachmentTable is the table of computed properties of attachments.
var attachmentTable = newTable([]computed[*schema.Attachment]{
	{mapi.PidTagAttachNumber, func(a *schema.Attachment) mapi.Value { return mapi.Integer32(int32(a.Number)) }},
	{mapi.PidTagAttachSize, func(a *schema.Attachment) mapi.Value {
		return mapi.Integer32(min(weight(storedAttachment(a), references(inside(a))), 1<<31-1))
	}},
	{mapi.PidTagObjectType, func(*schema.Attachment) mapi.Value { return mapi.Integer32(mapi.ObjectAttachment) }},
	{mapi.PidTagAccessLevel, func(*schema.Attachment) mapi.Value { return mapi.Integer32(1) }},
}, []computed[*schema.Attachment]{
	{mapi.PidTagRenderingPosition, func(*schema.Attachment) mapi.Value { return mapi.Integer32(-1) }},
	{mapi.PidTagAttachMethod, func(a *schema.Attachment) mapi.Value {
		if a.Embedded != nil {
			return mapi.Integer32(mapi.AttachEmbedded)
		}
		return mapi.Integer32(0)
	}},
})

// embeddedTable is the table of computed properties of the message inside an attachment. Its flags are in its bag.
var embeddedTable = newTable([]computed[*schema.Attachment]{
	{mapi.PidTagObjectType, func(*schema.Attachment) mapi.Value { return mapi.Integer32(mapi.ObjectMessage) }},
	{mapi.PidTagSubject, func(a *schema.Attachment) mapi.Value { return subject(a.Embedded) }},
	{mapi.PidTagAccessLevel, func(*schema.Attachment) mapi.Value { return mapi.Integer32(1) }},
	{mapi.PidTagHasNamedProperties, func(a *schema.Attachment) mapi.Value { return mapi.Boolean(hasNamed(a.Embedded)) }},
	{mapi.PidTagMessageSize, func(a *schema.Attachment) mapi.Value {
		return mapi.Integer32(min(weight(storedAttachment(a), references(inside(a))), 1<<31-1))
	}},
}, []computed[*schema.Attachment]{
	{mapi.PidTagHasAttachments, func(a *schema.Attachment) mapi.Value { return mapi.Boolean(len(a.Nested) > 0) }},
	{mapi.PidTagMessageClass, func(*schema.Attachment) mapi.Value { return mapi.String(defaultClass) }},
	{mapi.PidTagDisplayTo, func(*schema.Attachment) mapi.Value { return mapi.String("") }},
	{mapi.PidTagDisplayCc, func(*schema.Attachment) mapi.Value { return mapi.String("") }},
	{mapi.PidTagDisplayBcc, func(*schema.Attachment) mapi.Value { return mapi.String("") }},
})
