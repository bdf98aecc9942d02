package user

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

// Whoever has a passkey alone has a second factor, and an operator sees which.
func TestFactorsOfEachKindAreListed(t *testing.T) {
	at := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	own := operate.OwnedFactors{Owned: factor.Owned{
		Keys: []factor.Passkey{
			{ID: "1", Name: "laptop", RPID: "id.example.org", MadeAt: at, UsedAt: at.Add(time.Hour)},
			{ID: "2", Name: "key ring", RPID: "old.example.org", MadeAt: at, SuspectAt: at},
		},
		CodesLeft: 8,
	}}
	want := [][]string{
		{"FACTOR", "NAME", "ADDED", "USED"},
		{"passkey", "laptop (id.example.org)", "2026-11-29T12:00:00Z", "2026-11-29T13:00:00Z"},
		{"passkey, suspended", "key ring (old.example.org)", "2026-11-29T12:00:00Z", ""},
		{"8 recovery codes", "", "", ""},
	}
	if diff := cmp.Diff(want, shown(account.Account{}, own).table()); diff != "" {
		t.Error(diff)
	}
	own.App = &factor.OwnedApp{MadeAt: at}
	if lines := shown(account.Account{}, own).table(); len(lines) != 5 || lines[1][0] != "totp" {
		t.Errorf("with an app: %v", lines)
	}
	if lines := shown(account.Account{}, operate.OwnedFactors{}).table(); lines != nil {
		t.Errorf("with none: %v", lines)
	}
}
