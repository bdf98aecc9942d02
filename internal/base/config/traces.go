package config

import (
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/outbound"
	"github.com/gatehouse-auth/gatehouse/internal/base/trace"
)

// Traces is OpenTelemetry's standard settings. Its variables for batches
// (OTEL_BSP_*) the library reads by itself.
type Traces struct {
	Disabled bool
	// Endpoint is where OTLP begins; TracesEndpoint is where traces go whatever
	// that says. Both empty is: nowhere.
	Endpoint, TracesEndpoint string
	Headers                  Secret
	Timeout                  time.Duration
	Service                  string
	Attributes               string
	Sampler                  string
	Ratio                    float64
}

// URL is where traces are posted; empty if they are not taken.
func (t Traces) URL() string {
	switch {
	case t.Disabled:
		return ""
	case t.TracesEndpoint != "":
		return t.TracesEndpoint
	case t.Endpoint != "":
		path, query, _ := strings.Cut(t.Endpoint, "?")
		path = strings.TrimSuffix(path, "/") + "/v1/traces"
		if query != "" {
			path += "?" + query
		}
		return path
	}
	return ""
}

// HeaderMap returns what goes with each message.
func (t Traces) HeaderMap() map[string]string {
	m, _ := pairs(t.Headers.Reveal())
	return m
}

// AttributeMap returns what is said of us.
func (t Traces) AttributeMap() map[string]string {
	m, _ := pairs(t.Attributes)
	return m
}

var pairName = regexp.MustCompile(`^[A-Za-z0-9!#$&'*+.^_|~-]+$`)

// pairs reads key=value,key=value, whose values are percent-encoded (W3C Baggage,
// without properties).
func pairs(s string) (map[string]string, bool) {
	out := map[string]string{}
	if strings.TrimSpace(s) == "" {
		return out, true
	}
	for pair := range strings.SplitSeq(s, ",") {
		k, v, ok := strings.Cut(pair, "=")
		k = strings.TrimSpace(k)
		v, err := url.PathUnescape(strings.TrimSpace(v))
		if !ok || err != nil || !pairName.MatchString(k) || strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return nil, false
		}
		out[k] = v
	}
	return out, true
}

func collector(at func(*Config) *string) field {
	return field{
		read: func(r *reading) {
			if !r.printable() {
				return
			}
			if _, err := outbound.ParseCollector(r.value); err != nil {
				r.refuse("It is not an http or https URL of a host.", "Write https://HOST:4318.")
				return
			}
			*at(r.c) = r.value
		},
		show: func(c *Config) string { return *at(c) },
	}
}

func readPairs(r *reading) bool {
	if !r.printable() {
		return false
	}
	if _, ok := pairs(r.value); !ok {
		r.refuse("It is not a list of key=value, separated by commas.", "Write key=value,key=value, with %20 for a space and %2C for a comma.")
		return false
	}
	return true
}

// readRatio reads how many of all traces are taken.
func readRatio(r *reading) {
	ratio, err := strconv.ParseFloat(r.value, 64)
	if err != nil || !(ratio >= 0 && ratio <= 1) {
		r.refuse("It is not a fraction.", "Write a number from 0 to 1, such as 0.05.")
		return
	}
	r.c.Traces.Ratio = ratio
}

// safeHeaders keeps a key from going over a network in the clear.
func safeHeaders(r *reading) {
	u, err := url.Parse(r.c.Traces.URL())
	if err == nil && u.Scheme == "http" && r.c.Traces.Headers != "" && !loopback(u.Hostname()) {
		r.refuse("It would go to another machine unencrypted.", "Let OTEL_EXPORTER_OTLP_ENDPOINT begin with https://.")
	}
}

