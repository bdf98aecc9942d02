package doctor

// The part of SARIF 2.1.0 (OASIS) that code scanners read.
type sarifLog struct {
	Schema  string     `json:"$schema"`
	Version string     `json:"version"`
	Runs    []sarifRun `json:"runs"`
}

type sarifRun struct {
	Tool    sarifTool     `json:"tool"`
	Results []sarifResult `json:"results"`
}

type sarifTool struct {
	Driver sarifDriver `json:"driver"`
}

type sarifDriver struct {
	Name    string      `json:"name"`
	Version string      `json:"version"`
	Rules   []sarifRule `json:"rules"`
}

type sarifText struct {
	Text string `json:"text"`
}

type sarifRule struct {
	ID               string    `json:"id"`
	ShortDescription sarifText `json:"shortDescription"`
	Properties       struct {
		Tags     []string `json:"tags"`
		Severity string   `json:"security-severity"`
	} `json:"properties"`
}

type sarifResult struct {
	RuleID  string    `json:"ruleId"`
	Kind    string    `json:"kind"`
	Level   string    `json:"level"`
	Message sarifText `json:"message"`
	// Locations: scanners want a place. There is none but the deployment itself.
	Locations    []sarifLocation    `json:"locations"`
	Suppressions []sarifSuppression `json:"suppressions,omitempty"`
}

type sarifLocation struct {
	LogicalLocations []struct {
		Name string `json:"name"`
		Kind string `json:"kind"`
	} `json:"logicalLocations"`
}

type sarifSuppression struct {
	Kind          string `json:"kind"`
	Justification string `json:"justification"`
}

// scores are GitHub's security-severity of ours.
var scores = map[Severity]string{Low: "3.0", Medium: "5.5", High: "8.0", Critical: "9.5"}

func (r Report) sarif() sarifLog {
	run := sarifRun{Tool: sarifTool{sarifDriver{Name: "gatehouse doctor", Version: r.Version, Rules: []sarifRule{}}}, Results: []sarifResult{}}
	for _, f := range r.Findings {
		rule := sarifRule{ID: f.Rule, ShortDescription: sarifText{f.Title}}
		rule.Properties.Tags, rule.Properties.Severity = []string{"security", f.ID}, scores[f.Severity]
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, rule)
		result := sarifResult{RuleID: f.Rule, Level: "none", Message: sarifText{f.Evidence}}
		switch f.State {
		case Passed:
			result.Kind = "pass"
		case Excused:
			result.Kind = "notApplicable"
		case Unknown:
			result.Kind = "open"
		case Failed, Accepted:
			result.Kind, result.Level = "fail", "warning"
			if f.Severity.AtLeast(High) {
				result.Level = "error"
			}
		}
		if f.Mend != "" {
			result.Message.Text += " " + f.Mend
		}
		if f.Accepted != nil {
			result.Suppressions = []sarifSuppression{{"external", f.Accepted.Owner + ", until " + f.Accepted.Expires + ": " + f.Accepted.Reason}}
		}
		at := sarifLocation{LogicalLocations: make([]struct {
			Name string `json:"name"`
			Kind string `json:"kind"`
		}, 1)}
		at.LogicalLocations[0].Name, at.LogicalLocations[0].Kind = r.Service, "module"
		result.Locations = []sarifLocation{at}
		run.Results = append(run.Results, result)
	}
	return sarifLog{Schema: "https://json.schemastore.org/sarif-2.1.0.json", Version: "2.1.0", Runs: []sarifRun{run}}
}
