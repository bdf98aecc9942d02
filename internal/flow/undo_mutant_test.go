package flow

import (
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/test/mutant"
)

// undoMutants are mistakes one could make in the rules of the way back. The model must
// catch every one of them.
var undoMutants = []mutant.Mutant{
	{"later undos outlive an earlier one (case A1)", "../feature/ticket/undo.go", "AND (purpose <> 'undo' OR seq >= $3)",
		"AND (purpose <> 'undo' OR seq > $3 + 1000)"},
	{"an undo voids no other links", "../feature/ticket/undo.go", "AND (purpose <> 'undo' OR seq >= $3)", "AND (purpose = 'undo' AND seq >= $3)"},
	{"an address that an undo leads to is free (case A2)", "undo.go", "if err != nil || !found {\n\t\treturn \"\", false, err",
		"if err != nil || found || !found {\n\t\treturn \"\", false, err"},
	{"a claim does not give way (case A2)", "../feature/account/holder.go", "AND id <> $2 AND verified_at IS NULL", "AND id = $2 AND verified_at IS NULL"},
	{"a changed password is not kept (case A3)", "../feature/account/former.go", "return s.keep(tx, -1, nil, now)", "return nil"},
	{"a password that the thief's mailbox reset is not kept", "../feature/account/former.go", "return s.keep(tx, s.resetN, &s.addressN, now)", "return nil"},
	{"a reset sets passwords aside for earlier undos", "../feature/account/former.go", "(to_n IS NULL OR to_n >= $2)", "(to_n IS NULL)"},
	{"a reset forgets what earlier undos need", "../feature/account/former.go", "oldest = min(oldest, seq)", "oldest = max(oldest, seq)"},
	{"only the current password opens an undo", "../feature/account/former.go", "from_n < $2 AND", "from_n > $2 AND"},
	{"\"this wasn't me\" voids undos", "../feature/ticket/ticket.go", "account_id = $1 AND purpose <> 'undo' AND used_at IS NULL",
		"account_id = $1 AND used_at IS NULL"},
	{"an undo demands no new password", "../feature/account/holder.go",
		"SET reset_at = COALESCE(reset_at, $2), password_n = password_n + 1 WHERE id = $1 AND disabled_at IS NULL",
		"SET reset_at = CASE WHEN $2 > 0 THEN reset_at END, password_n = password_n + 1 WHERE id = $1 AND disabled_at IS NULL"},
}

func TestTheModelCatchesEveryMutantOfTheUndo(t *testing.T) {
	mutant.Judge(t, "CaseA_Model", undoMutants)
}
