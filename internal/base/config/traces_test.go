package config

import (
	"strings"
	"testing"
)

func TestWhereTracesGo(t *testing.T) {
	for want, environ := range map[string][]string{
		"":                                  {},
		"https://otel.acme.org/v1/traces":   {"OTEL_EXPORTER_OTLP_ENDPOINT=https://otel.acme.org"},
		"http://127.0.0.1:4318/x/v1/traces": {"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318/x/"},
		"https://otel.acme.org/v1/traces?ca=/ca.pem": {"OTEL_EXPORTER_OTLP_ENDPOINT=https://otel.acme.org?ca=/ca.pem"},
		"https://t.acme.org/in": {"OTEL_EXPORTER_OTLP_ENDPOINT=https://otel.acme.org",
			"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=https://t.acme.org/in"},
	} {
		if got := mustLoad(t, environ...).Traces.URL(); got != want {
			t.Errorf("%v lead to %q, want %q", environ, got, want)
		}
		if got := mustLoad(t, append(environ, "OTEL_SDK_DISABLED=true")...).Traces.URL(); got != "" {
			t.Errorf("%v lead to %q although they are switched off", environ, got)
		}
	}
}

func TestTraceSettingsRefused(t *testing.T) {
	for _, bad := range []string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=otel.acme.org:4318", "OTEL_EXPORTER_OTLP_ENDPOINT=grpc://otel.acme.org", "OTEL_EXPORTER_OTLP_ENDPOINT=https://a:b@otel.acme.org",
		"OTEL_EXPORTER_OTLP_ENDPOINT=https://otel.acme.org?key=1", "OTEL_EXPORTER_OTLP_HEADERS=x", "OTEL_EXPORTER_OTLP_HEADERS=a b=c",
		"OTEL_EXPORTER_OTLP_HEADERS=a=%0d%0ab: c",
		"OTEL_EXPORTER_OTLP_HEADERS=a=%zz", "OTEL_RESOURCE_ATTRIBUTES=,", "OTEL_TRACES_SAMPLER=jaeger_remote", "OTEL_TRACES_SAMPLER_ARG=2",
		"OTEL_TRACES_SAMPLER_ARG=NaN",
		"OTEL_EXPORTER_OTLP_TIMEOUT=0",
	} {
		if _, err := load(bad); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
	unsafe := []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://otel.acme.org:4318", "OTEL_EXPORTER_OTLP_HEADERS=api-key=x"}
	if _, err := load(production(unsafe...)...); err == nil || !strings.Contains(err.Error(), "OTEL_EXPORTER_OTLP_HEADERS") {
		t.Errorf("a key goes over the network in the clear: %v", err)
	}
	// V12.3.1: without a key as well, since traces say who was doing what, and when.
	if _, err := load(production(unsafe[0])...); err == nil || !strings.Contains(err.Error(), "OTEL_EXPORTER_OTLP_ENDPOINT") {
		t.Errorf("traces go over the network in the clear: %v", err)
	}
	for _, safe := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318", "OTEL_EXPORTER_OTLP_ENDPOINT=https://otel.acme.org:4318"} {
		if _, err := load(production(safe)...); err != nil {
			t.Errorf("%s: %v", safe, err)
		}
	}
}

func FuzzPairs(f *testing.F) {
	for _, s := range []string{"", "a=b", "a=b,c=d%20e", "a=,b", "=", ",", "a=b=c", "a=%0a", "a b=c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, ok := pairs(s)
		for k, v := range m {
			if !ok || k == "" || strings.ContainsAny(k+v, "\r\n\x00") || strings.ContainsAny(k, " :=,") {
				t.Errorf("%q is read as %q=%q", s, k, v)
			}
		}
	})
}
