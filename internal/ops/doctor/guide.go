package doctor

import "strings"

// Controls are where standards ask for the same. A finding is evidence for them, not a certificate.
type Controls struct {
	ASVS     []string `json:"asvs_5_0,omitempty"`
	NIST     []string `json:"nist_800_53,omitempty"`
	CSF      []string `json:"nist_csf_2_0,omitempty"`
	SOC2     []string `json:"soc_2,omitempty"`
	ISO27001 []string `json:"iso_27001_2022,omitempty"`
	PCI      []string `json:"pci_dss_4_0_1,omitempty"`
}

// Line is a line of the production security guide.
type Line struct {
	ID, Title string
	Controls  Controls
}

// line makes a line; each list of controls is words.
func line(id, title, asvs, nist, csf, soc2, iso, pci string) Line {
	return Line{id, title, Controls{
		strings.Fields(asvs), strings.Fields(nist), strings.Fields(csf), strings.Fields(soc2), strings.Fields(iso), strings.Fields(pci),
	}}
}

// Guide is the lines that a deployment can be judged by, in the guide's order.
var Guide = []Line{
	line("JWT-1", "Strong signing secrets",
		"V11.2.3 V13.3.1", "SC-12 IA-5", "PR.DS-01", "CC6.1", "A.8.24", "3.6.1"),
	line("JWT-2", "Short-lived access tokens",
		"V9.2.1", "SC-23 AC-12", "PR.AA-03", "CC6.1", "A.8.5", "8.2.8"),
	line("JWT-3", "Refresh tokens are stored hashed",
		"V11.4.1", "IA-5(1)", "PR.DS-01", "CC6.1", "A.8.24", "8.3.2"),
	line("JWT-4", "Refresh tokens rotate",
		"V10.4.5", "SC-23", "PR.AA-03", "CC6.1", "A.8.5", ""),
	line("JWT-5", "Revocation",
		"V7.4.1 V7.4.3", "AC-12", "PR.AA-05", "CC6.3", "A.8.5", "8.2.8"),
	line("NET-1", "HTTPS only",
		"V12.2.1 V3.4.1", "SC-8", "PR.DS-02", "CC6.7", "A.8.20", "4.2.1"),
	line("NET-2", "Secure cookies",
		"V3.3.1 V3.3.2 V3.3.4", "SC-23", "PR.AA-03", "CC6.1", "A.8.26", "6.2.4"),
	line("NET-3", "CORS for named domains",
		"V3.4.2", "AC-4", "PR.AA-05", "CC6.6", "A.8.26", "6.2.4"),
	line("NET-4", "Rate limiting",
		"V2.4.1", "SC-5", "PR.IR-04", "CC6.6", "A.8.6", ""),
	line("NET-5", "Reverse proxy",
		"V4.1.3", "SC-7", "PR.IR-01", "CC6.6", "A.8.20", "1.4.1"),
	line("DB-1", "TLS to the database",
		"V12.3.1 V12.3.2", "SC-8", "PR.DS-02", "CC6.7", "A.8.20", "4.2.1"),
	line("DB-2", "Least privilege at the database",
		"V13.2.2", "AC-6", "PR.AA-05", "CC6.3", "A.8.2", "7.2.2"),
	line("DB-3", "Strong database passwords",
		"V13.2.3", "IA-5(1)", "PR.AA-01", "CC6.1", "A.5.17", "8.3.6"),
	line("DB-4", "Backups that restore",
		"", "CP-9 CP-10", "PR.DS-11", "A1.2", "A.8.13", "9.4.1"),
	line("PW-1", "Password policy",
		"V6.2.1 V6.2.4", "IA-5(1)", "PR.AA-01", "CC6.1", "A.5.17", "8.3.6"),
	line("PW-2", "Slow password hashes",
		"V11.4.2", "IA-5(1)", "PR.DS-01", "CC6.1", "A.8.24", "8.3.2"),
	line("PW-3", "Breached passwords are refused",
		"V6.2.12", "IA-5(1)", "PR.AA-01", "CC6.1", "A.5.17", "8.3.6"),
	line("PW-4", "Lockout after failures",
		"V6.3.1", "AC-7", "PR.AA-03", "CC6.1", "A.8.5", "8.3.4"),
	line("MAIL-1", "Addresses are verified",
		"V6.3.7", "IA-12", "PR.AA-02", "CC6.2", "A.5.16", ""),
	line("MAIL-2", "Secure password resets",
		"V6.4.3 V6.6.2", "IA-5", "PR.AA-01", "CC6.1", "A.5.17", "8.3.3"),
	line("MAIL-3", "Reset mails are limited",
		"V6.6.3 V2.4.1", "SC-5", "PR.IR-04", "CC6.6", "A.8.6", ""),
	line("MAIL-4", "People are notified",
		"V6.3.5 V6.3.7", "IA-5 SI-4", "DE.CM-03", "CC7.2", "A.8.16", ""),
	line("RATE-1", "Limits on sign-in and registration",
		"V6.3.1 V2.4.1", "AC-7 SC-5", "PR.IR-04", "CC6.6", "A.8.6", "8.3.4"),
	line("RATE-2", "A limit on the API",
		"V2.4.1", "SC-5", "PR.IR-04", "CC6.6", "A.8.6", ""),
	line("RATE-3", "Limits by address",
		"V2.4.1", "SC-5", "PR.IR-04", "CC6.6", "A.8.6", ""),
	line("RATE-4", "Limits that all replicas share",
		"V2.4.1", "SC-5", "PR.IR-04", "A1.1", "A.8.14", ""),
	line("ENV-1", "Production settings",
		"V13.1.1 V13.4.2", "CM-6", "PR.PS-01", "CC8.1", "A.8.9", "2.2.1"),
	line("HDR-1", "Security headers",
		"V3.4.1 V3.4.3 V3.4.4", "SC-8 SI-10", "PR.PS-01", "CC6.6", "A.8.26", "6.4.2"),
	line("HDR-2", "TLS 1.2 and 1.3, and nothing told of the server",
		"V12.1.1 V13.4.6", "SC-8 CM-7", "PR.DS-02", "CC6.7", "A.8.24", "4.2.1"),
	line("LOG-1", "A tamper-evident event log",
		"V16.3.1 V16.4.2", "AU-9 AU-10", "PR.PS-04", "CC7.2", "A.8.15", "10.3.2"),
	line("LOG-2", "Alert: failed sign-ins",
		"V16.3.1", "SI-4 AU-6", "DE.CM-01", "CC7.2", "A.8.16", "10.4.1"),
	line("LOG-3", "Alert: registration spam",
		"", "SI-4 AU-6", "DE.CM-01", "CC7.2", "A.8.16", "10.4.1"),
	line("LOG-4", "Alert: token abuse",
		"", "SI-4 AU-6", "DE.CM-01", "CC7.2", "A.8.16", "10.4.1"),
	line("LOG-5", "Alert: database errors",
		"", "SI-4 AU-5", "DE.CM-09", "A1.1", "A.8.16", "10.7.2"),
	line("LOG-6", "Alert: rate-limit hits",
		"", "SI-4 AU-6", "DE.CM-01", "CC7.2", "A.8.16", "10.4.1"),
	line("GDPR-1", "An inventory of personal data",
		"V14.1.1 V14.1.2", "PM-5(1) PT-3", "ID.AM-07", "P1.1", "A.5.9 A.5.34", "12.5.2"),
	line("GDPR-2", "Consents",
		"", "PT-4", "GV.OC-03", "P2.1", "A.5.34", ""),
	line("GDPR-3", "Right to erasure",
		"V14.2.7", "SI-12(3)", "PR.DS-01", "C1.2", "A.5.34", "3.2.1"),
	line("GDPR-4", "Data portability",
		"", "PT-2", "PR.DS-01", "", "A.5.34", ""),
	line("GDPR-5", "Privacy policy and terms",
		"", "PT-5", "GV.OC-03", "P1.1", "A.5.34", ""),
	line("RET-1", "Expired tokens go",
		"V14.2.7", "SI-12", "PR.DS-01", "C1.2", "A.8.10", "3.2.1"),
	line("RET-2", "Old events go",
		"V14.2.7", "SI-12 AU-11", "PR.DS-01", "C1.2", "A.8.10", "10.5.1"),
	line("RET-3", "Inactive accounts go",
		"V14.2.7", "SI-12 AC-2(3)", "PR.AA-01", "C1.2", "A.8.10", "8.2.6"),
	line("RET-4", "Ended sessions go",
		"V14.2.7", "SI-12", "PR.DS-01", "C1.2", "A.8.10", "3.2.1"),
	line("COMP-1", "The deployment is looked after",
		"V6.3.3 V14.1.1", "CA-7 AC-2", "ID.IM-01", "CC4.1", "A.5.36", "12.4.1"),
}

// lineOf returns the line with an id.
func lineOf(id string) Line {
	for _, l := range Guide {
		if l.ID == id {
			return l
		}
	}
	return Line{ID: id}
}
