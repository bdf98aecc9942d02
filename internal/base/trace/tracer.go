package trace

import (
	"context"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	spans "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Config says where traces go, and which are taken.
type Config struct {
	// Send hands an OTLP message in protobuf to the collector.
	Send func(ctx context.Context, message []byte) error
	// Service is who we are; Attributes say more.
	Service, Version string
	Attributes       map[string]string
	// Sampler is one of Samplers, with the ratio of those that have one.
	Sampler string
	Ratio   float64
	// Trouble is called when the collector begins to refuse, with the error, and
	// when it takes spans again, with nil.
	Trouble func(error)
}

// Samplers are the standard names: with parentbased, the caller decides.
var Samplers = []string{
	"always_on", "always_off", "traceidratio", "parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio",
}

// Tracer begins traces. A nil one begins none.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
	client   *client
}

// Open returns what begins traces and sends them in the background. What the
// collector does not take is dropped: nobody waits for it.
func Open(ctx context.Context, c Config) (*Tracer, error) {
	attributes := []attribute.KeyValue{attribute.String("service.version", c.Version)}
	for k, v := range c.Attributes {
		attributes = append(attributes, attribute.String(k, v))
	}
	attributes = append(attributes, attribute.String("service.name", c.Service))
	k := &client{send: c.Send, trouble: c.Trouble}
	k.life, k.stop = context.WithCancel(context.WithoutCancel(ctx))
	exporter, err := otlptrace.New(ctx, k)
	if err != nil {
		return nil, err
	}
	p := sdk.NewTracerProvider(sdk.WithResource(resource.NewSchemaless(attributes...)), sdk.WithSampler(sampler(c.Sampler, c.Ratio)), sdk.WithBatcher(exporter))
	return &Tracer{provider: p, tracer: p.Tracer(scope), client: k}, nil
}

func sampler(name string, ratio float64) sdk.Sampler {
	switch name {
	case "always_on":
		return sdk.AlwaysSample()
	case "always_off":
		return sdk.NeverSample()
	case "traceidratio":
		return sdk.TraceIDRatioBased(ratio)
	case "parentbased_always_off":
		return sdk.ParentBased(sdk.NeverSample())
	case "parentbased_traceidratio":
		return sdk.ParentBased(sdk.TraceIDRatioBased(ratio))
	default:
		return sdk.ParentBased(sdk.AlwaysSample())
	}
}

// Serve begins the trace of a request, or what is ours of one that goes on.
func (t *Tracer) Serve(ctx context.Context, name string) (context.Context, Step) {
	return t.begin(ctx, name, trace.SpanKindServer)
}

// Work begins the trace of something that we do by ourselves.
func (t *Tracer) Work(ctx context.Context, name string) (context.Context, Step) {
	return t.begin(ctx, name, trace.SpanKindInternal)
}

func (t *Tracer) begin(ctx context.Context, name string, kind trace.SpanKind) (context.Context, Step) {
	if t == nil {
		return ctx, Step{}
	}
	ctx, span := t.tracer.Start(ctx, name, trace.WithSpanKind(kind))
	return ctx, Step{span}
}

// closeTime is how long the last spans may take to get to a collector that has
// taken all others.
const closeTime = time.Second

// Close sends what is left, unless the collector is in trouble: nobody waits for
// that.
func (t *Tracer) Close(ctx context.Context) {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, closeTime)
	defer cancel()
	defer t.client.stop()
	if t.client.failing.Load() {
		t.client.stop()
	}
	_ = t.provider.Shutdown(ctx) // what could not be sent is lost, as Trouble has reported
}

// client is otlptrace's way to the collector. Its errors go to Trouble alone, once
// an outage: the library would print each.
type client struct {
	send    func(ctx context.Context, message []byte) error
	trouble func(error)
	failing atomic.Bool
	life    context.Context
	stop    context.CancelFunc
}

// Start implements otlptrace.Client.
func (*client) Start(context.Context) error { return nil }

// Stop implements otlptrace.Client.
func (*client) Stop(context.Context) error { return nil }

// UploadTraces implements otlptrace.Client.
func (c *client) UploadTraces(ctx context.Context, list []*spans.ResourceSpans) error {
	// On the wire this is an ExportTraceServiceRequest, whose package would bring
	// gRPC into the program.
	message, err := proto.Marshal(&spans.TracesData{ResourceSpans: list})
	if err == nil {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(c.life, cancel)()
		err = c.send(ctx, message)
	}
	if before := c.failing.Swap(err != nil); before != (err != nil) && c.life.Err() == nil {
		c.trouble(err)
	}
	return nil
}