// safeCollector keeps traces, which name accounts' requests and their times, from going
// to another machine in the clear (ASVS V12.3.1).
func safeCollector(at func(*Config) string) func(*reading) {
	return func(r *reading) {
		u, err := url.Parse(at(r.c))
		if err == nil && u.Scheme == "http" && !loopback(u.Hostname()) && !r.c.Traces.Disabled {
			r.refuse("Traces would go to another machine unencrypted.", "Write https://, or the address of a collector on this machine, which forwards them.")
		}
	}
}

// traceSettings are the rows of the table.
var traceSettings = []setting{
	{
		name: "OTEL_SDK_DISABLED", initial: "false",
		meaning: "`true` records no traces, whatever the other settings say.",
		field:   yesNo(func(c *Config) *bool { return &c.Traces.Disabled }),
	},
	{
		name: "OTEL_EXPORTER_OTLP_ENDPOINT", unset: "none: no traces are recorded",
		meaning: "The OpenTelemetry collector: `https://HOST:4318`. Traces go to `/v1/traces` there, in protobuf. `?ca=PATH` names an authority of your " +
			"own. See [guides/tracing.md](guides/tracing.md).",
		production: "`http://` to another machine is refused",
		field:      collector(func(c *Config) *string { return &c.Traces.Endpoint }),
		safe:       safeCollector(func(c *Config) string { return c.Traces.Endpoint }),
	},
	{
		name: "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", unset: "none",
		meaning:    "The same, in full with its path, for traces only.",
		production: "`http://` to another machine is refused",
		field:      collector(func(c *Config) *string { return &c.Traces.TracesEndpoint }),
		safe:       safeCollector(func(c *Config) string { return c.Traces.TracesEndpoint }),
	},
	{
		name: "OTEL_EXPORTER_OTLP_HEADERS", cover: covered, unset: "none",
		meaning:    "Headers for the collector: `key=value,key=value`, values percent-encoded.",
		production: "refused with an http:// collector on another machine",
		field: field{read: func(r *reading) {
			if readPairs(r) {
				r.c.Traces.Headers = Secret(r.value)
			}
		}, show: func(c *Config) string { return c.Traces.Headers.Reveal() }},
		safe: safeHeaders,
	},
	{
		name: "OTEL_EXPORTER_OTLP_TIMEOUT", initial: "10000",
		meaning: "How long the collector may take to accept a batch, in milliseconds.",
		field: field{read: func(r *reading) {
			if n, ok := r.whole(1, 60000, " milliseconds"); ok {
				r.c.Traces.Timeout = time.Duration(n) * time.Millisecond
			}
		}, show: func(c *Config) string { return strconv.FormatInt(c.Traces.Timeout.Milliseconds(), 10) }},
	},
	{
		name: "OTEL_SERVICE_NAME", initial: "gatehouse",
		meaning: "The service name in traces.",
		field:   claim(func(c *Config) *string { return &c.Traces.Service }),
	},
	{
		name: "OTEL_RESOURCE_ATTRIBUTES", unset: "none",
		meaning: "Further resource attributes: `deployment.environment.name=production,…`.",
		field: field{read: func(r *reading) {
			if readPairs(r) {
				r.c.Traces.Attributes = r.value
			}
		}, show: func(c *Config) string { return c.Traces.Attributes }},
	},
	{
		name: "OTEL_TRACES_SAMPLER", initial: "parentbased_always_on",
		meaning: "Which traces are recorded: `" + strings.Join(trace.Samplers, "`, `") +
			"`. The parent is one of TRUSTED_PROXIES: anyone else's traceparent is ignored.",
		field: choice(func(c *Config) *string { return &c.Traces.Sampler }, nil, slices.Clone(trace.Samplers)...),
	},
	{
		name: "OTEL_TRACES_SAMPLER_ARG", initial: "1",
		meaning: "The share of traces that the samplers with a ratio record: 0 to 1.",
		field:   field{read: readRatio, show: func(c *Config) string { return strconv.FormatFloat(c.Traces.Ratio, 'g', -1, 64) }},
	},
}
