package scram

import (
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha512"
	"io"

	"github.com/xdg-go/scram"
)

// decoyKey is the process's own, so that what an unknown user is given stays the
// same when the configuration is loaded anew.
var decoyKey = func() (key [sha512.Size]byte) {
	_, _ = rand.Read(key[:]) // never fails
	return key
}()

// cost is what a client can see of a user's keys, but for the salt itself.
type cost struct{ iterations, salt int }

// commonest returns the cost that most users have; of several, the least. Users
// who have another can be told from those who do not exist.
func commonest(keys Keys) cost {
	best, counts := cost{iterations: 10_000, salt: 16}, make(map[cost]int) // as mqttward passwd makes them
	for _, k := range keys {
		counts[cost{k.Iters, len(k.Salt)}]++
	}
	most := 0
	for c, n := range counts {
		less := cmp.Or(cmp.Compare(c.iterations, best.iterations), cmp.Compare(c.salt, best.salt)) < 0
		if n > most || n == most && less {
			best, most = c, n
		}
	}
	return best
}

// decoy returns keys for a name that has none. Their salt is always the same,
// and another for the other mechanism, as a user's is.
func (m *mechanism) decoy(username string) scram.StoredCredentials {
	h := hmac.New(sha512.New, decoyKey[:])
	_, _ = io.WriteString(h, m.name+" "+username) // never fails
	salt := h.Sum(nil)[:m.common.salt]            // at most 64 bytes
	size := m.hash().Size()
	return scram.StoredCredentials{
		KeyFactors: scram.KeyFactors{Salt: string(salt), Iters: m.common.iterations},
		StoredKey:  make([]byte, size), ServerKey: make([]byte, size), // the hash of nothing that can be found
	}
}
