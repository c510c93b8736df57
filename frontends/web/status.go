package web

import (
	"net/http"
	"strconv"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
)

// reply is a refusal: a status, a sentence for people, and the seconds after which to try again, zero for never.
type reply struct {
	code  int
	text  string
	retry int
}

// statuses is what sign-in's refusals are in HTTP. It does not tell whether a user exists.
func statuses() map[cluster.Kind]reply {
	failed := reply{code: http.StatusUnauthorized, text: "Sign-in failed."}
	later := reply{code: http.StatusServiceUnavailable, text: "The service is not available, try again.", retry: 5}
	return map[cluster.Kind]reply{
		exmdb.KindBadPassword: failed,
		exmdb.KindNoSuchUser:  failed,
		exmdb.KindBadAddress:  failed,
		exmdb.KindDisabled:    {code: http.StatusForbidden, text: "Sign-in is not allowed."},
		exmdb.KindThrottled:   {code: http.StatusTooManyRequests, text: "Too many failures, try again later.", retry: 60},

		cluster.KindNotLeader:      later,
		cluster.KindUnknownOutcome: later,
		cluster.KindOverloaded:     later,
		cluster.KindUnavailable:    later,
		cluster.KindNoSpace:        later,
		cluster.KindDeadline:       later,
		cluster.KindMoving:         later,
	}
}

// statusOf is an error in HTTP.
func statusOf(err error) reply {
	if r, ok := statuses()[cluster.KindOf(err)]; ok {
		return r
	}
	return reply{code: http.StatusInternalServerError, text: "The server has made a mistake."}
}

func refuse(w http.ResponseWriter, r reply) {
	if r.retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(r.retry))
	}
	http.Error(w, r.text, r.code)
}
