package fulltext

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// What text is cut into. Letters and digits that follow each other are a word; what is written without spaces is pairs
// of neighbours, and its last character by itself. A long word is pieces that overlap, so that whatever is no longer
// than pieceOverlap+1 stands in one piece whole.
const (
	pieceRunes   = 32
	pieceOverlap = 8
	pieceStep    = pieceRunes - pieceOverlap
)

type class uint8

const (
	space     class = iota // whatever stands between words
	letter                 // of words
	ideograph              // of scripts without words
)

func classOf(r rune) class {
	switch {
	case r < utf8.RuneSelf:
		if 'a' <= r && r <= 'z' || '0' <= r && r <= '9' {
			return letter
		}
		return space
	case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana) || r == prolongedSound:
		return ideograph
	case unicode.IsLetter(r) || unicode.IsNumber(r):
		return letter
	}
	return space
}

// prolongedSound stands in words of Katakana and belongs to no script.
const prolongedSound = 'ー'

// iotaBelow is a mark, and to case folding the letter iota too, so the comparisons disagree about it. A text with it
// counts as one that is not indexed whole, and what is searched for with it is not narrowed.
const iotaBelow = '\u0345'

// partial is the term of messages of which not all text of a field is indexed. It is no UTF-8, so no text has it.
const partial = "\xff"

// simple maps all runes that any of the comparisons of mime and mapi takes for the same rune to one.
func simple(r rune) rune {
	r = unicode.ToLower(unicode.ToUpper(r))
	least := r
	for o := unicode.SimpleFold(r); o != r; o = unicode.SimpleFold(o) {
		if o != iotaBelow {
			least = min(least, o)
		}
	}
	return unicode.ToLower(least)
}

// appendFolded adds r without case and marks: what is equal by IMAP SEARCH (mime.Matcher), or under any of the fuzzy
// levels (mapi.FuzzyLevel), is equal here. Each rune is folded by itself, so a part of a text becomes a part of its
// folded form.
func appendFolded(dst []rune, r rune) []rune {
	if r < utf8.RuneSelf {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return append(dst, r)
	}
	for _, d := range norm.NFD.String(string(simple(r))) {
		if !unicode.Is(unicode.M, d) {
			dst = append(dst, simple(d))
		}
	}
	return dst
}

// maxFolds bounds what a splitter remembers.
const maxFolds = 4096

// splitter cuts text that is written to it into terms.
type splitter struct {
	emit func(term []byte)

	word   []byte
	runes  int
	step   int  // where the next piece begins in word
	pieces bool // word begins with the end of the piece before
	before rune // the ideograph before, 0 if there is none

	folds map[rune][]rune
	tail  [utf8.UTFMax]byte // the beginning of a character that a write cut
	nTail int
}

func newSplitter(emit func(term []byte)) *splitter {
	return &splitter{emit: emit, folds: make(map[rune][]rune)}
}

// Write takes the next bytes of UTF-8. It never fails.
func (s *splitter) Write(p []byte) (int, error) {
	n := len(p)
	for s.nTail > 0 && len(p) > 0 {
		s.tail[s.nTail] = p[0]
		s.nTail, p = s.nTail+1, p[1:]
		if utf8.FullRune(s.tail[:s.nTail]) {
			whole := s.tail
			kept := s.nTail
			s.nTail = 0
			s.take(whole[:kept])
		}
	}
	s.take(p)
	return n, nil
}

func (s *splitter) take(p []byte) {
	for len(p) > 0 {
		if c := p[0]; c < utf8.RuneSelf {
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			s.folded(rune(c))
			p = p[1:]
			continue
		}
		if !utf8.FullRune(p) {
			s.nTail = copy(s.tail[:], p)
			return
		}
		r, size := utf8.DecodeRune(p)
		if r == iotaBelow {
			s.emit([]byte(partial))
		}
		for _, f := range s.fold(r) {
			s.folded(f)
		}
		p = p[size:]
	}
}

func (s *splitter) fold(r rune) []rune {
	if f, known := s.folds[r]; known {
		return f
	}
	f := appendFolded(nil, r)
	if len(s.folds) >= maxFolds {
		clear(s.folds)
	}
	s.folds[r] = f
	return f
}

func (s *splitter) folded(r rune) {
	switch classOf(r) {
	case letter:
		s.endIdeographs()
		s.letter(r)
	case ideograph:
		s.endWord()
		if s.before != 0 {
			s.emit(utf8.AppendRune(utf8.AppendRune(nil, s.before), r))
		}
		s.before = r
	default:
		s.endIdeographs()
		s.endWord()
	}
}

func (s *splitter) letter(r rune) {
	s.word = utf8.AppendRune(s.word, r)
	switch s.runes++; s.runes {
	case pieceStep:
		s.step = len(s.word)
	case pieceRunes:
		s.emit(s.word)
		s.word = append(s.word[:0], s.word[s.step:]...)
		s.runes, s.pieces = pieceOverlap, true
	}
}

func (s *splitter) endWord() {
	if s.runes > pieceOverlap || s.runes > 0 && !s.pieces {
		s.emit(s.word)
	}
	s.word, s.runes, s.pieces = s.word[:0], 0, false
}

func (s *splitter) endIdeographs() {
	if s.before != 0 {
		s.emit(utf8.AppendRune(nil, s.before))
		s.before = 0
	}
}

// end is the end of a text: the next one does not continue it.
func (s *splitter) end() {
	s.nTail = 0
	s.endIdeographs()
	s.endWord()
}
