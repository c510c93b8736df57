package autodiscover

import "encoding/xml"

// The schemas of requests and answers (MS-OXDSCLI 2.2.1, MS-ASCMD 2.2.1.1).
const (
	schemas          = "http://schemas.microsoft.com/exchange/autodiscover/"
	responseSchema   = schemas + "responseschema/2006"
	outlookRequest   = schemas + "outlook/requestschema/2006"
	outlookResponse  = schemas + "outlook/responseschema/2006a"
	mobileRequest    = schemas + "mobilesync/requestschema/2006"
	mobileResponse   = schemas + "mobilesync/responseschema/2006"
	autoconfigSchema = "1.1"
)

// request is what POX clients send. The namespace of its root tells the two schemas apart.
type request struct {
	XMLName xml.Name
	Request struct {
		EMailAddress             string
		LegacyDN                 string
		AcceptableResponseSchema string
	}
}

// envelope is the root of every POX answer.
type envelope struct {
	XMLName  xml.Name `xml:"Autodiscover"`
	XMLNS    string   `xml:"xmlns,attr"`
	Response any
}

// outlookAnswer is MS-OXDSCLI 2.2.4.1.
type outlookAnswer struct {
	XMLName xml.Name `xml:"Response"`
	XMLNS   string   `xml:"xmlns,attr"`
	User    outlookUser
	Account outlookAccount
}

type outlookUser struct {
	DisplayName             string
	LegacyDN                string
	AutoDiscoverSMTPAddress string
}

type outlookAccount struct {
	AccountType string
	Action      string
	Protocol    []protocol
}

// protocol is MS-OXDSCLI 2.2.4.1.1.2.5. What is empty is left out.
type protocol struct {
	Type           string
	TTL            int      `xml:",omitempty"`
	Server         string   `xml:",omitempty"`
	Port           int      `xml:",omitempty"`
	LoginName      string   `xml:",omitempty"`
	DomainRequired string   `xml:",omitempty"`
	SPA            string   `xml:",omitempty"`
	SSL            string   `xml:",omitempty"`
	Encryption     string   `xml:",omitempty"`
	AuthPackage    string   `xml:",omitempty"`
	AuthRequired   string   `xml:",omitempty"`
	UsePOPAuth     string   `xml:",omitempty"`
	SMTPLast       string   `xml:",omitempty"`
	ASUrl          string   `xml:",omitempty"`
	EwsUrl         string   `xml:",omitempty"`
	OOFUrl         string   `xml:",omitempty"`
	External       *webSite `xml:",omitempty"`
}

type webSite struct{ OWAUrl owaURL }

type owaURL struct {
	AuthenticationMethod string `xml:",attr"`
	URL                  string `xml:",chardata"`
}

// mobileAnswer is MS-ASCMD 2.2.3.153.1.
type mobileAnswer struct {
	XMLName xml.Name `xml:"Response"`
	XMLNS   string   `xml:"xmlns,attr"`
	Culture string
	User    mobileUser
	Server  mobileServer `xml:"Action>Settings>Server"`
}

type mobileUser struct{ DisplayName, EMailAddress string }

type mobileServer struct{ Type, Url, Name string }

// failure is an answer that is an error (MS-OXDSCLI 2.2.4.1.1.3).
type failure struct {
	XMLName xml.Name `xml:"Response"`
	XMLNS   string   `xml:"xmlns,attr,omitempty"`
	Error   struct {
		Time      string `xml:",attr"`
		ID        uint32 `xml:"Id,attr"`
		ErrorCode int
		Message   string
		DebugData string
	}
}

// clientConfig is the autoconfig format 1.1 (draft-ietf-mailmaint-autoconfig).
type clientConfig struct {
	XMLName  xml.Name `xml:"clientConfig"`
	Version  string   `xml:"version,attr"`
	Provider provider `xml:"emailProvider"`
}

type provider struct {
	ID               string       `xml:"id,attr"`
	Domain           string       `xml:"domain"`
	DisplayName      string       `xml:"displayName"`
	DisplayShortName string       `xml:"displayShortName"`
	Incoming         []mailServer `xml:"incomingServer"`
	Outgoing         []mailServer `xml:"outgoingServer"`
}

type mailServer struct {
	Type           string `xml:"type,attr"`
	Hostname       string `xml:"hostname"`
	Port           int    `xml:"port"`
	SocketType     string `xml:"socketType"`
	Authentication string `xml:"authentication"`
	Username       string `xml:"username"`
}
