package doctor

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/ops/doctor"
)

// framework is a standard, as the doctor's table has its controls, and what of it no server does.
type framework struct {
	title string
	of    func(doctor.Controls) []string
	// yours is what an organisation does itself, by parts of the standard.
	yours [][2]string
}

var frameworks = []framework{
	{"SOC 2 (Trust Services Criteria, 2017 with the points of focus of 2022)", func(c doctor.Controls) []string { return c.SOC2 }, [][2]string{
		{"CC1, CC2, CC3", "Who is responsible, what is communicated, and the assessment of risks. The threat model and the doctor's accepted risks go into it."},
		{"CC4.1, CC4.2", "Somebody reads the doctor's reports and the alerts, and follows them up."},
		{"CC6.2, CC6.3", "Who gets which role, on whose word, and the review of it each quarter: `gatehouse user list --json` is its list."},
		{"CC6.4, CC6.5", "Physical access, and disks that are thrown away. Backups are encrypted; your disks should be."},
		{"CC7.3, CC7.4, CC7.5", "The plan for incidents, and its rehearsals."},
		{"CC8.1", "Changes to your deployment: reviewed, tested, approved."},
		{"CC9.2", "Your mail server, database host and cloud as vendors."},
		{"A1.2, A1.3", "A second place, and restores that people have watched. The weekly drill is evidence for them."},
		{"P1 to P8", "The text of the privacy policy, its legal bases, and answers to people within the time that the law gives."},
	}},
	{"ISO/IEC 27001:2022, Annex A", func(c doctor.Controls) []string { return c.ISO27001 }, [][2]string{
		{"Clauses 4 to 10", "The management system itself."},
		{"A.5.1 to A.5.8, A.5.19 to A.5.23", "Policies, roles, contacts, suppliers and cloud services."},
		{"A.5.15, A.5.18", "Rules of access, and the review of rights."},
		{"A.5.24 to A.5.30", "Incidents and continuity: the plan, people, and evidence. The sealed event log is evidence that stands."},
		{"A.6, A.7", "People and premises."},
		{"A.8.8", "Vulnerabilities: `make scan` and SECURITY.md's deadlines for Gatehouse; your own for the rest."},
		{"A.8.20 to A.8.23", "Networks outside of what deploy/ sets up: see host-hardening.md."},
		{"A.8.25 to A.8.34", "Development and tests of the applications that rely on Gatehouse."},
	}},
	{"NIST Cybersecurity Framework 2.0", func(c doctor.Controls) []string { return c.CSF }, [][2]string{
		{"GV", "Governance: context, strategy, roles, policy, oversight, supply chain."},
		{"ID.AM, ID.RA", "The inventory of everything beside Gatehouse, and the assessment of its risks."},
		{"PR.AT", "Awareness and training: see penetration-test.md."},
		{"PR.IR", "Capacity and resilience of networks and hosts."},
		{"DE.AE", "Correlation of our events with those of other systems: EVENT_FORWARD brings them."},
		{"RS, RC", "Response and recovery: people and plans. The tools are `gatehouse session revoke`, `key revoke`, `block` and `backup restore`."},
	}},
	{"PCI DSS 4.0.1", func(c doctor.Controls) []string { return c.PCI }, [][2]string{
		{"1, 2", "Network security controls and hardened hosts: deploy/ and host-hardening.md are a beginning."},
		{"3", "Cardholder data: Gatehouse keeps none, and none may be put into names or roles."},
		{"5", "Malware on hosts and workstations."},
		{"6.3, 6.4", "Vulnerabilities and public applications of your own."},
		{"7.2.4, 8.2", "The review of accounts twice a year; SECOND_FACTOR for everybody with access to the cardholder environment (8.4)."},
		{"9", "Physical access."},
		{"10.4.1, 10.7", "Daily review of the alerts. RETENTION_PROFILE=pci keeps the log for twelve months (10.5.1)."},
		{"11", "Scans each quarter by an approved vendor, and the yearly penetration test."},
		{"12", "Policies, responsibilities, training, the plan for incidents."},
	}},
}

// docs/compliance.md is made from the doctor's table: a control of a standard, and the lines of
// the guide that speak to it. Run with -update to write it.
func TestComplianceIsDocumented(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Compliance\n\nMade from the doctor's table: `go test ./internal/test/doctor -run TestComplianceIsDocumented -update`.\n\n" +
		"Which controls of four standards Gatehouse speaks to, by which checks, and what an organisation does itself. " +
		"It is a map for auditors, and no certificate: " +
		"a standard is met by an organisation, not by a program. `gatehouse doctor --format json` prints the same controls with what was found, as evidence; " +
		"[checks.md](checks.md) explains each check, [asvs.md](asvs.md) is the audit by OWASP's ASVS 5.0.\n")
	for _, f := range frameworks {
		b.WriteString("\n## " + f.title + "\n\n### What Gatehouse does\n\n| control | by |\n|---|---|\n")
		lines := map[string][]string{}
		for _, l := range doctor.Guide {
			for _, c := range f.of(l.Controls) {
				anchor := strings.ToLower(l.ID) + "-" + strings.ToLower(strings.NewReplacer(" ", "-", ":", "", ",", "", ".", "").Replace(l.Title))
				lines[c] = append(lines[c], fmt.Sprintf("[%s](checks.md#%s) %s", l.ID, anchor, l.Title))
			}
		}
		controls := make([]string, 0, len(lines))
		for c := range lines {
			controls = append(controls, c)
		}
		slices.SortFunc(controls, natural)
		for _, c := range controls {
			b.WriteString("| " + c + " | " + strings.Join(lines[c], "; ") + " |\n")
		}
		b.WriteString("\n### What is yours\n\n| part | what |\n|---|---|\n")
		for _, y := range f.yours {
			b.WriteString("| " + y[0] + " | " + y[1] + " |\n")
		}
		if len(controls) < 10 || len(f.yours) < 5 {
			t.Errorf("%s: %d controls", f.title, len(controls))
		}
	}
	const path = "../../../docs/compliance.md"
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if have, err := os.ReadFile(path); err != nil || string(have) != b.String() {
		t.Errorf("docs/compliance.md is not what the table says (%v): run this test with -update", err)
	}
}

// natural has A.8.5 before A.8.24: numbers by their size.
func natural(a, b string) int {
	pad := func(s string) string {
		var out, digits strings.Builder
		for _, r := range s + " " {
			if r >= '0' && r <= '9' {
				digits.WriteRune(r)
				continue
			}
			if digits.Len() > 0 {
				fmt.Fprintf(&out, "%04s", digits.String())
				digits.Reset()
			}
			out.WriteRune(r)
		}
		return out.String()
	}
	return strings.Compare(pad(a), pad(b))
}
