package factor

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // RFC 6238's, which every app reads; HMAC does not need it to resist collisions
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

const (
	// stepLength is how long a code is shown (RFC 6238 section 5.2), and codeDigits how
	// many digits it has.
	stepLength = 30 * time.Second
	codeDigits = 6
	// appSecretSize is the size of a secret in bytes (RFC 4226 section 4, R6).
	appSecretSize = 20
	// OfferLife is how long a secret waits for the code that confirms it, and offerTries how
	// many tries there are.
	OfferLife  = 10 * time.Minute
	offerTries = 5
)

// ErrOfferOver is for a secret that waits for no code any more.
var ErrOfferOver = fault.New(fault.Invalid, "offer_over",
	"This secret is no longer waiting for a code: it does so for ten minutes and five tries, where it was asked for. Please ask for a new one.")

// stepOf is the number of the step that a time lies in.
func stepOf(t time.Time) int64 { return t.Unix() / int64(stepLength/time.Second) }

// codeOf is the code that an app shows in a step: RFC 4226 section 5.3 over RFC 6238's
// counter, six digits, HMAC-SHA-1.
func codeOf(appSecret []byte, step int64) string {
	h := hmac.New(sha1.New, appSecret)
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(step))) //nolint:gosec // a count of seconds, not negative
	sum := h.Sum(nil)
	n := binary.BigEndian.Uint32(sum[sum[len(sum)-1]&0xf:]) & 0x7fffffff
	return fmt.Sprintf("%0*d", codeDigits, n%1_000_000)
}

// Verdict is what a code turns out to be.
type Verdict uint8

// The verdicts.
const (
	Wrong Verdict = iota
	// Used is for a code that fits, but of a step that is not later than the last one used.
	Used
	Right
)

// Judge says what a code is by the clock: of the steps before, now and after whose code it is,
// the earliest later than the last that was used. All three are computed and compared.
func Judge(appSecret []byte, code string, lastStep int64, now time.Time) (step int64, v Verdict) {
	at := stepOf(now)
	for _, s := range []int64{at + 1, at, at - 1} {
		if !secret.Equal([]byte(codeOf(appSecret, s)), []byte(code)) {
			continue
		}
		switch {
		case s > lastStep:
			step, v = s, Right
		case v == Wrong:
			v = Used
		}
	}
	return step, v
}

// ParseAppCode returns a code as it was typed, without its spaces; it is empty for what can be
// none.
func ParseAppCode(typed string) string {
	code := strings.Map(func(r rune) rune {
		switch {
		case r == ' ' || r == '\u00a0' || r == '\u202f' || r == '-':
			return -1
		case r < '0' || r > '9':
			return 'x'
		}
		return r
	}, typed)
	if len(code) != codeDigits || strings.Contains(code, "x") {
		return ""
	}
	return code
}

// AppRow is an app in force, as its row has it.
type AppRow struct {
	ID             string
	Account        string
	sealed         []byte
	LastStep       int64
	MadeAt, UsedAt time.Time
	// SuspectAt is since when it may be an attacker's, and opens nothing; zero if it is not.
	SuspectAt time.Time
}

// AppOf returns the account's app, and whether it has one.
func AppOf(tx *db.Tx, account string) (a AppRow, found bool, err error) {
	a, err = scanApp(tx.QueryRow(`SELECT id, account_id, sealed, last_step, made_at, used_at, suspect_at FROM totp WHERE account_id = $1`, account).Scan)
	if errors.Is(err, db.ErrNoRows) {
		return AppRow{}, false, nil
	}
	return a, err == nil, err
}

func scanApp(scan func(dest ...any) error) (a AppRow, err error) {
	var (
		made          int64
		used, suspect *int64
	)
	if err = scan(&a.ID, &a.Account, &a.sealed, &a.LastStep, &made, &used, &suspect); err != nil {
		return AppRow{}, err
	}
	a.MadeAt, a.UsedAt, a.SuspectAt = db.Time(made), db.TimeOrZero(used), db.TimeOrZero(suspect)
	return a, nil
}

// appContext is what an app's secret is sealed with.
func appContext(account, id string) string { return "gatehouse/totp/1 " + account + " " + id }

// Secret opens an app's secret.
func (s *Store) Secret(a AppRow) ([]byte, error) {
	plain, err := s.open(a.sealed, appContext(a.Account, a.ID))
	if err != nil {
		return nil, fmt.Errorf("the secret of an app can't be opened: %w", err)
	}
	return plain, nil
}

// UseStep spends a code, and all before it, and reports whether it was there to be spent:
// of any number at once one gets it. Whoever calls it holds the account's row.
func UseStep(tx *db.Tx, a AppRow, step int64, now time.Time) (bool, error) {
	n, err := tx.Exec(`UPDATE totp SET last_step = $3, used_at = $4 WHERE account_id = $1 AND id = $2 AND last_step < $3 AND suspect_at IS NULL`,
		a.Account, a.ID, step, db.Micros(now))
	return n == 1, err
}

