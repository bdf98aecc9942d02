package ui

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// ReportPath is where browsers send what a page's policy stopped (Reporting API, report-to).
const ReportPath = "/assets/csp-report"

// directives are those that are counted by name; whatever else is reported counts as other.
var directives = [...]string{
	"script-src", "script-src-elem", "script-src-attr", "style-src", "style-src-elem", "style-src-attr", "img-src", "connect-src", "form-action",
	"base-uri", "frame-ancestors", "frame-src", "default-src",
}

const (
	// mostReport is the largest report that is read, in bytes. Anybody can send one.
	mostReport = 16 << 10
	// mostInReport is how many violations of one report count.
	mostInReport = 20
	// reportsAMinute is how many reports are read; more say nothing new.
	reportsAMinute = 60
)

// reportBucket counts the reports of a minute.
type reportBucket struct {
	sync.Mutex
	minute int64
	n      int
}

// take reports whether another report is read in this minute.
func (b *reportBucket) take(now time.Time) bool {
	b.Lock()
	defer b.Unlock()
	if minute := now.Unix() / 60; minute != b.minute {
		b.minute, b.n = minute, 0
	}
	b.n++
	return b.n <= reportsAMinute
}

var (
	errReportLimit = fault.New(fault.Limited, "rate_limited", "Enough reports were taken for this minute.")
	errReport      = fault.New(fault.Invalid, "invalid_report", "This is no report of a browser.")
)

// Report counts what browsers report, at POST [ReportPath]. Nothing of it is kept: anybody can send one, and
// what one says may be an attacker's text.
func (k *Kit) Report(w http.ResponseWriter, r *http.Request) error {
	if !k.allowed.take(time.Now()) {
		return errReportLimit
	}
	b, err := io.ReadAll(io.LimitReader(r.Body, mostReport+1))
	if err != nil || len(b) > mostReport {
		return errReport
	}
	var list []struct {
		Type string `json:"type"`
		Body struct {
			Directive string `json:"effectiveDirective"`
		} `json:"body"`
	}
	if json.Unmarshal(b, &list) != nil || len(list) == 0 {
		return errReport
	}
	for _, one := range list[:min(len(list), mostInReport)] {
		if one.Type != "csp-violation" {
			continue
		}
		name, _, _ := strings.Cut(one.Body.Directive, " ")
		i := slices.Index(directives[:], name)
		if i < 0 {
			i = len(directives)
		}
		k.reports[i].Add(1)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// Reports returns how often each directive was reported to have stopped something.
func (k *Kit) Reports() map[string]int64 {
	out := map[string]int64{"other": k.reports[len(directives)].Load()}
	for i, name := range directives {
		out[name] = k.reports[i].Load()
	}
	return out
}
