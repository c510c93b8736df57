package object

import (
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/formats/rtf"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

const (
	// maxRTF bounds a body in RTF once it is decompressed.
	maxRTF       = 8 << 20
	utf8CodePage = 65001
)

// BodyText is the body as plain text, of RTF where there is no other: Outlook writes RTF alone.
func (p *Props) BodyText() string {
	if text := p.Text(mapi.PidTagBody); text != "" {
		return text
	}
	return Clean(rtf.Text(p.rtf()))
}

// BodyHTML is the body as HTML, "" if it is in another form. Its bytes are in the charset of PidTagInternetCodepage (MS-OXCMSG
// 2.2.1.56.6); where no charset has that number they are UTF-8 if they can be, and windows-1252 where they cannot.
func (p *Props) BodyHTML() string {
	if html, ok := p.Bag.Get(mapi.PidTagHtml).(mapi.Binary); ok {
		page, _ := p.Int(mapi.PidTagInternetCodepage)
		charset, _ := mime.CodePageCharset(int(page))
		return Clean(mime.DecodeCharset(charset, html))
	}
	if html := p.Text(mapi.PidTagBodyHtml); html != "" {
		return Clean(html)
	}
	html, _ := rtf.HTML(p.rtf())
	return Clean(html)
}

// rtf is the body in RTF, nil if there is none.
func (p *Props) rtf() []byte {
	compressed, ok := p.Bag.Get(mapi.PidTagRtfCompressed).(mapi.Binary)
	if !ok {
		return nil
	}
	b, err := rtf.Decompress(compressed, maxRTF)
	if err != nil {
		return nil // no body that anyone can read
	}
	return b
}

// SetHTML sets a body of HTML in UTF-8.
func (p *Props) SetHTML(html string) {
	p.Bag.Set(mapi.PidTagHtml, mapi.Binary(Clean(html)))
	p.Bag.Set(mapi.PidTagInternetCodepage, mapi.Integer32(utf8CodePage))
}
