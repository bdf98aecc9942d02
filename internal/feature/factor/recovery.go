package factor

import (
	"crypto/sha256"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

const (
	// codeAlphabet has no two characters that are taken for one another: five bits each.
	codeAlphabet = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
	// CodesMade is how many recovery codes are made at a time; codeLength how many characters
	// each has: 120 bits, so that a plain hash keeps it (ASVS 6.5.2).
	CodesMade  = 10
	codeLength = 24
	codeGroup  = 4
	// CodesLow is how many are left when every sign-in says so.
	CodesLow = 3
)

// recoveryHash is how a recovery code is kept. The account stands in it, so that a row that is
// copied to another account opens nothing.
func recoveryHash(account, code string) []byte {
	h := sha256.New()
	h.Write([]byte("gatehouse/recovery/1\x00" + account + "\x00" + code))
	return h.Sum(nil)
}

// ParseRecoveryCode returns a recovery code as it was made, however it was typed: in any case,
// with or without dashes. It is empty for what can be none.
func ParseRecoveryCode(typed string) string {
	var b strings.Builder
	for _, r := range strings.ToUpper(typed) {
		switch {
		case r == ' ' || r == '-' || r == '\u00a0' || r == '\u2010' || r == '\u2011':
		case r < 0x80 && strings.ContainsRune(codeAlphabet, r):
			b.WriteRune(r)
		default:
			return ""
		}
		if b.Len() > codeLength {
			return ""
		}
	}
	if b.Len() != codeLength {
		return ""
	}
	return b.String()
}

// MakeCodes makes ten recovery codes in the place of all before, and returns them in groups of
// four. Whoever calls it holds the account's row. The statements are deferred.
func (s *Store) MakeCodes(tx *db.Tx, account string, now time.Time) (codes []string) {
	tx.Defer(`DELETE FROM recovery_code WHERE account_id = $1`, account)
	for range CodesMade {
		b := s.random.Bytes(codeLength)
		for i := range b {
			b[i] = codeAlphabet[int(b[i])%len(codeAlphabet)] // 32 divides 256: all are equally likely
		}
		code := string(b)
		tx.Defer(`INSERT INTO recovery_code (account_id, hash, made_at, used_at) VALUES ($1, $2, $3, NULL)`, account, recoveryHash(account, code), db.Micros(now))
		codes = append(codes, Grouped(code))
	}
	return codes
}

// Grouped returns a recovery code as people read it: in groups of four.
func Grouped(code string) string {
	var groups []string
	for i := 0; i+codeGroup <= len(code); i += codeGroup {
		groups = append(groups, code[i:i+codeGroup])
	}
	return strings.Join(groups, "-")
}

// HasCode reports whether a recovery code, as [ParseRecoveryCode] returns it, is the account's
// and unused.
func HasCode(tx *db.Tx, account, code string) (bool, error) {
	var n int64
	err := tx.QueryRow(`SELECT COUNT(*) FROM recovery_code WHERE account_id = $1 AND hash = $2 AND used_at IS NULL AND suspect_at IS NULL`,
		account, recoveryHash(account, code)).Scan(&n)
	return n == 1, err
}

// UseCode spends a recovery code, and reports whether it was there to be spent: of any number
// at once one gets it. Whoever calls it holds the account's row.
func UseCode(tx *db.Tx, account, code string, now time.Time) (bool, error) {
	n, err := tx.Exec(`UPDATE recovery_code SET used_at = $3 WHERE account_id = $1 AND hash = $2 AND used_at IS NULL AND suspect_at IS NULL`,
		account, recoveryHash(account, code), db.Micros(now))
	return n == 1, err
}

// CodesLeft is how many recovery codes of an account are unused.
func CodesLeft(tx *db.Tx, account string) (int, error) {
	var n int64
	err := tx.QueryRow(`SELECT COUNT(*) FROM recovery_code WHERE account_id = $1 AND used_at IS NULL AND suspect_at IS NULL`, account).Scan(&n)
	return int(n), err
}

// RemoveCodes deletes all recovery codes of an account.
func RemoveCodes(tx *db.Tx, account string) error {
	_, err := tx.Exec(`DELETE FROM recovery_code WHERE account_id = $1`, account)
	return err
}
