package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/ops/doctor"
)

// EvidenceOf is what a bundle of the doctor's has beside its report. The installation's name stands in its database.
func EvidenceOf(ctx context.Context, c *config.Config, d *db.DB, why error) (e doctor.Evidence, err error) {
	if d == nil {
		return e, fmt.Errorf("evidence bears the installation's name, which stands in its database: %w", why)
	}
	e = doctor.Evidence{Binary: hashOfBinary(), Settings: settingsInForce(c)}
	err = d.Read(ctx, func(tx *db.Tx) (err error) { e.Install, err = keyring.InstallID(tx); return err })
	if errors.Is(err, db.ErrNoRows) {
		return e, errors.New("evidence bears the installation's name, which it gets when a server starts for the first time")
	}
	if err != nil {
		return e, err
	}
	e.EventKey, err = EventKey(c)
	return e, err
}
