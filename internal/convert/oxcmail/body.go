package oxcmail

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/transform"

	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/formats/rtf"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Values of PidTagNativeBody (MS-OXCMSG 2.2.1.58.2).
const (
	nativeText = 1
	nativeRTF  = 2
	nativeHTML = 3
)

// file is a part that becomes an attachment.
type file struct {
	part *mime.Part
	// place is where it stood, "" beside the text.
	place mapi.String
	// related says that it stands with the HTML, which may refer to it.
	related bool
}

// sorted is what the parts of a mail are for.
type sorted struct {
	texts    []*mime.Part
	html     *mime.Part
	rtf      *mime.Part
	calendar *mime.Part
	tnef     *mime.Part
	// entity is a part that is kept whole, with its header: a signed one.
	entity *mime.Part
	// status is what a report says.
	status *mime.Part
	files  []file
}

// sort looks at the structure from the root down (MS-OXCMAIL 2.2.3.3).
func (im *importer) sort() {
	s, root := &im.sorted, im.root
	switch kind := root.Type + "/" + root.Subtype; {
	case kind == "multipart/signed" && root.IsMultipart():
		s.entity = root
		s.part(root.Parts[0], inMixed)
		s.files = nil // they are in the entity
		return
	case kind == "multipart/encrypted" && root.IsMultipart():
		for _, p := range root.Parts {
			s.file(p, file{})
		}
	case kind == "multipart/report" && root.IsMultipart():
		s.reported(root)
	case isPKCS7(root):
		s.file(root, file{})
	default:
		s.part(root, inMixed)
	}
	if keepsStructure(root) {
		im.Names.Set(&im.bag, keptStructure, mapi.String(text(withParams(root.Type+"/"+root.Subtype, without(root.Params, "boundary")))))
	}
}

// keepsStructure tells the parts whose Content-Type says what the mail is.
func keepsStructure(p *mime.Part) bool {
	return p.IsMultipart() && (p.Subtype == "encrypted" || p.Subtype == "report") || isPKCS7(p)
}

func isPKCS7(p *mime.Part) bool {
	return p.IsLeaf() && p.Type == "application" && (p.Subtype == "pkcs7-mime" || p.Subtype == "x-pkcs7-mime")
}

// headerField is a field of a part's header, undecoded; "" if it cannot be read.
func headerField(r io.ReaderAt, p *mime.Part, name string) string {
	octets, err := readAt(r, p.HeaderStart, min(p.HeaderSize(), maxHeader))
	if err != nil {
		return ""
	}
	return mime.ParseHeader(octets).Get(name)
}

// structure is what a part stands in.
type structure uint8

const (
	inMixed structure = iota
	inAlternative
	inRelated
)

// part finds the place of a part.
func (s *sorted) part(p *mime.Part, in structure) {
	switch {
	case p.IsMultipart() && p.Subtype == "alternative":
		for _, child := range p.Parts {
			s.part(child, inAlternative)
		}
	case p.IsMultipart() && p.Subtype == "related":
		s.related(p, in)
	case p.IsMultipart() && p.Subtype == "signed":
		for i, child := range p.Parts {
			if i == 0 {
				s.part(child, in)
			} else {
				s.file(child, file{})
			}
		}
	case p.IsMultipart():
		for i, child := range p.Parts {
			if i > 0 {
				in = inMixed
			}
			s.part(child, in)
		}
	default:
		s.leaf(p, in)
	}
}

// related sorts a text and what it refers to. The text is the first part, unless start says another (RFC 2387 3.2).
func (s *sorted) related(p *mime.Part, in structure) {
	start := 0
	for i, child := range p.Parts {
		if id := p.Params.Get("start"); id != "" && id == child.ID {
			start = i
		}
	}
	had := s.html
	s.part(p.Parts[start], in)
	for i, child := range p.Parts {
		switch {
		case i == start:
		case child.IsMultipart():
			s.part(child, inMixed)
		default:
			s.file(child, file{related: s.html != had && child.IsLeaf()})
		}
	}
}

// leaf puts a part with content of its own among the bodies, if it is one, or the files.
func (s *sorted) leaf(p *mime.Part, in structure) {
	switch {
	case isTNEF(p) && s.tnef == nil:
		s.tnef = p
	case p.Type == "text" && p.Subtype == "calendar" && s.calendar == nil && p.IsLeaf():
		s.calendar = p
		s.file(p, file{place: placeIn(in)})
	case !p.IsText() || p.Disposition == "attachment" || p.Filename() != "":
		s.file(p, file{place: placeIn(in)})
	default:
		s.body(p, in)
	}
}

func placeIn(in structure) mapi.String {
	if in == inAlternative {
		return placeAlternative
	}
	return ""
}

// body takes text as a body. There is one of HTML and one of RTF; texts of a mail that has no other are joined.
func (s *sorted) body(p *mime.Part, in structure) {
	switch {
	case p.Subtype == "html" && s.html == nil && (in == inAlternative || len(s.texts) == 0):
		s.html = p
	case (p.Subtype == "rtf" || p.Subtype == "richtext") && in == inAlternative && s.rtf == nil && p.Size() <= maxRich:
		s.rtf = p
	case p.Subtype == "plain" && p.Type == "text" && (len(s.texts) == 0 && (s.html == nil || in == inAlternative) || s.html == nil && in == inMixed):
		s.texts = append(s.texts, p)
	case p.Type == "multipart" && len(s.texts) == 0 && s.html == nil: // one without parts
		s.texts = append(s.texts, p)
	default:
		s.file(p, file{place: placeIn(in)})
	}
}

