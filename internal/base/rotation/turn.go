package rotation

import (
	"errors"

	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// Turn is how the use of a refresh token ended.
type Turn string

// The turns. Rotated, Raced and Retried come with a new token; after Reused and
// Ahead the row has ended; Refused touched nothing.
const (
	// Rotated: the current token was used, and replaced.
	Rotated Turn = "rotated"
	// Raced: the token before it was used within the grace, and got the very same
	// successor as the first.
	Raced Turn = "raced"
	// Retried: the token before it was used while its successor was unused, and
	// got a fresh one; the unused one is dead.
	Retried Turn = "retried"
	// Reused: an older token was used, so two parties hold this chain.
	Reused Turn = "reused"
	// Ahead: the token is newer than the row, so the database went back in time.
	Ahead Turn = "ahead"
	// Refused: the row has ended, or never was.
	Refused Turn = "refused"
	// Forged: the token is not ours. The database was not asked.
	Forged Turn = "forged"
	// Outdated: the token is from before a restore of the database.
	Outdated Turn = "outdated"
	// FromCookie: the token was given to a browser as a cookie, and came in a body. Nothing
	// was touched.
	FromCookie Turn = "from_cookie"
)

// Good reports whether a turn comes with a new token.
func (t Turn) Good() bool { return t == Rotated || t == Raced || t == Retried }

// WhyReuse and WhyAhead are what the statement of a rotation writes down of a row that it ends.
const (
	WhyReuse = "reuse"
	WhyAhead = "ahead"
)

// Settled is a row as the statement of a rotation returns it.
type Settled struct {
	Generation uint32
	// Cur is the hash of the current token, and Salt what that is derived from.
	Cur, Salt []byte
	// RotatedAt is when the current generation began, in microseconds.
	RotatedAt int64
	// EndedWhy says why the row has ended; nil for one that lives.
	EndedWhy *string
}

// Settle tells what the statement has done for a token that was presented: the turn, and the successor if there is one.
// candidate is what it was offered as one, at a time in microseconds.
func Settle(k Keys, candidate Token, row Settled, at int64) (next Token, turn Turn, err error) {
	if row.EndedWhy != nil {
		if *row.EndedWhy == WhyAhead {
			return Token{}, Ahead, nil
		}
		return Token{}, Reused, nil
	}
	if !secret.Equal(row.Cur, candidate.Hash()) {
		next = Derived(k, candidate.Kind, candidate.Epoch, candidate.Of, row.Generation, row.Salt)
		if !secret.Equal(row.Cur, next.Hash()) {
			return Token{}, "", errors.New("the current refresh token can't be derived again")
		}
		return next, Raced, nil
	}
	if row.RotatedAt == at {
		return candidate, Rotated, nil
	}
	return candidate, Retried, nil
}
