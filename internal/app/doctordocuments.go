package app

import (
	"context"
	"fmt"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/schema"
	"github.com/gatehouse-auth/gatehouse/internal/feature/consent"
	"github.com/gatehouse-auth/gatehouse/internal/ops/doctor"
)

// documentChecks are about what is known of people, and what they agree to.
func (e Deployment) documentChecks() []doctor.Check {
	return []doctor.Check{
		{ID: "GDPR-1", Name: "inventory", Title: "The database has nothing that the inventory of personal data does not list", Severity: doctor.Medium,
			Ask: e.inventory},
		{ID: "GDPR-2", Name: "consents", Title: "Each document that everybody must agree to is in force", Severity: doctor.Medium,
			Ask: func(ctx context.Context) doctor.Answer {
				if len(e.Config.DocumentsRequired) == 0 {
					return doctor.Excuse("DOCUMENTS_REQUIRED names none")
				}
				return e.read(e.consents)(ctx)
			}},
		{ID: "GDPR-5", Name: "privacy-policy", Title: "The privacy policy is your own", Severity: doctor.Low, Ask: ownText(e.Config.PrivacyFile,
			"Write your privacy policy into a file, and its name into PRIVACY_FILE.", "/privacy says only what Gatehouse itself stores")},
		{ID: "GDPR-5", Name: "terms", Title: "The terms of use are your own", Severity: doctor.Low, Ask: ownText(e.Config.TermsFile,
			"Write your terms of use into a file, and its name into TERMS_FILE.", "/terms says that there are none")},
	}
}

func ownText(path, mend, found string) func(context.Context) doctor.Answer {
	return func(context.Context) doctor.Answer {
		if path == "" {
			return doctor.Fail(mend, "%s", found)
		}
		if _, err := consent.ReadFile(path); err != nil {
			return doctor.Skip("See whether this user may read the file.", err)
		}
		return doctor.Pass("it is a file of yours")
	}
}

// inventory compares the database with the list in the binary.
func (e Deployment) inventory(ctx context.Context) doctor.Answer {
	if e.DB == nil {
		return doctor.Skip(mendDatabase, e.Why)
	}
	columns, err := e.DB.Columns(ctx)
	if err != nil {
		return doctor.Skip(mendDatabase, err)
	}
	if names := schema.Unlisted(columns); len(names) > 0 {
		return doctor.Fail("Move what is not Gatehouse's into a schema or a database of its own: docs/privacy.md does not know it.",
			"the database has what the inventory does not list: %s", strings.Join(names, ", "))
	}
	return doctor.Pass("all of %d tables are in docs/privacy.md", len(columns))
}

// consents looks at the documents that are required.
func (e Deployment) consents(tx *db.Tx) (doctor.Answer, error) {
	all, err := consent.All(tx)
	if err != nil {
		return doctor.Answer{}, err
	}
	var said []string
	for _, name := range e.Config.DocumentsRequired {
		found := false
		for _, d := range all { // the newest first
			if d.Name == name {
				found = true
				said = append(said, fmt.Sprintf("%s, version %d: %d have agreed", name, d.Version, d.Given))
				break
			}
		}
		if !found {
			return doctor.Fail("Start the server: it publishes the documents.", "%s is required, and no version of it is in force", name), nil
		}
	}
	return doctor.Pass("%s", strings.Join(said, "; ")), nil
}
