package autodiscover

import (
	"log/slog"
	"net/http"
	"strconv"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
)

// The kinds of this package's own refusals; they never leave it.
const (
	kindInvalid cluster.Kind = 60000 + iota
	kindNoProvider
	kindNoMailbox
	kindTooBig
)

var (
	errInvalid    = cluster.Errorf(kindInvalid, "not an Autodiscover request")
	errNoProvider = cluster.Errorf(kindNoProvider, "no answer in the wanted schema")
	errNoMailbox  = cluster.Errorf(kindNoMailbox, "the address has no mailbox")
	errTooLarge   = cluster.Errorf(kindTooBig, "the request is too large")
)

// status is a refusal: the ErrorCode of MS-OXDSCLI 2.2.4.1.1.3.2, or zero where HTTP alone says it; HTTP's code; a
// sentence; and the seconds after which to try again.
type status struct {
	pox, http int
	text      string
	retry     int
}

func statuses() map[cluster.Kind]status {
	unknown := status{500, http.StatusNotFound, "The email address cannot be found.", 0}
	later := status{0, http.StatusServiceUnavailable, "The service is not available, try again.", 5}
	return map[cluster.Kind]status{
		kindInvalid:    {600, http.StatusBadRequest, "Invalid Request", 0},
		kindNoProvider: {601, http.StatusBadRequest, "Provider is not available", 0},
		kindNoMailbox:  {501, http.StatusNotFound, "The address has no mailbox.", 0},
		kindTooBig:     {0, http.StatusRequestEntityTooLarge, "The request is too large.", 0},

		exmdb.KindNoSuchUser: unknown,
		exmdb.KindBadAddress: unknown,

		cluster.KindNotLeader:      later,
		cluster.KindUnknownOutcome: later,
		cluster.KindOverloaded:     later,
		cluster.KindUnavailable:    later,
		cluster.KindNoSpace:        later,
		cluster.KindDeadline:       later,
		cluster.KindMoving:         later,
	}
}

// statusOf is an error as clients are told it.
func statusOf(err error) status {
	if s, ok := statuses()[cluster.KindOf(err)]; ok {
		return s
	}
	return status{603, http.StatusInternalServerError, "The server has made a mistake.", 0}
}

func (s *Server) refuseHTTP(w http.ResponseWriter, r *http.Request, is status, err error) {
	if is.http == http.StatusInternalServerError {
		s.bug(r, err)
	}
	if is.retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(is.retry))
	}
	http.Error(w, is.text, is.http)
}

// bug leaves a line of what only a developer can mend.
func (s *Server) bug(r *http.Request, err error) {
	s.log.LogAttrs(r.Context(), slog.LevelError, "autodiscover failed", slog.String("code", "AU-9001"), slog.Any("err", err))
}

// write sends a whole answer. A client that went away meanwhile is nothing to act on.
func (s *Server) write(w http.ResponseWriter, r *http.Request, kind string, code int, body []byte) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(code)
	if _, err := w.Write(body); err != nil {
		s.log.LogAttrs(r.Context(), slog.LevelDebug, "answer not taken", slog.Any("err", err))
	}
}
