package privacy

import (
	"slices"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/schema"
)

// told says of each table that points at a person where a copy has its rows, or why it does not.
var told = map[string]string{
	"account":         "export.json: account",
	"account_word":    "words of the account, for finding it",
	"alert_canary":    "says that the account is watched",
	"block":           "networks, and nobody's",
	"client_consent":  "export.json: application_consents",
	"client_grant":    "export.json: applications",
	"code_try":        "keyed hashes that fade",
	"consent":         "export.json: consents",
	"device_request":  "a device that waits to be let in, for twenty minutes; events.jsonl: authorization_granted",
	"erasure":         "there is nobody any more to ask",
	"erasure_step":    "never has a row",
	"event_personal":  "events.jsonl",
	"factor_reset":    "events.jsonl: factor_reset_asked",
	"former_password": "hashes alone",
	"identity":        "export.json: identities",
	"guess":           "keyed hashes that fade",
	"inactive_notice": "events.jsonl: account_inactive; export.json: mails",
	"incident_person": "that an incident touched the account; a mail says so, and its events are in events.jsonl",
	"logout_notice":   "a message to an application that is on its way, for a day at most; events.jsonl: logout_notified",
	"known_device":    "export.json: known_devices",
	"mail_hold":       "that mails wait; export.json: mails",
	"outbox":          "export.json: mails",
	"passkey":         "export.json: second_factors",
	"pending":         "a sign-in that is under way, for ten minutes",
	"recovery_code":   "export.json: second_factors",
	"session":         "export.json: sessions",
	"session_client":  "export.json: signed_in_applications",
	"ticket":          "export.json: links",
	"totp":            "export.json: second_factors",
	"totp_offer":      "an app that is being added, for ten minutes",
	"unlock_link":     "hashes alone, for a day",
}

// Whoever adds a table that points at a person says here where a copy has it; what erases it is found by the canaries of
// internal/test/privacy.
func TestGDPR4_EveryTableThatPointsAtAPersonIsInACopyOrSaysWhyNot(t *testing.T) {
	points := []string{"account", "account_id", "address", "email", "network", "person", "sent_to", "user_agent"}
	var found []string
	for _, table := range schema.Tables {
		if slices.ContainsFunc(table.Columns, func(c schema.Column) bool { return slices.Contains(points, c.Name) }) || table.Name == "account" {
			found = append(found, table.Name)
			if told[table.Name] == "" {
				t.Errorf("the table %s points at a person, and nothing says what of it is in a copy", table.Name)
			}
		}
	}
	for name := range told {
		if _, ok := schema.Find(name); !ok {
			t.Errorf("there is no table %s", name)
		}
	}
	if len(found) < 15 {
		t.Errorf("only %v point at a person: does this test still know how?", found)
	}
}
