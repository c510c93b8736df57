package object

import (
	"strconv"

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

// BodyHTML is the body as HTML, "" if it is in another form.
func (p *Props) BodyHTML() string {
	if html, ok := p.Bag.Get(mapi.PidTagHtml).(mapi.Binary); ok {
		page, said := p.Int(mapi.PidTagInternetCodepage)
		if !said || page == utf8CodePage {
			return Clean(string(html))
		}
		return Clean(mime.DecodeCharset("windows-"+strconv.Itoa(int(page)), html))
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
