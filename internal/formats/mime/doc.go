// Package mime knows the grammar of received mail: where the headers, bodies and parts of a message lie in its
// bytes, what its header fields say, how bodies are encoded, and how all of that is kept in a small digest. It
// never knows a mailbox, a property or a protocol session, never does I/O of its own and never refuses a mail.
//
// # Scanning
//
// A Scanner is fed the message as it arrives, in chunks of any size, and ends in a tree of Part with absolute byte
// offsets. It holds no body bytes: its memory is one line, the header being read, and the tree, each bounded by
// Limits. Any input gives a tree. What lies beyond a bound is one opaque leaf.
//
// Invariants of a tree over n bytes:
//
//   - 0 <= HeaderStart <= BodyStart <= BodyEnd <= n; the root begins at 0 and ends at n;
//   - children lie inside their parent's body, in order, and do not overlap;
//   - the header holds its closing empty line, so header and body of a message together are its bytes;
//   - the result is the same however the bytes were cut into chunks.
//
// What is done with the oddities of real mail:
//
//   - a line ends at LF, with or without a CR before it; a lone CR is an ordinary byte;
//   - a header line without a colon (also "From " of an mbox) stays in the header and means nothing; only when it is
//     the first line of a body part (not of a message) is the part taken to have no header at all;
//   - a delimiter is a whole line: "--", the boundary, perhaps "--", then white space. A longer line with the
//     boundary as its prefix is text. The innermost multipart that uses a boundary owns the line;
//   - a delimiter of an outer multipart ends all multiparts inside it; the end of the mail ends everything;
//   - a multipart without a boundary parameter, a multipart without parts, and a message/rfc822 in a content
//     transfer encoding are leaves. Part.Shown gives the type under which IMAP may list them;
//   - of a header field that should be there once the first counts; address fields are joined.
//
// # Text
//
// Header values are kept as received: unfolded, without CR, LF and NUL, otherwise undecoded, since IMAP shows them
// so. DecodeText, Params.Get and Address.DisplayName give UTF-8. Bytes in no charset, or in one that is not known,
// become UTF-8 where they are UTF-8 and windows-1252 where they are not, so no byte disappears.
//
// # Line ends
//
// Normalizer turns every LF without a CR before it into CRLF (MAILBOX 3). A lone CR stays: it is no line end, and
// to drop or change it would break bodies in binary transfer encoding; the grammar here reads over it.
//
// Specifications: RFC 5322, RFC 2045 to 2047, RFC 2231, RFC 2046 5.1, RFC 6532, RFC 9051 6.4.5 and 7.5.2.
package mime
