package importing

import (
	"context"
	"encoding/json"
	"errors"
	"io"

	"filippo.io/age"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

// exportBatch is how many accounts are read in one transaction.
const exportBatch = 200

// Export writes people as another installation of ours takes them: with the hashes of their passwords, and with their second factors,
// so only ever encrypted.
type Export struct {
	Operator   *operate.Operator
	From       event.Origin
	Recipients []age.Recipient
	// User is whose account it is, by id or address; empty for everybody's.
	User string
}

// Exported is what was written.
type Exported struct {
	People, Factors int
	// LeftOut is how many factors no key recognises, and Leaving how many accounts are being erased: they are not in it.
	LeftOut, Leaving int
}

// Write writes the file, and then records that it was made.
func (e *Export) Write(ctx context.Context, out io.Writer) (n Exported, err error) {
	if len(e.Recipients) == 0 {
		return n, fault.New(fault.Invalid, "no_recipient", "Say to whose key it is encrypted.")
	}
	with, err := e.Operator.Sealing(ctx)
	if err != nil {
		return n, err
	}
	w, err := age.Encrypt(out, e.Recipients...)
	if err != nil {
		return n, err
	}
	lines := json.NewEncoder(w)
	lines.SetEscapeHTML(false)
	if err := lines.Encode(head{format, e.Operator.Now().UTC()}); err != nil {
		return n, err
	}
	for after, more := "", true; more; {
		var list []operate.HandedOver
		var leaving int
		if e.User != "" {
			list, leaving, err = e.Operator.HandOverOne(ctx, with.Store, e.User)
		} else {
			list, leaving, after, err = e.Operator.HandOver(ctx, with.Store, after, exportBatch)
		}
		if err != nil {
			return n, err
		}
		more = after != ""
		n.Leaving += leaving
		for _, h := range list {
			n.People++
			n.Factors, n.LeftOut = n.Factors+h.Factors.Count(), n.LeftOut+h.LeftOut
			err := lines.Encode(moved{
				ID: h.ID, Email: h.Email, Verified: !h.VerifiedAt.IsZero(), Name: h.Name, Locale: h.Locale, Roles: h.Roles, Disabled: !h.DisabledAt.IsZero(),
				MustReset: h.MustReset, Password: h.Finished, Factors: h.Factors,
			})
			if err != nil {
				return n, err
			}
		}
	}
	return n, errors.Join(w.Close(), e.Operator.RecordHandOver(ctx, n.People, e.From))
}
