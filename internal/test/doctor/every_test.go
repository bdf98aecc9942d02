package doctor

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/ops/doctor"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// elsewhere are the tests that break what the rig can't break without breaking itself.
var elsewhere = map[string]string{
	"RATE-3/addresses":   "TestRATE3_AProxyThatIsNotTrustedIsNoticed",
	"DB-4/disk":          "TestDB4_BackupsOnTheDatabasesDiskAreFound",
	"DB-4/ledger":        "TestDB4_ALedgerThatLagsIsFound",
	"ENV-1/ready":        "TestEachBreakTurnsItsCheckAlone", // the server is gone
	"GDPR-3/erasures":    "TestEachBreakTurnsItsCheckAlone", // a hundred days pass
	"COMP-1/passkeys":    "TestEachBreakTurnsItsCheckAlone",
	"GDPR-4/mail":        "TestEachSettingTurnsItsCheckAlone", // with MAIL-2/server
	"RET-3/mail":         "TestEachSettingTurnsItsCheckAlone", // the same
	"JWT-1/files":        "TestJWT1_FilesThatOthersReadAreFound",
	"PW-1/length":        "TestPW1_NoSettingTurnsTheLength",
	"RATE-4/redis-clock": "TestTheDoctorFindsWhatIsBroken",
}

// Each check has a fault that turns it: of the settings, of the rig, or in a test that is named here.
func TestEachCheckIsBrokenBySomeTest(t *testing.T) {
	broken := map[string]bool{}
	for rule := range settingFaults {
		broken[rule] = true
	}
	rules, err := os.ReadFile("faults_test.go")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(b)
	}
	for _, c := range checksOf(load(t, nil), nil, fs.ErrNotExist, time.Now) {
		test := elsewhere[c.Rule()]
		switch {
		case broken[c.Rule()], strings.Contains(string(rules), `("`+c.Rule()+`"`), strings.Contains(string(rules), `rule: "`+c.Rule()+`"`):
		case test == "":
			t.Errorf("no test breaks %s: %s", c.Rule(), c.Title)
		case !strings.Contains(all.String(), "func "+test+"("):
			t.Errorf("%s is to be broken by %s, which there is not", c.Rule(), test)
		}
	}
}

// JWT-1: a secret that an earlier start has left, and that everybody may read, is found.
func TestJWT1_FilesThatOthersReadAreFound(t *testing.T) {
	dbURL := dbtest.SQLite(t)
	dir := filepath.Dir(strings.TrimPrefix(dbURL, "sqlite:"))
	look := func() (found doctor.Finding) {
		t.Helper()
		for _, f := range doctor.Run(t.Context(), checksOf(load(t, map[string]string{"DATABASE_URL": dbURL}), nil, fs.ErrNotExist, time.Now), time.Now()).Findings {
			if f.Rule == "JWT-1/files" {
				found = f
			}
		}
		return found
	}
	key := filepath.Join(dir, "jwt_secret_key")
	if err := os.WriteFile(key, []byte(harness.SecretKey), 0o600); err != nil {
		t.Fatal(err)
	}
	for mode, want := range map[fs.FileMode]doctor.State{0o600: doctor.Passed, 0o640: doctor.Passed, 0o644: doctor.Failed, 0o660: doctor.Failed} {
		if err := os.Chmod(key, mode); err != nil {
			t.Fatal(err)
		}
		if f := look(); f.State != want || want == doctor.Failed && (!strings.Contains(f.Evidence, key) || !strings.Contains(f.Mend, "chmod")) {
			t.Errorf("mode %o: %s, %s", mode, f.State, f.Evidence)
		}
	}
}

// PW-1: settings below the least length are refused, so the check says only which it is.
func TestPW1_NoSettingTurnsTheLength(t *testing.T) {
	checks := checksOf(load(t, map[string]string{"PASSWORD_MIN_LENGTH": "8"}), nil, fs.ErrNotExist, time.Now)
	for _, f := range doctor.Run(t.Context(), checks, time.Now()).Findings {
		if f.Rule == "PW-1/length" && f.State != doctor.Passed {
			t.Errorf("%s: %s", f.State, f.Evidence)
		}
	}
}
