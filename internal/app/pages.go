package app

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-auth/gatehouse/internal/door/page"
	"github.com/gatehouse-auth/gatehouse/internal/door/ui"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
)

// newPages makes what all pages share, and serves what they load.
func newPages(b *base) (*ui.Kit, *page.Pages, capability, error) {
	c := b.config
	kit, err := ui.New(ui.Config{Service: c.ServiceName, Color: c.BrandColor, Logo: c.BrandLogo, Folder: c.PageTemplates, Secure: c.CookieSecure})
	if err != nil {
		return nil, nil, capability{}, fmt.Errorf("BRAND_LOGO or PAGE_TEMPLATES: %w", err)
	}
	pages, err := page.New(kit, passwordPolicy(c, nil))
	if err == nil {
		pages.Console = c.AdminURL
		err = pages.Check()
	}
	if err != nil {
		return nil, nil, capability{}, fmt.Errorf("PAGE_TEMPLATES: %w", err)
	}
	return kit, pages, capability{name: "pages", routes: []web.Routes{page.Assets(kit)}, metrics: []prometheus.Collector{reportMetrics{kit}}}, nil
}

// reportMetrics are what browsers reported of our pages' policy.
type reportMetrics struct{ kit *ui.Kit }

var reported = prometheus.NewDesc("gatehouse_csp_reports_total",
	"How often browsers reported that the content security policy of a page stopped something, by directive. Anybody can send a report.",
	[]string{"directive"}, nil)

func (m reportMetrics) Describe(out chan<- *prometheus.Desc) { out <- reported }

func (m reportMetrics) Collect(out chan<- prometheus.Metric) {
	for directive, n := range m.kit.Reports() {
		out <- prometheus.MustNewConstMetric(reported, prometheus.CounterValue, float64(n), directive)
	}
}
