import { context, SpanKind, SpanStatusCode, trace, TraceFlags } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, type IdGenerator, RandomIdGenerator, TracerProvider } from '@opentelemetry/sdk-trace';

/** Settings of openTracing. */
interface TracingSettings {
  /** The collector's URL for traces over OTLP/HTTP, with its path. */
  readonly url: string;
  readonly node: string;
  readonly version: string;
}

/** A sign-in that has ended, as spans tell of it. They name no user and no address. */
interface TracedSignIn {
  readonly result: string;
  readonly why?: string | undefined;
  readonly backend?: string | undefined;
  readonly host?: string | undefined;
  readonly requestId: string;
  readonly traceparent?: string | undefined;
  /** The length of each phase, in the order in which they were entered. */
  readonly ms: Readonly<Partial<Record<string, number>>>;
}

/** Sends spans to a collector. Nobody waits for it; what it does not take in time is dropped. */
export interface Tracing extends AsyncDisposable {
  signedIn(event: TracedSignIn, endMs: number): void;
}

const exportTimeoutMs = 5_000;

/** Opens the export of spans. Only a gateway that is configured to trace loads this file, and OpenTelemetry with it. */
export function openTracing({ url, node, version }: TracingSettings): Tracing {
  const ids = new GivenTraceIds();
  const provider = new TracerProvider({
    resource: resourceFromAttributes({
      'service.name': 'postern',
      'service.version': version,
      'service.instance.id': node,
    }),
    idGenerator: ids,
    spanProcessors: [
      new BatchSpanProcessor({
        exporter: new OTLPTraceExporter({ url, timeoutMillis: exportTimeoutMs }),
        scheduledDelayMillis: 1_000,
        exportTimeoutMillis: exportTimeoutMs,
      }),
    ],
  });
  const tracer = provider.getTracer('postern');

  return {
    signedIn(event, endMs) {
      const { ms, traceparent } = event;
      const phases = Object.entries(ms).map(([name, length = 0]) => ({ name, length }));
      let at = endMs - phases.reduce((sum, { length }) => sum + length, 0);
      const attributes = attributesOf(event);
      const parent = parentIn(traceparent);
      ids.next = parent.isRecorded ? '' : parent.traceId;
      const root = tracer.startSpan(
        'sign-in',
        { kind: SpanKind.SERVER, startTime: at, attributes },
        parent.isRecorded ? trace.setSpanContext(context.active(), parent) : context.active(),
      );
      const within = trace.setSpan(context.active(), root);
      for (const { name, length } of phases) {
        const span = tracer.startSpan(`sign-in ${name}`, { startTime: at }, within);
        at += length;
        span.end(at);
      }
      if (event.result === 'unavailable' || event.result === 'failed') root.setStatus({ code: SpanStatusCode.ERROR });
      root.end(endMs);
    },
    async [Symbol.asyncDispose]() {
      // A collector that is away must not hold up the end, nor fail it.
      await provider.shutdown().catch(() => undefined);
    },
  };
}

/** By name, since the event of a login has more: its user and client among them. */
function attributesOf({ result, why, backend, host, requestId }: TracedSignIn) {
  return {
    'postern.result': result,
    'postern.why': why,
    'postern.backend': backend,
    'postern.host': host,
    'postern.request_id': requestId,
  };
}

/** The caller's span. If the caller records none, only its trace id counts: a parent that nobody has would confuse. */
function parentIn(traceparent = '') {
  const [, traceId = '', spanId = '', flags = '00'] = traceparent.split('-');
  const isRecorded = (Number.parseInt(flags, 16) & TraceFlags.SAMPLED) !== 0;
  return { traceId, spanId, traceFlags: TraceFlags.SAMPLED, isRemote: true, isRecorded };
}

/** Gives the next trace the id of its request, and all else a random one. */
class GivenTraceIds implements IdGenerator {
  readonly #random = new RandomIdGenerator();
  next = '';

  generateTraceId(): string {
    const { next } = this;
    this.next = '';
    return next === '' ? this.#random.generateTraceId() : next;
  }

  generateSpanId(): string {
    return this.#random.generateSpanId();
  }
}
