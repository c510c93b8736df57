package auth

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"

	"golang.org/x/crypto/argon2"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// Verifiers is what is kept of a password (MAILBOX 8): argon2id, and the keys of SCRAM-SHA-256 (RFC 5803). Tags reach
// disk.
type Verifiers struct {
	Salt    []byte `wire:"1"`
	Hash    []byte `wire:"2"`
	Memory  uint32 `wire:"3"` // KiB
	Time    uint32 `wire:"4"`
	Threads uint8  `wire:"5"`

	ScramSalt       []byte       `wire:"6"`
	ScramIterations uint32       `wire:"7"`
	StoredKey       []byte       `wire:"8"`
	ServerKey       []byte       `wire:"9"`
	Unknown         wire.Unknown `json:"-"`
}

// The cost of new verifiers.
const (
	argonMemory     = 19 << 10
	argonTime       = 2
	argonThreads    = 1
	hashBytes       = 32
	saltBytes       = 16
	scramIterations = 4096
)

// MaxPassword bounds what is hashed, in bytes.
const MaxPassword = 1024

// NewVerifiers makes the verifiers of a password, coded for the directory. It costs tens of milliseconds.
func NewVerifiers(password string) ([]byte, error) {
	if len(password) == 0 || len(password) > MaxPassword {
		return nil, cluster.Errorf(cluster.KindBadRequest, "a password has 1 to %d bytes", MaxPassword)
	}
	v := Verifiers{Salt: make([]byte, saltBytes), ScramSalt: make([]byte, saltBytes),
		Memory: argonMemory, Time: argonTime, Threads: argonThreads, ScramIterations: scramIterations}
	for _, salt := range [][]byte{v.Salt, v.ScramSalt} {
		if _, err := rand.Read(salt); err != nil {
			return nil, fmt.Errorf("draw salt: %w", err)
		}
	}
	v.Hash = argon2.IDKey([]byte(password), v.Salt, v.Time, v.Memory, v.Threads, hashBytes)
	salted, err := pbkdf2.Key(sha256.New, password, v.ScramSalt, scramIterations, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("derive SCRAM keys: %w", err)
	}
	client := sha256.Sum256(mac(salted, "Client Key"))
	v.StoredKey, v.ServerKey = client[:], mac(salted, "Server Key")
	return wire.Marshal(&v), nil
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// verify compares in constant time. Costs beyond what NewVerifiers sets are refused: they would let one record take
// the node's memory.
func (v *Verifiers) verify(password string) bool {
	if len(password) > MaxPassword || v.Memory > 256<<10 || v.Time == 0 || v.Time > 16 || v.Threads == 0 || len(v.Hash) != hashBytes {
		return false
	}
	h := argon2.IDKey([]byte(password), v.Salt, v.Time, v.Memory, v.Threads, hashBytes)
	return subtle.ConstantTimeCompare(h, v.Hash) == 1
}
