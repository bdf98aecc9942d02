package keyring

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// idSigns are the purposes of ID tokens, one for each algorithm, and idAlgorithms which is which.
var (
	idSigns      = []Purpose{IDSign, IDSignES256}
	idAlgorithms = map[string]Purpose{RS256: IDSign, ES256: IDSignES256}
)

// ErrNoIDSign is what a change fails with that needs a new key for ID tokens and was handed none: [Ring.GenerateIDSign] makes it,
// and the change is made again. To find one within the transaction would keep every other writer waiting for seconds.
var ErrNoIDSign = errors.New("the change needs a new key for ID tokens, which is made before its transaction")

// GenerateIDSign makes a key for ID tokens, for [Fresh]. It takes up to some seconds.
func (r *Ring) GenerateIDSign() ([]byte, error) {
	material, err := generators[IDSign]("", r.random)
	if err != nil {
		return nil, fmt.Errorf("making the key for %s: %w", IDSign, err)
	}
	return material, nil
}

// EnsureIDSign makes the key that signs ID tokens with RS256 or ES256, if there is none yet: only installations that applications
// sign people in with need one, and to find one for RS256 takes up to some seconds. Of several replicas that do so at once one makes it, and of
// many callers within a replica one looks for it while the others wait. This replica knows it once it has polled.
func (r *Ring) EnsureIDSign(ctx context.Context, d *db.DB, algorithm string, now time.Time) error {
	p, ok := idAlgorithms[algorithm]
	if !ok {
		return fmt.Errorf("no ID token is signed with %q", algorithm)
	}
	r.idSign.Lock()
	defer r.idSign.Unlock()
	if r.idSign.made[p] || len(r.Keys(p)) > 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err // it has left while another one looked
	}
	var (
		material []byte
		err      error
	)
	if p == IDSign {
		if material, err = r.GenerateIDSign(); err != nil {
			return err
		}
	}
	err = d.Write(ctx, func(tx *db.Tx) error {
		return r.Change(tx, Fresh{IDSign: material}, now, func(c *Change) error {
			if len(c.Keys[p]) > 0 {
				return nil
			}
			_, err := c.another(p, now)
			return err
		})
	})
	if err == nil {
		if r.idSign.made == nil {
			r.idSign.made = map[Purpose]bool{}
		}
		r.idSign.made[p] = true
	}
	return err
}

// dueIDSign replaces the keys for ID tokens when they have signed for the period, and returns the next ones, which are published for
// Lead before they sign; until then Due is not asked again.
func (c *Change) dueIDSign(period time.Duration) (next []Key, err error) {
	for _, p := range idSigns {
		if !idSignDue(c.Keys[p], c.now, period) {
			continue
		}
		k, err := c.another(p, c.now.Add(Lead))
		if err != nil {
			return nil, err
		}
		next = append(next, k)
	}
	return next, nil
}

func idSignDue(keys []Key, now time.Time, period time.Duration) bool {
	return len(keys) > 0 && period > 0 && !keys[len(keys)-1].From.Add(period).After(now)
}

// another adds the next key, or the first, for a purpose that has one at a time.
func (c *Change) another(p Purpose, from time.Time) (Key, error) {
	k := Key{Purpose: p, N: 1, From: from}
	if keys := c.Keys[p]; len(keys) > 0 {
		k.N = keys[len(keys)-1].N + 1
	}
	var err error
	for algorithm, signs := range idAlgorithms {
		if p == signs { // ID tokens live as long as the access tokens beside them
			k.Algorithm, k.Life = algorithm, c.signing()[len(c.signing())-1].Life
		}
	}
	if p == IDSign {
		if k.Material, c.idSign = c.idSign, nil; k.Material == nil {
			return k, ErrNoIDSign
		}
	} else if k.Material, err = generators[p]("", c.ring.random); err != nil {
		return k, err
	}
	return c.add(k)
}

// hintLife is how long an ID token may name its session after its key was replaced: longer than any session lives.
const hintLife = 366 * 24 * time.Hour
