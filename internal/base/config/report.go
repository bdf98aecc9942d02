package config

// Row is one setting in the report.
type Row struct {
	Name string `json:"name"`
	// Value is what is in force, secrets masked.
	Value string `json:"value"`
	// Source is where it came from: one of the From constants.
	Source string `json:"source"`
}

// Report returns every setting that this version has, in the order of the
// table, fit to be shown: a secret is asterisks, a URL lacks its password.
func (c *Config) Report() []Row {
	var rows []Row
	for _, s := range table {
		if s.field.read == nil {
			continue
		}
		row := Row{Name: s.name, Value: s.field.show(c), Source: c.sources[s.name]}
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
