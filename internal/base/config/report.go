package config

import (
	"slices"
	"strings"
)

// Row is one setting in the report.
type Row struct {
	Name string `json:"name"`
	// Value is what is in force, secrets masked.
	Value string `json:"value"`
	// Source is where it came from: one of the From constants.
	Source string `json:"source"`
	// Faults are what is wrong with it; its value is not shown then.
	Faults []Fault `json:"faults,omitempty"`
}

// Report returns every setting as far as it could be read, with the faults where they
// belong. What is at fault and no setting of its own (a file) stands at the end.
func (f *Faults) Report() []Row {
	var rows []Row
	if f.partial != nil {
		rows = f.partial.Report()
	}
	for _, one := range f.List {
		at := slices.IndexFunc(rows, func(r Row) bool { return r.Name == one.Setting || r.Name == strings.TrimSuffix(one.Setting, "_FILE") })
		if at < 0 {
			rows = append(rows, Row{Name: one.Setting, Source: one.Source})
			at = len(rows) - 1
		}
		rows[at].Value = ""
		if one.Source != "" {
			rows[at].Source = one.Source
		}
		rows[at].Faults = append(rows[at].Faults, one)
	}
	return rows
}

// InForce is a row of the report, with what an administrator wants to know besides.
type InForce struct {
	Row
	// Default is what is in force where it is not set, as the documents say it.
	Default string
	// Secret is whether the value, or the password in it, is covered.
	Secret bool
}

// Report returns every setting that this version has, in the order of the
// table, fit to be shown: a secret is asterisks, a URL lacks its password.
func (c *Config) Report() []Row {
	var rows []Row
	for _, one := range c.InForce() {
		rows = append(rows, one.Row)
	}
	return rows
}

// InForce is Report with more about each.
func (c *Config) InForce() []InForce {
	var rows []InForce
	for _, s := range table {
		row := InForce{Row: Row{Name: s.name, Value: s.field.show(c), Source: c.sources[s.name]}, Default: s.initial, Secret: s.cover != open}
		if row.Default == "" {
			row.Default = s.unset
		}
		switch {
		case s.cover == covered && row.Value != "":
			row.Value = mask
		case row.Value == "":
			row.Value = s.unset
		case s.cover == passwordCovered:
			row.Value = maskPassword(row.Value)
		}
		rows = append(rows, row)
	}
	return rows
}
