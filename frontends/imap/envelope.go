package imap

import (
	"strconv"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/frontends/imap/imapwire"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
)

// emailID is a message's identity under RFC 8474 5.1.
func emailID(row *exmdb.Row) string { return "M" + strconv.FormatUint(uint64(row.Object), 16) }

// writeEnvelope writes an envelope (RFC 9051 7.5.2).
func writeEnvelope(out *imapwire.Encoder, e *mime.Envelope) {
	out.Byte('(')
	writeField(out, e.Date, e.Has&mime.HasDate != 0)
	out.Byte(' ')
	writeField(out, e.Subject, e.Has&mime.HasSubject != 0)
	for _, list := range [...][]mime.Address{e.From, e.Sender, e.ReplyTo, e.To, e.Cc, e.Bcc} {
		out.Byte(' ')
		writeAddresses(out, list)
	}
	out.Byte(' ')
	writeField(out, e.InReplyTo, e.Has&mime.HasInReplyTo != 0)
	out.Byte(' ')
	writeField(out, e.MessageID, e.Has&mime.HasMessageID != 0)
	out.Byte(')')
}

// writeField writes NIL for a field that is absent and a string, perhaps empty, for one that is there.
func writeField(out *imapwire.Encoder, text string, present bool) {
	if !present {
		out.Raw("NIL")
		return
	}
	out.String(text)
}

func writeAddresses(out *imapwire.Encoder, list []mime.Address) {
	if len(list) == 0 {
		out.Raw("NIL")
		return
	}
	out.Byte('(')
	for i := range list {
		writeAddress(out, &list[i])
	}
	out.Byte(')')
}

// writeAddress writes one address. NIL as host marks a group, so a mailbox without a host has the empty string.
func writeAddress(out *imapwire.Encoder, a *mime.Address) {
	switch a.Kind {
	case mime.GroupStart:
		out.Raw("(NIL NIL ")
		out.String(a.Name)
		out.Raw(" NIL)")
		return
	case mime.GroupEnd:
		out.Raw("(NIL NIL NIL NIL)")
		return
	}
	out.Byte('(')
	out.NString(a.Name)
	out.Byte(' ')
	out.NString(a.Route)
	out.Byte(' ')
	out.String(a.Local)
	out.Byte(' ')
	out.String(a.Host)
	out.Byte(')')
}

// form says whether a body structure has its extension data: BODYSTRUCTURE has, BODY has not.
type form uint8

const (
	basic form = iota
	extended
)

// writeBody writes a body structure (RFC 9051 7.5.2). The depth of the tree is bounded by the scan.
func writeBody(out *imapwire.Encoder, p *mime.Part, f form) {
	out.Byte('(')
	if p.IsMultipart() {
		writeMultipart(out, p, f)
	} else {
		writeSinglePart(out, p, f)
	}
	out.Byte(')')
}

func writeMultipart(out *imapwire.Encoder, p *mime.Part, f form) {
	for _, child := range p.Parts {
		writeBody(out, child, f)
	}
	out.Byte(' ')
	out.String(p.Subtype)
	if f == extended {
		out.Byte(' ')
		writeParams(out, p.Params)
		writeExtension(out, p)
	}
}

func writeSinglePart(out *imapwire.Encoder, p *mime.Part, f form) {
	typ, subtype, params, encoding := p.Shown()
	out.String(typ)
	out.Byte(' ')
	out.String(subtype)
	out.Byte(' ')
	writeParams(out, params)
	out.Byte(' ')
	out.NString(p.ID)
	out.Byte(' ')
	out.NString(p.Description)
	out.Byte(' ')
	out.String(encoding)
	out.Byte(' ')
	out.Num(uint64(p.Size()))
	if p.IsMessage() {
		out.Byte(' ')
		writeEnvelope(out, p.Parts[0].Envelope)
		out.Byte(' ')
		writeBody(out, p.Parts[0], f)
	}
	if p.IsMessage() || typ == "text" {
		out.Byte(' ')
		out.Num(uint64(p.Lines))
	}
	if f == extended {
		out.Byte(' ')
		out.NString(p.MD5)
		writeExtension(out, p)
	}
}

// writeExtension writes disposition, languages and location.
func writeExtension(out *imapwire.Encoder, p *mime.Part) {
	out.Byte(' ')
	if p.Disposition == "" {
		out.Raw("NIL")
	} else {
		out.Byte('(')
		out.String(p.Disposition)
		out.Byte(' ')
		writeParams(out, p.DispositionParams)
		out.Byte(')')
	}
	out.Byte(' ')
	writeLanguages(out, p.Languages)
	out.Byte(' ')
	out.NString(p.Location)
}

func writeLanguages(out *imapwire.Encoder, languages []string) {
	if len(languages) == 0 {
		out.Raw("NIL")
		return
	}
	out.Byte('(')
	for i, l := range languages {
		if i > 0 {
			out.Byte(' ')
		}
		out.String(l)
	}
	out.Byte(')')
}

func writeParams(out *imapwire.Encoder, params mime.Params) {
	if len(params) == 0 {
		out.Raw("NIL")
		return
	}
	out.Byte('(')
	for i, p := range params {
		if i > 0 {
			out.Byte(' ')
		}
		out.String(p.Name)
		out.Byte(' ')
		out.String(p.Value)
	}
	out.Byte(')')
}
