package api

import (
	"context"
	"net/http"

	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
	"github.com/gatehouse-auth/gatehouse/internal/ops/doctor"
)

// Doctor judges the deployment.
type Doctor struct {
	Administrators
	Examine func(ctx context.Context) doctor.Report
}

// Routes are its operations.
func (a *Doctor) Routes() web.Routes {
	return web.Routes{"GET /v1/admin/doctor": a.administrator(operate.Reads, a.examine)}
}

// examine looks anew each time: it takes a moment, and changes nothing. The answer is that of `gatehouse doctor --format json`.
func (a *Doctor) examine(w http.ResponseWriter, r *http.Request, _ flow.Identity) error {
	return web.WriteJSON(w, http.StatusOK, a.Examine(r.Context()))
}