func (s *sorted) file(p *mime.Part, f file) {
	if len(s.files) < maxFiles {
		f.part = p
		s.files = append(s.files, f)
	}
}

const (
	// maxRTF bounds RTF that is taken apart.
	maxRTF = 12 << 20
	// maxRich bounds RTF that is compressed, which takes several times its size.
	maxRich = 2 << 20
)

// bodies sets the texts of a message in all the forms that the mail has (MS-OXCMAIL 2.2.3.3).
func (im *importer) bodies() error {
	s := &im.sorted
	if s.html != nil {
		if err := im.html(s.html); err != nil {
			return err
		}
	}
	if s.rtf != nil {
		b, err := im.whole(s.rtf)
		if err != nil {
			return err
		}
		if err := im.long(&im.bag, mapi.PidTagRtfCompressed, bytes.NewReader(rtf.Compress(b))); err != nil {
			return err
		}
	}
	if len(s.texts) > 0 {
		if err := im.text(s.texts); err != nil {
			return err
		}
	}
	switch {
	case s.html != nil:
		im.bag.Set(mapi.PidTagNativeBody, mapi.Integer32(nativeHTML))
	case s.rtf != nil:
		im.bag.Set(mapi.PidTagNativeBody, mapi.Integer32(nativeRTF))
	case len(s.texts) > 0:
		im.bag.Set(mapi.PidTagNativeBody, mapi.Integer32(nativeText))
	}
	return nil
}

// utf8Page is the code page of UTF-8.
const utf8Page = 65001

// html sets PidTagHtml: as it is, where its charset has a code page, else in UTF-8.
func (im *importer) html(p *mime.Part) error {
	charset := p.Charset()
	if !mime.KnownCharset(charset) {
		n, err := io.ReadFull(p.Content(im.octets), im.room()[:mime.MetaWithin])
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("read part: %w", err)
		}
		charset = p.CharsetOf(im.room()[:n])
	}
	page, known := mime.CodePage(charset)
	wide := !known && mime.KnownCharset(charset)
	if !known && !wide {
		page = 1252 // whoever names no charset means this or UTF-8
		if valid, err := isUTF8(p.Content(im.octets), im.room()); err != nil {
			return err
		} else if valid {
			page = utf8Page
		}
	}
	if wide || page == 65000 {
		im.bag.Set(mapi.PidTagInternetCodepage, mapi.Integer32(utf8Page))
		return im.long(&im.bag, mapi.PidTagHtml, p.Text(im.octets))
	}
	im.bag.Set(mapi.PidTagInternetCodepage, mapi.Integer32(page))
	im.string(mapi.PidTagBodyContentId, strings.Trim(p.ID, "<> "))
	im.string(mapi.PidTagBodyContentLocation, p.Location)
	return im.content(&im.bag, mapi.PidTagHtml, p)
}

// text sets PidTagBody to the texts one after the other.
func (im *importer) text(parts []*mime.Part) error {
	p := parts[0]
	if _, has := im.bag.Get(mapi.PidTagInternetCodepage).(mapi.Integer32); !has {
		page, known := mime.CodePage(p.Charset())
		if !known {
			page = utf8Page
		}
		im.bag.Set(mapi.PidTagInternetCodepage, mapi.Integer32(page))
	}
	if value := headerField(im.octets, p, "Content-Type"); len(p.Params) > 1 || len(p.Params) == 1 && p.Params[0].Name != "charset" {
		if p.Type == "text" {
			im.Names.Set(&im.bag, keptText, mapi.String(text(value)))
		}
	}
	if page, known := mime.CodePage(p.Charset()); len(parts) == 1 && (p.Charset() == "" || known && (page == utf8Page || page == 20127)) {
		valid, err := isUTF8(p.Content(im.octets), im.room())
		if err != nil {
			return err
		}
		if valid {
			return im.content(&im.bag, mapi.PidTagBody, p)
		}
	}
	var all []io.Reader
	for i, p := range parts {
		if i > 0 {
			all = append(all, strings.NewReader("\r\n"))
		}
		all = append(all, p.Text(im.octets))
	}
	return im.long(&im.bag, mapi.PidTagBody, transform.NewReader(io.MultiReader(all...), sound{}))
}

// isUTF8 tells whether what r yields, which it reads through buf, can be a string property as it is.
func isUTF8(r io.Reader, buf []byte) (bool, error) {
	n := 0
	for {
		got, err := r.Read(buf[n:])
		n += got
		end := n
		for end > 0 && n-end < utf8.UTFMax && !utf8.RuneStart(buf[end-1]) {
			end--
		}
		if end > 0 && !utf8.FullRune(buf[end-1:n]) {
			end--
		} else {
			end = n
		}
		last := errors.Is(err, io.EOF)
		if last {
			end = n
		}
		if !utf8.Valid(buf[:end]) || bytes.IndexByte(buf[:end], 0) >= 0 {
			return false, nil
		}
		n = copy(buf, buf[end:n])
		if last {
			return true, nil
		}
		if err != nil {
			return false, err
		}
	}
}

// sound makes UTF-8 a string that a property may hold: without NUL, which ends a string on MAPI's wire.
type sound struct{ transform.NopResetter }

func (sound) Transform(dst, src []byte, _ bool) (nDst, nSrc int, err error) {
	for ; nSrc < len(src); nSrc++ {
		if src[nSrc] == 0 {
			continue
		}
		if nDst == len(dst) {
			return nDst, nSrc, transform.ErrShortDst
		}
		dst[nDst] = src[nSrc]
		nDst++
	}
	return nDst, nSrc, nil
}
