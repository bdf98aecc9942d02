package app

import (
	"context"
	"fmt"

	"github.com/gatehouse-auth/gatehouse/internal/base/outbound"
	"github.com/gatehouse-auth/gatehouse/internal/base/trace"
)

// openTraces returns what begins traces, or nil, and what sends the last of them
// when the server stops.
func (s *Server) openTraces(ctx context.Context, version string) (*trace.Tracer, func(), error) {
	t := s.config.Traces
	if t.URL() == "" {
		return nil, func() {}, nil
	}
	c, err := outbound.OpenCollector(t.URL(), t.HeaderMap(), t.Timeout)
	if err != nil {
		return nil, nil, fmt.Errorf("OTEL_EXPORTER_OTLP_ENDPOINT: %w", err)
	}
	tracer, err := trace.Open(ctx, trace.Config{
		Send: c.Post, Service: t.Service, Version: version, Attributes: t.AttributeMap(), Sampler: t.Sampler, Ratio: t.Ratio,
		Trouble: func(err error) {
			if err != nil {
				s.log.Warn("Traces can't be sent to the collector; they are dropped until they can.", "error", err.Error())
				return
			}
			s.log.Info("Traces are sent again.")
		},
	})
	if err != nil {
		return nil, nil, err
	}
	return tracer, func() { tracer.Close(context.Background()); c.Close() }, nil
}
