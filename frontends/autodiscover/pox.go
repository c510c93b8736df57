package autodiscover

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strings"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/auth"
	"github.com/flotilla-mail/flotilla/internal/directory"
)

// maxRequest bounds a POX request, in bytes; real ones have some hundred.
const maxRequest = 64 << 10

// schema is one form of POX.
type schema struct {
	request, response string
	answer            func(*Server, *directory.Object, string) any
}

func poxSchemas() []schema {
	return []schema{
		{outlookRequest, outlookResponse, (*Server).outlook},
		{mobileRequest, mobileResponse, (*Server).mobileSync},
	}
}

// pox answers a POX request. All but the XML itself is answered with 200 and an error inside (MS-OXDSCLI 3.2.5),
// save what passes by itself, which is HTTP's 503.
func (s *Server) pox(w http.ResponseWriter, r *http.Request, p *auth.Principal) {
	form, object, err := s.asked(r, p)
	if err != nil {
		s.refusePOX(w, r, form, err)
		return
	}
	host := s.owner(r.Context(), object.Mailbox)
	s.writeXML(w, r, envelope{XMLNS: responseSchema, Response: form.answer(s, object, host)})
}

// asked reads a request: the form of the answer, which stays empty while it is not known, and whose settings.
func (s *Server) asked(r *http.Request, p *auth.Principal) (schema, *directory.Object, error) {
	if r.Method != http.MethodPost {
		return schema{}, nil, errInvalid
	}
	q, err := decode(r.Body)
	if err != nil {
		return schema{}, nil, err
	}
	form, err := formOf(q)
	if err != nil {
		return form, nil, err
	}
	object, err := s.find(r.Context(), q, p)
	if err != nil {
		return form, nil, err
	}
	if object.Mailbox.IsZero() {
		return form, nil, errNoMailbox
	}
	return form, object, nil
}

// decode reads a request. encoding/xml knows no entities but the five of XML, and fetches nothing.
func decode(body io.Reader) (*request, error) {
	b, err := io.ReadAll(io.LimitReader(body, maxRequest+1))
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over) || len(b) > maxRequest:
		return nil, errTooLarge
	case err != nil:
		return nil, fmt.Errorf("read request: %w", errors.Join(errInvalid, err))
	}
	q := new(request)
	if err := xml.Unmarshal(b, q); err != nil {
		return nil, errInvalid
	}
	if q.XMLName.Local != "Autodiscover" || q.Request.AcceptableResponseSchema == "" {
		return nil, errInvalid
	}
	q.Request.EMailAddress = strings.TrimSpace(q.Request.EMailAddress)
	q.Request.LegacyDN = strings.TrimSpace(q.Request.LegacyDN)
	if q.Request.EMailAddress == "" && q.Request.LegacyDN == "" {
		return nil, errInvalid
	}
	return q, nil
}

// formOf is the schema a request wants; both its own schema and the one it accepts have to be that form's.
func formOf(q *request) (schema, error) {
	accepts := strings.TrimSpace(q.Request.AcceptableResponseSchema)
	for _, f := range poxSchemas() {
		if f.request == q.XMLName.Space && f.response == accepts {
			return f, nil
		}
	}
	return schema{}, errNoProvider
}

// find is the object asked for. LegacyDN goes before EMailAddress (MS-OXDSCLI 3.2.5); it is known for the caller only.
func (s *Server) find(ctx context.Context, q *request, p *auth.Principal) (*directory.Object, error) {
	dn := q.Request.LegacyDN
	if dn == "" {
		return s.dir.Lookup(ctx, q.Request.EMailAddress)
	}
	own, err := s.dir.Lookup(ctx, p.Address)
	switch {
	case err != nil:
		return nil, err
	case strings.EqualFold(own.LegacyDN, dn):
		return own, nil
	case q.Request.EMailAddress == "":
		return nil, cluster.Errorf(exmdb.KindNoSuchUser, "no user has the legacyExchangeDN %q", dn)
	}
	object, err := s.dir.Lookup(ctx, q.Request.EMailAddress)
	if err == nil && !strings.EqualFold(object.LegacyDN, dn) {
		return nil, cluster.Errorf(exmdb.KindNoSuchUser, "no user has the legacyExchangeDN %q", dn)
	}
	return object, err
}

// outlook is the answer of MS-OXDSCLI 2.2.4.1.
func (s *Server) outlook(o *directory.Object, host string) any {
	a := outlookAnswer{
		XMLNS:   outlookResponse,
		User:    outlookUser{DisplayName: name(o), LegacyDN: o.LegacyDN, AutoDiscoverSMTPAddress: o.Address},
		Account: outlookAccount{AccountType: "email", Action: "settings"},
	}
	add := func(p protocol) { a.Account.Protocol = append(a.Account.Protocol, p) }
	if s.built(EWS) {
		url := s.url(host, EWS)
		add(protocol{Type: "EXCH", Server: host, SSL: "on", AuthPackage: "basic", ASUrl: url, EwsUrl: url, OOFUrl: url})
	}
	if s.built(Web) {
		add(protocol{Type: "WEB", External: &webSite{owaURL{"Basic", s.url(host, Web)}}})
	}
	for _, e := range s.endpoints() {
		p := protocol{
			Type: e.pox, TTL: 1, Server: host, Port: e.port, LoginName: o.Address, DomainRequired: "off", SPA: "off",
			SSL: "on", Encryption: "SSL", AuthRequired: "on",
		}
		if e.startTLS {
			p.Encryption = "TLS"
		}
		if e.pox == "SMTP" {
			p.UsePOPAuth, p.SMTPLast = "on", "off"
		}
		add(p)
	}
	return a
}

// mobileSync is the answer of MS-ASCMD 2.2.1.1.
func (s *Server) mobileSync(o *directory.Object, host string) any {
	url := s.url(host, ActiveSync)
	return mobileAnswer{
		XMLNS: mobileResponse, Culture: "en:us",
		User:   mobileUser{DisplayName: name(o), EMailAddress: o.Address},
		Server: mobileServer{Type: "MobileSync", Url: url, Name: url},
	}
}

// name is what people call the object.
func name(o *directory.Object) string {
	if o.Name != "" {
		return o.Name
	}
	return o.Address
}

func (s *Server) refusePOX(w http.ResponseWriter, r *http.Request, form schema, err error) {
	status := statusOf(err)
	if status.pox == 0 {
		s.refuseHTTP(w, r, status, err)
		return
	}
	if status.http == http.StatusInternalServerError {
		s.bug(r, err)
	}
	f := failure{}
	if form.response == mobileResponse {
		f.XMLNS = mobileResponse
	}
	f.Error.Time = s.cfg.Now().UTC().Format("15:04:05.0000000")
	f.Error.ID = crc32.ChecksumIEEE([]byte(s.cfg.ClusterName))
	f.Error.ErrorCode, f.Error.Message = status.pox, status.text
	s.writeXML(w, r, envelope{XMLNS: responseSchema, Response: f})
}

// writeXML answers a document.
func (s *Server) writeXML(w http.ResponseWriter, r *http.Request, doc any) {
	var b bytes.Buffer
	b.WriteString(xml.Header)
	enc := xml.NewEncoder(&b)
	enc.Indent("", "  ")
	if err := enc.Encode(doc); err != nil {
		s.refuseHTTP(w, r, statusOf(err), fmt.Errorf("encode answer: %w", err))
		return
	}
	b.WriteByte('\n')
	s.write(w, r, "text/xml; charset=utf-8", http.StatusOK, b.Bytes())
}
