package oxcmail

import (
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

// maxRecipients bounds the recipients that are made of a header.
const maxRecipients = 10_000

// Recipients are the recipients of a received mail by its header, a bag each (MS-OXCMAIL 2.2.3.1.1).
func Recipients(env *mime.Envelope) []mapi.PropBag {
	if env == nil {
		return nil
	}
	var list []mapi.PropBag
	for _, field := range []struct {
		kind oxcmsg.RecipientType
		of   []mime.Address
	}{{oxcmsg.RecipientTo, env.To}, {oxcmsg.RecipientCc, env.Cc}, {oxcmsg.RecipientBcc, env.Bcc}} {
		for i := range field.of {
			if a := &field.of[i]; a.Kind == mime.Mailbox && len(list) < maxRecipients {
				list = append(list, recipient(field.kind, a, len(list)))
			}
		}
	}
	return list
}

func recipient(kind oxcmsg.RecipientType, a *mime.Address, row int) mapi.PropBag {
	var b builder
	name, address := nameOf(a), text(a.String())
	b.bag.Set(mapi.PidTagRecipientType, mapi.Integer32(kind))
	b.bag.Set(mapi.PidTagRowid, mapi.Integer32(int32(row)))
	b.bag.Set(mapi.PidTagObjectType, mapi.Integer32(mailUser))
	b.bag.Set(mapi.PidTagDisplayType, mapi.Integer32(0))
	b.string(mapi.PidTagDisplayName, name)
	b.string(mapi.PidTagRecipientDisplayName, name)
	b.string(mapi.PidTagAddressType, smtp)
	b.string(mapi.PidTagEmailAddress, address)
	b.string(mapi.PidTagSmtpAddress, address)
	b.bag.Set(mapi.PidTagEntryId, mapi.Binary(oxcdata.OneOffOf(name, smtp, address).Append(nil)))
	b.bag.Set(mapi.PidTagRecipientEntryId, b.bag.Get(mapi.PidTagEntryId))
	b.bag.Set(mapi.PidTagSearchKey, mapi.Binary(oxcdata.SearchKey(smtp, address)))
	b.bag.Set(mapi.PidTagRecipientFlags, mapi.Integer32(1)) // recipSendable (MS-OXOCAL 2.2.4.10.1)
	return b.bag
}

// mailUser is PidTagObjectType of a person in an address book (MS-OXOABK 2.2.3.10).
const mailUser = 6
