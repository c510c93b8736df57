package autodiscover

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/flotilla-mail/flotilla/internal/auth"
	"github.com/flotilla-mail/flotilla/internal/directory"
)

// jsonAnswer and jsonError are the answers of JSON autodiscover ("v2").
type jsonAnswer struct {
	Protocol string `json:"Protocol"`
	URL      string `json:"Url"`
}

type jsonError struct {
	ErrorCode    string `json:"ErrorCode"`
	ErrorMessage string `json:"ErrorMessage"`
}

// json answers where a service is, by the address's domain only: every address of a domain gets the same answer, so
// the URLs carry the cluster's name, not an owner's.
func (s *Server) json(w http.ResponseWriter, r *http.Request, _ *auth.Principal) {
	query := folded(r)
	email := r.PathValue("email")
	if email == "" {
		email = query["email"]
	}
	address, err := directory.Normalise(email)
	if err != nil {
		s.refuseJSON(w, r, jsonError{"MandatoryParameterMissing", "A valid email address must be provided."})
		return
	}
	wanted := query["protocol"]
	if wanted == "" {
		s.refuseJSON(w, r, jsonError{"MandatoryParameterMissing", "A protocol must be provided."})
		return
	}
	ours, err := s.dir.Local(r.Context(), directory.DomainOf(address))
	if err != nil {
		s.refuseHTTP(w, r, statusOf(err), err)
		return
	}
	if !ours {
		s.refuseJSON(w, r, jsonError{"InvalidDomain", "The domain is not served here."})
		return
	}
	for _, row := range services() {
		if row.name != "" && strings.EqualFold(row.name, wanted) && s.built(row.service) {
			s.writeJSON(w, r, http.StatusOK, jsonAnswer{row.name, s.url(s.cfg.ClusterName, row.service)})
			return
		}
	}
	s.refuseJSON(w, r, jsonError{"ProtocolNotSupported", "The protocol is not served here."})
}

// folded is the first value of each parameter of the query, names in lower case.
func folded(r *http.Request) map[string]string {
	first := map[string]string{}
	for name, values := range r.URL.Query() {
		first[strings.ToLower(name)] = values[0]
	}
	return first
}

func (s *Server) refuseJSON(w http.ResponseWriter, r *http.Request, e jsonError) {
	s.writeJSON(w, r, http.StatusBadRequest, e)
}

func (s *Server) writeJSON(w http.ResponseWriter, r *http.Request, code int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		s.refuseHTTP(w, r, statusOf(err), fmt.Errorf("encode answer: %w", err))
		return
	}
	s.write(w, r, "application/json; charset=utf-8", code, append(b, '\n'))
}

// autoconfig answers Thunderbird's search: the servers of a domain, under the cluster's name. The domain is that of
// the address, if one is given, or else the one that the client took for the host.
func (s *Server) autoconfig(w http.ResponseWriter, r *http.Request, _ *auth.Principal) {
	domain := s.cfg.ClusterName
	if email := folded(r)["emailaddress"]; email != "" {
		address, err := directory.Normalise(email)
		if err != nil {
			s.refuseHTTP(w, r, status{http: http.StatusBadRequest, text: "That is not an email address."}, err)
			return
		}
		domain = directory.DomainOf(address)
		if ours, err := s.dir.Local(r.Context(), domain); err != nil {
			s.refuseHTTP(w, r, statusOf(err), err)
			return
		} else if !ours {
			http.NotFound(w, r)
			return
		}
	} else if host := s.domainOfHost(r); host != "" {
		domain = host
	}
	s.writeXML(w, r, s.clientConfig(domain))
}

// domainOfHost is the domain of ours in whose name the host was asked, empty if none.
func (s *Server) domainOfHost(r *http.Request) string {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	domain, err := directory.NormaliseDomain(strings.TrimPrefix(strings.ToLower(host), "autoconfig."))
	if err != nil {
		return ""
	}
	if ours, err := s.dir.Local(r.Context(), domain); err != nil || !ours {
		return ""
	}
	return domain
}

func (s *Server) clientConfig(domain string) clientConfig {
	c := clientConfig{Version: autoconfigSchema, Provider: provider{
		ID: domain, Domain: domain, DisplayName: domain, DisplayShortName: domain,
	}}
	for _, e := range s.endpoints() {
		m := mailServer{
			Type: e.autoconfig, Hostname: s.cfg.ClusterName, Port: e.port, SocketType: "SSL",
			Authentication: "password-cleartext", Username: "%EMAILADDRESS%",
		}
		if e.startTLS {
			m.SocketType = "STARTTLS"
		}
		if e.autoconfig == "imap" {
			c.Provider.Incoming = append(c.Provider.Incoming, m)
		} else {
			c.Provider.Outgoing = append(c.Provider.Outgoing, m)
		}
	}
	return c
}
