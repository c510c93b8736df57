// Package bench measures a cluster of three real processes on this machine, fsync on, and writes what it found to
// docs/measurements. It says when a bound is broken that the documents promise; the rest a person, or a later run, compares.
package bench

import (
	"net"
	"time"

	"github.com/emersion/go-smtp"
)

// dialAt opens an LMTP connection.
func dialAt(addr string) (*smtp.Client, error) {
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	return smtp.NewClientLMTP(conn), nil
}
