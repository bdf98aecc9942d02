package app

import (
	"context"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/door/api"
	"github.com/gatehouse-auth/gatehouse/internal/door/page"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/consent"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

// readDocuments reads the operator's documents, in all their languages.
func readDocuments(c *config.Config) (map[string]map[string]string, error) {
	all := map[string]map[string]string{}
	for name, path := range c.Documents() {
		texts, err := consent.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", settingOf(name), err)
		}
		all[name] = texts
	}
	return all, nil
}

// settingOf is where the file of a document is named.
func settingOf(name string) string {
	switch name {
	case consent.Privacy:
		return "PRIVACY_FILE"
	case consent.Terms:
		return "TERMS_FILE"
	}
	return "DOCUMENT_FILES"
}

// newDocuments keeps what people may agree to: each new text becomes a version when the server starts.
func newDocuments(b *base, t *tokens) (*flow.Consents, capability, error) {
	texts, err := readDocuments(b.config)
	if err != nil {
		return nil, capability{}, err
	}
	f := &flow.Consents{
		Core: b.core(), Library: consent.NewLibrary(b.db), Revoked: t.revoked, Random: b.random, Required: b.config.DocumentsRequired,
	}
	return f, capability{
		name: "documents", poll: f.Library.Poll,
		metrics: []prometheus.Collector{documentMetrics{f.Library}},
		begin: func(ctx context.Context) error {
			older, err := f.Publish(ctx, texts)
			for _, name := range older {
				b.log.Warn("The file of a document has the text of an older version; the newer one stays in force. To have it again, change its text.",
					"document", name, "setting", settingOf(name))
			}
			return err
		},
	}, nil
}

// newConsents lets people agree, and take it back.
func newConsents(b *base, p *page.Pages, who api.Caller, f *flow.Consents, e *ending, enter *entrance) capability {
	routes := api.Consents{Caller: who, Consents: f, Agree: e.agree, SignOut: enter.out}
	pages := page.Documents{Forms: forms(p, who), Version: f.Version}
	return capability{name: "consents", routes: []web.Routes{routes.Routes(), pages.Routes()}}
}

// OperatorConsents are the documents as a command sees them.
func OperatorConsents(c *config.Config, o *operate.Operator) *flow.Consents {
	return &flow.Consents{
		Core: flow.Core{DB: o.DB, Events: o.Events, Now: o.Now}, Library: consent.NewLibrary(o.DB), Random: secret.Random{}, Required: c.DocumentsRequired,
	}
}

// documentMetrics tell which versions are in force.
type documentMetrics struct{ library *consent.Library }

var documentVersion = prometheus.NewDesc("gatehouse_document_version",
	"The version in force of each document that people may agree to, as this replica knows it.", []string{"document"}, nil)

func (m documentMetrics) Describe(out chan<- *prometheus.Desc) { out <- documentVersion }

func (m documentMetrics) Collect(out chan<- prometheus.Metric) {
	for _, d := range m.library.List() {
		out <- prometheus.MustNewConstMetric(documentVersion, prometheus.GaugeValue, float64(d.Version), d.Name)
	}
}
