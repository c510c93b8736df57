package admin

import (
	"net/http"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mailflow"
)

// statuses gives every kind of refusal its HTTP status; what is not in the table is an internal error.
var statuses = map[cluster.Kind]int{
	cluster.KindBadRequest:     http.StatusBadRequest,
	cluster.KindTooLarge:       http.StatusRequestEntityTooLarge,
	cluster.KindUnavailable:    http.StatusServiceUnavailable,
	cluster.KindNotLeader:      http.StatusServiceUnavailable,
	cluster.KindOverloaded:     http.StatusServiceUnavailable,
	cluster.KindUnknownOutcome: http.StatusGatewayTimeout,
	cluster.KindDeadline:       http.StatusGatewayTimeout,
	cluster.KindUnsafe:         http.StatusConflict,
	cluster.KindExists:         http.StatusConflict,
	cluster.KindGone:           http.StatusGone,
	cluster.KindDiskFull:       http.StatusInsufficientStorage,
	cluster.KindNoMethod:       http.StatusNotImplemented,
	exmdb.KindNoSuchUser:       http.StatusNotFound,
	exmdb.KindNoMailbox:        http.StatusNotFound,
	exmdb.KindNoFolder:         http.StatusNotFound,
	exmdb.KindNoMessage:        http.StatusNotFound,
	exmdb.KindNoProperty:       http.StatusNotFound,
	exmdb.KindStaleToken:       http.StatusGone,
	exmdb.KindExists:           http.StatusConflict,
	exmdb.KindMailboxExists:    http.StatusConflict,
	exmdb.KindInUse:            http.StatusConflict,
	exmdb.KindBadAddress:       http.StatusBadRequest,
	exmdb.KindAccessDenied:     http.StatusForbidden,
	exmdb.KindOverQuota:        http.StatusInsufficientStorage,
	exmdb.KindTooBig:           http.StatusRequestEntityTooLarge,
	exmdb.KindBadContent:       http.StatusBadRequest,
	exmdb.KindBadName:          http.StatusBadRequest,
	exmdb.KindTooComplex:       http.StatusBadRequest,
	exmdb.KindFolderExists:     http.StatusConflict,
	exmdb.KindFixedFolder:      http.StatusConflict,
	exmdb.KindConflict:         http.StatusConflict,
	exmdb.KindKeywordLimit:     http.StatusConflict,
	exmdb.KindNameLimit:        http.StatusConflict,
	exmdb.KindSearchFolder:     http.StatusConflict,
	exmdb.KindObjectDeleted:    http.StatusConflict,
	exmdb.KindNoMember:         http.StatusNotFound,
	cluster.KindContentMissing: http.StatusConflict,
	cluster.KindMoving:         http.StatusServiceUnavailable,
	cluster.KindStaleRequest:   http.StatusGatewayTimeout,
	mailflow.KindNoEntry:       http.StatusNotFound,
}

// status is the HTTP status and the text of a refusal.
func status(err error) (int, string) {
	if code, ok := statuses[cluster.KindOf(err)]; ok {
		return code, err.Error()
	}
	return http.StatusInternalServerError, "internal error: the node's log says more"
}
