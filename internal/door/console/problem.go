package console

import (
	"github.com/gatehouse-auth/gatehouse/internal/door/ui"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
)

// wrongs are the faults of the console's forms in the words of the catalogue. What else there is says
// something of its own, such as whom a block would shut out, and stays as the API says it.
var wrongs = map[string]string{
	"own_account": "fault.own-account", "last_administrator": "fault.last-administrator", "required": "fault.reason-required",
	"reason_too_long": "fault.reason-too-long", "invalid_reason": "fault.reason-invalid", "wrong_number": "fault.number",
	"invalid_network": "fault.network", "invalid_role": "fault.role", "address_taken": "fault.address-taken", "invalid_email": "fault.address",
	"verified_already": "fault.verified-already", "account_disabled": "fault.disabled", "invalid_client_name": "fault.client-name",
	"client_name_taken": "fault.client-name-taken", "name_too_long": "fault.person-name", "invalid_name": "fault.person-name",
	"redirect_uri_required": "fault.redirect-required", "service_has_no_settings": "fault.service-settings", "changed_meanwhile": "fault.shown",
	"invalid_jwks": "fault.client-keys", "private_jwks": "fault.client-private-keys", "two_jwks": "fault.client-two-keys",
	"client_has_keys": "fault.client-has-keys",
	"managed_by_file": "clients.from-file", "resource_taken": "fault.resource-taken", "resource_in_use": "fault.resource-used",
	"unknown_resource": "fault.resource-unknown", "invalid_resource_name": "fault.resource-name", "invalid_default_resource": "fault.default-resource",
}

// problem is what a fault says at the desk, and the status of the answer.
func (d *desk) problem(err error) (int, *ui.Problem) {
	p := web.ProblemOf(d.r, err)
	p.SetHeaders(d.w.Header())
	text := d.v.L.Escape(p.Detail)
	if key := wrongs[p.Code]; key != "" && (p.Code != "required" || p.Field == "reason") {
		text = d.v.H(key)
	}
	return p.Status, &ui.Problem{Level: "bad", Title: d.v.T("desk.refused"), Text: text, Field: p.Field}
}
