package app

import (
	"context"
	"fmt"

	"github.com/gatehouse-auth/gatehouse/internal/base/outbound"
	"github.com/gatehouse-auth/gatehouse/internal/base/trace"
)

// newTracing begins traces, if they go anywhere; else the tracer is nil. Its closer
// sends the last of them.
func newTracing(ctx context.Context, b *base) (*trace.Tracer, capability, error) {
	none := capability{name: "tracing"}
	t := b.config.Traces
	if t.URL() == "" {
		return nil, none, nil
	}
	c, err := outbound.OpenCollector(t.URL(), t.HeaderMap(), t.Timeout)
	if err != nil {
		return nil, none, fmt.Errorf("OTEL_EXPORTER_OTLP_ENDPOINT: %w", err)
	}
	tracer, err := trace.Open(ctx, trace.Config{
		Send: c.Post, Service: t.Service, Version: b.version, Attributes: t.AttributeMap(), Sampler: t.Sampler, Ratio: t.Ratio,
		Trouble: func(err error) {
			if err != nil {
				b.log.Warn("Traces can't be sent to the collector; they are dropped until they can.", "error", err.Error())
				return
			}
			b.log.Info("Traces are sent again.")
		},
	})
	if err != nil {
		c.Close()
		return nil, none, err
	}
	return tracer, capability{name: "tracing", close: func() error {
		tracer.Close(context.Background())
		c.Close()
		return nil
	}}, nil
}
