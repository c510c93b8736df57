package store

import (
	"bytes"
	"io"
	"strings"

	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/formats/rtf"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// bodyText is the text that a message without PidTagBody shows: of its HTML, else of its RTF, as far as restrictions look at
// values. It is for searches only; what the message has stays what it was given.
func (r *tableRow) bodyText() mapi.Value {
	if r.made == nil {
		r.made = new(mapi.Value)
		*r.made = r.makeText()
	}
	return *r.made
}

func (r *tableRow) makeText() mapi.Value {
	switch b := r.Get(mapi.PidTagHtml).(type) {
	case mapi.Binary:
		page, _ := r.Get(mapi.PidTagInternetCodepage).(mapi.Integer32)
		charset, _ := mime.CodePageCharset(int(page))
		return shownText(mime.NewCharsetReader(charset, bytes.NewReader(b)))
	case mapi.String:
		return shownText(strings.NewReader(string(b)))
	}
	compressed, is := r.Get(mapi.PidTagRtfCompressed).(mapi.Binary)
	if !is {
		return nil
	}
	raw, err := rtf.Decompress(compressed, maxSearched)
	if err != nil {
		return nil // it is damaged, or so long that it came cut off
	}
	if hidden, is := rtf.HTML(raw); is {
		return shownText(strings.NewReader(hidden))
	}
	return mapi.String(strings.ToValidUTF8(rtf.Text(raw), ""))
}

// shownText is what HTML in UTF-8 shows.
func shownText(html io.Reader) mapi.Value {
	b, err := io.ReadAll(mime.NewHTMLText(html))
	if err != nil {
		return nil // no reader of what is in memory fails
	}
	return mapi.String(strings.ToValidUTF8(string(b), ""))
}
