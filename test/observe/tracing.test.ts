import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startBackends } from '../../demo/backends.ts';
import { writeConfiguration } from '../../demo/configuration.ts';
import { alice } from '../../demo/people.ts';
import { openTracing } from '../../src/observe/tracing.ts';
import { Browser, fieldsIn } from '../demo/browser.fixture.ts';
import { blocksOf } from '../docs/pages.fixture.ts';
import { eventually } from '../eventually.fixture.ts';
import { freePort, listening } from '../ports.fixture.ts';
import { spawn, stopProgram } from '../programs.ts';

const bin = fileURLToPath(new URL('../../bin/postern.mjs', import.meta.url));

interface Span {
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: readonly { readonly key: string; readonly value: { readonly stringValue: string } }[];
}

interface Export {
  readonly resourceSpans: readonly { readonly scopeSpans: readonly { readonly spans: readonly Span[] }[] }[];
}

function isExport(value: unknown): value is Export {
  return typeof value === 'object' && value !== null && 'resourceSpans' in value;
}

/** The configuration that docs/operate.md shows. */
const documented = blocksOf('docs/operate.md').find(({ text }) => text.startsWith('log: { otlp:'))?.text ?? '';

/** A collector that keeps what it gets. */
async function startCollector(t: TestContext) {
  const spans: Span[] = [];
  const server = createServer((request, response) => {
    void json(request).then((body) => {
      if (isExport(body))
        spans.push(...body.resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((of) => of.spans)));
      response.setHeader('Content-Type', 'application/json').end('{}');
    });
  });
  t.after(() => server.close());
  t.after(() => server.closeAllConnections());
  return { spans, url: `http://127.0.0.1:${await listening(server)}/v1/traces` };
}

/** The milliseconds at which a span began and ended. */
function msOf({ startTimeUnixNano, endTimeUnixNano }: Span): number[] {
  return [startTimeUnixNano, endTimeUnixNano].map((nano) => Number(BigInt(nano) / 1_000_000n));
}

const trace = '4bf92f3577b34da6a3ce929d0e0e4736';
const event = { result: 'signed-in', requestId: trace, ms: { form: 1, directory: 20, imap: 300, webmail: 4000 } };

describe('the spans of a sign-in', () => {
  it('are one for each phase, in their order, under one for the whole', async (t) => {
    const { spans, url } = await startCollector(t);
    const tracing = openTracing({ url, node: 'n1', version: '1' });
    tracing.signedIn({ ...event, traceparent: `00-${trace}-00f067aa0ba902b7-00` }, 1_000_000);
    await tracing[Symbol.asyncDispose]();
    const root = spans.find(({ name }) => name === 'sign-in');
    assert.ok(root);
    assert.equal(root.parentSpanId ?? '', '');
    assert.deepEqual(msOf(root), [995_679, 1_000_000]);
    assert.deepEqual(
      spans.filter((span) => span !== root).map((span) => [span.name, span.parentSpanId, ...msOf(span)]),
      [
        ['sign-in form', root.spanId, 995_679, 995_680],
        ['sign-in directory', root.spanId, 995_680, 995_700],
        ['sign-in imap', root.spanId, 995_700, 996_000],
        ['sign-in webmail', root.spanId, 996_000, 1_000_000],
      ],
    );
    assert.deepEqual([...new Set(spans.map(({ traceId }) => traceId))], [trace]);
  });

  it('belong to the span of a proxy that records its own', async (t) => {
    const { spans, url } = await startCollector(t);
    const tracing = openTracing({ url, node: 'n1', version: '1' });
    tracing.signedIn({ ...event, traceparent: `00-${trace}-00f067aa0ba902b7-01` }, 1_000_000);
    tracing.signedIn(event, 2_000_000);
    await tracing[Symbol.asyncDispose]();
    const [first, second] = spans.filter(({ name }) => name === 'sign-in');
    assert.deepEqual([first?.traceId, first?.parentSpanId], [trace, '00f067aa0ba902b7']);
    assert.notEqual(second?.traceId, trace);
  });

  for (const isTraced of [true, false]) {
    it(
      isTraced ? 'leave a gateway that is told where' : 'cost nothing else: none of their libraries is loaded',
      async (t) => {
        const { spans, url } = await startCollector(t);
        const folder = await mkdtemp(join(tmpdir(), 'postern-tracing-'));
        await using backends = await startBackends(Date.now());
        const port = await freePort();
        const file = await writeConfiguration(backends, { directory: folder, port });
        const yaml = await readFile(file, 'utf8');
        const log = isTraced ? documented.replace('http://127.0.0.1:4318/v1/traces', url) : 'log: {}';
        await writeFile(file, yaml.replace('log: { level: warn }', log));
        // Each module that is loaded says so: https://nodejs.org/api/module.html#moduleregisterhooksoptions
        const watch = `import { registerHooks } from 'node:module';
        registerHooks({ load(url, context, next) { process.stderr.write(url + '\\n'); return next(url, context); } });`;
        const child = spawn(
          process.execPath,
          ['--import', `data:text/javascript,${encodeURIComponent(watch)}`, bin, 'serve', '-c', file],
          { stdio: ['ignore', 'pipe', 'pipe'] },
        );
        t.after(() => stopProgram(child));
        t.after(() => rm(folder, { recursive: true, force: true }));
        let [said, loaded] = ['', ''];
        child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
        child.stderr.on('data', (chunk: Buffer) => (loaded += chunk.toString()));
        await eventually(() => said.includes('"event":"ready"'));
        const browser = new Browser(`http://127.0.0.1:${port}`);
        const form = fieldsIn(await browser.text('/-/login'));
        form.set('user', alice.address);
        form.set('password', alice.password);
        await browser.submit('/-/login', form);
        await eventually(() => said.includes('"event":"session-start"'));
        assert.ok(loaded.includes('src/proxy/listener.ts'));
        assert.equal(loaded.includes('observe/tracing.ts'), isTraced);
        assert.equal(/@opentelemetry\/(?!api\/)/.test(loaded), isTraced);
        if (!isTraced) return;
        await eventually(() => spans.some(({ name }) => name === 'sign-in'));
        const phases = ['form', 'store', 'directory', 'penalty', 'imap', 'webmail'].map((phase) => `sign-in ${phase}`);
        assert.deepEqual(new Set(spans.map(({ name }) => name)), new Set(['sign-in', ...phases]));
        const { attributes = [] } = spans.find(({ name }) => name === 'sign-in') ?? {};
        const result = attributes.find(({ key }) => key === 'postern.result')?.value.stringValue;
        assert.equal(result, 'signed-in');
        assert.ok(!JSON.stringify(attributes).includes(alice.address));
      },
    );
  }
});
