package alert

import (
	"encoding/json"
	"errors"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// gone stands where an alert named an account that was erased.
const gone = "(erased)"

// Erase makes that nothing here names an account that is being erased: what makes it a canary goes, alerts say that it
// was erased, and the rules forget from where it signed in. A replica that has just read the rules' state may write
// it back as it was; so it is to be done again a little later.
func Erase(tx *db.Tx, accountID string) error {
	if _, err := tx.Exec(`DELETE FROM alert_canary WHERE account_id = $1`, accountID); err != nil {
		return err
	}
	if _, err := tx.Exec(`UPDATE alert SET what = REPLACE(what, $1, $2), look = REPLACE(look, $1, $2)
		WHERE what LIKE '%' || CAST($1 AS TEXT) || '%' OR look LIKE '%' || CAST($1 AS TEXT) || '%'`, accountID, gone); err != nil {
		return err
	}
	var text string
	err := tx.QueryRow(`SELECT state FROM alert_state WHERE one = 1`).Scan(&text)
	if errors.Is(err, db.ErrNoRows) || err == nil && text == "" {
		return nil
	}
	if err != nil {
		return err
	}
	var s State
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return err
	}
	_, known := s.Admins[accountID]
	if !known && s.Place[CanaryTouched] != accountID {
		return nil
	}
	delete(s.Admins, accountID)
	if s.Place[CanaryTouched] == accountID {
		s.Place[CanaryTouched] = gone
	}
	without, err := json.Marshal(s)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`UPDATE alert_state SET state = $2 WHERE one = 1 AND state = $1`, text, string(without))
	return err
}
