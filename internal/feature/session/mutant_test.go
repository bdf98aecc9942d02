package session_test

import (
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/test/mutant"
)

// mutants are mistakes one could make in the rules of refresh tokens. The tests
// of this package must catch every one of them.
var mutants = []mutant.Mutant{
	{"any old token rotates", "rotate.go", "cur        = CASE WHEN cur = $2 OR", "cur        = CASE WHEN TRUE OR"},
	{"the generation stands still", "rotate.go", "THEN gen + 1 ELSE gen END", "THEN gen ELSE gen END"},
	{"the predecessor is forgotten", "rotate.go", "prev       = CASE WHEN cur = $2 THEN cur ELSE prev END", "prev       = prev"},
	{"the predecessor is good for ever", "rotate.go", "(minted_at > $7 OR rotated_at > $8)) THEN NULL ELSE $6 END",
		"(minted_at > $7 OR rotated_at > $8 OR TRUE)) THEN NULL ELSE $6 END"},
	{"a race gets a successor of its own", "rotate.go", "OR (prev = $2 AND minted_at <= $7) THEN $3", "OR (prev = $2) THEN $3"},
	{"a retry gets the dead successor", "rotate.go", "cur = $2 OR (prev = $2 AND minted_at <= $7) THEN $3", "cur = $2 THEN $3"},
	{"a retry keeps the old salt", "rotate.go", "cur = $2 OR (prev = $2 AND minted_at <= $7) THEN $4", "cur = $2 THEN $4"},
	{"reuse does not end the session", "rotate.go", "THEN NULL ELSE $6 END,\n\tended_why", "THEN NULL ELSE NULL END,\n\tended_why"},
	{"reuse ends it but hands out a token", "../../base/rotation/turn.go", "if row.EndedWhy != nil {", "if row.EndedWhy != nil && *row.EndedWhy == WhyAhead {"},
	{"ahead is taken for reuse", "rotate.go", "WHEN $5 > gen THEN 'ahead'", "WHEN $5 > gen + 100 THEN 'ahead'"},
	{"the grace begins at the rotation only", "rotate.go", "prev = $2 AND (minted_at > $7 OR", "prev = $2 AND (rotated_at > $7 OR"},
	{"idle sessions live on", "rotate.go", " AND idle_at > $6 AND", " AND"},
	{"sessions in use live for ever", "rotate.go", "AND idle_at > $6 AND max_at > $6", "AND idle_at > $6"},
	{"a refresh token is said to outlive its session", "rotate.go", "earlier(db.Time(r.idleAt), db.Time(r.maxAt))", "db.Time(r.idleAt)"},
	{"a refresh does not prolong the session", "rotate.go", "THEN $9 ELSE idle_at END", "THEN idle_at ELSE idle_at END"},
	{"ended sessions rotate", "rotate.go", "ended_at IS NULL AND idle_at", "idle_at"},
	{"the MAC is not looked at", "../../base/rotation/token.go", "if of < 0 {", "if of = max(of, 0); false {"},
	{"a token of a cookie is any token", "../../base/rotation/token.go", "if t.Kind == Session {", "if t.Kind == Session || t.Kind == Cookie {"},
	{"the secret is not hashed", "../../base/rotation/token.go", "h.Write(t.secret[:])", ""},
	{"the epoch is not looked at", "../../base/rotation/token.go", "if ok && t.Epoch == epoch {", "if ok {"},
	{"another account's session can be ended", "session.go", "AND ($4 = '' OR account_id = $4)", "AND ($4 = '' OR account_id <> '')"},
}

func TestTheTestsCatchEveryMutant(t *testing.T) {
	// SQLite alone is enough to judge by, and quicker.
	mutant.Judge(t, "JWT|ASVS|Token|Forget/sqlite", mutants)
}