// Offer makes a secret that waits for its first code, in the place of one that was offered
// before, and returns it. The holder is the session or the pending sign-in that asks.
// Whoever calls it holds no row that comes after those of factors.
func (s *Store) Offer(tx *db.Tx, account, holder string, now time.Time) (appSecret []byte, err error) {
	appSecret = s.random.Bytes(appSecretSize)
	id := s.random.ID(now)
	_, err = tx.Exec(`INSERT INTO totp_offer (account_id, id, holder, sealed, tries, expires_at) VALUES ($1, $2, $3, $4, 0, $5)
		ON CONFLICT (account_id) DO UPDATE SET id = excluded.id, holder = excluded.holder, sealed = excluded.sealed, tries = 0,
			expires_at = excluded.expires_at`,
		account, id, holder, s.seal(appSecret, appContext(account, id)), db.Micros(now.Add(OfferLife)))
	return appSecret, err
}

// Offered is a secret that waits for its first code.
type Offered struct {
	ID, Account string
	sealed      []byte
}

// TryOffer takes a try at the first code of a secret, before it is looked at, or returns
// ErrOfferOver.
func TryOffer(tx *db.Tx, account, holder string, now time.Time) (o Offered, err error) {
	err = tx.QueryRow(`UPDATE totp_offer SET tries = tries + 1 WHERE account_id = $1 AND holder = $2 AND tries < $3 AND expires_at > $4
		RETURNING id, account_id, sealed`, account, holder, offerTries, db.Micros(now)).Scan(&o.ID, &o.Account, &o.sealed)
	if errors.Is(err, db.ErrNoRows) {
		err = ErrOfferOver
	}
	return o, err
}

// OfferOf returns the secret that waits for its first code, or ErrOfferOver. It takes no try.
func OfferOf(tx *db.Tx, account, holder string, now time.Time) (o Offered, err error) {
	err = tx.QueryRow(`SELECT id, account_id, sealed FROM totp_offer WHERE account_id = $1 AND holder = $2 AND tries < $3 AND expires_at > $4`,
		account, holder, offerTries, db.Micros(now)).Scan(&o.ID, &o.Account, &o.sealed)
	if errors.Is(err, db.ErrNoRows) {
		err = ErrOfferOver
	}
	return o, err
}

// OfferedSecret opens it.
func (s *Store) OfferedSecret(o Offered) ([]byte, error) {
	return s.Secret(AppRow{ID: o.ID, Account: o.Account, sealed: o.sealed})
}

// Confirm puts an offered secret in force, in the place of the app before, if it is still
// offered, or returns ErrOfferOver. The step is that of the code that confirmed it, which
// signs nobody in. Whoever calls it holds the account's row.
func Confirm(tx *db.Tx, o Offered, step int64, now time.Time) error {
	n, err := tx.Exec(`DELETE FROM totp_offer WHERE account_id = $1 AND id = $2`, o.Account, o.ID)
	if err == nil && n == 0 {
		err = ErrOfferOver
	}
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO totp (account_id, id, sealed, last_step, made_at, used_at) VALUES ($1, $2, $3, $4, $5, NULL)
		ON CONFLICT (account_id) DO UPDATE SET id = excluded.id, sealed = excluded.sealed, last_step = excluded.last_step,
			made_at = excluded.made_at, used_at = NULL, suspect_at = NULL`, o.Account, o.ID, o.sealed, step, db.Micros(now))
	return err
}

// RemoveApp deletes the account's app, and reports whether there was one.
func RemoveApp(tx *db.Tx, account string) (bool, error) {
	n, err := tx.Exec(`DELETE FROM totp WHERE account_id = $1`, account)
	return n == 1, err
}

// ForgetOffers deletes up to limit secrets that wait for no code any more, and returns how
// many they were.
func ForgetOffers(tx *db.Tx, now time.Time, limit int) (int64, error) {
	return tx.Exec(`DELETE FROM totp_offer WHERE account_id IN (SELECT account_id FROM totp_offer WHERE expires_at <= $1 LIMIT $2)`,
		db.Micros(now), limit)
}

// Text is a secret for typing: base32 without padding.
func Text(appSecret []byte) string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(appSecret)
}

// fromText reads what [Text] writes, in either case and with or without padding.
func fromText(text string) ([]byte, error) {
	return base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ToUpper(strings.TrimRight(text, "=")))
}

// URI is a secret as apps read it from a QR code (the Key URI Format). A colon within the
// issuer or the address would end the label's first part, so there is none.
func URI(issuer, address string, appSecret []byte) string {
	issuer, address = strings.ReplaceAll(issuer, ":", ""), strings.ReplaceAll(address, ":", "")
	return "otpauth://totp/" + escape(issuer) + ":" + escape(address) + "?secret=" + Text(appSecret) + "&issuer=" + escape(issuer)
}

// escape percent-encodes a text; a space is %20, since apps show a plus as it is.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
