package backup_test

import (
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/test/mutant"
)

// mutants are the mistakes that one could make with the ledger, those of the model that the rules were tried in among them.
var mutants = []mutant.Mutant{
	{Name: "no flush before the manifest", File: "create.go", From: "if w.Ledger != nil {", To: "if w.Ledger != nil && len(w.unportable) > 0 {"},
	{Name: "dead ends allowed", File: "restore.go", From: "if !r.Abandoned && !r.Drill {", To: "if !r.Abandoned && r.Drill {"},
	{Name: "erasures alone in the ledger", File: "reduces.go", From: `return out, out.What != "" && (person || out.Of != "" || len(out.Networks) > 0)`,
		To: "return out, out.What == accountErased && !person"},
	{Name: "by leaf, without the timeline", File: "decisions.go", From: "if s != own || e.Leaf >= m.Log.Size {", To: "if e.Leaf >= m.Log.Size {"},
	{Name: "later histories do not count", File: "decisions.go", From: "timeline != m.Timeline && epoch <= m.Epoch", To: "timeline != m.Timeline"},
	{Name: "its own history does not count", File: "decisions.go", From: "if s != own || e.Leaf >= m.Log.Size {", To: "if s != own {"},
	{Name: "a gap is none", File: "decisions.go", From: "if seg.From > until {", To: "if seg.From > until+1000 {"},
	{Name: "a file is what its name says", File: "decisions.go", From: "s.From != from || s.Until != until {", To: "s.From < 0 {"},
	{Name: "who can encrypt can write", File: "decisions.go", From: "text, err = r.Trust.signed(text, install)",
		To: "text, err = Trust{Unsigned: true}.signed(text, install)"},
	{Name: "nobody misses who was erased", File: "decisions.go", From: "if n[accountErased] > len(d.erased) {", To: "if n[accountErased] > 10+len(d.erased) {"},
	{Name: "a restore gives roles", File: "replay.go", From: "return !slices.Contains(e.Roles, role)", To: "return len(e.Roles) == 0"},
	{Name: "the first state counts", File: "replay.go", From: "slices.Backward(d.entries)", To: "slices.All(d.entries)"},
	{Name: "mails go to an address that came back", File: "replay.go", From: "if e.What == addressChanged {", To: "if e.What == networkBlocked {"},
	{Name: "what was decided waits for the minute", File: "ledger.go", From: "!all && len(s.Entries) == 0 &&", To: "!all &&"},
	{Name: "a store that is away is left out", File: "ledger.go", From: "err := l.put(ctx, h, s); err != nil {\n\t\t\treturn h",
		To: "err := l.put(ctx, h, s); err == nil && h.leaf < -1 {\n\t\t\treturn h"},
	{Name: "what backups need is deleted", File: "ledger.go", From: "return until <= oldest.Log.Size", To: "return until > oldest.Log.Size"},
}

// seeded are the mistakes of the model that the rules were tried in: random histories find them too.
var seeded = []mutant.Mutant{
	mutants[0], mutants[1], mutants[2],
	{Name: "epoch + 1", File: "restore.go", From: "epoch = max(epoch, used+1)", To: "epoch = max(epoch, min(used, 1))"},
	{Name: "the last state does not count", File: "replay.go", From: "slices.Backward(d.entries)", To: "slices.All(d.entries)"},
	{Name: "who was erased is back", File: "replay.go", From: "if len(all.erased) == 0 {", To: "if len(all.erased) >= 0 {"},
}

// Each mistake with the ledger is found.
func TestDB4_TheTestsFindTheMistakesWithTheLedger(t *testing.T) {
	mutant.Judge(t, "AnAbandonedHistory|MustNotUndo/sqlite|OfEachHistory|TamperingWithTheLedger|TheLedgerWaits|TheLedgerIsTidied", mutants)
}

// The random histories find the seeded mistakes by themselves.
func TestDB4_TheModelFindsTheSeededMistakes(t *testing.T) {
	mutant.Judge(t, "TestDB4_RandomHistories", seeded)
}
